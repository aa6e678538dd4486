# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is attacked at one address of another host, and what came of it. Pure."""

import binascii
import ipaddress
from typing import Any, Dict, List, Mapping, NamedTuple, Sequence, Tuple

from ansible_collections.determined.network.plugins.module_utils import _ports
from ansible_collections.determined.network.plugins.module_utils._sockets import proof

# Where the address is, as seen from this host.
SAME_LINK = "same"  # a host on a link of this host has it
OTHER_LINK = "other"  # it is behind a router, or the link is no Ethernet
NOT_PERMITTED = "not_permitted"  # this user may send no frames
UNKNOWN = "unknown"  # it was not found out
LINKS = (SAME_LINK, OTHER_LINK, NOT_PERMITTED, UNKNOWN)


class Datagram(NamedTuple):
    """A datagram to a port. ``mark``: by which the listener tells that it came, see proof.Proof.marked."""

    port: int
    mark: bytes


class Target(NamedTuple):
    """An address, and the attacks on it.

    ``tcp_port``: a port at which something listens and which must be closed to this host; 0: none.
    ``forged``: datagrams that bear the address itself as their source. ``datagrams``: those of this host.
    ``containers``: addresses behind the host, and ``container_port`` the port that is tried at each of them.
    """

    address: str
    tcp_port: int
    forged: Tuple[Datagram, ...]
    datagrams: Tuple[Datagram, ...]
    containers: Tuple[str, ...]
    container_port: int


class Outcome:
    """What came of the attacks on a target."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.link = UNKNOWN
        self.reason = ""  # why frames, or an attack, could not be sent
        self.answered_before = False  # whether an echo request of the same kind was answered before the attacks
        self.answered_after = False
        self.connected = False  # whether a SYN/ACK came back
        self.open = False  # whether one answered a SYN that was sent alone
        self.containers: List[str] = []  # that answered
        self.datagram_problem = ""  # why this host's own datagrams could not be sent
        self.lost = 0  # packets that this host received and could not read

    def to_dict(self) -> Dict[str, Any]:
        """The outcome as the module returns it."""
        return {
            "address": self.target.address,
            "link": self.link,
            "reason": self.reason,
            "control": self.answered_before and self.answered_after,
            "connected": self.connected,
            "open": self.open,
            "containers": sorted(self.containers),
            "datagram_problem": self.datagram_problem,
            "lost": self.lost,
        }


def read_targets(data: Sequence[Mapping[str, Any]]) -> List[Target]:
    """Read the module's option ``targets``. One ValueError lists all problems."""
    targets: List[Target] = []
    problems: List[str] = []
    for index, item in enumerate(data):
        where = "targets[%d]" % index
        try:
            targets.append(_read_target(where, item))
        except ValueError as problem:
            problems.append(str(problem))
    if problems:
        raise ValueError("; ".join(problems))
    return targets


def _read_target(where: str, item: Mapping[str, Any]) -> Target:
    address = _read_address("%s.address" % where, item["address"])
    containers = tuple(_read_address("%s.containers" % where, one) for one in item["containers"])
    for one in containers:
        if (":" in one) != (":" in address):
            raise ValueError("%s.containers: %s is not of the family of %s" % (where, one, address))
    return Target(
        address,
        read_port("%s.tcp_port" % where, item["tcp_port"]),
        _read_datagrams("%s.forged" % where, item["forged"]),
        _read_datagrams("%s.datagrams" % where, item["datagrams"]),
        containers,
        read_port("%s.container_port" % where, item["container_port"]),
    )


def _read_address(where: str, value: Any) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise ValueError("%s is %r, not an IPv4 or IPv6 address" % (where, value)) from None


def read_port(where: str, port: int) -> int:
    """A port, or 0 for none -> the same. Raises ValueError for any other number."""
    if port and not _ports.contains(_ports.ALL_PORTS, port):
        raise ValueError("%s is %d, not a port" % (where, port))
    return port


def _read_datagrams(where: str, items: Sequence[Mapping[str, Any]]) -> Tuple[Datagram, ...]:
    found = []
    for item in items:
        try:
            mark = binascii.unhexlify(item["mark"])
        except ValueError:
            mark = b""
        if len(mark) != proof.MARK:
            raise ValueError("%s.mark is %r, not %d hexadecimal digits" % (where, item["mark"], 2 * proof.MARK))
        if not item["port"]:
            raise ValueError("%s.port is 0, not a port" % where)
        found.append(Datagram(read_port("%s.port" % where, item["port"]), mark))
    return tuple(found)
