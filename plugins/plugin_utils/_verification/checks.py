# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Flows -> checks: the ports that must be open, and in mode restrict the ports that must be blocked. Pure.

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
    Flow,
    Flows,
    Peers,
    PortSet,
    derive_flows,
    requirements_of,
)

OPEN, BLOCKED = "open", "blocked"

MOST_NAMES = 5  # of hosts in a sentence

# The requirement id of negative checks, which expect that mode restrict blocks all other ports.
RESTRICT = "restrict"


def some_names(names: Sequence[str]) -> str:
    """Names for a sentence: the first few, and the number of the others."""
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


class Pair(NamedTuple):
    """A source, a destination with one of its addresses, and the protocol between them."""

    source: str
    destination: str
    address: str
    protocol: str


def pair_of_target(source: str, target: Mapping[str, Any]) -> Pair:
    """The source's name and one target of the module ``probe`` -> the pair that the target belongs to."""
    return Pair(source, target["destination"], target["address"], target["protocol"])


class Check(NamedTuple):
    """The state that a source must observe at some ports of one address."""

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
        """The two hosts, the address and the protocol that are checked."""
        return Pair(self.source, self.destination, self.address, self.protocol)


class Scope(NamedTuple):
    """The hosts that take part, and the most destinations that each source probes (0: all of them)."""

    hosts: frozenset[str]
    max_peers: int = 0
    seed: int = 0


# (source, destination, family) -> the management ports that are permitted between the two.
Controls = dict[tuple[str, str, str], PortSet]


class Checks(NamedTuple):
    """All checks; the rows that none of them covers, each with the reason; and the control ports.

    An open control port shows that a blocked port of the same destination is blocked by a rule and not by a failure.
    """

    checks: tuple[Check, ...]
    uncovered: tuple[tuple[str, str], ...]
    controls: Controls


def derive_checks(cluster: Cluster, scope: Scope) -> Checks:
    """Cluster -> every check that the hosts in scope can make."""
    flows = derive_flows(cluster)
    hosts = {host.name: host for host in cluster.hosts if host.name in scope.hosts}
    members = _Members(hosts)
    checks = [
        check
        for flow in flows.required
        if flow.requirement.kind == requirements.FLOW
        for check in _positive_checks(flow, hosts, members, scope)
    ]
    controls: Controls = {}
    if cluster.settings.mode == "restrict":
        negative_checks, controls = _negative_checks(hosts, flows, members, scope)
        checks += negative_checks
    return Checks(tuple(checks), tuple(_uncovered(cluster, checks, scope.hosts)), controls)


class _Members:
    """Which hosts belong to which peers. The answers are cached.

    A host with one address among the peers and another one that is not may use either. It is no member, because its
    connections are not always permitted. It is a possible member, because they are not always blocked either.
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
    """Pairs of different hosts, at most ``max_peers`` for each source.

    Where there are more targets, random distances are chosen once, and each source takes the targets at these
    distances from its own position. Nearly equally many sources then try each target.
    """
    if not scope.max_peers or len(targets) <= scope.max_peers + 1:
        distances: Collection[int] = range(len(targets))
    else:
        distances = random.Random(scope.seed).sample(range(1, len(targets)), scope.max_peers)
    for position, source in enumerate(sources):
        for distance in distances:
            destination = targets[(position + distance) % len(targets)]
            if destination.name != source.name:
                yield source, destination


def _positive_checks(flow: Flow, hosts: dict[str, Host], members: _Members, scope: Scope) -> Iterator[Check]:
    """One flow -> the checks that expect its ports to be open."""
    sources = [host for host in hosts.values() if members.families(flow.source, host)]
    targets = [hosts[name] for name in flow.destination.hosts if name in hosts]
    for source, destination in _pairs(sources, targets, scope):
        for family in members.families(flow.source, source):
            yield from _checks_of_addresses(
                flow.requirement.id, source, destination, family, flow.protocol, flow.ports, OPEN
            )


def _negative_checks(
    hosts: dict[str, Host], flows: Flows, members: _Members, scope: Scope
) -> tuple[list[Check], Controls]:
    """The checks that expect every other TCP port of a configured host to be blocked, and their control ports."""
    targets = [host for host in hosts.values() if any(host.has(role) for role in CONFIGURED_ROLES)]
    permitted = _PermittedPorts(flows, members)
    checks: list[Check] = []
    controls: Controls = {}
    for source, destination in _pairs(list(hosts.values()), targets, scope):
        for family in FAMILIES:
            if not source.addresses[family]:
                continue
            controls[source.name, destination.name, family] = permitted.management(source, family)
            forbidden = _ports.subtract(_ports.ALL_PORTS, permitted.possible(source, destination, family))
            if forbidden:
                checks += _checks_of_addresses(RESTRICT, source, destination, family, "tcp", forbidden, BLOCKED)
    return checks, controls


def _checks_of_addresses(
    requirement: str, source: Host, destination: Host, family: str, protocol: str, ports: PortSet, expected: str
) -> Iterator[Check]:
    """The same check for each address that the destination has in one family."""
    for address in destination.addresses[family]:
        yield Check(requirement, source.name, destination.name, address, family, protocol, ports, expected)


class _PermittedPorts:
    """The TCP ports that mode restrict permits from a source to a destination."""

    def __init__(self, flows: Flows, members: _Members) -> None:
        self._flows = flows
        self._members = members
        # Numbers of flows and roles of a destination -> ports; many pairs of hosts have the same key.
        self._cache: dict[tuple[frozenset[int], tuple[str, ...]], PortSet] = {}

    def management(self, source: Host, family: str) -> PortSet:
        """The management ports that are permitted whichever address the source uses."""
        return _ports.union(
            *[ports for peers, ports in self._flows.management if family in self._members.families(peers, source)]
        )

    def possible(self, source: Host, destination: Host, family: str) -> PortSet:
        """All ports that are permitted from some address of the source: those of flows, and for management."""
        management = [
            ports for peers, ports in self._flows.management if family in self._members.possible_families(peers, source)
        ]
        return _ports.union(self._of_flows(source, destination, family), *management)

    def _of_flows(self, source: Host, destination: Host, family: str) -> PortSet:
        numbers = frozenset(
            number
            for number, flow in enumerate(self._flows.required)
            if family in self._members.possible_families(flow.source, source)
        )
        key = (numbers, destination.roles)
        if key not in self._cache:
            self._cache[key] = _ports.union(
                *[
                    flow.ports
                    for number, flow in enumerate(self._flows.required)
                    if number in numbers and flow.protocol == "tcp" and flow.destination.name in destination.roles
                ]
            )
        return self._cache[key]


def _uncovered(cluster: Cluster, checks: Sequence[Check], scope: Collection[str]) -> Iterator[tuple[str, str]]:
    """(Requirement, reason) for each row that no check covers, and for hosts without a negative check."""
    covered = {check.requirement for check in checks}
    for row in requirements_of(cluster):
        if row.kind == requirements.FLOW and row.id not in covered:
            yield (
                row.id,
                f"not checked: this run has no host in {row.source} that could probe a host in {row.destination}",
            )
    if cluster.settings.mode == "restrict":
        closed = {check.destination for check in checks if check.requirement == RESTRICT}
        unproven = [
            host.name
            for host in cluster.hosts
            if host.name in scope and host.name not in closed and any(host.has(role) for role in CONFIGURED_ROLES)
        ]
        if unproven:
            names = some_names(unproven)
            yield (
                RESTRICT,
                f"NOT verified for {names}: this run has no host whose connections they must drop; "
                "put one into the group determined_outsiders",
            )
