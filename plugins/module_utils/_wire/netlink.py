# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions to the kernel about routes, interfaces, addresses and neighbours, and its answers: as bytes. Pure.

Sources: netlink(7), rtnetlink(7); in the kernel include/uapi/linux/rtnetlink.h, if_link.h, if_addr.h, neighbour.h.
"""

import ipaddress
import struct
from typing import Dict, Iterator, List, NamedTuple, Tuple

_HEADER = struct.Struct("=IHHII")  # length, kind, flags, sequence, port
_REQUEST, _DUMP = 0x1, 0x300
ERROR, DONE = 2, 3

_NEW_LINK, _NEW_ADDRESS, _NEW_ROUTE, _NEW_NEIGHBOUR = 16, 20, 24, 28
_GET = 2  # added to the kind of an answer, it is the kind of the question

_FAMILIES = {4: 2, 6: 10}  # AF_INET, AF_INET6
_ROUTE = struct.Struct("=BBBBBBBBI")
_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBI")
_NEIGHBOUR = struct.Struct("=BxHiHBB")
_NESTED = 0x3FFF  # the upper two bits of a kind are flags
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


def route_question(address: str) -> bytes:
    """The question by which route this host sends to an address."""
    packed = ipaddress.ip_address(address).packed
    body = _ROUTE.pack(_family(address), 8 * len(packed), 0, 0, 0, 0, 0, 0, 0) + _attribute(1, packed)
    return _message(_NEW_ROUTE + _GET, _REQUEST, body)


def links_question() -> bytes:
    """The question for all interfaces."""
    return _message(_NEW_LINK + _GET, _REQUEST | _DUMP, _LINK.pack(0, 0, 0, 0, 0))


def addresses_question() -> bytes:
    """The question for all addresses of this host."""
    return _message(_NEW_ADDRESS + _GET, _REQUEST | _DUMP, _ADDRESS.pack(0, 0, 0, 0, 0))


def neighbours_question() -> bytes:
    """The question for all neighbours that this host knows."""
    return _message(_NEW_NEIGHBOUR + _GET, _REQUEST | _DUMP, _NEIGHBOUR.pack(0, 0, 0, 0, 0, 0))


def messages(data: bytes) -> Iterator[Tuple[int, bytes]]:
    """What the kernel sent -> the kind and the body of each message in it."""
    while len(data) >= _HEADER.size:
        length, kind = _HEADER.unpack_from(data)[:2]
        yield kind, data[_HEADER.size : length]
        data = data[max(_HEADER.size, (length + 3) & ~3) :]


def error_number(body: bytes) -> int:
    """The body of an ERROR -> the number of errno(3)."""
    return -int(struct.unpack_from("=i", body)[0])


def read_routes(found: List[Tuple[int, bytes]]) -> List[Route]:
    """Messages -> the routes in them by which packets leave this host."""
    routes = []
    for kind, body in found:
        if kind == _NEW_ROUTE and _ROUTE.unpack_from(body)[7] == _UNICAST:
            told = _attributes(body[_ROUTE.size :])
            # RTA_OIF, RTA_PREFSRC, RTA_GATEWAY; RTA_VIA is a gateway of the other family.
            if 4 in told and 7 in told:
                gateway = _text(told[5]) if 5 in told else "a router of the other family" if 18 in told else ""
                routes.append(Route(_number(told[4]), _text(told[7]), gateway))
    return routes


def read_links(found: List[Tuple[int, bytes]]) -> List[Link]:
    """Messages -> the interfaces in them."""
    links = []
    for kind, body in found:
        if kind == _NEW_LINK:
            told = _attributes(body[_LINK.size :])
            # IFLA_IFNAME, IFLA_LINKINFO with IFLA_INFO_KIND, IFLA_MASTER.
            about = _attributes(told.get(18, b""))
            master = _number(told[10]) if 10 in told else 0
            links.append(Link(_LINK.unpack_from(body)[2], _name(told[3]), _name(about.get(1, b"")), master))
    return links


def read_addresses(found: List[Tuple[int, bytes]]) -> List[InterfaceAddress]:
    """Messages -> the addresses in them."""
    addresses = []
    for kind, body in found:
        if kind == _NEW_ADDRESS:
            _family_number, length, _flags, scope, interface = _ADDRESS.unpack_from(body)
            told = _attributes(body[_ADDRESS.size :])
            own = told.get(2, told.get(1))  # IFA_LOCAL, IFA_ADDRESS
            if own is not None:
                addresses.append(InterfaceAddress(interface, _text(own), length, scope))
    return addresses


def read_neighbours(found: List[Tuple[int, bytes]]) -> List[Neighbour]:
    """Messages -> the neighbours in them that have answered."""
    neighbours = []
    for kind, body in found:
        if kind == _NEW_NEIGHBOUR:
            family, _unused, interface, state = _NEIGHBOUR.unpack_from(body)[:4]
            told = _attributes(body[_NEIGHBOUR.size :])
            if family in _FAMILIES.values() and state and not state & _UNKNOWN_NEIGHBOUR and 1 in told:
                neighbours.append(Neighbour(interface, _text(told[1])))
    return neighbours


def _message(kind: int, flags: int, body: bytes) -> bytes:
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, 1, 0) + body


def _attribute(kind: int, content: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(content), kind) + content + b"\0" * (-len(content) % 4)


def _attributes(data: bytes) -> Dict[int, bytes]:
    found = {}
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        found[kind & _NESTED] = data[4:length]
        data = data[max(4, (length + 3) & ~3) :]
    return found


def _family(address: str) -> int:
    return _FAMILIES[6 if ":" in address else 4]


def _text(packed: bytes) -> str:
    return str(ipaddress.ip_address(packed))


def _name(data: bytes) -> str:
    return data.rstrip(b"\0").decode("utf-8", "replace")


def _number(data: bytes) -> int:
    return int(struct.unpack("=I", data)[0])
