# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a certificate was refused, and from when to when a certificate is valid. Pure."""

import calendar
import re
from typing import List, Tuple

from ansible_collections.determined.network.plugins.module_utils._internet import targets

# OpenSSL's X509_V_ERR numbers (x509_vfy.h).
_VERIFY = {
    9: targets.CERTIFICATE_NOT_YET_VALID,
    10: targets.CERTIFICATE_EXPIRED,
    62: targets.CERTIFICATE_OF_ANOTHER,
    64: targets.CERTIFICATE_OF_ANOTHER,
}

_UTC_TIME = 0x17  # the tag of a UTCTime (X.680), which has two digits for the year
_VERSION = 0xA0  # the tag of the version, which is there since version 2


def certificate_state(code: int) -> str:
    """The state that stands for one of OpenSSL's verification errors."""
    return _VERIFY.get(code, targets.CERTIFICATE_UNTRUSTED)


def validity(der: bytes) -> Tuple[int, int]:
    """The seconds since 1970 at which a certificate (DER) becomes valid and expires.

    Raises ValueError if it cannot be read.

    RFC 5280, 4.1: Certificate { tbsCertificate { [0] version?, serialNumber, signature, issuer, validity ... } }.
    """
    try:
        certificate = _children(der)[0][1]
        fields = _children(_children(certificate)[0][1])
        if fields[0][0] == _VERSION:
            fields = fields[1:]
        begins, ends = [_time(tag, value.decode("ascii")) for tag, value in _children(fields[3][1])[:2]]
    except (IndexError, ValueError) as problem:
        raise ValueError("this is not a certificate: %s" % problem) from None
    return begins, ends


def _children(data: bytes) -> List[Tuple[int, bytes]]:
    """The elements of DER (X.690), each as its tag and its content."""
    found = []
    while data:
        tag, length, start = data[0], data[1], 2
        if length & 0x80:
            start += length & 0x7F
            length = int.from_bytes(data[2:start], "big")
        if start + length > len(data):
            raise ValueError("an element is cut off")
        found.append((tag, data[start : start + length]))
        data = data[start + length :]
    return found


def _time(tag: int, text: str) -> int:
    """A UTCTime or GeneralizedTime (RFC 5280, 4.1.2.5) in seconds since 1970."""
    found = re.match(r"(\d\d|\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z\Z", text)
    if not found:
        raise ValueError("%r is not a time" % text)
    year, month, day, hour, minute, second = [int(part) for part in found.groups()]
    if tag == _UTC_TIME:
        year += 1900 if year >= 50 else 2000
    return calendar.timegm((year, month, day, hour, minute, second))
