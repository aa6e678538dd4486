# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel of this host tells about routes, interfaces, addresses and neighbours. Changes nothing.

Sources: rtnetlink(7), and the kernel's linux/neighbour.h.
"""

import ipaddress
from typing import Iterable, List, NamedTuple, Optional

from ansible_collections.determined.network.plugins.module_utils._sockets import netlink, rtnetlink

_UNICAST = 1  # RTN_UNICAST
# Neighbours that nobody has answered for, or that need no answer (linux/neighbour.h: NUD_*).
_UNKNOWN_NEIGHBOUR = 0x01 | 0x20 | 0x40


class Route(NamedTuple):
    """How this host sends to an address. ``gateway``: "" if the address is on the link. ``source``: of this host."""

    interface: int
    source: str
    gateway: str


class Link(NamedTuple):
    """An interface. ``kind``: as in ip-link(8), "" for a network card. ``master``: the number of its bridge, or 0."""

    number: int
    name: str
    kind: str
    master: int


class InterfaceAddress(NamedTuple):
    """An address of this host with its network. ``scope``: 0 for a global address."""

    interface: int
    address: str
    length: int
    scope: int


class Neighbour(NamedTuple):
    """An address on a link of which this host knows who has it."""

    interface: int
    address: str


def route(address: str) -> Route:
    """By which route this host sends to an address. Raises OSError if it has none."""
    found = read_route(rtnetlink.route(address))
    if found is None:
        raise OSError("the address belongs to this host, or no packet may leave to it")
    return found


def read_route(answer: rtnetlink.Answer) -> Optional[Route]:
    """An answer -> the route by which packets leave this host, or None."""
    values = answer.values
    # RTA_OIF, RTA_PREFSRC, RTA_GATEWAY; RTA_VIA is a gateway of the other family.
    if answer.header[7] != _UNICAST or 4 not in values or 7 not in values:
        return None
    gateway = _text(values[5]) if 5 in values else "a router of the other family" if 18 in values else ""
    return Route(rtnetlink.number(values[4]), _text(values[7]), gateway)


def links() -> List[Link]:
    """All interfaces. Raises OSError."""
    return read_links(rtnetlink.links())


def read_links(answers: Iterable[rtnetlink.Answer]) -> List[Link]:
    """Answers -> the interfaces in them."""
    found = []
    for (_family, _hardware, index, _flags, _change), values in answers:
        # IFLA_LINKINFO with IFLA_INFO_KIND, IFLA_IFNAME, IFLA_MASTER.
        about = netlink.attributes(values.get(18, b""))
        kind, master = netlink.text(about.get(1, b"")), rtnetlink.number(values.get(10, b""))
        found.append(Link(index, netlink.text(values[3]), kind, master))
    return found


def addresses() -> List[InterfaceAddress]:
    """All addresses. Raises OSError."""
    return read_addresses(rtnetlink.addresses())


def read_addresses(answers: Iterable[rtnetlink.Answer]) -> List[InterfaceAddress]:
    """Answers -> the addresses in them."""
    found = []
    for (_family, length, _flags, scope, index), values in answers:
        own = values.get(2, values.get(1, b""))  # IFA_LOCAL, IFA_ADDRESS
        if len(own) in (4, 16):
            found.append(InterfaceAddress(index, _text(own), length, scope))
    return found


def neighbours() -> List[Neighbour]:
    """All neighbours that have answered. Raises OSError."""
    return [
        one for family in (rtnetlink.INET, rtnetlink.INET6) for one in read_neighbours(rtnetlink.neighbours(family))
    ]


def read_neighbours(answers: Iterable[rtnetlink.Answer]) -> List[Neighbour]:
    """Answers -> the neighbours in them that have answered."""
    return [
        Neighbour(index, _text(values[1]))
        for (_family, index, state, _flags, _type), values in answers
        if state and not state & _UNKNOWN_NEIGHBOUR and 1 in values
    ]


def _text(packed: bytes) -> str:
    return str(ipaddress.ip_address(packed))
