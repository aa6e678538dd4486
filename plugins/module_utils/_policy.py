# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host policy: the inbound and outbound traffic that one host must permit. Controller and hosts share it.

Everything here is pure and travels as JSON: ``to_dict`` gives what ``from_dict`` takes.
``from_dict`` names every problem it finds in one ValueError, so that a bad policy fails
before the first change.
"""

import ipaddress
import re
from typing import Any, Callable, Dict, List, NamedTuple, Set, Tuple, Union

from ansible_collections.determined.network.plugins.module_utils import _ports

FAMILIES = ("ipv4", "ipv6")
PROTOCOLS = ("tcp", "udp")
MODES = ("permit", "restrict")


# A name -> family -> addresses and networks.
Peers = Dict[str, Dict[str, Tuple[str, ...]]]


class Rule(NamedTuple):
    """One kind of traffic that a host permits.

    ``peers`` names an entry of :attr:`HostPolicy.peers`: who is at the other end.
    ``ports`` are the destination's. ``requirements`` are the ids that ask for it.
    """

    protocol: str
    ports: _ports.PortSet
    peers: str
    requirements: Tuple[str, ...]

    def to_dict(self) -> Dict[str, Any]:
        return {
            "protocol": self.protocol,
            "ports": _ports.format_ports(self.ports),
            "peers": self.peers,
            "requirements": list(self.requirements),
        }


class HostPolicy(NamedTuple):
    """The inbound and outbound traffic that one host must permit. A backend renders it as rules.

    ``peers``: name -> family -> sorted tuple of addresses ("192.0.2.1") and networks
    ("198.51.100.0/24"). "0.0.0.0/0" and "::/0" stand for anybody of their family.
    A rule whose peers have nothing in a family permits nothing in that family.

    ``inbound``, ``outbound``: required traffic, to be accepted in both modes.
    ``management``: how the host is administered; in mode ``restrict`` it is left to the
    host's own rules instead of being dropped with the rest.
    """

    host: str
    mode: str
    peers: Peers
    inbound: Tuple[Rule, ...]
    outbound: Tuple[Rule, ...]
    management: Tuple[Rule, ...]

    def to_dict(self) -> Dict[str, Any]:
        return {
            "host": self.host,
            "mode": self.mode,
            "peers": {
                name: {family: list(addresses) for family, addresses in families.items()}
                for name, families in self.peers.items()
            },
            "inbound": [rule.to_dict() for rule in self.inbound],
            "outbound": [rule.to_dict() for rule in self.outbound],
            "management": [rule.to_dict() for rule in self.management],
        }

    @classmethod
    def from_dict(cls, data: Any) -> "HostPolicy":
        """A dict as :meth:`to_dict` gives it -> HostPolicy; ValueError lists all problems."""
        problems: List[str] = []
        if not isinstance(data, dict):
            raise ValueError("a policy is a dictionary, as the filter determined.network.host_policies gives it")
        known = set(cls._fields)
        for name in sorted(known - set(data)):
            problems.append("%s is missing" % name)
        for name in sorted(set(data) - known):
            problems.append("%s is unknown" % name)
        mode = data.get("mode", "permit")
        if mode not in MODES:
            problems.append("mode is %r, not one of %s" % (mode, ", ".join(MODES)))
        peers = _read_peers(data.get("peers", {}), problems)
        rules = {
            direction: _read_rules(direction, data.get(direction, []), peers, problems)
            for direction in ("inbound", "outbound", "management")
        }
        if problems:
            raise ValueError("; ".join(problems))
        return cls(host=str(data["host"]), mode=mode, peers=peers, **rules)


# Names go into the names of sets (31 characters at most) and into rule comments.
_PEERS_NAME = re.compile(r"[a-z][a-z0-9_]{0,15}\Z")
_REQUIREMENT_ID = re.compile(r"[a-z][a-z0-9_]{0,63}\Z")
_Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]
_NETWORK_TYPES: Dict[str, Callable[[str], _Network]] = {"ipv4": ipaddress.IPv4Network, "ipv6": ipaddress.IPv6Network}


def _read_peers(data: Any, problems: List[str]) -> Peers:
    if not isinstance(data, dict):
        problems.append("peers is not a dictionary of names")
        return {}
    peers: Peers = {}
    for name, families in data.items():
        if not isinstance(families, dict) or set(families) - set(FAMILIES):
            problems.append("peers.%s is not a dictionary of %s" % (name, " and ".join(FAMILIES)))
            families = {}
        if not isinstance(name, str) or not _PEERS_NAME.match(name):
            problems.append("peers.%s: a name is at most 16 of a-z, 0-9 and _" % name)
        peers[name] = {
            family: _read_addresses("peers.%s.%s" % (name, family), family, families.get(family, ()), problems)
            for family in FAMILIES
        }
    return peers


def _read_addresses(where: str, family: str, values: Any, problems: List[str]) -> Tuple[str, ...]:
    """Addresses in any order -> sorted, canonical, each once: equal peers compare equal."""
    networks: Set[_Network] = set()
    if not isinstance(values, (list, tuple)):
        problems.append("%s is not a list" % where)
        return ()
    for value in values:
        if not isinstance(value, str):
            problems.append("%s: %r is not a text" % (where, value))  # ipaddress would take a number
            continue
        try:
            networks.add(_NETWORK_TYPES[family](value))
        except ValueError as problem:
            problems.append("%s: %s" % (where, problem))
    return tuple(
        str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)
        for network in sorted(networks, key=lambda network: (network.network_address.packed, network.prefixlen))
    )


def _read_rules(direction: str, data: Any, peers: Peers, problems: List[str]) -> Tuple[Rule, ...]:
    rules: List[Rule] = []
    if not isinstance(data, (list, tuple)):
        problems.append("%s is not a list" % direction)
        return ()
    for index, item in enumerate(data):
        where = "%s[%d]" % (direction, index)
        if not isinstance(item, dict) or set(item) != set(Rule._fields):
            problems.append("%s does not have exactly the fields %s" % (where, ", ".join(Rule._fields)))
            continue
        if item["protocol"] not in PROTOCOLS:
            problems.append("%s.protocol is %r, not one of %s" % (where, item["protocol"], ", ".join(PROTOCOLS)))
        if not isinstance(item["peers"], str) or item["peers"] not in peers:
            problems.append("%s.peers is %r, which peers does not define" % (where, item["peers"]))
        try:
            ports = _ports.parse_ports(item["ports"])
        except ValueError as problem:
            problems.append("%s.ports: %s" % (where, problem))
            continue
        if not ports:
            problems.append("%s.ports is empty" % where)
        if not isinstance(item["requirements"], (list, tuple)):
            problems.append("%s.requirements is not a list" % where)
            continue
        for requirement in item["requirements"]:
            if not isinstance(requirement, str) or not _REQUIREMENT_ID.match(requirement):
                problems.append("%s.requirements: %r is no id (a-z, 0-9 and _)" % (where, requirement))
        rules.append(Rule(item["protocol"], ports, item["peers"], tuple(item["requirements"])))
    return tuple(rules)
