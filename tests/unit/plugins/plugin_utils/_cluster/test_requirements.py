# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table's schema: whatever is wrong with a row is told with its row and its field."""

import copy

import pytest
import yaml
from ansible_collections.determined.network.plugins.module_utils import _ports
from ansible_collections.determined.network.plugins.plugin_utils._cluster import requirements

GOOD = {
    "default_master_port": {"plain": "8080", "tls": "8443"},
    "default_management_ports": "22",
    "default_services": [{"host": "registry.example.com", "ports": "443"}],
    "requirements": [
        {
            "id": "whole",
            "kind": "flow",
            "from": "agents",
            "to": "agents",
            "protocol": "tcp",
            "ports": "1-100",
            "purpose": "Everything.",
            "provenance": "document",
            "sections": ["section/1"],
        },
        {
            "id": "part",
            "kind": "flow",
            "part_of": "whole",
            "from": "agents",
            "to": "agents",
            "protocol": "tcp",
            "ports": "7",
            "purpose": "A part.",
            "provenance": "later",
            "sections": [],
        },
    ],
}


def problems_of(data):
    with pytest.raises(ValueError) as caught:
        requirements.parse_table(yaml.safe_dump(data))
    return str(caught.value).splitlines()


def test_a_good_table_is_read():
    table = requirements.parse_table(yaml.safe_dump(GOOD))
    assert table.default_master_port == {"plain": "8080", "tls": "8443"}
    assert [row.id for row in table.requirements] == ["whole", "part"]
    assert table.requirements[0].sections == ("section/1",)
    assert table.requirements[1].part_of == "whole"


ROW_MISTAKES = [
    # field changed, value (None: left out), what is told about it
    (
        "id",
        "Whole",
        "row 1 (Whole): field id: 'Whole' is not made of a-z, 0-9 and _ (at most 64, a letter first)",
    ),
    ("id", "w" * 65, "field id: "),
    ("id", "restrict", "row 1 (restrict): field id: 'restrict' already has another meaning in reports"),
    ("id", "management", "field id: 'management' already has another meaning"),
    ("id", 7, "row 1: field id: 7 is not a text"),
    ("id", None, "row 1: field id: is missing"),
    ("kind", "stream", "row 1 (whole): field kind: 'stream' is not one of flow, internet, advice"),
    ("kind", None, "row 1 (whole): field kind: is missing"),
    ("kind", "internet", "row 1 (whole): field to: a row of kind internet cannot lead to agents"),
    (
        "from",
        "workers",
        "row 1 (whole): field from: 'workers' is not one of master, agents, clients, networks",
    ),
    ("from", None, "row 1 (whole): field from: is missing"),
    ("from", ["agents"], "row 1 (whole): field from: ['agents'] is not one of"),
    ("to", "clients", "row 1 (whole): field to: 'clients' is not one of master, agents, services, networks"),
    ("to", "services", "row 1 (whole): field to: a row of kind flow cannot lead to services"),
    ("to", "networks", "row 1 (whole): field networks: is missing"),
    ("protocol", "sctp", "row 1 (whole): field protocol: 'sctp' is not one of tcp, udp"),
    ("ports", "0", "row 1 (whole): field ports: '0' in ports '0': ports are 1 to 65535"),
    ("ports", "1024-65536", "field ports: '1024-65536' in ports '1024-65536': ports are 1 to 65535"),
    ("ports", "9-3", "field ports: '9-3' in ports '9-3': the range runs backwards"),
    ("ports", "ssh", "field ports: 'ssh' in ports 'ssh': not a number"),
    ("ports", "", "row 1 (whole): field ports: names no port"),
    ("ports", {}, "row 1 (whole): field ports: {} is not a port"),
    ("ports", True, "row 1 (whole): field ports: True is not a port"),
    ("ports", None, "row 1 (whole): field ports: is missing"),
    ("ports", "service_ports", "row 1 (whole): field ports: `service_ports` goes with rows to services"),
    ("purpose", ["x"], "row 1 (whole): field purpose: ['x'] is not a text"),
    ("purpose", None, "row 1 (whole): field purpose: is missing"),
    ("provenance", "rumour", "row 1 (whole): field provenance: 'rumour' is not one of document, later"),
    ("sections", "section/1", "row 1 (whole): field sections: is not a list of texts"),
    ("sections", [1], "row 1 (whole): field sections: is not a list of texts"),
    ("networks", ["192.0.2.0/24"], "row 1 (whole): field networks: only goes with `from: networks`"),
    ("networks", "192.0.2.0/24", "row 1 (whole): field networks: is not a list of texts"),
    (
        "part_of",
        "nobody",
        "row 1 (whole): field part_of: 'nobody' is no earlier row with the same from, to and protocol",
    ),
    ("part_of", "part", "field part_of: 'part' is no earlier row"),
    (
        "service_purpose",
        "fun",
        "row 1 (whole): field service_purpose: 'fun' is not one of registry, resource",
    ),
    ("colour", "red", "row 1 (whole): field colour: is unknown; the fields are id, ports, purpose,"),
]


@pytest.mark.parametrize("field, value, told", ROW_MISTAKES)
def test_a_bad_field_is_named_with_its_row(field, value, told):
    data = copy.deepcopy(GOOD)
    if value is None:
        del data["requirements"][0][field]
    else:
        data["requirements"][0][field] = value
    assert any(told in line for line in problems_of(data))


@pytest.mark.parametrize(
    "changes, told",
    [
        (
            {"from": "clients", "to": "networks", "networks": ["192.0.2.0/24"]},
            "neither end is master or agents",
        ),
        ({"id": "whole"}, "row 2 (whole): field id: 'whole' is taken by another row"),
        ({"protocol": "udp"}, "row 2 (part): field part_of: 'whole' is no earlier row with the same"),
        (
            {"ports": "agent_ports", "to": "master"},
            "row 2 (part): field ports: `agent_ports` are ports of agents",
        ),
    ],
)
def test_rows_must_make_sense(changes, told):
    data = copy.deepcopy(GOOD)
    data["requirements"][1].update(changes)
    assert any(told in line for line in problems_of(data))


def test_all_problems_are_told_at_once():
    data = copy.deepcopy(GOOD)
    data["requirements"][0].update(kind="x", ports="y")
    data["requirements"][1].update(protocol="z")
    data["requirements"].append("row?")
    data["default_master_port"] = {"plain": "80,81", "tls": 8443}
    del data["default_management_ports"]
    data["default_services"] = "registry.example.com"
    fields = [line.split(":")[1].strip() for line in problems_of(data)[1:]]
    assert fields == [
        "field kind",
        "field ports",
        "field protocol",
        "field -",
        "field default_master_port.plain",
        "field default_master_port.tls",
        "field default_management_ports",
        "field default_services",
    ]


@pytest.mark.parametrize("text", ["", "[]", "requirements: 3", "requirements: {}", "default_management_ports: '22'"])
def test_a_table_without_rows_is_refused(text):
    with pytest.raises(ValueError, match="`requirements` is a list of rows"):
        requirements.parse_table(text)


EXTRA = {"id": "metrics", "from": "networks", "to": "agents", "ports": 9100, "networks": ["192.0.2.0/24"]}


def test_an_extra_row_needs_little():
    rows, problems = requirements.parse_extra_rows([EXTRA])
    assert not problems
    assert rows == [
        requirements.Requirement("metrics", "flow", "networks", "agents", "tcp", "9100", networks=("192.0.2.0/24",))
    ]


def test_an_extra_row_may_be_part_of_a_row_of_the_table_or_of_an_earlier_extra_row():
    own = {"id": "own", "from": "master", "to": "agents", "ports": "53", "protocol": "udp"}
    rows, problems = requirements.parse_extra_rows(
        [
            {
                "id": "debugger",
                "from": "agents",
                "to": "agents",
                "ports": [5678, "6000-6010"],
                "part_of": "agents_from_agents",
            },
            own,
            {**own, "id": "own_part", "part_of": "own"},
        ]
    )
    assert not problems
    assert [row.ports for row in rows] == ["5678,6000-6010", "53", "53"]


@pytest.mark.parametrize(
    "rows, told",
    [
        ("metrics", "row 1: field -: is not a list of rows"),
        (None, "row 1: field -: is not a list of rows"),
        ({"id": "x"}, "row 1: field -: is not a list of rows"),
        ([3], "row 1: field -: a row is a dictionary with the fields id, from, to"),
        ([{**EXTRA, "from": "workers"}], "row 1 (metrics): field from: 'workers' is not one of"),
        ([{**EXTRA, "from": None}], "row 1 (metrics): field from: None is not one of"),
        ([{**EXTRA, "kind": "advice"}], "row 1 (metrics): field kind: is unknown"),
        ([{**EXTRA, "to": "services"}], "row 1 (metrics): field to: neither end is master or agents"),
        (
            [{**EXTRA, "id": "trial_sync"}],
            "row 1 (trial_sync): field id: 'trial_sync' is taken by another row",
        ),
        ([EXTRA, EXTRA], "row 2 (metrics): field id: 'metrics' is taken by another row"),
        ([{**EXTRA, "ports": "service_ports"}], "field ports: `service_ports` goes with rows to services"),
        ([{**EXTRA, "part_of": "trial_sync"}], "field part_of: 'trial_sync' is no earlier row with the same"),
        ([{key: EXTRA[key] for key in ("id", "from", "to")}], "row 1 (metrics): field ports: is missing"),
    ],
)
def test_bad_extra_rows(rows, told):
    _unused, problems = requirements.parse_extra_rows(rows)
    assert any(told in str(problem) for problem in problems)


def test_the_parts_of_a_row_lie_inside_it_in_the_shipped_table():
    rows = {row.id: row for row in requirements.load_table().requirements}
    documented = _ports.union(*[_ports.parse_ports(row.ports) for row in rows.values() if row.part_of])
    for row in rows.values():
        if row.part_of:
            assert rows[row.part_of].ports == "agent_ports"
    # What `documented` opens is the ephemeral range: every named port lies in it.
    assert _ports.format_ports(documented) == rows["gloo_ephemeral"].ports
