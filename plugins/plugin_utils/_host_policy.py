# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Flows -> the inbound and outbound traffic that one host must permit. Pure.

Hosts with the same roles have the same policy, because its peers are named sets with all hosts of a role. The set also
has the host itself, which does no harm: no packet from outside has the host's own address. So a cluster of any size
has at most three different policies, and the rules of two agents can be compared line by line.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ansible_collections.determined.network.plugins.module_utils import _ports
from ansible_collections.determined.network.plugins.module_utils._policy import HostPolicy, Rule
from ansible_collections.determined.network.plugins.plugin_utils._cluster.cluster import CONFIGURED_ROLES, Cluster
from ansible_collections.determined.network.plugins.plugin_utils._flows import Flow, Flows, Peers, PortSet, derive_flows


class Policies(NamedTuple):
    """Every host's policy: ``by_host`` maps a host to a key of ``policies`` (whose ``host`` is empty)."""

    by_host: dict[str, str]
    policies: dict[str, HostPolicy]

    def of(self, host: str) -> HostPolicy:
        """The policy of one host. KeyError if the host is neither master nor agent."""
        return self.policies[self.by_host[host]]._replace(host=host)


def derive_policies(cluster: Cluster) -> Policies:
    """Cluster -> the policy of every master and agent."""
    flows = derive_flows(cluster)
    by_host: dict[str, str] = {}
    policies: dict[str, HostPolicy] = {}
    for host in cluster.hosts:
        roles = [role for role in CONFIGURED_ROLES if host.has(role)]
        if not roles:
            continue
        key = "+".join(roles)
        by_host[host.name] = key
        if key not in policies:
            policies[key] = _policy(flows, roles, cluster.settings.mode)
    return Policies(by_host, policies)


def _policy(flows: Flows, roles: list[str], mode: str) -> HostPolicy:
    inbound = _rules((flow, flow.source) for flow in flows.required if flow.destination.name in roles)
    outbound = _rules((flow, flow.destination) for flow in flows.required if flow.source.name in roles)
    management = tuple(Rule("tcp", ports, peers.name, ("management",)) for peers, ports in flows.management)
    everybody = {peers.name: peers for flow in flows.required for peers in (flow.source, flow.destination)}
    everybody.update({peers.name: peers for peers, _unused in flows.management})
    used = {rule.peers for rule in (*inbound, *outbound, *management)}
    peers = {name: dict(everybody[name].addresses) for name in sorted(used)}
    return HostPolicy("", mode, peers, inbound, outbound, management)


def _rules(ends: Iterable[tuple[Flow, Peers]]) -> tuple[Rule, ...]:
    """Flows with the peers at their other end -> one rule for each protocol and peers.

    A row that is part of another usually permits no further port. It becomes a requirement of the rule only if it has
    ports that the other rows do not permit.
    """
    ports: dict[tuple[str, str], PortSet] = {}
    reasons: dict[tuple[str, str], list[str]] = {}
    for flow, peers in sorted(ends, key=lambda end: bool(end[0].requirement.part_of)):
        if not any(peers.addresses.values()):
            continue  # for example, a cluster without clients
        key = (flow.protocol, peers.name)
        opened = ports.get(key, ())
        if flow.requirement.part_of and not _ports.subtract(flow.ports, opened):
            continue
        ports[key] = _ports.union(opened, flow.ports)
        if flow.requirement.id not in reasons.setdefault(key, []):
            reasons[key].append(flow.requirement.id)
    return tuple(Rule(key[0], ports[key], key[1], tuple(reasons[key])) for key in ports)
