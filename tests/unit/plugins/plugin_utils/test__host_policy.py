# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one host must let in and out. The policies of the demo's cluster stand in data/policies-demo.json."""

import json
from pathlib import Path

import pytest
from ansible_collections.determined.network.plugins.module_utils import _ports
from ansible_collections.determined.network.plugins.module_utils._policy import HostPolicy
from ansible_collections.determined.network.plugins.plugin_utils import _host_policy

from tests.unit.plugins.plugin_utils.clusters import DEMO, SMALL, build

DATA = Path(__file__).resolve().parents[2] / "data"
SERVICES = [
    {"host": "registry.example.com", "ports": 443, "purpose": "registry"},
    {"host": "198.51.100.50", "ports": "80,443"},
]


def rules(policy, direction):
    return [
        f"{rule.protocol} {_ports.format_ports(rule.ports)} {rule.peers}: {' '.join(rule.requirements)}"
        for rule in getattr(policy, direction)
    ]


def policy_of(host, hosts=None, **options):
    return _host_policy.derive_policies(build(hosts, **options)).of(host)


def test_golden_policies_of_the_demo():
    derived = _host_policy.derive_policies(build(mode="restrict", services=SERVICES))
    found = {host: derived.of(host).to_dict() for host in derived.by_host if host in ("master", "agent1")}
    assert found == json.loads((DATA / "policies-demo.json").read_text(encoding="utf-8"))


def test_only_masters_and_agents_have_a_policy():
    derived = _host_policy.derive_policies(build())
    assert derived.by_host == {"master": "master", "agent1": "agents", "agent2": "agents", "agent3": "agents"}
    with pytest.raises(KeyError):
        derived.of("laptop")


TO_AGENTS = "tcp 1-65535 agents: agents_from_agents"


@pytest.mark.parametrize(
    "host, options, inbound, outbound",
    [
        (
            "master",
            {},
            ["tcp 8080 agents: master_from_agents", "tcp 8080 clients: master_from_clients"],
            ["tcp 1-65535 agents: agents_from_master"],
        ),
        (
            "master",
            {"tls": True, "agent_ports": "documented"},
            ["tcp 8443 agents: master_from_agents", "tcp 8443 clients: master_from_clients"],
            ["tcp 1024-65535 agents: agents_from_master"],
        ),
        (
            "agent1",
            {},
            ["tcp 1-65535 master: agents_from_master", TO_AGENTS],
            ["tcp 8080 master: master_from_agents", TO_AGENTS],
        ),
        (
            "agent1",
            {"agent_ports": "documented", "services": SERVICES},
            ["tcp 1024-65535 master: agents_from_master", "tcp 1024-65535 agents: agents_from_agents"],
            [
                "tcp 443 anywhere: registry_access agents_to_services",
                "tcp 80,443 service_2: resource_access agents_to_services",
                "tcp 8080 master: master_from_agents",
                "tcp 1024-65535 agents: agents_from_agents",
            ],
        ),
    ],
)
def test_rules(host, options, inbound, outbound):
    policy = policy_of(host, **options)
    assert rules(policy, "inbound") == inbound
    assert rules(policy, "outbound") == outbound


def test_a_host_with_two_roles_has_the_rules_of_both():
    hosts = {**SMALL, "master": (("master", "agents"), ["192.0.2.10"])}
    derived = _host_policy.derive_policies(build(hosts))
    assert derived.by_host == {"master": "master+agents", "agent1": "agents", "agent2": "agents"}
    assert rules(derived.of("master"), "inbound") == [
        "tcp 1-65535 agents: master_from_agents agents_from_agents",
        "tcp 1-65535 master: agents_from_master",
    ]
    assert derived.of("master").peers["agents"]["ipv4"] == ("192.0.2.10", "192.0.2.21", "192.0.2.22")


def test_nobody_at_the_other_end_gives_no_rule():
    assert not [rule for rule in policy_of("master", SMALL).inbound if rule.peers == "clients"]
    assert "clients" not in policy_of("master", SMALL).peers
    with_network = policy_of("master", SMALL, client_networks=["203.0.113.0/24"])
    assert "tcp 8080 clients: master_from_clients" in rules(with_network, "inbound")


EXTRA = [
    {"id": "metrics", "from": "networks", "to": "agents", "ports": 9100, "networks": ["198.51.100.64/26"]},
    {"id": "storage", "from": "agents", "to": "networks", "ports": 2049, "networks": ["192.0.2.128/25"]},
    {"id": "clock", "from": "agents", "to": "master", "ports": 123, "protocol": "udp"},
    {"id": "low", "from": "agents", "to": "agents", "ports": "80,2000", "part_of": "agents_from_agents"},
    {"id": "inside", "from": "agents", "to": "agents", "ports": 5678, "part_of": "agents_from_agents"},
    {"id": "admin", "from": "clients", "to": "agents", "ports": 8888},
]


def test_extra_rows():
    agent = policy_of("agent1", agent_ports="documented", extra_requirements=EXTRA)
    assert rules(agent, "inbound") == [
        "tcp 1024-65535 master: agents_from_master",
        "tcp 80,1024-65535 agents: agents_from_agents low",
        "tcp 9100 networks_24: metrics",
        "tcp 8888 clients: admin",
    ]
    assert rules(agent, "outbound") == [
        "tcp 8080 master: master_from_agents",
        "tcp 80,1024-65535 agents: agents_from_agents low",
        "tcp 2049 networks_25: storage",
        "udp 123 master: clock",
    ]
    assert agent.peers["networks_24"] == {"ipv4": ("198.51.100.64/26",), "ipv6": ()}
    master = policy_of("master", extra_requirements=EXTRA)
    assert "udp 123 agents: clock" in rules(master, "inbound")


def test_management_is_neither_required_nor_dropped():
    policy = policy_of("agent1", management=[{"ports": "22,9090", "networks": ["192.0.2.0/28"]}])
    assert rules(policy, "management") == ["tcp 22,9090 management_1: management"]
    assert policy.peers["management_1"] == {"ipv4": ("192.0.2.0/28",), "ipv6": ()}


def test_a_policy_names_the_peers_that_its_rules_use_and_no_others():
    derived = _host_policy.derive_policies(build(services=SERVICES, extra_requirements=EXTRA))
    for policy in derived.policies.values():
        used = {rule.peers for rule in (*policy.inbound, *policy.outbound, *policy.management)}
        assert set(policy.peers) == used


@pytest.mark.parametrize("mode", ["permit", "restrict"])
def test_what_is_derived_is_what_a_host_accepts(mode):
    derived = _host_policy.derive_policies(build(mode=mode, services=SERVICES, extra_requirements=EXTRA))
    for host in derived.by_host:
        policy = derived.of(host)
        assert policy.mode == mode
        assert HostPolicy.from_dict(json.loads(json.dumps(policy.to_dict()))) == policy


def test_the_order_of_hosts_changes_nothing():
    reversed_hosts = dict(reversed(DEMO.items()))
    one, other = (_host_policy.derive_policies(build(hosts)) for hosts in (DEMO, reversed_hosts))
    assert one.policies == other.policies
