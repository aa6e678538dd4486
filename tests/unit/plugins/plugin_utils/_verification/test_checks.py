# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must be reachable, and what must not."""

from collections import Counter

import pytest
from ansible_collections.determined.network.plugins.module_utils import _ports
from ansible_collections.determined.network.plugins.plugin_utils._cluster import requirements
from ansible_collections.determined.network.plugins.plugin_utils._verification import checks as verification_checks

from tests.unit.plugins.plugin_utils.clusters import DEMO, SMALL, build

FAMILY_OF = {"ipv4": 0, "ipv6": 1}
FLOWS = [row.id for row in requirements.load_table().requirements if row.kind == "flow"]

NOT_CHECKED = "not checked: this run has no host in {} that could probe a host in {}"


def derive(cluster, hosts=None, **scope):
    names = [host.name for host in cluster.hosts] if hosts is None else hosts
    return verification_checks.derive_checks(cluster, verification_checks.Scope(frozenset(names), **scope))


def pairs(checks, requirement, family="ipv4"):
    return [
        (check.source, check.destination)
        for check in checks.checks
        if (check.requirement, check.family) == (requirement, family)
    ]


AGENT_PAIRS = [(a, b) for a in ("agent1", "agent2", "agent3") for b in ("agent1", "agent2", "agent3") if a != b]


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
@pytest.mark.parametrize(
    "requirement, expected",
    [
        ("master_from_agents", [("agent1", "master"), ("agent2", "master"), ("agent3", "master")]),
        ("master_from_clients", [("laptop", "master")]),
        ("agents_from_master", [("master", "agent1"), ("master", "agent2"), ("master", "agent3")]),
        ("agents_from_agents", AGENT_PAIRS),
        ("gloo_rendezvous", AGENT_PAIRS),
        ("tensorboard", [("master", "agent1"), ("master", "agent2"), ("master", "agent3")]),
    ],
)
def test_positive_checks_of_the_demo(requirement, expected, family):
    checks = derive(build(mode="permit"))
    assert sorted(pairs(checks, requirement, family)) == sorted(expected)
    for check in checks.checks:
        assert check.address == DEMO[check.destination][1][FAMILY_OF[check.family]]
        assert check.expected == "open"
        assert check.protocol == "tcp"


def test_every_row_between_hosts_is_checked():
    checks = derive(build())
    assert {check.requirement for check in checks.checks} == set(FLOWS)
    assert checks.uncovered == ()


def test_permit_promises_nothing_closed():
    checks = derive(build(mode="permit"))
    assert not [check for check in checks.checks if check.expected == "blocked"]
    assert checks.controls == {}


@pytest.mark.parametrize(
    "source, destination, ports",
    [
        ("stranger", "master", "1-21,23-65535"),
        ("stranger", "agent1", "1-21,23-65535"),
        ("laptop", "agent2", "1-21,23-65535"),
        ("laptop", "master", "1-21,23-8079,8081-65535"),
        ("agent1", "master", "1-21,23-8079,8081-65535"),
        # All ports are open from the master and between agents.
        ("master", "agent1", None),
        ("agent1", "agent2", None),
        # Nobody promises anything about hosts without a firewall of ours.
        ("stranger", "laptop", None),
        ("agent1", "laptop", None),
    ],
)
def test_negative_checks_of_the_demo(source, destination, ports):
    found = {
        check.family: _ports.format_ports(check.ports)
        for check in derive(build(mode="restrict")).checks
        if (check.requirement, check.source, check.destination) == ("restrict", source, destination)
    }
    assert found == ({} if ports is None else {"ipv4": ports, "ipv6": ports})


def negative(cluster, source, destination, family="ipv4"):
    (check,) = [
        check
        for check in derive(cluster).checks
        if check.expected == "blocked"
        and (check.source, check.destination, check.family) == (source, destination, family)
    ]
    return _ports.format_ports(check.ports)


def test_documented_ports_leave_the_rest_closed():
    cluster = build(mode="restrict", agent_ports="documented")
    assert negative(cluster, "agent1", "agent2") == "1-21,23-1023"
    assert negative(cluster, "master", "agent2", "ipv6") == "1-21,23-1023"


def test_an_outsider_inside_the_client_networks_may_reach_the_masters_port():
    cluster = build(mode="restrict", client_networks=["203.0.113.64/26"])
    checks = derive(cluster)
    assert pairs(checks, "master_from_clients") == [("laptop", "master"), ("stranger", "master")]
    assert pairs(checks, "master_from_clients", "ipv6") == [("laptop", "master")]
    assert negative(cluster, "stranger", "master") == "1-21,23-8079,8081-65535"
    assert negative(cluster, "stranger", "master", "ipv6") == "1-21,23-65535"
    assert negative(cluster, "stranger", "agent1") == "1-21,23-65535"


def test_a_host_partly_inside_a_network_has_neither_open_nor_blocked_checks():
    hosts = {**SMALL, "multihomed": (("outsiders",), ["203.0.113.70", "198.51.100.70"])}
    ways = [{"ports": 22, "networks": ["203.0.113.0/24"]}]
    cluster = build(hosts, mode="restrict", client_networks=["203.0.113.0/24"], management=ways)
    checks = derive(cluster)
    assert pairs(checks, "master_from_clients") == []
    assert negative(cluster, "multihomed", "master") == "1-21,23-8079,8081-65535"
    assert checks.controls["multihomed", "master", "ipv4"] == ()


def test_management_ports_are_never_expected_closed_where_they_are_granted():
    ways = [{"ports": "22,9090", "networks": ["203.0.113.40"]}]
    cluster = build(mode="restrict", management=ways)
    assert negative(cluster, "laptop", "agent1") == "1-21,23-9089,9091-65535"
    assert negative(cluster, "laptop", "agent1", "ipv6") == "1-65535"
    assert negative(cluster, "stranger", "agent1") == "1-65535"
    controls = derive(cluster).controls
    assert _ports.format_ports(controls["laptop", "agent1", "ipv4"]) == "22,9090"
    assert controls["stranger", "agent1", "ipv4"] == ()


def test_extra_rows_are_checked_both_ways():
    extra = [
        {"id": "metrics", "from": "networks", "to": "agents", "ports": 9100, "networks": ["203.0.113.64/26"]},
        {"id": "clock", "from": "agents", "to": "master", "ports": 123, "protocol": "udp"},
        {
            "id": "storage",
            "from": "agents",
            "to": "networks",
            "ports": 2049,
            "networks": ["198.51.100.128/25"],
        },
    ]
    cluster = build(mode="restrict", extra_requirements=extra)
    checks = derive(cluster)
    assert pairs(checks, "metrics") == [
        ("stranger", "agent1"),
        ("stranger", "agent2"),
        ("stranger", "agent3"),
    ]
    assert pairs(checks, "metrics", "ipv6") == []
    assert negative(cluster, "stranger", "agent1") == "1-21,23-9099,9101-65535"
    assert {check.protocol for check in checks.checks if check.requirement == "clock"} == {"udp"}
    # UDP opens nothing for TCP.
    assert negative(cluster, "agent1", "master") == "1-21,23-8079,8081-65535"
    assert checks.uncovered == (("storage", NOT_CHECKED.format("agents", "networks")),)


def test_rows_without_hosts_are_told():
    hosts = {"master": DEMO["master"], "agent1": DEMO["agent1"]}
    uncovered = dict(derive(build(hosts)).uncovered)
    assert uncovered["agents_from_agents"] == NOT_CHECKED.format("agents", "agents")
    assert uncovered["master_from_clients"] == NOT_CHECKED.format("clients", "master")
    assert "agents_from_master" not in uncovered


def test_hosts_without_a_negative_check_are_named():
    hosts = {"master": DEMO["master"], "agent1": DEMO["agent1"], "agent2": DEMO["agent2"]}
    told = [text for name, text in derive(build(hosts, mode="restrict")).uncovered if name == "restrict"]
    assert told == [
        "NOT verified for agent1, agent2: this run has no host whose connections they must drop; "
        "put one into the group determined_outsiders"
    ]
    assert "restrict" not in dict(derive(build(mode="restrict")).uncovered)
    assert "restrict" not in dict(derive(build(hosts)).uncovered)


def test_only_hosts_in_scope_take_part():
    checks = derive(build(mode="restrict"), ["master", "agent1"])
    assert {check.source for check in checks.checks} | {check.destination for check in checks.checks} == {
        "master",
        "agent1",
    }


def test_a_host_with_two_roles_never_checks_itself():
    hosts = {**SMALL, "master": (("master", "agents"), ["192.0.2.10"])}
    checks = derive(build(hosts, mode="restrict"))
    assert all(check.source != check.destination for check in checks.checks)
    assert ("agent1", "master") in pairs(checks, "agents_from_agents")
    # The host is an agent too, so every port is open to agents.
    assert not [check for check in checks.checks if check.expected == "blocked"]


def test_a_missing_family_is_not_checked():
    hosts = {**SMALL, "agent1": (("agents",), ["192.0.2.21", "2001:db8::21"])}
    checks = derive(build(hosts, mode="restrict"))
    assert {check.family for check in checks.checks} == {"ipv4"}


def many_agents(number, first=1):
    hosts = {f"agent{index}": (("agents",), [f"192.0.2.{index}"]) for index in range(first, first + number)}
    return build({"master": (("master",), ["198.51.100.1"]), **hosts}, mode="restrict", agent_ports="documented")


@pytest.mark.parametrize("number, most", [(10, 3), (40, 5), (100, 1)])
def test_a_sample_of_peers_covers_every_destination_equally(number, most):
    checks = derive(many_agents(number), max_peers=most, seed=7)
    found = pairs(checks, "agents_from_agents")
    assert set(Counter(source for source, _unused in found).values()) == {most}
    assert set(Counter(destination for _unused, destination in found).values()) == {most}
    assert len(found) == len(set(found)) == number * most
    assert len(pairs(checks, "agents_from_master")) == most


def test_a_sample_depends_on_its_seed_alone():
    one, same, other = (derive(many_agents(40), max_peers=3, seed=seed) for seed in (1, 1, 2))
    assert one == same
    assert pairs(one, "agents_from_agents") != pairs(other, "agents_from_agents")


@pytest.mark.parametrize("most", [0, 9, 20])
def test_enough_peers_are_all_pairs(most):
    found = pairs(derive(many_agents(10), max_peers=most), "agents_from_agents")
    assert len(set(found)) == len(found) == 90
