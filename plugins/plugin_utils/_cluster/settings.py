# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster-wide settings: collect them from hosts and play, and check them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ansible_collections.determined.network.plugins.module_utils import _ports
from ansible_collections.determined.network.plugins.module_utils._internet import targets
from ansible_collections.determined.network.plugins.module_utils._policy import MODES
from ansible_collections.determined.network.plugins.plugin_utils._cluster import addresses, requirements
from ansible_collections.determined.network.plugins.plugin_utils._cluster.problems import Problem

ALL_PORTS, DOCUMENTED_PORTS = "all", "documented"

# Option of the lookup -> the variable that users set.
VARIABLES = {
    "tls": "determined_tls",
    "master_port": "determined_master_port",
    "client_networks": "determined_client_networks",
    "mode": "determined_mode",
    "agent_ports": "determined_agent_ports",
    "services": "determined_services",
    "extra_requirements": "determined_extra_requirements",
    "management": "determined_management",
}

# An empty answer overrides the inventory, and the default of these options could permit what the inventory does not.
_NEVER_BY_DEFAULT = ("mode", "agent_ports", "management")

EVERYWHERE = "all hosts"

# A name of DNS or of the hosts file; its last label is not all digits, as that of a mistyped address is.
_NAME = re.compile(r"(?:[^\W_][\w-]*\.|_[\w-]+\.)*(?!\d+\.?\Z)[^\W_][\w-]*\.?\Z")

# A path with a query as a request line may hold it (RFC 3986, 3.3 and 3.4), or nothing.
_PATH = re.compile(r"(?:/[!$-;=?-Z_a-z~@]*)?\Z")


class Management(NamedTuple):
    """How hosts are administered: TCP ports, and the networks from which they are reached."""

    ports: tuple[tuple[int, int], ...]
    networks: addresses.Families


class Service(NamedTuple):
    """What workloads need outside: a name or an address, its TCP ports, and what it is for.

    ``scheme``: the protocol at all of its ports; "" means that it follows from each port. ``path``: the path that a
    verification requests; "" means that it follows from the purpose.
    """

    host: str
    ports: tuple[tuple[int, int], ...]
    purpose: str  # one of targets.PURPOSES
    scheme: str = ""  # one of targets.SCHEMES
    path: str = ""


class Settings(NamedTuple):
    """All cluster-wide settings, checked."""

    mode: str
    agent_ports: str
    master_port: int
    client_networks: addresses.Families
    management: tuple[Management, ...]
    services: tuple[Service, ...]
    extra_requirements: tuple[requirements.Requirement, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON and Ansible's variables can hold them."""
        return {
            **self._asdict(),
            "client_networks": _plain(self.client_networks),
            "management": [
                {"ports": _ports.format_ports(way.ports), "networks": _plain(way.networks)} for way in self.management
            ],
            "services": [
                {**service._asdict(), "ports": _ports.format_ports(service.ports)} for service in self.services
            ],
            "extra_requirements": [
                {**row._asdict(), "sections": list(row.sections), "networks": list(row.networks)}
                for row in self.extra_requirements
            ],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Settings:
        """The inverse of :meth:`to_dict`."""
        return cls(
            mode=data["mode"],
            agent_ports=data["agent_ports"],
            master_port=data["master_port"],
            client_networks=_families(data["client_networks"]),
            management=tuple(
                Management(_ports.parse_ports(way["ports"]), _families(way["networks"])) for way in data["management"]
            ),
            services=tuple(
                Service(**{**service, "ports": _ports.parse_ports(service["ports"])}) for service in data["services"]
            ),
            extra_requirements=tuple(
                requirements.Requirement(
                    **{**row, "sections": tuple(row["sections"]), "networks": tuple(row["networks"])}
                )
                for row in data["extra_requirements"]
            ),
        )


def _plain(networks: addresses.Families) -> dict[str, list[str]]:
    return {family: list(texts) for family, texts in networks.items()}


def _families(data: Mapping[str, Iterable[str]]) -> addresses.Families:
    return {family: tuple(texts) for family, texts in data.items()}


def is_unanswered(option: str, value: Any) -> bool:
    """Whether a value is an empty text, as a survey gives for a question without an answer, and means the default."""
    return isinstance(value, str) and not value.strip() and option not in _NEVER_BY_DEFAULT


def collect(variable: str, values: Iterable[tuple[str, Any]]) -> tuple[list[Any], list[Problem]]:
    """The values of one cluster-wide variable, as ``(host, value)`` for each host that defines it
    -> a list of its one value (empty if no host defines it), and a problem if there are two different values.

    The result does not depend on the host for which a play computes the cluster.
    """
    first: tuple[str, Any] | None = None
    for host, value in values:
        if first is None:
            first = (host, value)
        elif value != first[1]:
            text = f"is {value!r} here, but {first[1]!r} on {first[0]}; it is one setting for the whole cluster"
            return [], [Problem(host, variable, text, "set it once, in the group `all`")]
    return ([] if first is None else [first[1]]), []


def check(values: Mapping[str, Any], login_ports: Iterable[Any] = ()) -> tuple[Settings | None, list[Problem]]:
    """Options and their values as users write them -> Settings (None if there is a problem), and all problems.

    ``login_ports`` are the ``ansible_port`` values of the hosts: by default they are management ports too.
    """
    reader = _Reader(values)
    tls = reader.boolean("tls")
    table = requirements.load_table()
    default_port = table.default_master_port["tls" if tls else "plain"]
    settings = Settings(
        mode=reader.choice("mode", MODES),
        agent_ports=reader.choice("agent_ports", (ALL_PORTS, DOCUMENTED_PORTS)),
        master_port=reader.port("master_port", default_port),
        client_networks=addresses.families(reader.networks("client_networks", values.get("client_networks"))),
        management=reader.management(table.default_management_ports, login_ports),
        services=reader.services(table.default_services),
        extra_requirements=reader.extra_requirements(),
    )
    return (None if reader.problems else settings), reader.problems


class _Reader:
    """Reads one option after the other and collects all problems."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values
        self.problems: list[Problem] = []

    def _problem(self, option: str, problem: str, remedy: str) -> None:
        self.problems.append(Problem(EVERYWHERE, VARIABLES[option], problem, remedy))

    def boolean(self, option: str) -> bool:
        value = self.values.get(option)
        known = {"true": True, "yes": True, "false": False, "no": False, "none": False}
        text = str(value).lower()
        if text not in known:
            self._problem(option, f"{value!r} is neither true nor false", "write true or false")
        return known.get(text, False)

    def choice(self, option: str, choices: tuple[str, ...]) -> str:
        value = self.values.get(option)
        if value is None:
            return choices[0]
        if value not in choices:
            self._problem(option, f"{value!r} is unknown", f"write one of: {', '.join(choices)}")
        return str(value)

    def port(self, option: str, default: str) -> int:
        value = self.values.get(option)
        try:
            ports = _ports.parse_ports(default if value in (None, "") else value)
            if _ports.count(ports) != 1:
                raise ValueError(f"{value!r} is not one port")
        except ValueError as problem:
            self._problem(option, str(problem), "write one port number, 1 to 65535")
            return 0
        return ports[0][0]

    def networks(self, option: str, value: Any) -> list[str]:
        """CIDRs, a list or one text with commas or blanks between them -> their canonical texts."""
        if isinstance(value, str):
            value = value.replace(",", " ").split()
        texts = []
        for item in value if isinstance(value, (list, tuple)) else [] if value is None else [value]:
            try:
                texts.append(addresses.parse_network(item)[1])
            except ValueError as problem:
                self._problem(option, str(problem), "write CIDRs such as 198.51.100.0/24")
        return texts

    def management(self, default_ports: str, login_ports: Iterable[Any]) -> tuple[Management, ...]:
        value = self.values.get("management")
        if value is None:
            anywhere = addresses.ANYWHERE
            return (Management(self._ports("management", [default_ports, *map(str, login_ports)]), anywhere),)
        entries = value if isinstance(value, (list, tuple)) else [value]
        if not entries:
            text = "is empty, so that mode restrict would drop all connections of the administrators"
            self._problem("management", text, "name the ports and networks of your administrators")
        found = []
        for number, entry in enumerate(entries, 1):
            if not isinstance(entry, Mapping) or not set(entry) <= {"ports", "networks"} or "ports" not in entry:
                text = f"entry {number} is not a dictionary with `ports` and, if need be, `networks`"
                self._problem("management", text, 'write, for example, {ports: "22", networks: [198.51.100.0/24]}')
                continue
            networks = addresses.ANYWHERE
            if "networks" in entry:
                known = len(self.problems)
                texts = self.networks("management", entry["networks"])
                if not texts and len(self.problems) == known:
                    text = f"entry {number} names no network, so that it would permit nothing"
                    self._problem("management", text, "name the networks of your administrators, or leave it out")
                networks = addresses.families(texts)
            found.append(Management(self._ports("management", entry["ports"]), networks))
        return tuple(found)

    def _ports(self, option: str, value: Any) -> tuple[tuple[int, int], ...]:
        try:
            ports = _ports.parse_ports(value)
            if not ports:
                raise ValueError("no port is named")
        except ValueError as problem:
            self._problem(option, str(problem), "write ports and ranges such as 22 or 22,1024-65535")
            return ()
        return ports

    def services(self, default: Iterable[Mapping[str, Any]]) -> tuple[Service, ...]:
        value = self.values.get("services")
        entries = list(default) if value is None else value if isinstance(value, (list, tuple)) else [value]
        found = []
        for number, entry in enumerate(entries, 1):
            if not isinstance(entry, Mapping) or not {"host", "ports"} <= set(entry) <= set(Service._fields):
                text = (
                    f"entry {number} is not a dictionary with `host`, `ports` and, if need be, `purpose`, `scheme` "
                    "and `path`"
                )
                remedy = "write, for example, {host: registry.example.com, ports: 443, purpose: registry}"
                self._problem("services", text, remedy)
                continue
            service = Service(
                entry["host"],
                self._ports("services", entry["ports"]),
                entry.get("purpose", targets.RESOURCE),
                entry.get("scheme", ""),
                entry.get("path", ""),
            )
            if service.purpose not in targets.PURPOSES:
                self._problem("services", f"purpose {service.purpose!r} is unknown", "write registry or resource")
            if service.scheme not in ("", *targets.SCHEMES):
                text = f"entry {number}: scheme {service.scheme!r} is unknown"
                self._problem("services", text, f"write one of {', '.join(targets.SCHEMES)}, or leave it out")
            if not isinstance(service.path, str) or not _PATH.match(service.path):
                text = f"entry {number}: path {service.path!r} does not start with /, or a URL cannot hold it"
                self._problem("services", text, "write the path that a verification may request, such as /simple/")
            host = service.host
            if not isinstance(host, str) or not (addresses.is_network(host) or _NAME.match(host)):
                text = f"entry {number}: host {host!r} is neither a name nor an address nor a network"
                self._problem("services", text, "write registry.example.com, 198.51.100.7 or 198.51.100.0/24")
                continue
            found.append(service)
        return tuple(found)

    def extra_requirements(self) -> tuple[requirements.Requirement, ...]:
        value = self.values.get("extra_requirements")
        rows, problems = requirements.parse_extra_rows(value if value is not None else [])
        for problem in problems:
            self._problem("extra_requirements", str(problem), "correct the row; the README's table shows the fields")
        checked = []
        for row in rows:
            checked.append(row._replace(networks=tuple(self.networks("extra_requirements", row.networks))))
        return tuple(checked)
