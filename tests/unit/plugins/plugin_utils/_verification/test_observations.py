# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What sockets saw -> what is proven: every class of knowledge, and how rounds add up."""

import pytest
from ansible_collections.determined.network.plugins.module_utils import _ports, _socket_states
from ansible_collections.determined.network.plugins.plugin_utils._verification import (
    observations as verification_observations,
)

ADDRESS = "192.0.2.21"
PAIR = verification_observations.Pair("src", "dst", ADDRESS, "tcp")
ports = _ports.parse_ports
CLASSES = ("reached", "blocked", "no_route", "impostor", "suspect", "failed")


def observation(**seen):
    return {**dict.fromkeys(_socket_states.STATES, ""), "resets_sent": 0, **seen}


def source(*observations, protocol="tcp", address=ADDRESS):
    target = {"destination": "dst", "address": address, "protocol": protocol}
    return {
        "answer": "line of src",
        "started": {"counters": {"tcp_resets_sent": 0}},
        "targets": [target] * len(observations),
        "probe": {"observations": list(observations)},
        "read": {"alive": True, "counters": {"tcp_resets_sent": 0}},
    }


def destination(listening="", held="", services="", resets=0, alive=True, protocol="tcp", **more):
    started = {"counters": {"tcp_resets_sent": 500}, "listening_services": {"tcp": services}}
    started["listening"] = [{"address": ADDRESS, "protocol": protocol, "ports": listening}] if listening else []
    started["held"] = [{"address": ADDRESS, "protocol": protocol, "ports": held}] if held else []
    read = {"alive": alive, "counters": {"tcp_resets_sent": 500 + resets}}
    return {"answer": "line of dst", "started": started, "targets": [], "probe": {}, "read": read, **more}


def conclude(seen, host, pair=PAIR):
    return verification_observations.conclude({"src": [source(seen, protocol=pair.protocol)], "dst": [host]})[pair]


def classes(knowledge):
    texts = {name: _ports.format_ports(getattr(knowledge, name)) for name in CLASSES}
    return {name: text for name, text in texts.items() if text}


BY_NAME = {"line of dst": "12355"}

CASES = {
    "a listener answers by its name": (
        observation(open="12355", answers=BY_NAME),
        destination(listening="12355"),
        {"reached": "12355"},
    ),
    "somebody else answers where the listener is": (
        observation(open="12355", answers={"line of other": "12355"}),
        destination(listening="12355"),
        {"impostor": "12355"},
    ),
    "a connection stands, but nobody says a name": (
        observation(open="12355", answers={"": "12355"}),
        destination(listening="12355"),
        {"suspect": "12355"},
    ),
    "the listener's port opens, but no line was read": (
        observation(open="12355"),
        destination(listening="12355"),
        {"suspect": "12355"},
    ),
    "a service holds the port and answers": (
        observation(open="8080"),
        destination(held="8080", services="22,8080"),
        {"reached": "8080"},
    ),
    "a service that we did not want to listen at answers": (
        observation(open="22"),
        destination(services="22"),
        {"reached": "22"},
    ),
    "a port opens where nothing listens": (
        observation(open="22"),
        destination(),
        {"suspect": "22"},
    ),
    "closed ports, and the destination's counter attests each reset": (
        observation(refused="1024-2047"),
        destination(resets=1024),
        {"reached": "1024-2047"},
    ),
    "more resets were sent than we saw: others talk to the host, too": (
        observation(refused="1024-2047"),
        destination(resets=2000),
        {"reached": "1024-2047"},
    ),
    "one reset too few: some of these are a firewall's": (
        observation(refused="1024-2047"),
        destination(resets=1023),
        {"suspect": "1024-2047"},
    ),
    "a reset where a listener stands is a firewall's": (
        observation(refused="1024-1030"),
        destination(listening="1024,1030", resets=5),
        {"reached": "1025-1029", "blocked": "1024,1030"},
    ),
    "a reset where a real service listens is a firewall's": (
        observation(refused="8080-8081"),
        destination(held="8080", services="8080", resets=100),
        {"reached": "8081", "blocked": "8080"},
    ),
    "a held port at which nothing listens resets by itself": (
        observation(refused="40000"),
        destination(held="40000", services="22", resets=1),
        {"reached": "40000"},
    ),
    "a service on another address only resets by itself": (
        observation(refused="631"),
        destination(services="631", resets=1),
        {"reached": "631"},
    ),
    "a reset after the listeners ended proves nothing against the path": (
        observation(refused="12355"),
        destination(listening="12355", alive=False, resets=1),
        {"reached": "12355"},
    ),
    "nothing came back, or an ICMP error": (
        observation(filtered="1-9", rejected="10-19", open="12355", answers=BY_NAME),
        destination(listening="12355"),
        {"reached": "12355", "blocked": "1-19"},
    ),
    "no route from the source": (
        observation(no_route="1-9"),
        destination(),
        {"no_route": "1-9"},
    ),
    "the question could not be asked": (
        observation(error="1-9", refused="10"),
        destination(resets=1),
        {"failed": "1-9", "reached": "10"},
    ),
}


@pytest.mark.parametrize("seen, host, expected", CASES.values(), ids=CASES)
def test_classes(seen, host, expected):
    knowledge = conclude(seen, host)
    assert classes(knowledge) == expected
    assert knowledge.changed == ()


@pytest.mark.parametrize(
    "host",
    [
        {"answer": "line of dst", "started": {}, "targets": [], "probe": {}, "read": {}},
        {
            "answer": "line of dst",
            "started": {"failed": True, "msg": "x"},
            "targets": [],
            "probe": {},
            "read": {},
        },
        destination(listening="12355", read={"failed": True}),
        None,
    ],
)
def test_a_destination_that_tells_nothing_proves_nothing(host):
    rounds = {"src": [source(observation(open="12355", refused="1", filtered="2", answers=BY_NAME))]}
    if host:
        rounds["dst"] = [host]
    knowledge = verification_observations.conclude(rounds)[PAIR]
    assert classes(knowledge) == {"failed": "1-2,12355"}
    assert knowledge.notes == ("dst did not tell what it saw, so nothing here is proven",)


@pytest.mark.parametrize("probe", [{}, None, {"failed": True, "msg": "x"}, {"observations": []}])
def test_a_probe_that_failed_leaves_its_pairs_unknown(probe):
    broken = {**source(observation(open="12355")), "probe": probe}
    assert verification_observations.conclude({"src": [broken], "dst": [destination()]}) == {}


def test_no_rounds_no_knowledge():
    assert verification_observations.conclude({}) == {}
    assert verification_observations.conclude({"src": [], "dst": []}) == {}


def test_resets_are_counted_over_all_sources():
    one = source(observation(refused="1-10"))
    rounds = {"src": [one], "other": [source(observation(refused="1-10"))], "dst": [destination(resets=19)]}
    known = verification_observations.conclude(rounds)
    assert classes(known[PAIR]) == {"suspect": "1-10"}
    rounds["dst"] = [destination(resets=20)]
    known = verification_observations.conclude(rounds)
    assert classes(known[PAIR]) == {"reached": "1-10"}
    assert classes(known[PAIR._replace(source="other")]) == {"reached": "1-10"}


def test_resets_of_the_destinations_own_probes_are_not_counted():
    own = {"targets": [{"destination": "src", "address": "192.0.2.9", "protocol": "tcp"}]}
    own["probe"] = {"observations": [observation(open="1-9", resets_sent=9)]}
    known = verification_observations.conclude(
        {"src": [source(observation(refused="1-10"))], "dst": [destination(resets=18, **own)]}
    )
    assert classes(known[PAIR]) == {"suspect": "1-10"}
    known = verification_observations.conclude(
        {"src": [source(observation(refused="1-10"))], "dst": [destination(resets=19, **own)]}
    )
    assert classes(known[PAIR]) == {"reached": "1-10"}


def test_udp():
    pair = PAIR._replace(protocol="udp")
    seen = observation(open="123", rejected="124", filtered="125", answers={"line of dst": "123"})
    knowledge = conclude(seen, destination(listening="123-125", protocol="udp"), pair)
    assert classes(knowledge) == {"reached": "123", "blocked": "124-125"}


@pytest.mark.parametrize(
    "seen, host, answered",
    [
        (observation(filtered="1"), destination(), False),
        (observation(filtered="1", echo={"answered": False}), destination(), False),
        (observation(filtered="1", echo={"answered": None}), destination(), False),
        (observation(filtered="1", echo={"answered": True}), destination(), True),
        (observation(filtered="1", refused="2"), destination(resets=1), True),
        (observation(filtered="1", refused="2"), destination(resets=0), False),
        (observation(filtered="1", open="12355", answers=BY_NAME), destination(listening="12355"), True),
    ],
)
def test_what_answered_is_a_positive_control(seen, host, answered):
    assert conclude(seen, host).answered is answered


@pytest.mark.parametrize(
    "host, lost", [(destination(listening="12355", alive=False), True), (destination(alive=False), False)]
)
def test_a_lost_listener_is_noticed(host, lost):
    assert conclude(observation(filtered="12355"), host).listener_lost is lost


def test_notes_tell_what_proves():
    seen = observation(
        open="22",
        refused="1-4,12355",
        rejected="5",
        error="6",
        rejections={"icmp 3/13 from 192.0.2.1": "5"},
        errors={"Too many open files": "6"},
    )
    knowledge = conclude(seen, destination(listening="12355", services="22", resets=4))
    assert knowledge.notes == (
        "a service of dst holds 22 and answered there",
        "4 closed ports were reset by dst itself, as its own counter shows",
        "a firewall reset 12355 although something listened there",
    )
    assert knowledge.reasons == {"icmp 3/13 from 192.0.2.1": ((5, 5),), "Too many open files": ((6, 6),)}
    assert conclude(observation(refused="1-4"), destination(resets=1)).notes == (
        "sources saw 4 resets, but dst certainly sent only 1: a firewall imitates resets",
    )


LISTENING = destination(listening="1-9")


def answered(ports):
    return observation(open=ports, answers={"line of dst": ports})


ROUNDS = {
    "a later round counts": (
        [observation(filtered="1-2"), observation(filtered="1-2")],
        {"blocked": "1-2"},
        "",
    ),
    "blocked, then reached": (
        [observation(filtered="1-2"), answered("1")],
        {"reached": "1", "blocked": "2"},
        "1",
    ),
    "no route, then reached": ([observation(no_route="1"), answered("1")], {"reached": "1"}, "1"),
    "reached, then blocked": (
        [answered("1-2"), observation(rejected="2")],
        {"reached": "1", "blocked": "2"},
        "2",
    ),
    "an impostor, then the host": (
        [observation(open="1", answers={"line of other": "1"}), answered("1")],
        {"reached": "1"},
        "1",
    ),
    "suspect, then explained, is no change of mind": (
        [observation(open="1"), answered("1")],
        {"reached": "1"},
        "",
    ),
    "suspect, then blocked, is none either": (
        [observation(open="1"), observation(refused="1")],
        {"blocked": "1"},
        "",
    ),
    "failed, then answered": ([observation(error="1"), answered("1")], {"reached": "1"}, ""),
    "a change of mind is remembered": (
        [observation(filtered="1"), answered("1"), answered("1")],
        {"reached": "1"},
        "1",
    ),
    "what was not asked again stays": (
        [observation(filtered="1-9"), observation(filtered="5")],
        {"blocked": "1-9"},
        "",
    ),
}


@pytest.mark.parametrize("seen, expected, changed", ROUNDS.values(), ids=ROUNDS)
def test_rounds_add_up(seen, expected, changed):
    rounds = {"src": [source(one) for one in seen], "dst": [LISTENING] * len(seen)}
    knowledge = verification_observations.conclude(rounds)[PAIR]
    assert classes(knowledge) == expected
    assert _ports.format_ports(knowledge.changed) == changed
    assert len(knowledge.asked) == len(seen)


def test_evidence_of_all_rounds_is_kept_once():
    first = observation(filtered="1-2", rejected="3-4", rejections={"icmp 3/10": "3-4"}, echo={"answered": True})
    second = observation(rejected="1,3", rejections={"icmp 3/13": "1,3"})
    lost = destination(listening="1-9", alive=False)
    rounds = {"src": [source(first), source(second)] * 2, "dst": [LISTENING, lost] * 2}
    knowledge = verification_observations.conclude(rounds)[PAIR]
    assert knowledge.echo is True
    assert knowledge.answered and knowledge.listener_lost
    # Of each port the last state and the last reason.
    assert _ports.format_ports(knowledge.states["rejected"]) == "1,3-4"
    assert _ports.format_ports(knowledge.states["filtered"]) == "2"
    assert knowledge.reasons == {"icmp 3/10": ports("4"), "icmp 3/13": ports("1,3")}
    assert len(knowledge.notes) == len(set(knowledge.notes))


def test_a_pair_that_was_not_asked_in_a_round_keeps_what_is_known():
    rounds = {"src": [source(observation(filtered="1")), source()], "dst": [LISTENING] * 2}
    assert classes(verification_observations.conclude(rounds)[PAIR]) == {"blocked": "1"}


def test_two_targets_of_a_pair_in_one_round_are_one_question():
    one = source(observation(filtered="1-9"), observation(refused="22"))
    knowledge = verification_observations.conclude({"src": [one], "dst": [destination(resets=1)]})[PAIR]
    assert classes(knowledge) == {"reached": "22", "blocked": "1-9"}
    assert knowledge.asked == (ports("1-9,22"),)
    assert knowledge.answered


@pytest.mark.parametrize("also", [{"refused_repeatedly": 3}, {"resets_received": 3}])
@pytest.mark.parametrize("resets, expected", [(12, {"suspect": "1-10"}), (13, {"reached": "1-10"})])
def test_resets_that_another_cause_explains_attest_nothing(also, resets, expected):
    assert classes(conclude(observation(refused="1-10", **also), destination(resets=resets))) == expected
