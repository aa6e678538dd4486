# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cluster -> what its hosts must reach outside, and whom they must reach without a proxy. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

from ansible_collections.determined.network.plugins.module_utils import _ports
from ansible_collections.determined.network.plugins.module_utils._internet import targets as internet_targets
from ansible_collections.determined.network.plugins.plugin_utils._cluster import addresses as cluster_addresses
from ansible_collections.determined.network.plugins.plugin_utils._cluster import requirements
from ansible_collections.determined.network.plugins.plugin_utils._cluster.cluster import Cluster, Host
from ansible_collections.determined.network.plugins.plugin_utils._cluster.settings import Service
from ansible_collections.determined.network.plugins.plugin_utils._flows import PortSet, requirements_of

# The requirement id of a check without a row: traffic inside the cluster must not go through a proxy.
PROXY_BYPASS = "proxy_bypass"

# Ports of one service that are tried. If it has more, these are its ends and an even spread.
MOST_PORTS = 16


class ServiceCheck(NamedTuple):
    """An agent must reach a service at some ports; ``tried`` are the ports that it probes."""

    requirement: str
    source: str
    service: Service
    tried: PortSet


class BypassCheck(NamedTuple):
    """A host must reach the hosts of one role without a proxy. ``destination`` is what the report calls them."""

    source: str
    group: str
    destination: str


class InternetChecks(NamedTuple):
    """All checks; and the rows that nothing can check, with the reason."""

    services: tuple[ServiceCheck, ...]
    bypasses: tuple[BypassCheck, ...]
    uncovered: tuple[tuple[str, str], ...]


def derive_internet_checks(cluster: Cluster, scope: Collection[str]) -> InternetChecks:
    """Cluster, and the hosts that take part -> every check of the Internet and of the proxy settings."""
    agents = [host for host in cluster.with_role("agents") if host.name in scope]
    services: list[ServiceCheck] = []
    uncovered: list[tuple[str, str]] = []
    for row in requirements_of(cluster):
        if row.kind != requirements.INTERNET:
            continue
        wanted = [one for one in cluster.settings.services if row.service_purpose in ("", one.purpose)]
        for service in wanted:
            if not _is_one_host(service):
                text = f"not checked: {service.host} is a network, and nothing says which of its addresses answers"
                uncovered.append((row.id, text))
                continue
            tried = _ports.spread(service.ports, MOST_PORTS)
            services += [ServiceCheck(row.id, agent.name, service, tried) for agent in agents]
        if not wanted:
            purpose = f" with the purpose {row.service_purpose}" if row.service_purpose else ""
            uncovered.append((row.id, f"not checked: determined_services names none{purpose}"))
        elif not agents:
            uncovered.append((row.id, "not checked: no agent takes part in this run"))
    return InternetChecks(tuple(services), tuple(_bypasses(cluster, scope)), tuple(uncovered))


def _is_one_host(service: Service) -> bool:
    if not cluster_addresses.is_network(service.host):
        return True
    return cluster_addresses.parse_address(service.host) is not None


def reaches(host: Host) -> list[str]:
    """The roles whose hosts a host's workloads must reach."""
    return ["master", "agents"] if host.has("agents") else ["agents"] if host.has("master") else []


def _bypasses(cluster: Cluster, scope: Collection[str]) -> Iterator[BypassCheck]:
    names = {role: [host.name for host in cluster.with_role(role)] for role in ("master", "agents")}
    for host in cluster.hosts:
        if host.name not in scope:
            continue
        for group in reaches(host):
            others = len(names[group]) - host.has(group)
            if others == 1:  # then there are two names at most
                (other,) = [name for name in names[group] if name != host.name]
                yield BypassCheck(host.name, group, other)
            elif others:
                yield BypassCheck(host.name, group, "agents")


def plan(cluster: Cluster, scope: Collection[str]) -> dict[str, Any]:
    """The options of the module ``internet`` on the hosts.

    ``{"targets": [...], "cluster": [...], "hosts": {name: {"reaches": [...], "outside": bool}}}``: only hosts with
    ``outside`` are given the targets.
    """
    checks = derive_internet_checks(cluster, scope)
    targets = {_key(target): target for check in checks.services for target in targets_of(check)}
    hosts = [host for host in cluster.hosts if host.name in scope and reaches(host)]
    return {
        "targets": list(targets.values()),
        "cluster": _cluster_addresses(cluster),
        "hosts": {host.name: {"reaches": reaches(host), "outside": host.has("agents")} for host in hosts},
    }


def targets_of(check: ServiceCheck) -> list[dict[str, Any]]:
    """A check -> the module's targets, one for each port that is tried."""
    service = check.service
    return [
        {
            "host": service.host,
            "port": port,
            "scheme": service.scheme or internet_targets.scheme_of(port, service.purpose),
            "purpose": service.purpose,
            "path": service.path,
        }
        for port in _ports.numbers(check.tried)
    ]


def _key(target: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(target.values())


def _cluster_addresses(cluster: Cluster) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    roles: Sequence[tuple[str, int | None]] = (("master", cluster.settings.master_port), ("agents", None))
    for role, port in roles:
        for host in cluster.with_role(role):
            for addresses in host.addresses.values():
                for address in addresses:
                    entry = {"name": host.name, "group": role, "address": address}
                    found.append({**entry, "port": port} if port else entry)
    return found


def index_of(targets: Sequence[dict[str, Any]]) -> dict[tuple[Any, ...], int]:
    """The targets of a plan -> the position of each result."""
    return {_key(target): number for number, target in enumerate(targets)}


def positions(check: ServiceCheck, index: dict[tuple[Any, ...], int]) -> list[int]:
    """The positions of the results of a check."""
    return [index[_key(target)] for target in targets_of(check)]
