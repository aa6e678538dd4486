# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What outsiders attack: only what must be closed to them, at ports that nothing of the cluster uses."""

import pytest
from ansible_collections.determined.network.plugins.module_utils import _ports
from ansible_collections.determined.network.plugins.plugin_utils._cluster import requirements
from ansible_collections.determined.network.plugins.plugin_utils._verification import attack_checks, steps

from tests.unit.plugins.plugin_utils.clusters import DEMO, build

RUN = {
    "hosts": list(DEMO),
    "sweep": "sample",
    "seed": 7,
    "sample_size": 8,
    "max_peers": 0,
    "token": "t",
    "attack": True,
}
VICTIMS = ["agent1", "agent2", "agent3", "master"]


def plan(cluster, found=None, held=(), forward=None, **run):
    """The plan, if every listener of the run could be started except at some ports."""
    run = {**RUN, **run}
    data = cluster.to_dict()
    started = {
        host: {
            "held": [],
            "listening_services": {"tcp": ""},
            "counters": {"tcp_resets_sent": 0},
            "listening": [
                {**one, "ports": _ports.format_ports(_ports.subtract(_ports.parse_ports(one["ports"]), held))}
                for one in listeners
            ],
        }
        for host, listeners in steps.first_listeners(data, run).items()
    }
    return steps.attack_plan(data, run, started, found or {}, forward)


def test_an_outsider_attacks_each_address_of_master_and_agents():
    found = plan(build(mode="restrict"))
    assert found["hosts"] == VICTIMS and set(found["targets"]) == {"stranger"}
    assert [target["address"] for target in found["targets"]["stranger"]] == [
        address for name in VICTIMS for address in DEMO[name][1]
    ]


@pytest.mark.parametrize("options, run", [({}, {}), ({"mode": "restrict"}, {"attack": False})])
def test_without_restrict_or_attacks_nobody_is_attacked_and_nothing_more_listens(options, run):
    cluster = build(**options)
    assert plan(cluster, **run)["targets"] == {} and plan(cluster, **run)["hosts"] == []
    without = {**RUN, "attack": False}
    assert steps.first_listeners(cluster.to_dict(), {**RUN, **run}) == steps.first_listeners(cluster.to_dict(), without)


@pytest.mark.parametrize("seed", range(20))
def test_no_row_of_the_table_names_an_attacked_port(seed):
    found = plan(build(mode="restrict"), seed=seed)
    named = _ports.union(
        *[
            _ports.parse_ports(row.ports)
            for row in requirements.load_table().requirements
            if row.ports not in requirements.PORT_SETTINGS
            and row.ports
            and _ports.count(_ports.parse_ports(row.ports)) < 9999
        ]
    )
    for target in found["targets"]["stranger"]:
        attacked = [target["tcp_port"], *(one["port"] for one in target["forged"] + target["datagrams"])]
        assert all(port >= 61000 and not _ports.contains(named, port) for port in attacked), target


def test_a_held_port_is_replaced():
    cluster = build(mode="restrict")
    first = plan(cluster)
    second = plan(cluster, held=((first["port"], first["port"]),))
    assert second["targets"]["stranger"][0]["tcp_port"] not in (0, first["port"])


def test_a_port_that_is_permitted_to_the_outsider_is_not_attacked():
    rows = [{"id": "all", "from": "networks", "networks": ["203.0.113.0/24"], "to": "agents", "ports": "1024-65535"}]
    rows.append({**rows[0], "id": "udp", "protocol": "udp"})
    found = plan(build(mode="restrict", extra_requirements=rows))
    by_address = {target["address"]: target for target in found["targets"]["stranger"]}
    assert by_address["192.0.2.21"]["tcp_port"] < 1024
    assert by_address["192.0.2.21"]["datagrams"] == []
    assert by_address["2001:db8:1::21"]["tcp_port"] >= 61000


def test_a_forged_source_is_tried_where_the_address_itself_is_permitted():
    rows = [{"id": "sync", "from": "agents", "to": "agents", "protocol": "udp", "ports": "4801"}]
    found = plan(build(mode="restrict", extra_requirements=rows))
    by_address = {target["address"]: target for target in found["targets"]["stranger"]}
    forged = [one["port"] for one in by_address["192.0.2.21"]["forged"]]
    assert forged[0] == 4801 and len(forged) == 2
    assert [one["port"] for one in by_address["192.0.2.10"]["forged"]] == forged[1:]
    assert 4801 in [one["port"] for one in by_address["192.0.2.21"]["datagrams"]]


def test_a_container_is_attacked_in_its_family():
    networks = [{"interface": "br-1", "network": "172.30.0.0/16", "containers": ["172.30.0.2"]}]
    networks += [{"interface": "br-1", "network": "2001:db8:c::/64", "containers": ["2001:db8:c::2"]}]
    found = plan(build(mode="restrict"), {"agent1": {"networks": networks}, "agent2": {"failed": True}})
    tried = {target["address"]: target["containers"] for target in found["targets"]["stranger"] if target["containers"]}
    assert tried == {"192.0.2.21": ["172.30.0.2"], "2001:db8:1::21": ["2001:db8:c::2"]}


def test_every_datagram_has_its_own_mark():
    hosts = {**DEMO, "other": (("outsiders",), ["203.0.113.67"])}
    found = plan(build(hosts, mode="restrict"), hosts=list(hosts))
    marks = [
        one["mark"]
        for some in found["targets"].values()
        for target in some
        for one in target["forged"] + target["datagrams"]
    ]
    assert len(marks) == len(set(marks)) > 20
    assert not set(marks) & {
        one["mark"]
        for target in plan(build(mode="restrict"), token="u")["targets"]["stranger"]
        for one in target["datagrams"]
    }
    assert attack_checks.ATTACKS == ("attack_connection", "attack_container", "attack_source", "attack_udp")


@pytest.mark.parametrize(
    "entry, tried",
    [
        ({"from": ["203.0.113.0/24"], "to": ["172.30.0.0/16"]}, []),
        ({"from": ["0.0.0.0/0"], "to": ["172.30.0.2"]}, []),
        ({"from": ["198.51.100.0/24"], "to": ["172.30.0.0/16"]}, ["172.30.0.2"]),
        ({"from": ["203.0.113.0/24"], "to": ["172.31.0.0/16"]}, ["172.30.0.2"]),
        ({"from": "198.51.100.0/24, 203.0.113.0/24", "to": "172.30.0.0/16"}, []),
    ],
)
def test_a_container_to_which_the_outsider_is_forwarded_is_not_attacked(entry, tried):
    networks = [{"interface": "br-1", "network": "172.30.0.0/16", "containers": ["172.30.0.2"]}]
    found = plan(build(mode="restrict"), {"agent1": {"networks": networks}}, forward={"agent1": [entry], "agent2": []})
    (containers,) = [
        target["containers"] for target in found["targets"]["stranger"] if target["address"] == "192.0.2.21"
    ]
    assert containers == tried


@pytest.mark.parametrize("entry", [{"from": ["203.0.113.0/24"]}, {"from": 7, "to": []}, {"from": ["x"], "to": []}, "x"])
def test_forwarding_that_cannot_be_read_names_its_host(entry):
    with pytest.raises(ValueError, match="determined_firewall_forward of agent1 cannot be read"):
        plan(build(mode="restrict"), forward={"agent1": [entry]})
