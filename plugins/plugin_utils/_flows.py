# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The requirements applied to the cluster: sources, destinations, ports, and the reason for each. Pure.

A flow connects groups of hosts with a name ("agents", "clients", ...) and not single hosts. So the number of flows
does not grow with the number of hosts. A firewall keeps each group as one set, and `_verification/checks.py` derives
the pairs of hosts that it checks.
"""

from __future__ import annotations

from typing import NamedTuple

from ansible_collections.determined.network.plugins.module_utils import _ports
from ansible_collections.determined.network.plugins.plugin_utils._cluster import addresses as cluster_addresses
from ansible_collections.determined.network.plugins.plugin_utils._cluster import requirements, settings
from ansible_collections.determined.network.plugins.plugin_utils._cluster.cluster import Cluster
from ansible_collections.determined.network.plugins.plugin_utils._cluster.requirements import Requirement

PortSet = tuple[tuple[int, int], ...]


class Peers(NamedTuple):
    """One end of a flow: hosts of the cluster, and addresses and networks that may belong to other hosts."""

    name: str  # unique in the cluster; a firewall names its set after it
    hosts: tuple[str, ...]
    addresses: cluster_addresses.Families


class Flow(NamedTuple):
    """One requirement in this cluster."""

    requirement: Requirement
    source: Peers
    destination: Peers
    protocol: str
    ports: PortSet  # the destination's


class Flows(NamedTuple):
    """The flows that every firewall must permit, and the peers and ports that administer the hosts."""

    required: tuple[Flow, ...]
    management: tuple[tuple[Peers, PortSet], ...]


def requirements_of(cluster: Cluster) -> tuple[Requirement, ...]:
    """The rows of the table, and after them the rows that the user added."""
    return requirements.load_table().requirements + cluster.settings.extra_requirements


def derive_flows(cluster: Cluster) -> Flows:
    """Cluster -> all flows, in the order of the table."""
    roles = {role: _role_peers(cluster, role) for role in ("master", "agents", "clients")}
    flows = []
    for number, row in enumerate(requirements_of(cluster)):
        if row.kind == requirements.ADVICE:
            continue
        if row.kind == requirements.INTERNET:
            flows += _internet_flows(row, roles[row.source], cluster)
            continue
        ports = _ports_of(row, cluster)
        ends = {**roles, requirements.NETWORKS: _networks_peers(f"networks_{number}", row.networks)}
        flows.append(Flow(row, ends[row.source], ends[row.destination], row.protocol, ports))
    management = tuple(
        (Peers(f"management_{number}", (), way.networks), way.ports)
        for number, way in enumerate(cluster.settings.management, 1)
    )
    return Flows(tuple(flows), management)


def _role_peers(cluster: Cluster, role: str) -> Peers:
    hosts = cluster.with_role(role)
    texts = [text for host in hosts for family in host.addresses.values() for text in family]
    if role == "clients":
        texts += [text for family in cluster.settings.client_networks.values() for text in family]
    return Peers(role, tuple(host.name for host in hosts), cluster_addresses.families(texts))


def _networks_peers(name: str, networks: tuple[str, ...]) -> Peers:
    return Peers(name, (), cluster_addresses.families(networks))


def _ports_of(row: Requirement, cluster: Cluster) -> PortSet:
    if row.ports == "master_port":
        return ((cluster.settings.master_port,) * 2,)
    if row.ports == "agent_ports":
        if cluster.settings.agent_ports == settings.ALL_PORTS:
            return _ports.ALL_PORTS
        # "documented": the ports that the table's own rows name for agents. Extra rows permit their ports themselves.
        listed = [
            _ports.parse_ports(part.ports)
            for part in requirements.load_table().requirements
            if part.part_of and part.destination == row.destination
        ]
        return _ports.union(*listed)
    return _ports.parse_ports(row.ports)


def _internet_flows(row: Requirement, source: Peers, cluster: Cluster) -> list[Flow]:
    """A flow for each service.

    The addresses of a service that is known by its name may change at any time, so a firewall can permit its port only.
    """
    flows = []
    for number, service in enumerate(cluster.settings.services, 1):
        if row.service_purpose not in ("", service.purpose):
            continue
        try:
            addresses = cluster_addresses.families([cluster_addresses.parse_network(service.host)[1]])
            destination = Peers(f"service_{number}", (), addresses)
        except ValueError:
            destination = Peers("anywhere", (), cluster_addresses.ANYWHERE)
        flows.append(Flow(row, source, destination, row.protocol, service.ports))
    return flows
