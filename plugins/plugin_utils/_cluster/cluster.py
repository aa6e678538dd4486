# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From an inventory to a cluster: hosts with roles and addresses, and the cluster-wide settings.

Everything comes from groups and host variables and never from facts, so that a run with ``--limit``, job slices or
``serial`` computes the same cluster as a full run.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.determined.network.plugins.module_utils import _ports
from ansible_collections.determined.network.plugins.module_utils._policy import FAMILIES
from ansible_collections.determined.network.plugins.plugin_utils._cluster import addresses as cluster_addresses
from ansible_collections.determined.network.plugins.plugin_utils._cluster import requirements
from ansible_collections.determined.network.plugins.plugin_utils._cluster import settings as cluster_settings
from ansible_collections.determined.network.plugins.plugin_utils._cluster.problems import InventoryProblems, Problem

# Inventory group -> role, as the requirements table names it.
GROUPS = {
    "determined_master": "master",
    "determined_agents": "agents",
    "determined_clients": "clients",
    "determined_outsiders": "outsiders",
}
CONFIGURED_ROLES = ("master", "agents")  # whose hosts get a firewall

ADDRESS_VARIABLES = ("determined_address", "ansible_host")
HOST_VARIABLES = (*ADDRESS_VARIABLES, "determined_gpus")
LOGIN_PORT_VARIABLES = ("ansible_port", "ansible_ssh_port")

# Names -> for each the addresses found; an unknown name maps to the reason, a text.
Resolver = Callable[[Sequence[str]], Mapping[str, "list[str] | str"]]


class Host(NamedTuple):
    """One host of the inventory, with all addresses by which other hosts reach it."""

    name: str
    roles: tuple[str, ...]
    addresses: cluster_addresses.Families
    gpus: int | None = None

    def has(self, role: str) -> bool:
        """Whether the host has a role."""
        return role in self.roles


class Cluster(NamedTuple):
    """Everything that the inventory says about the network."""

    hosts: tuple[Host, ...]
    settings: cluster_settings.Settings

    def with_role(self, role: str) -> tuple[Host, ...]:
        """The hosts of one role, in inventory order."""
        return tuple(host for host in self.hosts if host.has(role))

    def to_dict(self) -> dict[str, Any]:
        """What the lookup returns: ``{"hosts": {name: {roles, addresses, gpus}}, "settings": {...}}``."""
        return {
            "hosts": {
                host.name: {
                    "roles": list(host.roles),
                    "addresses": {family: list(texts) for family, texts in host.addresses.items()},
                    "gpus": host.gpus,
                }
                for host in self.hosts
            },
            "settings": self.settings.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Cluster:
        """The inverse of :meth:`to_dict`."""
        hosts = tuple(
            Host(
                name,
                tuple(values["roles"]),
                {family: tuple(values["addresses"][family]) for family in FAMILIES},
                values["gpus"],
            )
            for name, values in data["hosts"].items()
        )
        return cls(hosts, cluster_settings.Settings.from_dict(data["settings"]))


def cluster_hosts(groups: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Inventory groups -> host name -> its roles, each host once, in the order of the groups."""
    roles: dict[str, list[str]] = {}
    for group, role in GROUPS.items():
        for name in groups.get(group, ()):
            roles.setdefault(str(name), []).append(role)
    return {name: tuple(found) for name, found in roles.items()}


def build_cluster(
    roles: Mapping[str, tuple[str, ...]],
    variables: Mapping[str, Mapping[str, Any]],
    options: Mapping[str, Any],
    resolve: Resolver,
    earlier_problems: Iterable[Problem] = (),
) -> Cluster:
    """Roles of hosts, their variables (HOST_VARIABLES and LOGIN_PORT_VARIABLES), the cluster-wide options
    (see settings.VARIABLES) and a resolver of names -> Cluster.

    Raises InventoryProblems with everything that is wrong, including ``earlier_problems``, which the caller found.
    """
    earlier_problems = list(earlier_problems)
    problems = [*earlier_problems, *_role_problems(roles)]
    login_ports, found = _login_ports(variables)
    problems += found
    settings, found = cluster_settings.check(options, login_ports)
    problems += found
    # Where a variable with a host's address could not be read, its value must not be checked any further.
    unread = {problem.where for problem in earlier_problems if problem.variable in ADDRESS_VARIABLES}
    readable = {name: held for name, held in roles.items() if name not in unread}
    hosts, found = _read_hosts(readable, variables, resolve)
    problems += found
    if settings and not problems:
        problems += _family_problems(hosts, settings.extra_requirements)
    if problems or settings is None:
        raise InventoryProblems(problems)
    return Cluster(hosts, settings)


def _role_problems(roles: Mapping[str, tuple[str, ...]]) -> list[Problem]:
    problems = []
    masters = [name for name, held in roles.items() if "master" in held]
    if not masters:
        text = "is missing from the inventory, or has no host"
        problems.append(Problem("group determined_master", "", text, "put the master's host into it"))
    elif len(masters) > 1:
        text = f"has {len(masters)} hosts ({', '.join(masters)}), but a cluster has one master"
        remedy = "keep one host in it; describe another cluster in an inventory of its own"
        problems.append(Problem("group determined_master", "", text, remedy))
    if not any("agents" in held for held in roles.values()):
        text = "is missing from the inventory, or has no host"
        problems.append(Problem("group determined_agents", "", text, "put at least one agent's host into it"))
    for name, held in roles.items():
        if "outsiders" in held and len(held) > 1:
            others = ", ".join(f"determined_{role}" for role in held if role != "outsiders")
            text = f"is also in {others}, but the cluster must not permit any connection of an outsider"
            problems.append(Problem(name, "group determined_outsiders", text, "remove it from one of the two"))
    return problems


def _login_ports(variables: Mapping[str, Mapping[str, Any]]) -> tuple[list[str], list[Problem]]:
    """The ports by which Ansible reaches the hosts, each once."""
    ports: dict[str, None] = {}
    problems = []
    for host, values in variables.items():
        for variable in LOGIN_PORT_VARIABLES:
            value = values.get(variable)
            if value is None or value == "":
                continue
            try:
                parsed = _ports.parse_ports(value)
                if _ports.count(parsed) != 1:
                    raise ValueError(f"{value!r} is not one port")
                ports[_ports.format_ports(parsed)] = None
            except ValueError as problem:
                problems.append(Problem(host, variable, str(problem), "write the one port of its SSH server"))
    return list(ports), problems


def _read_hosts(
    roles: Mapping[str, tuple[str, ...]], variables: Mapping[str, Mapping[str, Any]], resolve: Resolver
) -> tuple[tuple[Host, ...], list[Problem]]:
    written = {name: _written_addresses(name, variables.get(name, {})) for name in roles}
    texts = {text for _unused, found in written.values() for text in found}
    names = {
        text for text in texts if not cluster_addresses.parse_address(text) and not cluster_addresses.is_numeric(text)
    }
    answers = resolve(sorted(names)) if names else {}
    hosts, problems = [], []
    owner: dict[str, str] = {}
    for name, held in roles.items():
        variable, own_texts = written[name]
        addresses, found = _addresses_of(name, variable, own_texts, answers)
        for address in sorted(addresses):
            other = owner.setdefault(address, name)
            if other != name:
                text = f"{address} is the address of {other} too"
                found.append(Problem(name, variable, text, "give each host its own determined_address"))
        gpus, gpu_problems = _gpus(name, variables.get(name, {}).get("determined_gpus"))
        problems += found + gpu_problems
        hosts.append(Host(name, held, cluster_addresses.families(addresses), gpus))
    return tuple(hosts), problems


def _written_addresses(name: str, variables: Mapping[str, Any]) -> tuple[str, list[str]]:
    """The variable that gives a host's addresses, and its texts. Without one, the name in the inventory is used."""
    for variable in ADDRESS_VARIABLES:
        value = variables.get(variable)
        if value is not None:
            items = value if isinstance(value, (list, tuple)) else [value]
            return variable, [str(item).strip() for item in items]
    return "inventory name", [name]


def _addresses_of(
    host: str, variable: str, texts: Sequence[str], answers: Mapping[str, list[str] | str]
) -> tuple[set[str], list[Problem]]:
    addresses: set[str] = set()
    problems = []
    if not any(texts):
        text = "is empty, so that the address of the host is unknown"
        return addresses, [Problem(host, variable, text, "write the address by which other hosts reach it")]
    for text in texts:
        parsed = cluster_addresses.parse_address(text)
        if not parsed and cluster_addresses.is_numeric(text):
            problem = f"{text!r} looks like an address, but is not a valid one"
            problems.append(Problem(host, variable, problem, "write it in full and without leading zeros: 192.0.2.1"))
            continue
        answer = answers.get(text, "no answer") if not parsed else [parsed[1]]
        if isinstance(answer, str):
            problem = f"{text!r} is not an address, and the controller cannot resolve it as a name ({answer})"
            problems.append(Problem(host, variable, problem, "set determined_address to the host's address"))
            continue
        usable = [address for address in answer if not cluster_addresses.why_unusable(address)]
        if not usable:
            reason = "; ".join(f"{address} {cluster_addresses.why_unusable(address)}" for address in answer)
            source = "" if parsed else f"the name {text!r} has no usable address: "
            remedy = "set determined_address to the address by which other hosts reach it"
            problems.append(Problem(host, variable, source + reason, remedy))
        addresses.update(usable)
    return addresses, problems


def _gpus(host: str, value: Any) -> tuple[int | None, list[Problem]]:
    if value is None or value == "":
        return None, []
    if isinstance(value, bool) or not str(value).isdecimal():
        text = f"{value!r} is not a number of GPUs"
        return None, [Problem(host, "determined_gpus", text, "write a whole number, or leave the variable out")]
    return int(value), []


def _family_problems(hosts: Sequence[Host], extra_requirements: Iterable[requirements.Requirement]) -> list[Problem]:
    """Problems of hosts that must communicate but have no address family in common.

    Hosts with both families have no such problem. Hosts with a single family are compared role by role, so that the
    time does not grow with the number of pairs of hosts.
    """
    only: dict[str, dict[tuple[str, ...], list[Host]]] = {family: {} for family in FAMILIES}
    for host in hosts:
        present = [family for family in FAMILIES if host.addresses[family]]
        if len(present) == 1:
            only[present[0]].setdefault(host.roles, []).append(host)
    rows = (*requirements.load_table().requirements, *extra_requirements)
    joined = {(row.source, row.destination) for row in rows if row.kind == requirements.FLOW}
    problems = []
    for roles, affected in only["ipv6"].items():
        others = [
            other.name
            for other_roles, group in only["ipv4"].items()
            if _must_communicate(roles, other_roles, joined)
            for other in group
        ]
        if others:
            shown = ", ".join(others[:3]) + (f" and {len(others) - 3} more" if len(others) > 3 else "")
            text = f"has only IPv6 addresses and must communicate with hosts that have only IPv4 addresses: {shown}"
            remedy = "give one side an address of the other family"
            problems += [Problem(host.name, "determined_address", text, remedy) for host in affected]
    return problems


def _must_communicate(ones: Iterable[str], others: Iterable[str], joined: Collection[tuple[str, str]]) -> bool:
    """Whether some row connects a role of the one with a role of the other, in either direction."""
    return any((a, b) in joined or (b, a) in joined for a in ones for b in others)
