# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts answer in a trace: read by its schema, and refused for the whole host if it is malformed."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.determined.network.plugins.module_utils import _ports
from ansible_collections.determined.network.plugins.plugin_utils._verification import (
    results_traces,
    steps,
    stops,
    traces,
)
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.plugins.plugin_utils.clusters import SMALL, build
from tests.unit.plugins.plugin_utils.simulated_network import Network, Path, play

from .trace_views import packet

SIGHTING = {
    "number": 0,
    "part": "syn",
    "way": "in",
    "interface": "eth0",
    "source": "192.0.2.21",
    "source_port": 40000,
    "destination": "192.0.2.22",
    "destination_port": 1734,
    "hop_limit": 64,
    "about": [0, 0],
    "milliseconds": 1.5,
    "times": 3,
}
EVENT = {
    "number": 0,
    "part": "syn",
    "packet": 99,
    "family": "ip",
    "table": "filter",
    "chain": "INPUT",
    "what": "rule",
    "handle": 7,
    "verdict": "drop",
    "target": "",
}
RULE = {
    "family": "ip",
    "table_family": "ip",
    "table": "filter",
    "chain": "INPUT",
    "handle": 7,
    "position": 1,
    "program": "iptables-nft",
    "text": "-A INPUT -j DROP",
}
LEGACY = {"family": "ip", "table": "filter", "chain": "INPUT", "position": 1, "rule": "-A INPUT -j DROP", "packets": 3}
ANSWER = {
    "started": {"changed": False, "problem": ""},
    "sent": {"sent": [{"number": 0, "source": "192.0.2.21", "source_port": 40000, "error": "no route"}]},
    "ended": {
        "watched": True,
        "sightings": [SIGHTING],
        "events": [EVENT],
        "rules": [RULE],
        "legacy": [LEGACY],
        "counters": {"conntrack_count": 12, "ListenDrops": 0, "something": 7},
        "set_up": True,
        "lost_packets": 0,
        "lost_events": 0,
    },
}
PACKETS = [packet()]


def read(**answers):
    return results_traces.read(answers, PACKETS)


def changed(path, value):
    answer = copy.deepcopy(ANSWER)
    place = answer
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    return answer


def test_a_whole_answer():
    view = read(agent1=ANSWER).views["agent1"]
    assert view.traced and view.complete and view.set_up is True
    assert view.errors == {0: "no route"}
    assert view.sightings[0].source == "192.0.2.21" and view.sightings[0].times == 3
    assert view.events[0].verdict == "drop" and view.rules[0].text == "-A INPUT -j DROP"
    assert view.legacy[0].packets == 3 and view.counters == {"conntrack_count": 12, "ListenDrops": 0}


def test_the_problem_of_tracing_and_what_was_lost():
    assert not read(a=changed(["started", "problem"], "nft is not installed")).views["a"].traced
    for name in ("lost_packets", "lost_events"):
        assert not read(a=changed(["ended", name], 1)).views["a"].complete


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {**ANSWER, "started": {"failed": True, "msg": "not permitted"}},
        {**ANSWER, "ended": {"skipped": True}},
        changed(["ended", "watched"], False),
    ],
)
def test_a_host_that_did_not_watch_has_no_view(answer):
    assert read(agent1=answer) == results_traces.Views({}, {})


def test_a_host_that_sent_nothing_still_has_a_view():
    assert read(agent1={**ANSWER, "sent": {"skipped": True}}).views["agent1"].errors == {}


def test_packets_of_others_are_left_out():
    answer = changed(["ended", "sightings"], [SIGHTING, {**SIGHTING, "number": 5}])
    answer["ended"]["events"] = [{**EVENT, "number": 9}]
    view = read(agent1=answer).views["agent1"]
    assert len(view.sightings) == 1 and view.events == ()


@pytest.mark.parametrize(
    "path, value",
    [
        (["ended", "watched"], "yes"),
        (["ended", "sightings"], {}),
        (["ended", "sightings", 0, "part"], "song"),
        (["ended", "sightings", 0, "way"], "up"),
        (["ended", "sightings", 0, "about"], [1]),
        (["ended", "sightings", 0, "about"], ["a", "b"]),
        (["ended", "sightings", 0, "number"], -1),
        (["ended", "sightings", 0, "times"], None),
        (["ended", "events", 0, "what"], 3),
        (["ended", "events", 0, "handle"], 1 << 65),
        (["ended", "rules", 0, "text"], None),
        (["ended", "legacy", 0, "packets"], "3"),
        (["ended", "counters"], []),
        (["ended", "counters", "ListenDrops"], -4),
        (["ended", "set_up"], "true"),
        (["ended", "lost_packets"], None),
        (["sent", "sent"], [{"number": 0}]),
        (["started", "problem"], 5),
    ],
)
def test_a_malformed_answer_costs_its_host_and_no_other(path, value):
    found = read(agent1=changed(path, value), agent2=ANSWER)
    assert list(found.views) == ["agent2"]
    assert found.refused["agent1"].startswith("agent1 returned a malformed answer")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.sampled_from([["started"], ["sent"], ["ended"], *(["ended", name] for name in ANSWER["ended"])]),
    json_values,
)
def test_any_answer_is_read_or_refused(path, value):
    found = read(agent1=changed(path, value), agent2=ANSWER)
    assert "agent2" in found.views


def test_texts_of_a_host_show_their_control_characters():
    view = read(agent1=changed(["ended", "rules", 0, "text"], "drop\x1b[2J\n  CAUSE 9")).views["agent1"]
    assert view.rules[0].text == r"drop\x1b[2J\x0a  CAUSE 9"


def test_a_host_that_fails_after_the_trace_changes_no_cause_of_the_others():
    cluster = build(SMALL)
    cut = Path(dropped=_ports.parse_ports("1734"))
    paths = {("agent1", "192.0.2.22", "tcp"): cut, ("master", "192.0.2.21", "tcp"): cut}
    played = play(Network(cluster, paths))
    run = {"hosts": list(SMALL), "sweep": "full", "seed": 1, "sample_size": 64, "max_peers": 0}
    plan = steps.trace_plan(cluster.to_dict(), run, played.rounds)["plan"]
    (number,) = [one.number for one in traces.from_plan(plan) if one.source == "agent1"]
    assert number > 0, "the packet of the host that fails comes first"
    ended = {
        **ANSWER["ended"],
        "sightings": [{**SIGHTING, "number": number}],
        "events": [{**EVENT, "number": number}],
    }
    run["traces"] = {"plan": plan, "seen": {"agent2": {**ANSWER, "sent": {}, "ended": ended}}}
    rounds = {host: results for host, results in played.rounds.items() if host != "master"}
    (cause,) = [one for one in steps.report(cluster.to_dict(), run, rounds).causes if one.kind == stops.HOST_DROPS]
    assert (cause.host, cause.rule) == ("agent2", "-A INPUT -j DROP")
