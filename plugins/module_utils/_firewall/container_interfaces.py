# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bridges of this host's own containers: patterns of their names, and the refusal of uplinks. Pure.

Mode ``restrict`` accepts what arrives through these bridges, as it does for ``lo``, since a container on
this host counts as this host. A pattern that matches an uplink of the host would make the policy void.
"""

import ipaddress
import re
import sys
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

from ansible_collections.determined.network.plugins.module_utils._firewall.lockout import SshConnection

_Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]
_Route = Tuple[_Network, str]  # destination, interface

# Docker's default bridge, its networks ("br-" and an id), Swarm's gateway; podman's, old and new.
DEFAULT = ("docker0", "docker_gwbridge", "br-+", "podman+", "cni-podman+")
# The options of a module that writes or compares a policy, for its argument_spec.
ARGUMENT_SPEC: Dict[str, Dict[str, Any]] = {
    "container_interfaces": {"type": "list", "elements": "str", "default": list(DEFAULT)}
}

LONGEST = 15  # characters: the kernel's IFNAMSIZ is 16 with the final NUL (linux/if.h)
_PATTERN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]*\+?\Z")

# proc(5): the main routing table, in hexadecimal.
ROUTES_IPV4 = "/proc/net/route"
ROUTES_IPV6 = "/proc/net/ipv6_route"
_UP, _REJECT = 0x1, 0x200  # flags of a route (linux/route.h)


def read(patterns: Sequence[str]) -> Tuple[str, ...]:
    """The patterns that a user wrote, each once, in their order.

    A pattern is the name of an interface; a "+" at its end stands for any ending, as in iptables(8).
    One ValueError lists all problems.
    """
    problems = []
    for index, pattern in enumerate(patterns):
        where = "container_interfaces[%d] is %r" % (index, pattern)
        if not isinstance(pattern, str) or not _PATTERN.match(pattern):
            problems.append(
                "%s: the name of an interface starts with a letter or digit, and holds letters, digits, "
                "_ . @ and -; one + at its end stands for any ending" % where
            )
        elif len(pattern) > LONGEST:
            problems.append("%s: an interface's name has at most %d characters" % (where, LONGEST))
    if problems:
        raise ValueError("; ".join(problems))
    return tuple(sorted(set(patterns), key=list(patterns).index))


def matches(pattern: str, name: str) -> bool:
    """Whether a pattern matches the name of an interface."""
    return name.startswith(pattern[:-1]) if pattern.endswith("+") else name == pattern


def uplinks(
    routes_ipv4: Optional[str], routes_ipv6: Optional[str], connection: Optional[SshConnection]
) -> List[Tuple[str, str]]:
    """The interfaces over which other hosts reach this host: a sorted list of (name, what it carries).

    ``routes_ipv4``, ``routes_ipv6``: the texts of ROUTES_IPV4 and ROUTES_IPV6, None if there is no such file.
    ``connection``: the SSH connection of the change, None if there is none.
    """
    routes = _parse_ipv4(routes_ipv4 or "") + _parse_ipv6(routes_ipv6 or "")
    found = {(name, "carries this host's default route") for network, name in routes if network.prefixlen == 0}
    if connection is not None:
        client = ipaddress.ip_address(connection.client)
        if client.version == 6 and client.is_link_local:
            routes = []  # every interface has a route to link-local addresses, so routes do not tell which one it is
        to_client = [(network.prefixlen, name) for network, name in routes if client in network]
        longest = max(to_client)[0] if to_client else None
        for length, name in to_client:
            if length == longest:
                found.add((name, "carries the SSH connection from %s" % connection.client))
    return sorted((name, why) for name, why in found if name != "lo")


def _parse_ipv4(text: str) -> List[_Route]:
    routes: List[_Route] = []
    for line in text.splitlines()[1:]:
        words = line.split()
        if len(words) >= 8 and _is_usable(words[3]):
            network, mask = (_in_host_order(words[index]) for index in (1, 7))
            routes.append((ipaddress.ip_network("%s/%s" % (network, mask), strict=False), words[0]))
    return routes


def _in_host_order(word: str) -> Union[ipaddress.IPv4Address, ipaddress.IPv6Address]:
    return ipaddress.ip_address(int(word, 16).to_bytes(4, sys.byteorder))


def _parse_ipv6(text: str) -> List[_Route]:
    routes: List[_Route] = []
    for line in text.splitlines():
        words = line.split()
        if len(words) == 10 and _is_usable(words[8]):
            address = ipaddress.ip_address(bytes.fromhex(words[0]))
            routes.append((ipaddress.ip_network("%s/%d" % (address, int(words[1], 16)), strict=False), words[9]))
    return routes


def _is_usable(flags: str) -> bool:
    return int(flags, 16) & (_UP | _REJECT) == _UP


def refusal(patterns: Sequence[str], found: Sequence[Tuple[str, str]]) -> Optional[str]:
    """The message about patterns that match an uplink; None if no pattern does. ``found``: as of :func:`uplinks`."""
    reasons = [
        "the interface %s %s and matches %r" % (name, why, pattern)
        for name, why in found
        for pattern in patterns
        if matches(pattern, name)
    ]
    if not reasons:
        return None
    return (
        "Refused, nothing was changed: %s. Mode restrict lets pass all that comes in through the bridges of this "
        "host's containers, so such an interface would leave the host open. Set "
        "determined_firewall_container_interfaces (the "
        "module's container_interfaces) to patterns that match the bridges of containers only (see: ip -br link)"
        % "; ".join(reasons)
    )
