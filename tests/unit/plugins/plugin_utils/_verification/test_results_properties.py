# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever one host answers in a verification, the report is made, and no verdict between other hosts changes."""

import copy
import json

import pytest
from ansible_collections.determined.network.plugins.module_utils import _ports, _socket_states
from ansible_collections.determined.network.plugins.plugin_utils import _escape
from ansible_collections.determined.network.plugins.plugin_utils._verification import (
    artifacts,
    checks,
    internet_checks,
    steps,
    text_report,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.plugins.plugin_utils import answering
from tests.unit.plugins.plugin_utils.clusters import SMALL, build
from tests.unit.plugins.plugin_utils.inventories import CHECKED
from tests.unit.plugins.plugin_utils.simulated_network import Network, Path, play

HOSTS = SMALL | {"stranger": (("outsiders",), ["203.0.113.66"])}
SERVICES = {"master": _ports.parse_ports("22,8080"), "agent1": _ports.parse_ports("22")}
CLUSTER = build(HOSTS, mode="restrict")
LIAR = "agent1"
FUZZED = {**CHECKED, "suppress_health_check": list(HealthCheck)}

EVIL = st.sampled_from(
    [
        "1-65535", "0", "99999", "5-1", "", "\x1b[2J", "a\n9 checks: 9 correct", -1, 1 << 70, 1e308, True, None, [], {},
        "line of agent2", "192.0.2.22", "1," * 1000, float("inf"), [[[[[[]]]]]], {"a": {"b": {}}},
    ]
)  # fmt: skip
ANY = st.recursive(
    EVIL | st.text(max_size=5) | st.integers() | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def network(cluster=CLUSTER):
    blocked = checks.derive_checks(cluster, checks.Scope(frozenset(HOSTS))).checks
    paths = {(one.source, one.address, "tcp"): Path(dropped=one.ports) for one in blocked if one.expected == "blocked"}
    # One path is cut and one has a hole, so that there are verdicts of more than one kind to be changed.
    paths["agent2", "192.0.2.10", "tcp"] = Path(dropped=_ports.parse_ports("8080"))
    paths["stranger", "192.0.2.22", "tcp"] = Path(dropped=_ports.subtract(_ports.ALL_PORTS, ((22, 22), (6379, 6379))))
    return Network(cluster, paths, SERVICES)


def of_others(played, liar=LIAR):
    return {
        (cell["requirement"], cell["source"], cell["address"]): (cell["verdict"], cell["wrong_ports"])
        for cell in played.report["checks"]
        if liar not in (cell["source"], cell["destination"])
    }


HONEST = of_others(play(network(), sweep="sample"))


def put(value, path, new):
    """Put a value in the place of another one, if there is one at this path in this round."""
    if not path:
        return new
    *way, last = path
    place = value
    for key in way:
        if isinstance(place, list) and key >= len(place):
            return value
        place = place[key]
    place[last] = new
    return value


def check(played, liar=LIAR):
    assert of_others(played, liar) == HONEST
    lines = text_report.render(played.result, "report.json")
    assert all(_escape.line(line, None).isprintable() for line in lines)
    assert all(sentence.isprintable() for cell in played.result.cells for sentence in cell.evidence)
    json.loads(_escape.as_json(played.report))
    messages = text_report.failure_messages(played.result, "report.json")
    assert len(json.dumps(artifacts.artifacts(played.report, "report.json", messages))) < 1 << 18


def test_there_is_something_to_change():
    assert {verdict for verdict, _unused in HONEST.values()} >= {"correct", "wrong"} and len(HONEST) > 5


@settings(max_examples=80, **FUZZED)
@given(st.sampled_from(["started", "probe", "read"]), st.integers(0, 10_000), ANY, st.booleans())
def test_one_value_of_a_hosts_answer_is_anything(module, number, value, removed):
    """One value of one answer is replaced or removed, in every round."""

    def tamper(host, said, answer):
        if (host, said) != (LIAR, module):
            return answer
        paths = list(answering.places(answer))
        path = paths[number % len(paths)]
        if removed and path and isinstance(path[-1], str):
            place = answer
            for key in path[:-1]:
                place = place[key]
            del place[path[-1]]
            return answer
        return put(answer, path, copy.deepcopy(value))

    check(play(network(), tamper=tamper, sweep="sample"))


@settings(max_examples=30, **FUZZED)
@given(ANY, ANY, ANY)
def test_all_answers_of_a_host_are_anything(started, probe, read):
    anything = {"started": started, "probe": probe, "read": read}
    tampered = play(
        network(),
        tamper=lambda host, said, answer: copy.deepcopy(anything[said]) if host == LIAR else answer,
        sweep="sample",
    )
    check(tampered)


STATES = st.sampled_from(_socket_states.STATES)


@settings(max_examples=50, **FUZZED)
@given(STATES, STATES, st.booleans(), st.integers(0, 1 << 64))
def test_a_wellformed_lie_changes_no_verdict_between_others(old, new, all_repeated, more_resets):
    """The ports of one state are told to be in another one, and counters are as large as they may be."""

    def tamper(host, said, answer):
        if host != LIAR:
            return answer
        if said == "read":
            count = answer["counters"]["tcp_resets_sent"]
            answer["counters"]["tcp_resets_sent"] = min(count + more_resets, (1 << 64) - 1)
        for one in answer.get("observations", []):
            moved = _ports.parse_ports(one[old])
            if old != new:
                one[new] = _ports.format_ports(_ports.union(_ports.parse_ports(one[new]), moved))
                one[old] = ""
            one |= {"answers": {}, "rejections": {}, "errors": {}}
            refused = _ports.count(_ports.parse_ports(one["refused"]))
            one["refused_repeatedly"] = refused if all_repeated else min(refused, one["refused_repeatedly"])
            one["resets_received"] = refused if all_repeated else 0
        return answer

    played = play(network(), tamper=tamper, sweep="sample")
    assert not [cell for cell in played.report["checks"] if "malformed" in cell["evidence"]]
    check(played)


def expect_refused(tamper, *words):
    played = play(network(), tamper=tamper, sweep="sample")
    check(played)
    mine = [cell for cell in played.report["checks"] if LIAR in (cell["source"], cell["destination"])]
    assert mine and {cell["verdict"] for cell in mine} == {"error"}
    for word in ("agent1 returned a malformed answer", *words):
        assert word in mine[0]["evidence"], mine[0]
    assert not played.remaining


CLAIMS = [
    ("read", ("counters", "tcp_resets_sent"), 1, "went back from 1000 to 1"),
    ("read", ("counters", "tcp_resets_sent"), -1, "not a number from 0"),
    ("read", ("alive",), "yes", "read.alive is a text, not true or false"),
    ("started", ("listening", 0, "ports"), "1-65535", "ports that it was not asked about"),
    ("started", ("listening", 0, "address"), "192.0.2.22", "ports that it was not asked about"),
    ("started", ("listening",), [{}] * 30_000, "has 30000 entries"),
    ("probe", ("observations", 0, "address"), "192.0.2.99", "which was asked about"),
    ("probe", ("observations", 0, "protocol"), "udp", "not one of 'tcp'"),
    ("probe", ("observations", 0, "open"), "1-65535", "ports that it was not asked about"),
    ("probe", ("observations", 0, "open"), "", "exactly one state"),
    ("probe", ("observations", 0, "answers"), {"line of agent2": "1-65535"}, "not asked about"),
    ("probe", ("observations", 0, "answers"), {str(number): "" for number in range(999)}, "999 keys"),
    ("probe", ("observations", 0, "resets_sent"), 10**9, "not a number from 0"),
    ("probe", ("observations", 0, "connect_milliseconds"), float("nan"), "not a number from 0"),
    ("probe", ("observations", 0, "connect_milliseconds"), -4, "not a number from 0"),
]


@pytest.mark.parametrize("module, path, value, words", CLAIMS)
def test_what_a_host_may_not_claim(module, path, value, words):
    expect_refused(
        lambda host, said, answer: put(answer, path, value) if (host, said) == (LIAR, module) else answer, words
    )


def test_a_listener_that_is_gone_is_no_lie():
    def tamper(host, said, answer):
        return {"failed": True, "msg": "no memory"} if (host, said) == (LIAR, "started") else answer

    played = play(network(), tamper=tamper, sweep="sample")
    check(played)
    assert not [cell for cell in played.report["checks"] if "malformed" in cell["evidence"]]


# --- the Internet -----------------------------------------------------------------------------------

OUTSIDE = build(SMALL, services=[{"host": "registry.example.com", "ports": 443, "purpose": "registry"}])
PLAN = internet_checks.plan(OUTSIDE, frozenset(SMALL))


def outside_answers():
    seen = {"via": "", "state": "open", "step": "http", "blame": "", "reason": "it answers", "attempts": 1}
    targets = [{**seen, "port": one["port"], "scheme": one["scheme"]} for one in PLAN["targets"]]
    cloud = {"provider": "aws", "external": [], "known": True, "reason": "", "egress": True, "egress_to": "a:443"}
    finding = {"place": "/etc/environment", "clients": ["curl"], "group": "agents", "variable": "no_proxy"}
    bypass = {"places": [], "problems": [], "findings": [{**finding, "hosts": ["192.0.2.22"], "count": 1}]}
    answer = {"targets": targets, "bypass": bypass, "cloud": cloud}
    return {name: copy.deepcopy(answer if name != "master" else {**answer, "targets": []}) for name in SMALL}


def outside_report(answers):
    run = {"hosts": list(SMALL), "sweep": "full", "seed": 1, "sample_size": 64, "max_peers": 0, "internet": answers}
    return steps.report(OUTSIDE.to_dict(), run, {})


def outside_verdicts(report):
    return [cell[:10] for cell in report.cells if LIAR not in (cell.source, cell.destination)]


@settings(max_examples=200, **FUZZED)
@given(st.integers(0, 1000), ANY)
def test_an_answer_about_the_internet_is_anything(number, value):
    answers = outside_answers()
    paths = list(answering.places(answers[LIAR]))
    answers[LIAR] = put(answers[LIAR], paths[number % len(paths)], copy.deepcopy(value))
    report = outside_report(answers)
    assert outside_verdicts(report) == outside_verdicts(outside_report(outside_answers()))
    assert all(_escape.line(line, None).isprintable() for line in text_report.render(report, "report.json"))
    assert all(sentence.isprintable() for cell in report.cells for sentence in cell.evidence)
    json.loads(_escape.as_json(report.to_dict()))


# --- all that hosts answer, on the whole way from a module's output to the report ---------------------------

WHOLE = build(HOSTS, mode="restrict", services=[{"host": "registry.example.com", "ports": 443, "purpose": "registry"}])
MODULES = {"started": "listener", "probe": "probe", "read": "listener"}


def whole_answers():
    plan = internet_checks.plan(WHOLE, frozenset(HOSTS))
    honest = outside_answers()["agent1"]
    return {
        name: copy.deepcopy({**honest, "targets": honest["targets"] if asked["outside"] else []})
        for name, asked in plan["hosts"].items()
    }


def whole_report(tamper=lambda _host, _said, answer: answer):
    """Play a verification with its checks of the Internet; each answer passes the action plugin of its module."""

    def pass_on(host, said, answer):
        text = json.dumps(tamper(host, said, answer))
        return json.loads(json.dumps(answering.result(MODULES.get(said, "internet"), text)))

    outside = {host: pass_on(host, "internet", answer) for host, answer in whole_answers().items()}
    return play(network(WHOLE), tamper=pass_on, sweep="sample", internet=outside).result


def verdicts_without(report, liar):
    return [(cell[:10], cell.wrong_ports) for cell in report.cells if liar not in (cell.source, cell.destination)]


WHOLE_HONEST = whole_report()


def test_the_whole_report_has_something_to_change_without_each_host():
    for liar in HOSTS:
        rows = verdicts_without(WHOLE_HONEST, liar)
        assert len(rows) > 5 and {row[9] for row, _unused in rows} >= {"correct"}
    assert {cell.requirement for cell in WHOLE_HONEST.cells} >= {"registry_access", "proxy_bypass", "cloud_aws_egress"}
    assert not [cell for cell in WHOLE_HONEST.cells if cell.verdict == "error"]


@settings(max_examples=60, **FUZZED)
@given(
    st.sampled_from(sorted(HOSTS)),
    st.dictionaries(st.sampled_from(["started", "probe", "read", "internet"]), st.tuples(st.integers(0, 9999), ANY)),
)
def test_whatever_one_host_answers_no_verdict_between_others_changes(liar, lies):
    def tamper(host, said, answer):
        if host != liar or said not in lies:
            return answer
        number, value = lies[said]
        paths = list(answering.places(answer))
        return put(answer, paths[number % len(paths)], copy.deepcopy(value))

    report = whole_report(tamper)
    assert verdicts_without(report, liar) == verdicts_without(WHOLE_HONEST, liar)
    assert all(_escape.line(line, None).isprintable() for line in text_report.render(report, "report.json"))
    json.loads(_escape.as_json(report.to_dict()))
