# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions to the kernel about interfaces, addresses, routes and neighbours. It only reads.

What is concluded from an answer is told where it is used: in ``_firewall/kernel_facts`` and ``_wire/kernel``.
Sources: rtnetlink(7), and the kernel's linux/if_link.h, linux/if_addr.h, linux/rtnetlink.h, linux/neighbour.h.
"""

import ipaddress
import struct
import sys
from typing import Dict, Iterator, NamedTuple, Tuple

from ansible_collections.determined.network.plugins.module_utils._sockets import netlink

INET, INET6, BRIDGE = 2, 10, 7  # address families (socket.h)
_BASE = 16  # RTM_BASE
_GET_LINK, _GET_ADDRESS, _GET_ROUTE, _GET_NEIGHBOUR = _BASE + 2, _BASE + 6, _BASE + 10, _BASE + 14
_LINK = struct.Struct("=BxHiII")  # struct ifinfomsg
_ADDRESS = struct.Struct("=BBBBI")  # struct ifaddrmsg
_ROUTE = struct.Struct("=BBBBBBBBI")  # struct rtmsg
_NEIGHBOUR = struct.Struct("=BxxxiHBB")  # struct ndmsg


class Answer(NamedTuple):
    """One message of the kernel. ``header``: the numbers of its fixed part. ``values``: its attributes by kind."""

    header: Tuple[int, ...]
    values: Dict[int, bytes]


def links() -> Iterator[Answer]:
    """All interfaces; header: family, hardware type, index, flags, change. Raises OSError."""
    return _ask(_GET_LINK, netlink.DUMP, _LINK, _LINK.pack(0, 0, 0, 0, 0))


def addresses() -> Iterator[Answer]:
    """All addresses; header: family, prefix length, flags, scope, index of the interface. Raises OSError."""
    return _ask(_GET_ADDRESS, netlink.DUMP, _ADDRESS, _ADDRESS.pack(0, 0, 0, 0, 0))


def neighbours(family: int) -> Iterator[Answer]:
    """The neighbours of a family; header: family, index of the interface, state, flags, type. Raises OSError."""
    found = _ask(_GET_NEIGHBOUR, netlink.DUMP, _NEIGHBOUR, _NEIGHBOUR.pack(family, 0, 0, 0, 0))
    return (answer for answer in found if answer.header[0] == family)


def route(destination: str, source: str = "") -> Answer:
    """The route to an address, from a local address ("": from any).

    Header: family, lengths of destination and source, TOS, table, protocol, scope, type, flags. Raises OSError:
    ENETUNREACH, EHOSTUNREACH or EACCES if there is none, EINVAL if the source is not local.
    """
    target = ipaddress.ip_address(destination)
    bits = target.max_prefixlen
    family = INET if target.version == 4 else INET6
    asked = _ROUTE.pack(family, bits, bits if source else 0, 0, 0, 0, 0, 0, 0) + netlink.attribute(1, target.packed)
    if source:
        asked += netlink.attribute(2, ipaddress.ip_address(source).packed)
    (answer,) = _ask(_GET_ROUTE, netlink.ACK, _ROUTE, asked)
    return answer


def _ask(kind: int, flags: int, header: struct.Struct, question: bytes) -> Iterator[Answer]:
    for message in netlink.ask(netlink.ROUTE, kind, flags, question):
        yield Answer(header.unpack_from(message), netlink.attributes(message[header.size :]))


def number(data: bytes) -> int:
    """A number of the kernel's own byte order, of any size; 0 if there is none."""
    return int.from_bytes(data, sys.byteorder)
