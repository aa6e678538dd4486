# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is a text a bundle of certificates? Told without a TLS library, by the shape that RFC 5280 gives them. Pure."""

import base64
import binascii
import re

_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)
_SEQUENCE, _BIT_STRING = 0x30, 0x03


def certificates(text):
    """PEM text (RFC 7468) -> each certificate as PEM text of its own, a list.

    Raises ValueError with a sentence that says what is wrong.
    """
    found = []
    for number, (label, body) in enumerate(_BLOCK.findall(text), 1):
        if "PRIVATE KEY" in label:
            raise ValueError("block %d is a private key, which stays where it is. Leave only certificates" % number)
        if label != "CERTIFICATE":
            raise ValueError("block %d is a %s and not a certificate" % (number, label.lower()))
        try:
            data = base64.b64decode("".join(body.split()).encode("ascii"), validate=True)
        except (binascii.Error, UnicodeEncodeError):
            raise ValueError("block %d is no base64: it is damaged" % number) from None
        if not _is_certificate(data):
            raise ValueError("block %d is no certificate: it is damaged or something else" % number)
        lines = base64.b64encode(data).decode("ascii")
        lines = "\n".join(lines[start : start + 64] for start in range(0, len(lines), 64))
        found.append("-----BEGIN CERTIFICATE-----\n%s\n-----END CERTIFICATE-----\n" % lines)
    if text.count("-----BEGIN ") != len(found):
        raise ValueError("a block has no end: the file is cut off")
    if not found:
        raise ValueError("no certificate in PEM form (-----BEGIN CERTIFICATE-----) is there")
    return found


def _elements(data):
    """DER (X.690, 8.1) of concatenated elements -> [(tag, content)], None when it is none."""
    found = []
    at = 0
    while at < len(data):
        if at + 2 > len(data):
            return None
        tag, length, at = data[at], data[at + 1], at + 2
        if length & 0x80:
            size = length & 0x7F
            if not 1 <= size <= 4 or at + size > len(data):
                return None
            length, at = int.from_bytes(data[at : at + size], "big"), at + size
        if at + length > len(data):
            return None
        found.append((tag, data[at : at + length]))
        at += length
    return found


def _is_certificate(data):
    """Whether it is a Certificate of RFC 5280, 4.1: to-be-signed part, algorithm, signature; and the first
    has serial number, algorithm, issuer, validity, subject and key, in this order."""
    outer = _elements(data)
    if not outer or len(outer) != 1 or outer[0][0] != _SEQUENCE:
        return False
    parts = _elements(outer[0][1])
    if not parts or [tag for tag, _unused in parts] != [_SEQUENCE, _SEQUENCE, _BIT_STRING]:
        return False
    fields = _elements(parts[0][1])
    if not fields:
        return False
    tags = [tag for tag, _unused in fields]
    if tags[0] == 0xA0:  # the version, left out by version 1
        tags = tags[1:]
    return tags[:6] == [0x02] + [_SEQUENCE] * 5
