# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The requirements table: load it, check it, and check the rows that users add.

The data is in ``requirements.yml`` beside this file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from ansible_collections.determined.network.plugins.module_utils import _ports
from ansible_collections.determined.network.plugins.module_utils._policy import PROTOCOLS

TABLE = Path(__file__).with_name("requirements.yml")

MASTER, AGENTS, CLIENTS, SERVICES, NETWORKS = "master", "agents", "clients", "services", "networks"
FLOW, INTERNET, ADVICE = "flow", "internet", "advice"
DOCUMENT, LATER, EXTRA = "document", "later", "extra"

# Names that `ports` may hold instead of numbers; _flows.py replaces them by the cluster's ports.
PORT_SETTINGS = ("master_port", "agent_ports", "service_ports")

_CHOICES = {
    "kind": (FLOW, INTERNET, ADVICE),
    "from": (MASTER, AGENTS, CLIENTS, NETWORKS),
    "to": (MASTER, AGENTS, SERVICES, NETWORKS),
    "protocol": PROTOCOLS,
    "provenance": (DOCUMENT, LATER),
    "service_purpose": ("registry", "resource"),
}
_TEXTS = ("id", "ports", "purpose", "part_of")
_FIELDS = (*_TEXTS, *_CHOICES, "sections", "networks")
_REQUIRED = ("id", "kind", "from", "to", "purpose", "provenance", "sections")
# A row of a user is always a flow, and its provenance is always EXTRA.
_EXTRA_FIELDS = ("id", "from", "to", "protocol", "ports", "purpose", "part_of", "networks")
_EXTRA_REQUIRED = ("id", "from", "to", "ports")
_ID = re.compile(r"[a-z][a-z0-9_]{0,63}\Z")
# The report and the policies use these names for things that are not in a row.
_RESERVED_IDS = ("restrict", "management", "proxy_bypass")


class Requirement(NamedTuple):
    """One row. ``ports`` is a text of ports or one of PORT_SETTINGS; ``networks`` holds CIDRs as written."""

    id: str
    kind: str
    source: str
    destination: str
    protocol: str = "tcp"
    ports: str = ""
    purpose: str = ""
    provenance: str = EXTRA
    sections: tuple[str, ...] = ()
    part_of: str = ""
    service_purpose: str = ""
    networks: tuple[str, ...] = ()


class RowProblem(NamedTuple):
    """What is wrong with one field of one row."""

    row: str
    field: str
    problem: str

    def __str__(self) -> str:
        return f"row {self.row}: field {self.field}: {self.problem}"


class Table(NamedTuple):
    """The whole of requirements.yml."""

    default_master_port: dict[str, str]  # "plain" and "tls" -> port
    default_management_ports: str
    default_services: tuple[dict[str, Any], ...]  # as users write `determined_services`
    requirements: tuple[Requirement, ...]


# The table is read by every process that Ansible starts for a task. The loader in C, if PyYAML was built with it, reads
# it in a tenth of the time.
_LOADER: type[yaml.SafeLoader] | type[yaml.CSafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@lru_cache(maxsize=1)
def load_table() -> Table:
    """The table that ships with the collection. ValueError lists every problem of it."""
    return parse_table(TABLE.read_text(encoding="utf-8"))


def parse_table(text: str) -> Table:
    """YAML text -> Table. Raises a ValueError that names every wrong row and field."""
    data = yaml.load(text, Loader=_LOADER)
    if not isinstance(data, Mapping) or not isinstance(data.get("requirements"), list):
        raise ValueError("requirements table: it is a dictionary whose field `requirements` is a list of rows")
    requirements, problems = _parse_rows(data["requirements"], _FIELDS, _REQUIRED)
    defaults = data.get("default_master_port")
    ports = defaults if isinstance(defaults, Mapping) else {}
    problems += _default_problems("default_master_port.plain", ports.get("plain"), single=True)
    problems += _default_problems("default_master_port.tls", ports.get("tls"), single=True)
    problems += _default_problems("default_management_ports", data.get("default_management_ports"))
    services = data.get("default_services")
    if not isinstance(services, list) or not all(isinstance(service, Mapping) for service in services):
        problems.append(RowProblem("-", "default_services", "is not a list of services"))
    if problems:
        raise ValueError("requirements table:\n" + "\n".join(f"  {problem}" for problem in problems))
    return Table(dict(ports), data["default_management_ports"], tuple(services or ()), tuple(requirements))


def _default_problems(field: str, value: Any, single: bool = False) -> list[RowProblem]:
    try:
        ports = _ports.parse_ports("" if value is None else value)
    except ValueError as problem:
        return [RowProblem("-", field, str(problem))]
    if not isinstance(value, str) or not ports or (single and _ports.count(ports) != 1):
        return [RowProblem("-", field, f"{value!r} is not a text with {'one port' if single else 'ports'}")]
    return []


def parse_extra_rows(rows: Any) -> tuple[list[Requirement], list[RowProblem]]:
    """``determined_extra_requirements`` as users write it -> rows, and all problems of them."""
    if not isinstance(rows, (list, tuple)):
        return [], [RowProblem("1", "-", "is not a list of rows")]
    return _parse_rows(rows, _EXTRA_FIELDS, _EXTRA_REQUIRED, load_table().requirements)


def _parse_rows(
    rows: Any, fields: tuple[str, ...], required: tuple[str, ...], known: tuple[Requirement, ...] = ()
) -> tuple[list[Requirement], list[RowProblem]]:
    requirements: list[Requirement] = []
    problems: list[RowProblem] = []
    ids = {row.id for row in known}
    parents = {row.id: row for row in known}
    for number, row in enumerate(rows, 1):
        found = _row_problems(number, row, fields, required)
        if not found:
            requirement = _to_requirement(row)
            if requirement.id in ids:
                found = [RowProblem(_name(number, row), "id", f"{requirement.id!r} is taken by another row")]
            if requirement.part_of and not _can_be_part(requirement, parents.get(requirement.part_of)):
                text = f"{requirement.part_of!r} is no earlier row with the same from, to and protocol"
                found.append(RowProblem(_name(number, row), "part_of", text))
            ids.add(requirement.id)
            parents[requirement.id] = requirement
            requirements.append(requirement)
        problems += found
    return requirements, problems


def _can_be_part(part: Requirement, parent: Requirement | None) -> bool:
    return parent is not None and (part.source, part.destination, part.protocol) == (
        parent.source,
        parent.destination,
        parent.protocol,
    )


def _to_requirement(row: Mapping[str, Any]) -> Requirement:
    values = dict(row)
    values["source"] = values.pop("from")
    values["destination"] = values.pop("to")
    values.setdefault("kind", FLOW)
    for name in ("sections", "networks"):
        values[name] = tuple(str(item) for item in values.get(name, ()))
    ports = values.get("ports", "")
    if ports not in PORT_SETTINGS:
        values["ports"] = _ports.format_ports(_ports.parse_ports(ports))
    return Requirement(**values)


def _name(number: int, row: Any) -> str:
    name = row.get("id") if isinstance(row, Mapping) else None
    return f"{number} ({name})" if isinstance(name, str) else str(number)


def _row_problems(number: int, row: Any, fields: tuple[str, ...], required: tuple[str, ...]) -> list[RowProblem]:
    name = _name(number, row)
    if not isinstance(row, Mapping):
        return [RowProblem(name, "-", f"a row is a dictionary with the fields {', '.join(fields)}")]
    problems = [RowProblem(name, field, "is missing") for field in required if field not in row]
    for field in row:
        if field not in fields:
            problems.append(RowProblem(name, str(field), f"is unknown; the fields are {', '.join(fields)}"))
            continue
        problem = _field_problem(field, row[field])
        if problem:
            problems.append(RowProblem(name, field, problem))
    if not problems:
        problems += [RowProblem(name, field, text) for field, text in _contradictions(row)]
    return problems


def _field_problem(field: str, value: Any) -> str | None:
    if field in _CHOICES:
        if value not in _CHOICES[field]:
            return f"{value!r} is not one of {', '.join(_CHOICES[field])}"
    elif field == "ports":
        if value in PORT_SETTINGS:
            return None
        try:
            if not _ports.parse_ports(value):
                return "names no port"
        except ValueError as problem:
            return str(problem)
    elif field in ("sections", "networks"):
        if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
            return "is not a list of texts"
    elif not isinstance(value, str):
        return f"{value!r} is not a text"
    elif field == "id" and not _ID.match(value):
        return f"{value!r} is not made of a-z, 0-9 and _ (at most 64, a letter first)"
    elif field == "id" and value in _RESERVED_IDS:
        return f"{value!r} already has another meaning in reports"
    return None


def _contradictions(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(Field, problem) where the fields of a row do not fit together."""
    ends = (row["from"], row["to"])
    problems = []
    if NETWORKS in ends and not row.get("networks"):
        problems.append(("networks", "is missing; `from: networks` and `to: networks` take their CIDRs there"))
    if NETWORKS not in ends and row.get("networks"):
        problems.append(("networks", "only goes with `from: networks` or `to: networks`"))
    if not {MASTER, AGENTS} & set(ends):
        problems.append(("to", "neither end is master or agents, the hosts that this collection configures"))
    kind = row.get("kind", FLOW)
    if kind != ADVICE and "ports" not in row:
        problems.append(("ports", "is missing"))
    if (kind == FLOW) != (SERVICES not in ends) and kind != ADVICE:
        problems.append(("to", f"a row of kind {kind} cannot lead to {row['to']}"))
    elif kind != ADVICE and (row.get("ports") == "service_ports") != (kind == INTERNET):
        problems.append(("ports", "`service_ports` goes with rows to services, and only with them"))
    if row.get("ports") == "agent_ports" and row["to"] != AGENTS:
        problems.append(("ports", "`agent_ports` are ports of agents; only a row to agents can have them"))
    return problems
