# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a rule of iptables-legacy may have counted a packet, by reading the rule. Pure.

It reads the matches that say something about addresses, protocols and ports (iptables(8), iptables-extensions(8)). A
match that it does not know may be true.
"""

from __future__ import annotations

import ipaddress
import shlex
from collections.abc import Callable
from typing import NamedTuple

# Chains of the kernel that a packet meets when it arrives, and when it leaves.
ARRIVING, LEAVING = ("PREROUTING", "INPUT", "FORWARD"), ("OUTPUT", "POSTROUTING")


class Header(NamedTuple):
    """What a rule can match. What is not known of an address or a port is "" or 0.

    ``protocol``: "tcp", "udp" or "icmp".
    """

    protocol: str
    source: str
    source_port: int
    destination: str
    destination_port: int


def may_match(rule: str, header: Header) -> bool:
    """A rule as iptables-save prints it ("-A INPUT -p tcp ... -j DROP") -> whether it may match."""
    try:
        words = shlex.split(rule)
    except ValueError:  # no program prints such a rule, but a host may invent it
        return True
    negated = False
    for place, word in enumerate(words[:-1]):
        if word == "!":
            negated = True
            continue
        test = _TESTS.get(word)
        if test is not None and test(words[place + 1], header) is negated:
            return False
        negated = False
    return True


def _protocol(value: str, header: Header) -> bool:
    names = {value, "icmp" if value in ("ipv6-icmp", "icmpv6") else value}
    return value == "all" or header.protocol in names


def _network(value: str, address: str) -> bool:
    try:
        return not address or ipaddress.ip_address(address) in ipaddress.ip_network(value, strict=False)
    except ValueError:
        return True  # a mask that Python does not read


def _ports(value: str, port: int) -> bool:
    return not port or any(_range(part, port) for part in value.split(","))


def _range(part: str, port: int) -> bool:
    first, colon, last = part.partition(":")
    if not f"{first}{last}".isdecimal():
        return True
    return int(first or 0) <= port <= (int(last or 65535) if colon else int(first or 0))


_TESTS: dict[str, Callable[[str, Header], bool]] = {
    "-p": _protocol,
    "-s": lambda value, header: _network(value, header.source),
    "-d": lambda value, header: _network(value, header.destination),
    "--sport": lambda value, header: _ports(value, header.source_port),
    "--sports": lambda value, header: _ports(value, header.source_port),
    "--dport": lambda value, header: _ports(value, header.destination_port),
    "--dports": lambda value, header: _ports(value, header.destination_port),
    "--ports": lambda value, header: _ports(value, header.source_port) or _ports(value, header.destination_port),
}
