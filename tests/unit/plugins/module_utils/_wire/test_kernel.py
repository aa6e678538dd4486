# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers of the kernel are read as rtnetlink(7) writes them."""

import ipaddress
import struct

import pytest
from ansible_collections.determined.network.plugins.module_utils._sockets.rtnetlink import INET, INET6, Answer
from ansible_collections.determined.network.plugins.module_utils._wire import kernel


def packed(address):
    return ipaddress.ip_address(address).packed


def route(kind, values):
    return Answer((INET, 32, 0, 0, 254, 0, 0, kind, 0), values)


OWN = {4: struct.pack("=I", 7), 7: packed("192.0.2.66")}


@pytest.mark.parametrize(
    "answer, expected",
    [
        (route(1, OWN), kernel.Route(7, "192.0.2.66", "")),
        (route(1, {**OWN, 5: packed("192.0.2.1")}), kernel.Route(7, "192.0.2.66", "192.0.2.1")),
        (
            route(1, {**OWN, 18: struct.pack("=H", INET6) + packed("fe80::1")}),
            kernel.Route(7, "192.0.2.66", "a router of the other family"),
        ),
        (route(2, OWN), None),  # RTN_LOCAL: an address of this host
        (route(6, {4: OWN[4]}), None),  # RTN_BLACKHOLE
    ],
)
def test_a_route_is_read(answer, expected):
    assert kernel.read_route(answer) == expected


def test_interfaces_are_read():
    def link(number, name, values):
        return Answer((0, 1, number, 0, 0), {3: name + b"\0", **values})

    kind = struct.pack("=HH", 11, 1) + b"bridge\0" + b"\0"
    found = kernel.read_links([link(1, b"lo", {}), link(3, b"br-1", {18: kind}), link(4, b"v", {10: b"\3\0\0\0"})])
    assert found == [kernel.Link(1, "lo", "", 0), kernel.Link(3, "br-1", "bridge", 0), kernel.Link(4, "v", "", 3)]


def test_addresses_are_read():
    # The address of a point-to-point interface is the other end's; the local one counts.
    found = kernel.read_addresses(
        [
            Answer((INET, 16, 0, 0, 3), {1: packed("192.0.2.9"), 2: packed("192.0.2.1")}),
            Answer((INET6, 64, 0, 253, 3), {1: packed("fe80::1")}),
        ]
    )
    assert found == [
        kernel.InterfaceAddress(3, "192.0.2.1", 16, 0),
        kernel.InterfaceAddress(3, "fe80::1", 64, 253),
    ]


def test_only_neighbours_that_have_answered_are_read():
    states = (0x02, 0x04, 0x20, 0x01, 0x40, 0x00)
    found = kernel.read_neighbours(
        Answer((INET, 3, state, 0, 1), {1: packed(f"192.0.2.{number}")}) for number, state in enumerate(states)
    )
    assert found == [kernel.Neighbour(3, "192.0.2.0"), kernel.Neighbour(3, "192.0.2.1")]
