# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers of the kernel are read as rtnetlink(7) writes them."""

import ipaddress
import struct

import pytest
from ansible_collections.determined.network.plugins.module_utils._wire import netlink


def message(kind, fixed, *attributes):
    body = fixed
    for number, content in attributes:
        body += struct.pack("=HH", 4 + len(content), number) + content + b"\0" * (-len(content) % 4)
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 1, 0) + body


def packed(address):
    return ipaddress.ip_address(address).packed


def read(how, *parts):
    return how(list(netlink.messages(b"".join(parts))))


def route(kind, *attributes):
    return message(24, struct.pack("=BBBBBBBBI", 2, 32, 0, 0, 254, 0, 0, kind, 0), *attributes)


INTERFACE, SOURCE = (4, struct.pack("=I", 7)), (7, packed("192.0.2.66"))


@pytest.mark.parametrize(
    "answer, expected",
    [
        (route(1, INTERFACE, SOURCE), [netlink.Route(7, "192.0.2.66", "")]),
        (route(1, INTERFACE, SOURCE, (5, packed("192.0.2.1"))), [netlink.Route(7, "192.0.2.66", "192.0.2.1")]),
        (
            route(1, INTERFACE, SOURCE, (18, struct.pack("=H", 10) + packed("fe80::1"))),
            [netlink.Route(7, "192.0.2.66", "a router of the other family")],
        ),
        (route(2, INTERFACE, SOURCE), []),  # RTN_LOCAL: an address of this host
        (route(6, INTERFACE), []),  # RTN_BLACKHOLE
    ],
)
def test_a_route_is_read(answer, expected):
    assert read(netlink.read_routes, answer) == expected


def test_interfaces_are_read():
    def link(number, name, *attributes):
        return message(16, struct.pack("=BxHiII", 0, 1, number, 0, 0), (3, name + b"\0"), *attributes)

    kind = struct.pack("=HH", 11, 1) + b"bridge\0" + b"\0"
    found = read(
        netlink.read_links, link(1, b"lo"), link(3, b"br-1", (18 | 0x8000, kind)), link(4, b"v", (10, b"\3\0\0\0"))
    )
    assert found == [netlink.Link(1, "lo", "", 0), netlink.Link(3, "br-1", "bridge", 0), netlink.Link(4, "v", "", 3)]


def test_addresses_are_read():
    def address(family, length, scope, *attributes):
        return message(20, struct.pack("=BBBBI", family, length, 0, scope, 3), *attributes)

    # The address of a point-to-point interface is the other end's; the local one counts.
    found = read(
        netlink.read_addresses,
        address(2, 16, 0, (1, packed("192.0.2.9")), (2, packed("192.0.2.1"))),
        address(10, 64, 253, (1, packed("fe80::1"))),
    )
    assert found == [
        netlink.InterfaceAddress(3, "192.0.2.1", 16, 0),
        netlink.InterfaceAddress(3, "fe80::1", 64, 253),
    ]


def test_only_neighbours_that_have_answered_are_read():
    def neighbour(family, state, address):
        return message(28, struct.pack("=BxHiHBB", family, 0, 3, state, 0, 1), (1, address))

    found = read(
        netlink.read_neighbours,
        neighbour(2, 0x02, packed("192.0.2.2")),
        neighbour(2, 0x04, packed("192.0.2.3")),
        neighbour(2, 0x20, packed("192.0.2.4")),
        neighbour(2, 0x01, packed("192.0.2.5")),
        neighbour(10, 0x40, packed("ff02::1")),
        neighbour(7, 0x02, b"\2\0\0\0\0\1"),  # AF_BRIDGE: a hardware address
    )
    assert found == [netlink.Neighbour(3, "192.0.2.2"), netlink.Neighbour(3, "192.0.2.3")]


def test_an_error_has_its_number():
    ((kind, body),) = netlink.messages(message(2, struct.pack("=i", -101)))
    assert kind == netlink.ERROR and netlink.error_number(body) == 101
