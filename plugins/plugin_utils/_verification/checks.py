# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Flows -> checks: what must be reachable, and in mode restrict what must not. Pure.

Checks come from flows and never from rendered rules: a bug of a renderer must not verify itself.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.determined.network.plugins.module_utils import _ports
from ansible_collections.determined.network.plugins.module_utils._policy import FAMILIES
from ansible_collections.determined.network.plugins.plugin_utils._cluster import addresses, requirements
from ansible_collections.determined.network.plugins.plugin_utils._cluster.cluster import CONFIGURED_ROLES, Cluster, Host
from ansible_collections.determined.network.plugins.plugin_utils._flows import (
    Flows,
    Peers,
    PortSet,
    derive_flows,
    requirements_of,
)

OPEN, BLOCKED = "open", "blocked"

# The requirement id of negative checks: what mode restrict promises beyond the table.
RESTRICT = "restrict"


class Pair(NamedTuple):
    """A source, a destination with one of its addresses, and the protocol between them."""

    source: str
    destination: str
    address: str
    protocol: str


def pair_of(source: str, target: Mapping[str, Any]) -> Pair:
    """The source's name and one target of the module ``probe`` -> the pair that the target belongs to."""
    return Pair(source, target["destination"], target["address"], target["protocol"])


class Check(NamedTuple):
    """What a source must find at some ports of one address."""

    requirement: str
    source: str
    destination: str
    address: str
    family: str
    protocol: str
    ports: PortSet
    expected: str  # OPEN or BLOCKED

    @property
    def pair(self) -> Pair:
        return Pair(self.source, self.destination, self.address, self.protocol)


class Scope(NamedTuple):
    """Which hosts take part, and how many destinations a source tries at most (0: all)."""

    hosts: frozenset[str]
    max_peers: int = 0
    seed: int = 0


class Checks(NamedTuple):
    """All checks; the rows that none of them covers, with the reason; and each pair's control ports.

    ``controls``: (source, destination, family) -> management ports that are permitted for this pair.
    """

    checks: tuple[Check, ...]
    uncovered: tuple[tuple[str, str], ...]
    controls: dict[tuple[str, str, str], PortSet]


def derive_checks(cluster: Cluster, scope: Scope) -> Checks:
    """Cluster -> every check that the hosts in scope can make."""
    flows = derive_flows(cluster)
    hosts = {host.name: host for host in cluster.hosts if host.name in scope.hosts}
    members = _Members(hosts)
    checks: list[Check] = []
    for flow in flows.required:
        if flow.requirement.kind != requirements.FLOW:
            continue
        targets = [hosts[name] for name in flow.destination.hosts if name in hosts]
        sources = [host for host in hosts.values() if members.families(flow.source, host)]
        for source, destination in _pairs(sources, targets, scope):
            for family in members.families(flow.source, source):
                checks += [
                    Check(
                        flow.requirement.id,
                        source.name,
                        destination.name,
                        address,
                        family,
                        flow.protocol,
                        flow.ports,
                        OPEN,
                    )
                    for address in destination.addresses[family]
                ]
    controls: dict[tuple[str, str, str], PortSet] = {}
    if cluster.settings.mode == "restrict":
        checks += _negative_checks(hosts, flows, members, scope, controls)
    return Checks(tuple(checks), tuple(_uncovered(cluster, checks, scope.hosts)), controls)


class _Members:
    """Which hosts belong to which peers, each question answered once.

    A host with one address inside and one outside could come from either: it is no member, so that nothing is
    promised to it, but it may pass for one, so that nothing is expected to be closed to it.
    """

    def __init__(self, hosts: dict[str, Host]) -> None:
        self._known: dict[str, dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {}
        self._hosts = hosts

    def families(self, peers: Peers, host: Host) -> tuple[str, ...]:
        """The families in which a host of the inventory is one of the peers, whichever address it uses."""
        return self._look_up(peers)[host.name][0]

    def possible_families(self, peers: Peers, host: Host) -> tuple[str, ...]:
        """The families in which some address of the host is one of the peers."""
        return self._look_up(peers)[host.name][1]

    def _look_up(self, peers: Peers) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
        if peers.name not in self._known:
            matcher = addresses.Matcher(peers.addresses)
            self._known[peers.name] = {
                name: (_families(matcher, host, all), _families(matcher, host, any))
                for name, host in self._hosts.items()
            }
        return self._known[peers.name]


def _families(matcher: addresses.Matcher, host: Host, quantifier: Callable[[Iterable[bool]], bool]) -> tuple[str, ...]:
    return tuple(
        family
        for family in FAMILIES
        if host.addresses[family]
        and quantifier(matcher.contains(family, address) for address in host.addresses[family])
    )


def _pairs(sources: Sequence[Host], targets: Sequence[Host], scope: Scope) -> Iterator[tuple[Host, Host]]:
    """Pairs of different hosts. Beyond ``max_peers``, each source takes the targets that lie at the same
    random distances ahead of it: every target is then tried by (nearly) equally many sources."""
    if not scope.max_peers or len(targets) <= scope.max_peers + 1:
        distances: Collection[int] = range(len(targets))
    else:
        distances = random.Random(scope.seed).sample(range(1, len(targets)), scope.max_peers)
    for position, source in enumerate(sources):
        for distance in distances:
            destination = targets[(position + distance) % len(targets)]
            if destination.name != source.name:
                yield source, destination


def _negative_checks(
    hosts: dict[str, Host],
    flows: Flows,
    members: _Members,
    scope: Scope,
    controls: dict[tuple[str, str, str], PortSet],
) -> Iterator[Check]:
    targets = [host for host in hosts.values() if any(host.has(role) for role in CONFIGURED_ROLES)]
    permitted: dict[tuple[frozenset[int], tuple[str, ...]], PortSet] = {}
    for source, destination in _pairs(list(hosts.values()), targets, scope):
        for family in FAMILIES:
            if not source.addresses[family]:
                continue
            held = frozenset(
                number
                for number, flow in enumerate(flows.required)
                if family in members.possible_families(flow.source, source)
            )
            management = [
                _ports.union(*[ports for peers, ports in flows.management if family in is_one(peers, source)])
                for is_one in (members.families, members.possible_families)
            ]
            key = (held, destination.roles)
            if key not in permitted:
                permitted[key] = _ports.union(
                    *[
                        flow.ports
                        for number, flow in enumerate(flows.required)
                        if number in held and flow.protocol == "tcp" and flow.destination.name in destination.roles
                    ]
                )
            forbidden = _ports.subtract(_ports.subtract(_ports.ALL_PORTS, permitted[key]), management[1])
            controls[source.name, destination.name, family] = management[0]
            if forbidden:
                for address in destination.addresses[family]:
                    yield Check(RESTRICT, source.name, destination.name, address, family, "tcp", forbidden, BLOCKED)


def _uncovered(cluster: Cluster, checks: Sequence[Check], scope: Collection[str]) -> Iterator[tuple[str, str]]:
    covered = {check.requirement for check in checks}
    for row in requirements_of(cluster):
        if row.kind == requirements.FLOW and row.id not in covered:
            yield row.id, f"not checked: no two hosts in this run stand for {row.source} and {row.destination}"
    if cluster.settings.mode == "restrict":
        closed = {check.destination for check in checks if check.requirement == RESTRICT}
        open_ended = [
            host.name
            for host in cluster.hosts
            if host.name in scope and host.name not in closed and any(host.has(role) for role in CONFIGURED_ROLES)
        ]
        if open_ended:
            names = ", ".join(open_ended[:5]) + (f" and {len(open_ended) - 5} more" if len(open_ended) > 5 else "")
            yield (
                RESTRICT,
                f"NOT proven for {names}: this run has no host that they must not let in; "
                "put one into determined_outsiders",
            )
