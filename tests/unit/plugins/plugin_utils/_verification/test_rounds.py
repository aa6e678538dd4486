# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a verification listens on and asks, round by round."""

import pytest
from ansible_collections.determined.network.plugins.module_utils import _ports, _socket_states
from ansible_collections.determined.network.plugins.plugin_utils._verification import checks as verification_checks
from ansible_collections.determined.network.plugins.plugin_utils._verification import rounds as verification_rounds
from ansible_collections.determined.network.plugins.plugin_utils._verification.checks import Pair
from ansible_collections.determined.network.plugins.plugin_utils._verification.observations import Knowledge

from tests.unit.plugins.plugin_utils.clusters import DEMO, SMALL, build

PAIR = Pair("agent1", "agent2", "192.0.2.22", "tcp")
ports = _ports.parse_ports


def derive(cluster):
    return verification_checks.derive_checks(
        cluster, verification_checks.Scope(frozenset(host.name for host in cluster.hosts))
    )


def listeners_of(cluster, host):
    return {
        (item["address"], item["protocol"]): item["ports"]
        for item in verification_rounds.first_listeners(derive(cluster)).get(host, [])
    }


ENDS = "1024,1734,1750,1765,12350,12355,12360,12365,12380,29400,29415,65535"


def test_listeners_stand_at_the_ends_of_every_documented_range():
    found = listeners_of(build(), "agent1")
    from_master = "2600,2899-2900,3199-3200,3499"
    expected = _ports.format_ports(_ports.union(ports(ENDS), ports(from_master)))
    assert found == {(address, "tcp"): expected for address in DEMO["agent1"][1]}
    assert listeners_of(build(), "master") == {(address, "tcp"): "8080" for address in DEMO["master"][1]}


def test_hosts_without_a_required_port_listen_nowhere():
    found = verification_rounds.first_listeners(derive(build(mode="restrict")))
    assert set(found) == {"master", "agent1", "agent2", "agent3"}


def test_listeners_of_extra_rows():
    extra = [
        {"id": "low", "from": "agents", "to": "master", "ports": 80},
        {"id": "low_range", "from": "agents", "to": "master", "ports": "500-600"},
        {"id": "clock", "from": "agents", "to": "master", "ports": 123, "protocol": "udp"},
        {"id": "media", "from": "agents", "to": "master", "ports": "20000-29999", "protocol": "udp"},
    ]
    found = listeners_of(build(SMALL, extra_requirements=extra), "master")
    # A single privileged port is worth a listener, the ends of a privileged range are not.
    assert found["192.0.2.10", "tcp"] == "80,8080"
    udp = ports(found["192.0.2.10", "udp"])
    assert _ports.count(udp) == 257
    assert _ports.contains(udp, 123) and _ports.contains(udp, 20000) and _ports.contains(udp, 29999)


def first_targets(cluster, options, started=None):
    return verification_rounds.first_round(derive(cluster), options, started or {}).targets


def target(targets, source, address):
    (found,) = [item for item in targets[source] if item["address"] == address]
    return found


STARTED = {
    "agent2": {
        "listening": [
            {"address": "192.0.2.22", "protocol": "tcp", "ports": "1734,1750,65535"},
            {"address": "198.51.100.9", "protocol": "tcp", "ports": "1024"},
        ],
        "listening_services": {"tcp": "22,55555"},
    }
}


def test_a_full_sweep_asks_every_port_once():
    targets = first_targets(build(SMALL), verification_rounds.Options("full"), STARTED)
    assert target(targets, "agent1", "192.0.2.22") == {
        "destination": "agent2",
        "address": "192.0.2.22",
        "protocol": "tcp",
        "ports": "1-65535",
        "identify": "1734,1750,65535",
    }
    assert target(targets, "agent1", "192.0.2.10")["ports"] == "8080"


def test_a_full_sweep_of_a_restricted_host_asks_what_is_open_and_what_is_closed():
    targets = first_targets(build(mode="restrict"), verification_rounds.Options("full"))

    def asked(source, address):
        return [item["ports"] for item in targets[source] if item["address"] == address]

    # What must be silent is a target of its own; 22 is a way of management, asked as a positive control.
    assert asked("stranger", "192.0.2.21") == ["1-21,23-65535", "22"]
    assert asked("laptop", "192.0.2.10") == ["22,8080", "1-21,23-8079,8081-65535"]
    assert asked("master", "192.0.2.21") == ["1-65535"]


def test_a_sample_holds_the_ends_the_services_and_a_random_part():
    options = verification_rounds.Options("sample", 64, 1)
    asked = ports(target(first_targets(build(SMALL), options, STARTED), "agent1", "192.0.2.22")["ports"])
    for number in (
        1,
        2,
        65534,
        65535,
        1023,
        1024,
        1025,
        1733,
        1734,
        1735,
        2599,
        2600,
        2901,
        12354,
        22,
        55555,
    ):
        assert _ports.contains(asked, number), number
    assert 100 < _ports.count(asked) < 200


def test_a_sample_depends_on_its_seed_and_is_the_same_for_all_sources():
    def asked(seed, source):
        return target(
            first_targets(build(SMALL), verification_rounds.Options("sample", 64, seed)), source, "192.0.2.22"
        )["ports"]

    assert asked(1, "agent1") == asked(1, "master") == asked(1, "agent1")
    assert asked(1, "agent1") != asked(2, "agent1")


@pytest.mark.parametrize("sweep", ["full", "sample"])
def test_no_port_of_a_pair_is_asked_twice_in_a_round(sweep):
    targets = first_targets(build(mode="restrict"), verification_rounds.Options(sweep))
    asked = {}
    for source, items in targets.items():
        for item in items:
            key = (source, item["address"], item["protocol"])
            assert _ports.intersect(asked.get(key, ()), ports(item["ports"])) == ()
            asked[key] = _ports.union(asked.get(key, ()), ports(item["ports"]))
    # In every pair of a restricted host something is asked that must answer.
    assert all(_ports.contains(found, 22) or key[0] == "master" for key, found in asked.items() if sweep == "sample")


CHECKS = verification_checks.Checks(
    (
        verification_checks.Check("row", "agent1", "agent2", "192.0.2.22", "ipv4", "tcp", ports("1024-65535"), "open"),
        verification_checks.Check(
            "restrict", "agent1", "agent2", "192.0.2.22", "ipv4", "tcp", ports("1-1023"), "blocked"
        ),
    ),
    (),
    {},
)


def again(asked=("1-65535",), checks=CHECKS, pair=PAIR, **known):
    classes = {name: ports(text) for name, text in known.items()}
    knowledge = Knowledge(**classes, states=dict.fromkeys(_socket_states.STATES, ()), asked=tuple(map(ports, asked)))
    return verification_rounds.later_round(checks, {pair: knowledge})


def asked_again(*arguments, **keywords):
    targets = again(*arguments, **keywords).targets
    return targets["agent1"][0]["ports"] if targets else ""


@pytest.mark.parametrize(
    "known, expected",
    [
        ({"reached": "1024-65535", "blocked": "1-1023"}, ""),
        ({"reached": "1024-65535", "blocked": "1-1022", "no_route": "1023"}, ""),
        ({"reached": "1024-65534", "blocked": "1-1023,65535"}, "65535"),
        ({"reached": "1023-65535", "blocked": "1-1022"}, "1023"),
        ({"reached": "1024-65000", "no_route": "65001"}, "65001"),
        ({"reached": "1024-65000", "impostor": "65001,80"}, "80,65001"),
        ({"reached": "1024-65000", "suspect": "65001,80"}, "80,65001"),
        ({"reached": "1024-65000", "failed": "65001,80"}, "80,65001"),
    ],
)
def test_only_what_differs_is_asked_again(known, expected):
    assert asked_again(**known) == expected


def test_behind_every_port_that_is_asked_again_a_listener_stands_and_is_identified():
    found = again(blocked="2000,3000-3001")
    assert found.listeners == {"agent2": [{"address": "192.0.2.22", "protocol": "tcp", "ports": "2000,3000-3001"}]}
    assert found.targets["agent1"][0]["identify"] == "2000,3000-3001"


@pytest.mark.parametrize(
    "asked, expected",
    [
        (["1-65535"], "2000"),
        (["1-65535", "2000"], "2000"),
        (["1-65535", "2000", "2000"], ""),
    ],
)
def test_a_port_that_differs_is_asked_three_times_in_all(asked, expected):
    assert asked_again(asked, blocked="2000") == expected
    assert asked_again(asked, suspect="2000") == expected


def test_suspects_are_still_asked_after_other_ports_had_their_turns():
    assert asked_again(["1-65535", "1024-31023", "31024-61023"], suspect="62000-65535") == "62000-65535"
    assert asked_again(["1-65535", "1024-31023", "31024-61023"], blocked="61024-65535") == ""


def test_a_path_that_is_cut_whole_is_asked_again_by_a_spread():
    spread = ports(asked_again(blocked="1024-65535"))
    assert _ports.count(spread) == verification_rounds.MOST_RETRIES
    assert spread[0][0] == 1024 and spread[-1][1] == 65535
    gaps = [after[0] - before[1] for before, after in zip(spread, spread[1:], strict=False)]
    assert max(gaps) - min(gaps) <= 1


def test_a_host_keeps_most_of_its_local_ports():
    everything = verification_checks.Checks((CHECKS.checks[0]._replace(ports=_ports.ALL_PORTS),), (), {})
    found = again(checks=everything, suspect="1-65535")
    asked = ports(found.targets["agent1"][0]["ports"])
    assert ports(found.listeners["agent2"][0]["ports"]) == asked
    assert asked[:2] == ((1, 255), (1024, 1279))
    assert _ports.count(_ports.intersect(asked, ports("32768-60999"))) <= 28232 / 3


def test_slices_take_every_port_in_the_end():
    left, rounds = _ports.ALL_PORTS, 0
    while left:
        left, rounds = _ports.subtract(left, verification_rounds._slice(left)), rounds + 1
    assert rounds == verification_rounds.SLICES


def test_two_sources_share_the_listeners():
    checks = verification_checks.Checks(
        tuple(CHECKS.checks[0]._replace(source=name) for name in ("agent1", "master")), (), {}
    )
    known = {
        PAIR._replace(source=name): Knowledge(suspect=ports(text), states={}, asked=(ports("1-65535"),))
        for name, text in (("agent1", "1024-31023"), ("master", "20000-40000"))
    }
    found = verification_rounds.later_round(checks, known)
    listening = ports(found.listeners["agent2"][0]["ports"])
    assert ports(found.targets["agent1"][0]["ports"]) == _ports.intersect(listening, ports("1024-31023"))
    assert ports(found.targets["master"][0]["ports"]) == _ports.intersect(listening, ports("20000-40000"))
    assert 9500 <= _ports.count(listening) <= 10500


def test_a_host_out_of_the_run_is_not_asked_again():
    assert verification_rounds.later_round(CHECKS, {}) == verification_rounds.Round({}, {})
