# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ICMP echo packets, built and read."""

import struct

import pytest
from ansible_collections.determined.network.plugins.module_utils._probe import echo
from ansible_collections.determined.network.plugins.module_utils._sockets import checksum


@pytest.mark.parametrize("payload", [b"", b"abc", b"abcdefgh"])
def test_an_ipv4_request_sums_to_zero(payload):
    packet = echo.build_request("ipv4", 4711, 2, payload)
    assert checksum.of(packet) == 0
    assert packet[0] == 8
    assert struct.unpack("!HH", packet[4:8]) == (4711, 2)


def test_an_ipv6_request_leaves_the_checksum_to_the_kernel():
    packet = echo.build_request("ipv6", 1, 1, b"x")
    assert (packet[0], packet[2:4]) == (128, b"\0\0")


@pytest.mark.parametrize(
    "family, raw, packet, expected",
    [
        ("ipv4", False, b"\x00\x00\x00\x00\x00\x01\x00\x01payload", b"payload"),
        ("ipv4", True, b"\x45" + b"\0" * 19 + b"\x00\x00\x00\x00\x00\x01\x00\x01payload", b"payload"),
        ("ipv4", True, b"\x46" + b"\0" * 23 + b"\x00\x00\x00\x00\x00\x01\x00\x01payload", b"payload"),
        ("ipv6", True, b"\x81\x00\x00\x00\x00\x01\x00\x01payload", b"payload"),
        ("ipv4", False, b"\x08\x00\x00\x00\x00\x01\x00\x01payload", None),  # our own request, seen on lo
        ("ipv6", True, b"\x80\x00\x00\x00\x00\x01\x00\x01payload", None),
        ("ipv6", True, b"\x01\x04\x00\x00\x00\x00\x00\x00payload", None),
        ("ipv4", False, b"\x00\x00\x00", None),
        ("ipv4", True, b"", None),
    ],
)
def test_parse_reply(family, raw, packet, expected):
    assert echo.parse_reply(family, raw, packet) == expected
