# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates are told from everything else, without a TLS library."""

import base64

import pytest
from ansible_collections.determined.network.plugins.module_utils._proxy import certificate


def der(tag, *parts):
    content = b"".join(parts)
    size = len(content)
    length = bytes([size]) if size < 128 else b"\x82" + size.to_bytes(2, "big")
    return bytes([tag]) + length + content


def pem(data, label="CERTIFICATE"):
    text = base64.b64encode(data).decode()
    lines = "\n".join(text[at : at + 64] for at in range(0, len(text), 64))
    return f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n"


EMPTY = der(0x30)
NUMBER = der(0x02, b"\x01")
VERSION = der(0xA0, NUMBER)
SIGNED = der(0x30, VERSION, NUMBER, EMPTY, EMPTY, EMPTY, EMPTY, der(0x30, b"\x30\x00" * 100))
CERTIFICATE = der(0x30, SIGNED, EMPTY, der(0x03, b"\x00" * 20))
OLD = der(0x30, der(0x30, NUMBER, EMPTY, EMPTY, EMPTY, EMPTY, EMPTY), EMPTY, der(0x03, b"\x00"))


def test_a_bundle_is_split_into_certificates():
    text = "# A comment\n" + pem(CERTIFICATE) + "\nand another\n" + pem(OLD).replace("\n", "\r\n")
    assert certificate.certificates(text) == [pem(CERTIFICATE), pem(OLD)]


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "no certificate in PEM form"),
        ("hello", "no certificate in PEM form"),
        (pem(CERTIFICATE, "RSA PRIVATE KEY"), "private key"),
        (pem(CERTIFICATE) + pem(NUMBER, "PRIVATE KEY"), "block 2 is a private key"),
        (pem(CERTIFICATE, "CERTIFICATE REQUEST"), "certificate request and not"),
        (pem(CERTIFICATE).replace("MI", "M*", 1), "not base64"),
        (pem(CERTIFICATE)[:200], "incomplete"),
        (pem(CERTIFICATE) + "-----BEGIN CERTIFICATE-----\nMIIB", "incomplete"),
        (pem(CERTIFICATE[:-1]), "damaged or something else"),
        (pem(CERTIFICATE + b"\x00"), "damaged or something else"),
        (pem(b"hello"), "damaged or something else"),
        (pem(b""), "damaged or something else"),
        (pem(b"\x30\x80\x00\x00"), "damaged or something else"),
        (pem(b"\x30"), "damaged or something else"),
        (pem(der(0x30, SIGNED, EMPTY)), "damaged or something else"),
        (pem(der(0x30, EMPTY, EMPTY, der(0x03))), "damaged or something else"),
        (pem(der(0x31, SIGNED, EMPTY, der(0x03, b"\x00"))), "damaged or something else"),
    ],
)
def test_what_is_refused(text, words):
    with pytest.raises(ValueError) as problem:
        certificate.certificates(text)
    assert words in str(problem.value)
