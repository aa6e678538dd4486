# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From an inventory to a cluster: every class of problem, told with host, variable and remedy, all at once."""

import json
import socket

import pytest
from ansible_collections.determined.network.plugins.plugin_utils._cluster import cluster as clusters
from ansible_collections.determined.network.plugins.plugin_utils._cluster import problems
from ansible_collections.determined.network.plugins.plugin_utils._cluster import resolve as cluster_resolve

from tests.unit.plugins.plugin_utils.clusters import DEMO, build

ROLES = {"m": ("master",), "a": ("agents",), "b": ("agents",), "c": ("clients",), "o": ("outsiders",)}
ADDRESSES = {name: {"determined_address": f"192.0.2.{number}"} for number, name in enumerate(ROLES, 1)}
NAMES = {
    "agent.example.com": ["192.0.2.77", "2001:db8::77"],
    "here.example.com": ["127.0.1.1"],
    "both.example.com": ["127.0.1.1", "192.0.2.78"],
}


def resolve(names):
    return {name: NAMES.get(name, "Name or service not known") for name in names}


def cluster_of(roles=None, variables=None, options=None):
    changed = {**ADDRESSES, **(variables or {})}
    return clusters.build_cluster(roles or ROLES, changed, options or {}, resolve)


def problems_of(*arguments, **keywords):
    with pytest.raises(problems.InventoryProblems) as caught:
        cluster_of(*arguments, **keywords)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    "variables, addresses",
    [
        ({"determined_address": "192.0.2.9"}, (("192.0.2.9",), ())),
        ({"determined_address": ["2001:DB8::9", " 192.0.2.9 "]}, (("192.0.2.9",), ("2001:db8::9",))),
        ({"determined_address": "192.0.2.9", "ansible_host": "192.0.2.10"}, (("192.0.2.9",), ())),
        ({"determined_address": None, "ansible_host": "192.0.2.10"}, (("192.0.2.10",), ())),
        ({"ansible_host": "agent.example.com"}, (("192.0.2.77",), ("2001:db8::77",))),
        ({"determined_address": "both.example.com"}, (("192.0.2.78",), ())),
    ],
)
def test_where_an_address_comes_from(variables, addresses):
    host = {host.name: host for host in cluster_of(variables={"a": variables}).hosts}["a"]
    assert (host.addresses["ipv4"], host.addresses["ipv6"]) == addresses


def test_the_inventory_name_is_the_last_resort():
    cluster = cluster_of({"m": ("master",), "agent.example.com": ("agents",)})
    assert cluster.hosts[1].addresses["ipv4"] == ("192.0.2.77",)


def test_names_are_asked_about_once_and_only_names():
    asked = []

    def remember(names):
        asked.append(list(names))
        return resolve(names)

    variables = {**ADDRESSES, "a": {"determined_address": ["agent.example.com", "2001:db8::1"]}}
    clusters.build_cluster(ROLES, variables, {}, remember)
    assert asked == [["agent.example.com"]]


ONE_PROBLEM = [
    (
        {"roles": {"a": ("agents",)}},
        "group determined_master: is missing from the inventory, or has no host. "
        "Remedy: put the master's host into it.",
    ),
    (
        {"roles": {"m": ("master",)}},
        "group determined_agents: is missing from the inventory, or has no host. "
        "Remedy: put at least one agent's host into it.",
    ),
    (
        {"roles": {**ROLES, "b": ("master", "agents")}},
        "group determined_master: has 2 hosts (m, b), but a cluster has one master. "
        "Remedy: keep one host in it; describe another cluster in an inventory of its own.",
    ),
    (
        {"roles": {**ROLES, "o": ("agents", "outsiders")}},
        "o: group determined_outsiders: is also in determined_agents, but the cluster must not permit any "
        "connection of an outsider. Remedy: remove it from one of the two.",
    ),
    (
        {"variables": {"a": {"determined_address": "010.0.0.14"}}},
        "a: determined_address: '010.0.0.14' looks like an address, but is not a valid one. "
        "Remedy: write it in full and without leading zeros: 192.0.2.1.",
    ),
    (
        {"variables": {"a": {"determined_address": 42}}},
        "a: determined_address: '42' looks like an address, but is not a valid one. "
        "Remedy: write it in full and without leading zeros: 192.0.2.1.",
    ),
    (
        {"variables": {"a": {}}},
        "a: inventory name: 'a' is not an address, and the controller cannot resolve it as a name "
        "(Name or service not known). Remedy: set determined_address to the host's address.",
    ),
    (
        {"variables": {"a": {"ansible_host": "gone.example.com"}}},
        "a: ansible_host: 'gone.example.com' is not an address, and the controller cannot resolve it as a name "
        "(Name or service not known). Remedy: set determined_address to the host's address.",
    ),
    (
        {"variables": {"a": {"determined_address": ""}}},
        "a: determined_address: is empty, so that the address of the host is unknown. "
        "Remedy: write the address by which other hosts reach it.",
    ),
    (
        {"variables": {"a": {"determined_address": []}}},
        "a: determined_address: is empty, so that the address of the host is unknown. "
        "Remedy: write the address by which other hosts reach it.",
    ),
    (
        {"variables": {"b": {"determined_address": ["192.0.2.50", "192.0.2.2"]}}},
        "b: determined_address: 192.0.2.2 is the address of a too. Remedy: give each host its own determined_address.",
    ),
    (
        {"variables": {"a": {"determined_address": "127.0.0.1"}}},
        "a: determined_address: 127.0.0.1 is a loopback address, which only the host itself can reach. "
        "Remedy: set determined_address to the address by which other hosts reach it.",
    ),
    (
        {"variables": {"a": {"ansible_host": "here.example.com"}}},
        "a: ansible_host: the name 'here.example.com' has no usable address: 127.0.1.1 is a loopback address, "
        "which only the host itself can reach. "
        "Remedy: set determined_address to the address by which other hosts reach it.",
    ),
    (
        {"variables": {"a": {"determined_address": ["192.0.2.2", "fe80::1"]}}},
        "a: determined_address: fe80::1 is a link-local address, which other hosts cannot use "
        "without the name of an interface. "
        "Remedy: set determined_address to the address by which other hosts reach it.",
    ),
    (
        {
            "variables": {
                "a": {"determined_address": "2001:db8::2"},
                "b": {"determined_address": ["2001:db8::3", "192.0.2.3"]},
            }
        },
        "a: determined_address: has only IPv6 addresses and must communicate with hosts that have only IPv4 "
        "addresses: m. Remedy: give one side an address of the other family.",
    ),
    (
        {"variables": {"a": {**ADDRESSES["a"], "determined_gpus": "eight"}}},
        "a: determined_gpus: 'eight' is not a number of GPUs. Remedy: write a whole number, or leave the variable out.",
    ),
    (
        {"variables": {"a": {**ADDRESSES["a"], "ansible_port": "ssh"}}},
        "a: ansible_port: 'ssh' in ports 'ssh': not a number. Remedy: write the one port of its SSH server.",
    ),
    (
        {"variables": {"a": {**ADDRESSES["a"], "ansible_ssh_port": [22, 23]}}},
        "a: ansible_ssh_port: [22, 23] is not one port. Remedy: write the one port of its SSH server.",
    ),
    (
        {"options": {"client_networks": ["192.0.2.1/24"]}},
        "all hosts: determined_client_networks: '192.0.2.1/24' has host bits set; 192.0.2.0/24 is the network, "
        "192.0.2.1 the address. Remedy: write CIDRs such as 198.51.100.0/24.",
    ),
    (
        {"options": {"master_port": 70000}},
        "all hosts: determined_master_port: '70000' in ports 70000: ports are 1 to 65535. "
        "Remedy: write one port number, 1 to 65535.",
    ),
    (
        {"options": {"mode": "open"}},
        "all hosts: determined_mode: 'open' is unknown. Remedy: write one of: permit, restrict.",
    ),
    (
        {"options": {"extra_requirements": [{"id": "x", "from": "workers", "to": "agents", "ports": 1}]}},
        "all hosts: determined_extra_requirements: row 1 (x): field from: 'workers' is not one of master, agents, "
        "clients, networks. Remedy: correct the row; the README's table shows the fields.",
    ),
]


@pytest.mark.parametrize("change, told", ONE_PROBLEM, ids=[told[:40] for _unused, told in ONE_PROBLEM])
def test_one_problem(change, told):
    assert problems_of(**change) == [told]


def test_all_problems_are_told_at_once_and_numbered():
    roles = {"m": ("master",), "n": ("master",), "a": ("agents",), "b": ("agents",)}
    variables = {
        "m": {"determined_address": "192.0.2.1"},
        "n": {"determined_address": "192.0.2.1"},
        "a": {"determined_address": "gone.example.com", "determined_gpus": -1},
        "b": {"ansible_host": "::1", "ansible_port": "x"},
    }
    with pytest.raises(problems.InventoryProblems) as caught:
        clusters.build_cluster(
            roles,
            variables,
            {"mode": "x", "tls": "y"},
            resolve,
            [problems.Problem("play", "v", "is bad", "mend it")],
        )
    lines = str(caught.value).splitlines()
    assert lines[0] == "The inventory has 9 problems; nothing was changed:"
    assert lines[1] == "  1. play: v: is bad. Remedy: mend it."
    assert [line.split(":")[0].strip() for line in lines[2:]] == [
        "2. group determined_master",
        "3. b",
        "4. all hosts",
        "5. all hosts",
        "6. n",
        "7. a",
        "8. a",
        "9. b",
    ]


def test_a_host_whose_variable_could_not_be_read_is_told_once():
    unread = problems.Problem("a", "determined_address", "cannot be computed", "define it")
    with pytest.raises(problems.InventoryProblems) as caught:
        clusters.build_cluster(ROLES, {**ADDRESSES, "a": {}}, {}, resolve, [unread])
    assert caught.value.problems == (unread,)


@pytest.mark.parametrize(
    "roles, only_v6, expected",
    [
        # An agent must talk to the master and to the other agents.
        (ROLES, "a", ["a"]),
        # A client talks to the master alone.
        (ROLES, "c", ["c"]),
        # An outsider talks to nobody.
        (ROLES, "o", []),
    ],
)
def test_who_must_share_a_family(roles, only_v6, expected):
    variables = {only_v6: {"determined_address": "2001:db8::9"}}
    if not expected:
        cluster_of(roles, variables)
        return
    assert [line.split(":")[0] for line in problems_of(roles, variables)] == expected


def test_an_extra_row_makes_hosts_talk_too():
    variables = {
        "m": {"determined_address": ["192.0.2.1", "2001:db8::1"]},
        "c": {"determined_address": "2001:db8::9"},
    }
    cluster_of(variables=variables)
    row = {"id": "x", "from": "clients", "to": "agents", "ports": 1}
    (told,) = problems_of(variables=variables, options={"extra_requirements": [row]})
    assert told.startswith(
        "c: determined_address: has only IPv6 addresses and must communicate with hosts that have only IPv4 "
        "addresses: a, b."
    )


def test_many_partners_without_a_common_family_are_abridged():
    roles = {"m": ("master",), **{f"a{number}": ("agents",) for number in range(6)}}
    variables = {name: {"determined_address": f"192.0.2.{number}"} for number, name in enumerate(roles, 1)}
    variables["m"] = {"determined_address": "2001:db8::1"}
    (told,) = problems_of(roles, variables)
    assert "must communicate with hosts that have only IPv4 addresses: a0, a1, a2 and 3 more." in told


def test_login_ports_become_management_ports():
    variables = {
        "a": {**ADDRESSES["a"], "ansible_port": "2222"},
        "b": {**ADDRESSES["b"], "ansible_ssh_port": 2200, "ansible_port": ""},
    }
    (way,) = cluster_of(variables=variables).settings.management
    assert way.ports == ((22, 22), (2200, 2200), (2222, 2222))


def test_a_host_may_be_master_and_agent():
    groups = {"determined_master": ["one"], "determined_agents": ["one", "two"], "web": ["three"]}
    roles = clusters.cluster_hosts(groups)
    assert roles == {"one": ("master", "agents"), "two": ("agents",)}


def test_missing_groups_hold_nobody():
    assert clusters.cluster_hosts({"all": ["x"]}) == {}


@pytest.mark.parametrize("value, gpus", [(None, None), ("", None), (0, 0), ("8", 8)])
def test_gpus(value, gpus):
    cluster = cluster_of(variables={"a": {**ADDRESSES["a"], "determined_gpus": value}})
    assert cluster.hosts[1].gpus == gpus


@pytest.mark.parametrize("value", [True, -1, 1.5, "many", [], {}])
def test_bad_gpus(value):
    (told,) = problems_of(variables={"a": {**ADDRESSES["a"], "determined_gpus": value}})
    assert told.startswith("a: determined_gpus: ")


def test_a_cluster_travels_as_json():
    cluster = build(client_networks=["198.51.100.0/24"])
    data = json.loads(json.dumps(cluster.to_dict()))
    assert list(data["hosts"]) == list(DEMO)
    assert data["hosts"]["agent3"] == {
        "roles": ["agents"],
        "addresses": {"ipv4": ["198.51.100.23"], "ipv6": ["2001:db8:2::23"]},
        "gpus": None,
    }
    assert clusters.Cluster.from_dict(data) == cluster


def test_one_problem_is_counted_as_one():
    problem = problems.Problem("a", "", "is odd", "even it")
    assert str(problems.InventoryProblems([problem])) == (
        "The inventory has 1 problem; nothing was changed:\n  1. a: is odd. Remedy: even it."
    )


@pytest.mark.parametrize("name", ["a" * 80, "\ud800", "a..b"])
def test_the_resolver_answers_with_a_reason_where_no_name_is(name):
    answers = cluster_resolve.resolve_names([name])
    assert list(answers) == [name]
    assert isinstance(answers[name], str)


def test_the_resolver_answers_with_the_systems_reason(monkeypatch):
    def getaddrinfo(*_unused, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(cluster_resolve.socket, "getaddrinfo", getaddrinfo)
    assert "Name or service not known" in cluster_resolve.resolve_names(["gone.example.com"])["gone.example.com"]


def test_the_resolver_gives_every_address_once(monkeypatch):
    def getaddrinfo(name, *_unused, **__):
        rows = [("192.0.2.1", 0), ("2001:db8::1", 0, 0, 0), ("192.0.2.1", 0), ("fe80::1%eth0", 0, 0, 2)]
        return [(None, None, None, "", row) for row in rows]

    monkeypatch.setattr(cluster_resolve.socket, "getaddrinfo", getaddrinfo)
    assert cluster_resolve.resolve_names(["x", "y"]) == dict.fromkeys("xy", ["192.0.2.1", "2001:db8::1", "fe80::1"])


def test_no_names_no_questions():
    assert cluster_resolve.resolve_names([]) == {}
