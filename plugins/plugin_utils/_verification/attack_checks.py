# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cluster -> the attacks that outsiders try in mode restrict. Pure.

An outsider attacks every address that the negative checks say must be closed to it. The ports that it attacks have
listeners of their own, so that no service and no trial of the cluster is touched.
"""

from __future__ import annotations

import hashlib
import ipaddress
import random
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.determined.network.plugins.module_utils import _ports
from ansible_collections.determined.network.plugins.plugin_utils._cluster import addresses as cluster_addresses
from ansible_collections.determined.network.plugins.plugin_utils._cluster.cluster import Cluster
from ansible_collections.determined.network.plugins.plugin_utils._flows import Flow, PortSet, derive_flows
from ansible_collections.determined.network.plugins.plugin_utils._verification.checks import RESTRICT, Check, Checks

# The requirement ids of the attacks.
CONNECTION = "attack_connection"  # the middle of a connection, a forged reply, and a SYN
CONTAINER = "attack_container"  # a direct route to a container
SOURCE = "attack_source"  # a datagram with a forged source
UDP = "attack_udp"  # a datagram of the outsider
ATTACKS = (CONNECTION, CONTAINER, SOURCE, UDP)

# ip(7): by default Linux takes local ports for connections below 61000, so a trial's are there.
_FIRST_PORT = 61000
_CANDIDATES = 2  # ports with a listener, in case something holds the first one
# A row with more ports than this leaves the choice of a port to programs, and covers nearly all.
_MANY = 20_000
_MOST_UDP_PORTS = 4  # of one address that an outsider sends to
_MARK = 16  # hexadecimal digits

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Attack(NamedTuple):
    """What one outsider tries at one address.

    ``tcp_port``: 0 if no port can be attacked. ``forged`` and ``datagrams``: UDP port -> mark, by which the listener
    tells that a datagram arrived. ``containers``: addresses on the attacked host, with ``container_port``.
    """

    source: str
    destination: str
    address: str
    family: str
    tcp_port: int
    forged: dict[int, str]
    datagrams: dict[int, str]
    containers: tuple[str, ...]
    container_port: int

    def target(self) -> dict[str, Any]:
        """The attack as a target of the module ``attack``."""
        return {
            "address": self.address,
            "tcp_port": self.tcp_port,
            "forged": [{"port": port, "mark": mark} for port, mark in self.forged.items()],
            "datagrams": [{"port": port, "mark": mark} for port, mark in self.datagrams.items()],
            "containers": list(self.containers),
            "container_port": self.container_port,
        }


def attacked(cluster: Cluster, checks: Checks) -> list[Check]:
    """The negative checks of outsiders: which of them must not reach which address, and at which TCP ports."""
    outsiders = {host.name for host in cluster.with_role("outsiders")}
    return [check for check in checks.checks if check.requirement == RESTRICT and check.source in outsiders]


def candidates(checks: Checks, seed: int) -> list[int]:
    """The ports for the listeners of attacks, the same on all hosts. No row of the table names one of them."""
    named = [check.ports for check in checks.checks if check.requirement != RESTRICT]
    free = _ports.subtract(
        ((_FIRST_PORT, _ports.LAST_PORT - 1),),
        _ports.union(*[ports for ports in dict.fromkeys(named) if _ports.count(ports) <= _MANY]),
    )
    numbers = list(_ports.numbers(free))
    return random.Random(f"{seed} attack").sample(numbers, min(_CANDIDATES, len(numbers)))


def listeners(wanted: Sequence[Check], ports: Sequence[int]) -> dict[str, list[dict[str, str]]]:
    """Attacked host -> the listeners that it needs besides those of the checks."""
    text = _ports.format_ports(_ports.from_numbers(ports))
    found: dict[str, list[dict[str, str]]] = {}
    for destination, address in dict.fromkeys((check.destination, check.address) for check in wanted) if ports else ():
        for protocol in ("tcp", "udp"):
            found.setdefault(destination, []).append({"address": address, "protocol": protocol, "ports": text})
    return found


class Listening:
    """The ports at which listeners of the run wait, by address and protocol."""

    def __init__(self, started: Mapping[str, Mapping[str, Any]]) -> None:
        self._found: dict[tuple[str, str, str], PortSet] = {}
        for host, state in started.items():
            for item in (state or {}).get("listening") or []:
                key = (host, item["address"], item["protocol"])
                self._found[key] = _ports.union(self._found.get(key, ()), _ports.parse_ports(item["ports"]))

    def ports(self, check: Check, protocol: str) -> PortSet:
        """The ports at the address that a check is about."""
        return self._found.get((check.destination, check.address, protocol), ())


def derive_attacks(
    cluster: Cluster,
    wanted: Sequence[Check],
    ports: Sequence[int],
    listening: Listening,
    containers: Mapping[str, Sequence[str]],
    forward: Mapping[str, Sequence[Mapping[str, Any]]],
    token: str,
) -> list[Attack]:
    """Checks of :func:`attacked`, :func:`candidates`, and host -> addresses of its containers -> all attacks.

    ``forward``: host -> its ``determined_firewall_forward``. A container to which it permits the outsider is not
    attacked. ValueError, which names the host, if the variable cannot be read.
    """
    permitted_pairs = {host: _pairs(host, entries or ()) for host, entries in forward.items()}
    hosts = {host.name: host for host in cluster.hosts}
    flows = [flow for flow in derive_flows(cluster).required if flow.protocol == "udp"]
    matchers = {flow.source.name: cluster_addresses.Matcher(flow.source.addresses) for flow in flows}

    def permitted(source: Collection[str], check: Check) -> PortSet:
        """The UDP ports that some row permits from one of these addresses."""
        return _ports.union(*[flow.ports for flow in flows if _is_meant(flow, matchers, source, check)])

    attacks = []
    for check in wanted:
        waiting = listening.ports(check, "udp")
        closed = _ports.subtract(waiting, permitted(hosts[check.source].addresses[check.family], check))
        # A port that is permitted from the address itself shows most: there, only the forged source is a reason to
        # drop.
        own = _ports.intersect(waiting, permitted([check.address], check))
        chosen = [*_some(own, [], 1), *_some(_ports.subtract(closed, own), ports, 1)]
        mine = [
            one
            for one in containers.get(check.destination, ())
            if (":" in one) == (check.family == "ipv6")
            and not _is_forwarded(
                permitted_pairs.get(check.destination, ()), hosts[check.source].addresses[check.family], one
            )
        ]
        attacks.append(
            Attack(
                check.source,
                check.destination,
                check.address,
                check.family,
                next(iter(_some(_ports.intersect(listening.ports(check, "tcp"), check.ports), ports, 1)), 0),
                {port: _mark(token, SOURCE, check, port) for port in chosen},
                {port: _mark(token, UDP, check, port) for port in _some(closed, ports, _MOST_UDP_PORTS)},
                tuple(mine),
                ports[0] if ports else 0,
            )
        )
    return attacks


def _is_meant(
    flow: Flow, matchers: Mapping[str, cluster_addresses.Matcher], source: Collection[str], check: Check
) -> bool:
    matcher = matchers[flow.source.name]
    return check.destination in flow.destination.hosts and any(matcher.contains(check.family, one) for one in source)


def _pairs(host: str, entries: Sequence[Mapping[str, Any]]) -> list[tuple[list[_Network], list[_Network]]]:
    """The variable of a host -> its entries as (networks of the source, networks of the destination)."""
    try:
        return [(_networks(entry["from"]), _networks(entry["to"])) for entry in entries]
    except (AttributeError, KeyError, TypeError, ValueError) as problem:
        raise ValueError(
            f"determined_firewall_forward of {host} cannot be read ({problem!r}): each of its entries needs the lists "
            "of networks from and to, see: ansible-doc -t role determined.network.firewall"
        ) from problem


def _networks(texts: str | Sequence[str]) -> list[_Network]:
    # Ansible makes a list of a text, too, where the role firewall reads this variable.
    return [ipaddress.ip_network(text.strip()) for text in (texts.split(",") if isinstance(texts, str) else texts)]


def _is_forwarded(
    pairs: Sequence[tuple[list[_Network], list[_Network]]], source: Collection[str], destination: str
) -> bool:
    """Whether a host may forward from one of these addresses to the destination."""
    addresses = [ipaddress.ip_address(one) for one in source]
    return any(
        any(one in network for one in addresses for network in ends[0])
        and any(ipaddress.ip_address(destination) in network for network in ends[1])
        for ends in pairs
    )


def _some(ports: PortSet, first: Sequence[int], most: int) -> list[int]:
    """At most so many of some ports; those of ``first`` come first, and at most one of them is taken."""
    preferred = [port for port in first if _ports.contains(ports, port)][:1]
    rest = _ports.subtract(ports, _ports.from_numbers(first))
    return [*preferred, *_ports.numbers(_ports.spread(rest, most))][:most]


def _mark(token: str, attack: str, check: Check, port: int) -> str:
    text = " ".join((token, attack, check.source, check.address, str(port)))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:_MARK]


def containers_of(found: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """Host -> what the module ``attack`` found there -> the addresses of its containers."""
    return {
        host: [address for network in (answer or {}).get("networks") or [] for address in network["containers"]]
        for host, answer in found.items()
    }


def hosts_to_ask(wanted: Sequence[Check]) -> list[str]:
    """The attacked hosts, each once."""
    return list(dict.fromkeys(check.destination for check in wanted))


def targets_by_host(attacks: Sequence[Attack]) -> dict[str, list[dict[str, Any]]]:
    """Outsider -> the targets of the module ``attack``."""
    found: dict[str, list[dict[str, Any]]] = {}
    for attack in attacks:
        found.setdefault(attack.source, []).append(attack.target())
    return found
