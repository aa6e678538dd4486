# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole verifications, played on a simulated network: the report finds exactly what is wrong."""

import json

import pytest
from ansible_collections.determined.network.plugins.module_utils import _ports
from ansible_collections.determined.network.plugins.plugin_utils._verification import checks
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.plugins.plugin_utils.clusters import SMALL, build
from tests.unit.plugins.plugin_utils.inventories import CHECKED
from tests.unit.plugins.plugin_utils.simulated_network import MOST_ROUNDS, Network, Path, play

ALL = _ports.ALL_PORTS
MIXED = {
    "master": (("master",), ["192.0.2.10", "2001:db8::10"]),
    "agent1": (("agents",), ["192.0.2.21", "2001:db8::21"]),
    "agent2": (("agents",), ["192.0.2.22"]),
    "laptop": (("clients",), ["203.0.113.40"]),
    "stranger": (("outsiders",), ["203.0.113.66"]),
}


def ports(text):
    return _ports.parse_ports(text)


def firewall(cluster, how="dropped"):
    """The paths that a right firewall gives: what no row permits is dropped (or rejected, or imitated)."""
    hosts = frozenset(host.name for host in cluster.hosts)
    return {
        (check.source, check.address, "tcp"): Path(**{how: check.ports})
        for check in checks.derive_checks(cluster, checks.Scope(hosts)).checks
        if check.expected == "blocked"
    }


def cells(played, verdict):
    return [cell for cell in played.report["checks"] if cell["verdict"] == verdict]


def wrong_cells(played):
    """(requirement, source, destination, family) -> its wrong ports."""
    return {
        (cell["requirement"], cell["source"], cell["destination"], cell["family"]): cell["wrong_ports"]
        for cell in cells(played, "wrong")
    }


@pytest.mark.parametrize("mode", ["permit", "restrict"])
@pytest.mark.parametrize("agent_ports", ["all", "documented"])
@pytest.mark.parametrize("sweep", ["full", "sample"])
def test_a_right_network_is_all_correct_after_one_round(mode, agent_ports, sweep):
    cluster = build(mode=mode, agent_ports=agent_ports)
    services = {"master": ports("22,8080"), "agent1": ports("22")}
    played = play(Network(cluster, firewall(cluster), services), sweep=sweep)
    assert cells(played, "correct") == played.report["checks"]
    assert len(played.rounds["master"]) == 1
    assert not played.remaining


@pytest.mark.parametrize("how", ["dropped", "rejected", "imitated"])
def test_however_a_firewall_refuses_what_must_be_closed_is_closed(how):
    cluster = build(SMALL | {"stranger": (("outsiders",), ["203.0.113.66"])}, mode="restrict")
    played = play(Network(cluster, firewall(cluster, how), {"master": ports("8080"), "agent1": ports("22")}))
    # Nothing else that is permitted answers without a reset or an echo, so this is all known.
    assert cells(played, "correct") == [cell for cell in played.report["checks"] if cell["verdict"] != "advice"]
    assert not played.remaining


HOLES = "1024,5000-5001,10001,12355,33333,40000-40010,65535"


@pytest.mark.parametrize("how", ["dropped", "rejected", "imitated", "no_route", "impostor"])
def test_planted_holes_are_found_exactly(how):
    cluster = build(SMALL, agent_ports="documented")
    network = Network(cluster, {("agent1", "192.0.2.22", "tcp"): Path(**{how: ports(HOLES)})})
    played = play(network)
    wrong = wrong_cells(played)
    assert {key[1:3] for key in wrong} == {("agent1", "agent2")}
    assert wrong["agents_from_agents", "agent1", "agent2", "ipv4"] == HOLES
    assert wrong["gloo_ephemeral", "agent1", "agent2", "ipv4"] == HOLES
    assert wrong["gloo_rendezvous", "agent1", "agent2", "ipv4"] == "12355"
    assert ("trial_sync", "agent1", "agent2", "ipv4") not in wrong
    assert not cells(played, "error")
    assert not played.remaining


def test_one_port_too_many_is_found():
    cluster = build(mode="restrict")
    paths = firewall(cluster)
    paths["stranger", "192.0.2.21", "tcp"] = Path(dropped=_ports.subtract(ALL, ports("22,6379")))
    played = play(Network(cluster, paths))
    assert wrong_cells(played) == {("restrict", "stranger", "agent1", "ipv4"): "6379"}


def test_a_path_that_is_cut_whole_is_wrong_everywhere_and_not_asked_for_ever():
    cluster = build(SMALL)
    played = play(Network(cluster, {("agent1", "192.0.2.22", "tcp"): Path(dropped=ALL, echo=False)}))
    wrong = wrong_cells(played)
    assert wrong["agents_from_agents", "agent1", "agent2", "ipv4"] == "1-65535"
    assert len(played.rounds["agent1"]) == 3
    (target,) = played.rounds["agent1"][1]["targets"]
    assert _ports.count(ports(target["ports"])) == 1024


def test_a_dead_path_proves_no_firewall():
    cluster = build(
        SMALL | {"stranger": (("outsiders",), ["203.0.113.66"])},
        mode="restrict",
        management=[{"ports": 22, "networks": ["192.0.2.0/24"]}],
    )
    paths = firewall(cluster)
    paths["stranger", "192.0.2.22", "tcp"] = Path(dropped=ALL, echo=False)
    played = play(Network(cluster, paths))
    (cell,) = cells(played, "error")
    assert (cell["source"], cell["destination"], cell["observed"]) == ("stranger", "agent2", "unknown")
    assert "without a positive control, the path itself may be broken" in cell["evidence"]


def test_a_path_that_opens_late_is_flaky():
    cluster = build(SMALL)
    cut = [Path(dropped=ports("12355")), Path()]
    played = play(Network(cluster, {("agent1", "192.0.2.22", "tcp"): cut}))
    flaky = {(cell["requirement"], cell["source"], cell["destination"]) for cell in cells(played, "flaky")}
    assert ("gloo_rendezvous", "agent1", "agent2") in flaky
    assert {key[1:] for key in flaky} == {("agent1", "agent2")}
    assert not cells(played, "wrong")


def test_imitated_resets_at_a_real_services_port_are_wrong():
    cluster = build(SMALL)
    network = Network(
        cluster, {("agent1", "192.0.2.10", "tcp"): Path(imitated=ports("8080"))}, {"master": ports("8080")}
    )
    (cell,) = cells(play(network), "wrong")
    assert (cell["requirement"], cell["wrong_ports"], cell["observed"]) == (
        "master_from_agents",
        "8080",
        "refused",
    )


def test_what_nobody_can_listen_at_stays_without_an_answer():
    cluster = build(SMALL)
    paths = {("agent1", "192.0.2.22", "tcp"): Path(imitated=ports("80"))}
    played = play(Network(cluster, paths, unbindable=ports("1-1023")))
    assert not cells(played, "wrong")
    broken = {(cell["requirement"], cell["source"], cell["destination"]) for cell in cells(played, "error")}
    # Every reset of agent2 below 1024 is in doubt, whoever saw it.
    assert broken == {("agents_from_agents", "agent1", "agent2"), ("agents_from_master", "master", "agent2")}
    assert not played.remaining


def test_a_host_out_of_the_run_is_never_called_blocked():
    cluster = build(mode="restrict")
    played = play(Network(cluster, firewall(cluster)), hosts=["master", "agent1"])
    assert {cell["verdict"] for cell in played.report["checks"]} == {"correct", "advice"}


def test_udp_rows():
    extra = [
        {"id": "clock", "from": "agents", "to": "master", "ports": 123, "protocol": "udp"},
        {"id": "media", "from": "agents", "to": "agents", "ports": "20000-29999", "protocol": "udp"},
    ]
    cluster = build(SMALL, extra_requirements=extra)
    assert not cells(play(Network(cluster)), "wrong")
    paths = {
        ("agent1", "192.0.2.10", "udp"): Path(dropped=ALL),
        ("agent2", "192.0.2.21", "udp"): Path(dropped=ports("20000")),
    }
    wrong = wrong_cells(play(Network(cluster, paths)))
    assert wrong == {
        ("clock", "agent1", "master", "ipv4"): "123",
        ("media", "agent2", "agent1", "ipv4"): "20000",
    }


def test_a_sample_stays_within_its_size():
    cluster = build(SMALL)
    played = play(Network(cluster), sweep="sample", sample_size=64)
    for results in played.rounds.values():
        for target in results[0]["targets"]:
            number = _ports.count(ports(target["ports"]))
            assert 64 <= number < 250 if target["destination"] != "master" else number == 1


# --- any truth at all -------------------------------------------------------------------------------

port_sets = st.lists(
    st.one_of(
        st.integers(1, 65535).map(lambda number: (number, number)),
        st.tuples(st.integers(1, 65535), st.integers(0, 3000)).map(lambda pair: (pair[0], min(sum(pair), 65535))),
        st.sampled_from([(1, 65535), (1024, 65535), (1, 1023), (22, 22), (8080, 8080), (12355, 12355)]),
    ),
    max_size=3,
).map(_ports.normalize)


@st.composite
def paths(draw):
    taken, fates = (), {}
    for name in draw(st.permutations(["dropped", "rejected", "imitated", "impostor"])):
        fates[name] = _ports.subtract(draw(port_sets), taken)
        taken = _ports.union(taken, fates[name])
    return Path(**fates, echo=draw(st.booleans()))


KEYS = [
    (source, address, "tcp")
    for source, (_unused, own) in MIXED.items()
    for _unused, (_unused, addresses) in MIXED.items()
    for address in addresses
    if address not in own and any((":" in address) == (":" in mine) for mine in own)
]


@st.composite
def networks(draw):
    mode = draw(st.sampled_from(["permit", "restrict"]))
    cluster = build(MIXED, mode=mode, agent_ports=draw(st.sampled_from(["all", "documented"])))
    truth = firewall(cluster, draw(st.sampled_from(["dropped", "rejected", "imitated"]))) if draw(st.booleans()) else {}
    truth.update(draw(st.dictionaries(st.sampled_from(KEYS), paths(), max_size=4)))
    impostors = _ports.union(*[path.impostor for path in truth.values()])
    services = {host: _ports.subtract(draw(port_sets), impostors) for host in ("master", "agent1")}
    return Network(cluster, truth, services)


def expected_verdict(cell, network, played):
    """What a report must say of a cell: computed from the truth, not from what was observed."""
    asked = _ports.union(
        *[
            ports(target["ports"])
            for result in played.rounds[cell["source"]]
            for target in result["targets"]
            if (target["address"], target["protocol"]) == (cell["address"], cell["protocol"])
        ]
    )
    path = network.path(cell["source"], cell["address"], cell["protocol"])
    mine = _ports.intersect(ports(cell["ports"]), asked)
    if cell["expected"] == "open":
        wrong = _ports.intersect(mine, path.closed())
        return ("wrong", _ports.format_ports(wrong)) if wrong else ("correct", "")
    wrong = _ports.subtract(mine, _ports.subtract(path.closed(), path.impostor))
    if wrong:
        return "wrong", _ports.format_ports(wrong)
    controlled = path.echo or _ports.subtract(asked, path.closed())
    return ("correct", "") if controlled else ("error", "")


@settings(max_examples=25, **CHECKED, suppress_health_check=list(HealthCheck))
@given(networks(), st.sampled_from(["full", "sample"]))
def test_the_report_finds_exactly_what_is_wrong(network, sweep):
    played = play(network, sweep=sweep)
    assert not played.remaining
    assert len(played.rounds["master"]) <= MOST_ROUNDS
    for cell in played.report["checks"]:
        if cell["verdict"] != "advice":
            found = (cell["verdict"], cell["wrong_ports"])
            assert found == expected_verdict(cell, network, played), json.dumps(cell)
