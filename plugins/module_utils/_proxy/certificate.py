# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a text is a bundle of certificates. It is told without a TLS library, by the structure of RFC 5280. Pure."""

import base64
import binascii
import re
from typing import List, Optional, Tuple

_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)
_BASE64_COLUMNS = 64  # RFC 7468, section 2
# Tags of DER (X.690).
_INTEGER, _BIT_STRING, _SEQUENCE, _EXPLICIT_0 = 0x02, 0x03, 0x30, 0xA0


def certificates(text: str) -> List[str]:
    """Split PEM text (RFC 7468) into its certificates, each as PEM text of its own.

    Raises ValueError with a sentence that says what is wrong.
    """
    found = []
    for number, (label, body) in enumerate(_BLOCK.findall(text), 1):
        if "PRIVATE KEY" in label:
            raise ValueError("block %d is a private key, which must not be copied. Keep only certificates" % number)
        if label != "CERTIFICATE":
            raise ValueError("block %d is a %s and not a certificate" % (number, label.lower()))
        try:
            data = base64.b64decode("".join(body.split()).encode("ascii"), validate=True)
        except (binascii.Error, UnicodeEncodeError):
            raise ValueError("block %d is not base64: it is damaged" % number) from None
        if not _is_certificate(data):
            raise ValueError("block %d is not a certificate: it is damaged or something else" % number)
        found.append(_to_pem(data))
    if text.count("-----BEGIN ") != len(found):
        raise ValueError("a block has no end: the file is incomplete")
    if not found:
        raise ValueError("no certificate in PEM form (-----BEGIN CERTIFICATE-----) is there")
    return found


def _to_pem(data: bytes) -> str:
    text = base64.b64encode(data).decode("ascii")
    lines = [text[start : start + _BASE64_COLUMNS] for start in range(0, len(text), _BASE64_COLUMNS)]
    return "-----BEGIN CERTIFICATE-----\n%s\n-----END CERTIFICATE-----\n" % "\n".join(lines)


def _elements(data: bytes) -> Optional[List[Tuple[int, bytes]]]:
    """Split DER (X.690, 8.1) into its elements, each (tag, content). Returns None when the data is not DER."""
    found = []
    position = 0
    while position < len(data):
        if position + 2 > len(data):
            return None
        tag, length, position = data[position], data[position + 1], position + 2
        if length & 0x80:
            size = length & 0x7F
            if not 1 <= size <= 4 or position + size > len(data):
                return None
            length, position = int.from_bytes(data[position : position + size], "big"), position + size
        if position + length > len(data):
            return None
        found.append((tag, data[position : position + length]))
        position += length
    return found


def _is_certificate(data: bytes) -> bool:
    """Whether the data is a Certificate of RFC 5280, section 4.1.

    Its parts are what is signed, the algorithm and the signature. What is signed begins with serial number, algorithm,
    issuer, validity, subject and key, in this order.
    """
    outer = _elements(data)
    if not outer or len(outer) != 1 or outer[0][0] != _SEQUENCE:
        return False
    parts = _elements(outer[0][1])
    if not parts or [tag for tag, _content in parts] != [_SEQUENCE, _SEQUENCE, _BIT_STRING]:
        return False
    fields = _elements(parts[0][1])
    if not fields:
        return False
    tags = [tag for tag, _content in fields]
    if tags[0] == _EXPLICIT_0:  # the version, which certificates of version 1 do not have
        tags = tags[1:]
    return tags[:6] == [_INTEGER] + [_SEQUENCE] * 5
