# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel of this host tells about routes, interfaces, addresses and neighbours (rtnetlink(7)). Changes
nothing."""

import socket
from typing import List, Tuple

from ansible_collections.determined.network.plugins.module_utils._wire import netlink

_SECONDS = 5.0  # the kernel answers at once
_ROOM = 1 << 16  # bytes of one answer; the kernel sends at most half of it


def route(address: str) -> netlink.Route:
    """By which route this host sends to an address. Raises OSError if it has none."""
    found = netlink.read_routes(_ask(netlink.route_question(address), 1))
    if not found:
        raise OSError("the address belongs to this host, or no packet may leave to it")
    return found[0]


def links() -> List[netlink.Link]:
    """All interfaces. Raises OSError."""
    return netlink.read_links(_ask(netlink.links_question()))


def addresses() -> List[netlink.InterfaceAddress]:
    """All addresses. Raises OSError."""
    return netlink.read_addresses(_ask(netlink.addresses_question()))


def neighbours() -> List[netlink.Neighbour]:
    """All neighbours that have answered. Raises OSError."""
    return netlink.read_neighbours(_ask(netlink.neighbours_question()))


def _ask(question: bytes, most: int = 0) -> List[Tuple[int, bytes]]:
    """Ask the kernel -> its messages; ``most``: how many are expected (0: it says itself which is the last)."""
    found: List[Tuple[int, bytes]] = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
        kernel.settimeout(_SECONDS)
        kernel.bind((0, 0))
        kernel.send(question)
        while True:
            for kind, body in netlink.messages(kernel.recv(_ROOM)):
                if kind == netlink.ERROR and netlink.error_number(body):
                    number = netlink.error_number(body)
                    raise OSError(number, "the kernel refuses the question")
                if kind == netlink.DONE:
                    return found
                found.append((kind, body))
                if len(found) == most:
                    return found
