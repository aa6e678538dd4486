# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requirements laid over a cluster."""

import pytest
from ansible_collections.determined.network.plugins.module_utils import _ports
from ansible_collections.determined.network.plugins.plugin_utils import _flows
from ansible_collections.determined.network.plugins.plugin_utils._cluster import addresses, requirements

from tests.unit.plugins.plugin_utils.clusters import SMALL, build

SERVICES = [
    {"host": "registry.example.com", "ports": 443, "purpose": "registry"},
    {"host": "198.51.100.50", "ports": "80,443"},
    {"host": "2001:db8:9::/48", "ports": 9000, "purpose": "resource"},
]


def lines(flows):
    return [
        f"{flow.requirement.id}: {flow.source.name} -> {flow.destination.name} "
        f"{flow.protocol} {_ports.format_ports(flow.ports)}"
        for flow in flows.required
    ]


def test_every_row_of_the_table_with_its_default_ports():
    assert lines(_flows.derive_flows(build(services=SERVICES))) == [
        "registry_access: agents -> anywhere tcp 443",
        "resource_access: agents -> service_2 tcp 80,443",
        "resource_access: agents -> service_3 tcp 9000",
        "master_from_agents: agents -> master tcp 8080",
        "master_from_clients: clients -> master tcp 8080",
        "agents_from_master: master -> agents tcp 1-65535",
        "agents_to_services: agents -> anywhere tcp 443",
        "agents_to_services: agents -> service_2 tcp 80,443",
        "agents_to_services: agents -> service_3 tcp 9000",
        "agents_from_agents: agents -> agents tcp 1-65535",
        "trial_sync: agents -> agents tcp 1734,1750",
        "trial_ssh: agents -> agents tcp 12350",
        "gloo_rendezvous: agents -> agents tcp 12355",
        "gloo_ephemeral: agents -> agents tcp 1024-65535",
        "nccl_ephemeral: agents -> agents tcp 1024-65535",
        "intra_trial_ephemeral: agents -> agents tcp 1024-65535",
        "tensorboard: master -> agents tcp 2600-2900",
        "later_rendezvous: agents -> agents tcp 1734-1765",
        "later_trial_ssh: agents -> agents tcp 12350-12365",
        "later_trial_communication: agents -> agents tcp 12360-12380",
        "later_c10d: agents -> agents tcp 29400-29415",
        "later_tensorboard: master -> agents tcp 2600-2899",
        "later_notebook: master -> agents tcp 2900-3199",
        "later_shell: master -> agents tcp 3200-3499",
    ]


def ids_of_kind(kind):
    return {row.id for row in requirements.load_table().requirements if row.kind == kind}


def test_advice_becomes_no_flow_and_everything_else_does():
    derived = {flow.requirement.id for flow in _flows.derive_flows(build(services=SERVICES)).required}
    assert derived == ids_of_kind("flow") | ids_of_kind("internet")


@pytest.mark.parametrize(
    "options, row, ports",
    [
        ({"tls": True}, "master_from_agents", "8443"),
        ({"master_port": 9443}, "master_from_clients", "9443"),
        ({"agent_ports": "documented"}, "agents_from_master", "1024-65535"),
        ({"agent_ports": "documented"}, "agents_from_agents", "1024-65535"),
    ],
)
def test_settings_decide_ports(options, row, ports):
    (flow,) = [flow for flow in _flows.derive_flows(build(**options)).required if flow.requirement.id == row]
    assert _ports.format_ports(flow.ports) == ports


def test_extra_rows_do_not_widen_documented_ports():
    extra = [{"id": "low", "from": "agents", "to": "agents", "ports": 80, "part_of": "agents_from_agents"}]
    flows = _flows.derive_flows(build(agent_ports="documented", extra_requirements=extra))
    by_id = {flow.requirement.id: _ports.format_ports(flow.ports) for flow in flows.required}
    assert (by_id["agents_from_agents"], by_id["low"]) == ("1024-65535", "80")


def test_peers_hold_every_address_of_a_role_and_clients_the_networks_too():
    flows = _flows.derive_flows(build(client_networks=["203.0.113.0/26", "2001:db8:5::/48"]))
    peers = {flow.source.name: flow.source for flow in flows.required}
    assert peers["agents"] == _flows.Peers(
        "agents",
        ("agent1", "agent2", "agent3"),
        {
            "ipv4": ("192.0.2.21", "192.0.2.22", "198.51.100.23"),
            "ipv6": ("2001:db8:1::21", "2001:db8:1::22", "2001:db8:2::23"),
        },
    )
    # laptop's 203.0.113.40 lies in the network, its IPv6 address in none.
    assert peers["clients"].addresses == {
        "ipv4": ("203.0.113.0/26",),
        "ipv6": ("2001:db8:4::40", "2001:db8:5::/48"),
    }


def test_extra_rows_with_networks():
    extra = [
        {
            "id": "metrics",
            "from": "networks",
            "to": "agents",
            "ports": 9100,
            "networks": ["198.51.100.64/26"],
        },
        {
            "id": "storage",
            "from": "agents",
            "to": "networks",
            "ports": "2049",
            "networks": ["192.0.2.128/25"],
        },
        {"id": "clock", "from": "agents", "to": "master", "ports": 123, "protocol": "udp"},
    ]
    flows = _flows.derive_flows(build(extra_requirements=extra))
    found = {flow.requirement.id: flow for flow in flows.required}
    assert found["metrics"].source.addresses["ipv4"] == ("198.51.100.64/26",)
    assert found["storage"].destination.addresses["ipv4"] == ("192.0.2.128/25",)
    assert found["metrics"].source.name != found["storage"].destination.name
    assert found["clock"].protocol == "udp"
    # They come after the rows of the table, in the user's order.
    assert [flow.requirement.id for flow in flows.required][-3:] == ["metrics", "storage", "clock"]


def test_management_ways_are_peers_of_their_own():
    ways = [{"ports": "22"}, {"ports": "9090", "networks": ["192.0.2.0/28"]}]
    assert _flows.derive_flows(build(management=ways)).management == (
        (_flows.Peers("management_1", (), addresses.ANYWHERE), ((22, 22),)),
        (_flows.Peers("management_2", (), {"ipv4": ("192.0.2.0/28",), "ipv6": ()}), ((9090, 9090),)),
    )


def test_a_peers_name_means_one_thing():
    extra = [
        {
            "id": f"row{number}",
            "from": "networks",
            "to": "agents",
            "ports": number,
            "networks": [f"192.0.2.{number}"],
        }
        for number in range(1, 30)
    ]
    flows = _flows.derive_flows(build(services=SERVICES, extra_requirements=extra))
    meanings = {}
    for flow in flows.required:
        for peers in (flow.source, flow.destination):
            assert meanings.setdefault(peers.name, peers) == peers


def test_a_host_with_two_roles_is_in_both_peers():
    hosts = {**SMALL, "master": (("master", "agents"), ["192.0.2.10"])}
    flows = _flows.derive_flows(build(hosts))
    (peers,) = {flow.source.hosts for flow in flows.required if flow.source.name == "agents"}
    assert peers == ("master", "agent1", "agent2")
