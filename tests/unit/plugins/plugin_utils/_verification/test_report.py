# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Expected x observed -> verdicts with evidence, and the shape of report.json."""

import json

import pytest
from ansible_collections.determined.network.plugins.module_utils import _ports, _socket_states
from ansible_collections.determined.network.plugins.plugin_utils._verification import report as verification_report
from ansible_collections.determined.network.plugins.plugin_utils._verification.checks import Check, Pair
from ansible_collections.determined.network.plugins.plugin_utils._verification.observations import Knowledge

from tests.unit.plugins.plugin_utils.clusters import SMALL, build
from tests.unit.plugins.plugin_utils.simulated_network import Network, play

PAIR = Pair("src", "dst", "192.0.2.21", "tcp")


def ports(text):
    return _ports.parse_ports(text)


def check(expected, text):
    return Check("row", "src", "dst", "192.0.2.21", "ipv4", "tcp", ports(text), expected)


def knowledge(**known):
    """Port texts by class, and anything else of Knowledge as it is; states follow the classes."""
    classes = {name: ports(known.pop(name)) for name in list(known) if isinstance(known[name], str)}
    states = dict.fromkeys(_socket_states.STATES, ())
    states["open"] = _ports.union(classes.get("reached", ()), classes.get("impostor", ()))
    states["filtered"] = classes.get("blocked", ())
    states["no_route"] = classes.get("no_route", ())
    states["refused"] = classes.get("suspect", ())
    states["error"] = classes.get("failed", ())
    return Knowledge(**classes, **{"states": states, **known})


def cell_of(one, known):
    report = verification_report.build_report([one], [], {PAIR: known} if known else {}, {}).to_dict()
    (cell,) = report["checks"]
    assert report["summary"][cell["verdict"]] == report["summary"]["checks"] == 1
    return cell


OPEN, BLOCKED = "open", "blocked"
SOUGHT = "find the rule that drops tcp from src to 192.0.2.21 in OUTPUT of src, between the hosts, and in INPUT of dst"

# expected, ports, what is known -> observed, verdict, wrong ports, how the evidence begins
CELLS = [
    (OPEN, "1-9", {"reached": "1-9"}, "open", "correct", "", "dst answered by name on 9 ports"),
    (
        OPEN,
        "1-9",
        {"reached": "1,9"},
        "open",
        "correct",
        "",
        "dst answered by name on 2 ports; 2 of 9 ports sampled",
    ),
    (OPEN, "1-9", {"reached": "20"}, "unknown", "error", "", "none of these ports was probed"),
    (
        OPEN,
        "1-9",
        None,
        "unknown",
        "error",
        "",
        "src or dst gave no answer: unreachable, or it failed earlier",
    ),
    (
        OPEN,
        "1-9",
        {"reached": "1-9", "changed": "5"},
        "open",
        "flaky",
        "",
        "5 did not answer at first, then did",
    ),
    (OPEN, "1-9", {"reached": "1-8", "failed": "9"}, "unknown", "error", "", "no trustworthy answer on 9"),
    (OPEN, "1-9", {"reached": "1-8", "suspect": "9"}, "unknown", "error", "", "no trustworthy answer on 9"),
    (
        OPEN,
        "1-9",
        {"reached": "1-8", "blocked": "9"},
        "filtered",
        "wrong",
        "9",
        f"9 gets no answer, while other ports of dst answer src; {SOUGHT}",
    ),
    (
        OPEN,
        "1-9",
        {"reached": "100", "blocked": "1-9", "answered": True},
        "filtered",
        "wrong",
        "1-9",
        "none of these ports answers, although dst answers src in other ways",
    ),
    (OPEN, "1-9", {"blocked": "1-9"}, "filtered", "wrong", "1-9", "nothing of dst answers src at 192.0.2.21"),
    (OPEN, "1-9", {"no_route": "1-9"}, "no_route", "wrong", "1-9", "src has no route to 192.0.2.21"),
    (
        OPEN,
        "1-9",
        {"impostor": "1-9"},
        "open",
        "wrong",
        "1-9",
        "another host than dst answered at 192.0.2.21 on 1-9",
    ),
    # What is wrong weighs more than what is unknown, and both more than a change of mind.
    (
        OPEN,
        "1-9",
        {"blocked": "1", "failed": "2", "changed": "3"},
        "filtered",
        "wrong",
        "1",
        "nothing of dst",
    ),
    (
        OPEN,
        "1-9",
        {"reached": "3", "failed": "2", "changed": "3"},
        "unknown",
        "error",
        "",
        "no trustworthy answer on 2",
    ),
    (
        BLOCKED,
        "1-9",
        {"blocked": "1-9", "answered": True},
        "filtered",
        "correct",
        "",
        "nothing came through, while dst answers on permitted ports of src",
    ),
    (
        BLOCKED,
        "1-9",
        {"blocked": "1-9", "answered": True, "echo": True},
        "filtered",
        "correct",
        "",
        "nothing came through, while dst answers an ICMP echo of src",
    ),
    (
        BLOCKED,
        "1-9",
        {"blocked": "1-9"},
        "unknown",
        "error",
        "",
        "1-9 is blocked, but nothing else of dst answered src either: without a positive control",
    ),
    (
        BLOCKED,
        "1-9",
        {"blocked": "1-9", "answered": True, "listener_lost": True},
        "unknown",
        "error",
        "",
        "1-9 is blocked, but the listeners of dst ended early: run again",
    ),
    (
        BLOCKED,
        "1-9",
        {"blocked": "1-8", "reached": "9", "answered": True},
        "open",
        "wrong",
        "9",
        "src reaches dst on 9",
    ),
    (
        BLOCKED,
        "1-9",
        {"blocked": "1-8", "impostor": "9"},
        "open",
        "wrong",
        "9",
        "src reaches dst on 9",
    ),
    (
        BLOCKED,
        "1-9",
        {"no_route": "1-9", "answered": True},
        "unknown",
        "error",
        "",
        "src has no route to 192.0.2.21, so nothing was shown about a firewall",
    ),
    (
        BLOCKED,
        "1-9",
        {"blocked": "1-8", "suspect": "9", "answered": True},
        "unknown",
        "error",
        "",
        "no trustworthy answer on 9",
    ),
    (
        BLOCKED,
        "1-9",
        {"blocked": "1-8", "failed": "9", "answered": True, "reasons": {"Too many open files": ((9, 9),)}},
        "unknown",
        "error",
        "",
        "no trustworthy answer on 9; 9: Too many open files",
    ),
    (
        BLOCKED,
        "1-9",
        {"blocked": "20", "answered": True},
        "unknown",
        "error",
        "",
        "no trustworthy answer on 1-9",
    ),
    (
        BLOCKED,
        "1-9",
        {"blocked": "1-9", "changed": "4", "answered": True},
        "filtered",
        "flaky",
        "",
        "4 was open once, then blocked",
    ),
    (BLOCKED, "1-9", None, "unknown", "error", "", "src or dst gave no answer"),
]


@pytest.mark.parametrize("expected, text, known, observed, verdict, wrong, evidence", CELLS)
def test_cells(expected, text, known, observed, verdict, wrong, evidence):
    cell = cell_of(check(expected, text), knowledge(**known) if known else None)
    assert (cell["observed"], cell["verdict"], cell["wrong_ports"]) == (observed, verdict, wrong)
    assert cell["evidence"].startswith(evidence)
    assert (cell["expected"], cell["ports"]) == (expected, text)


def test_evidence_names_only_reasons_of_the_wrong_ports_and_stays_short():
    odd = ",".join(map(str, range(1, 60, 2)))
    known = knowledge(
        blocked=odd,
        reached="100",
        answered=True,
        reasons={"icmp 3/13 from 192.0.2.1": ports("1-3,500"), "icmp 3/10 from 192.0.2.1": ports("500")},
        notes=("a note",),
    )
    cell = cell_of(check(OPEN, odd + ",100"), known)
    assert cell["wrong_ports"] == odd
    assert cell["evidence"] == (
        "1,3,5,7,9,11,13,15 and 22 more gets no answer, while other ports of dst answer src; "
        f"1,3: icmp 3/13 from 192.0.2.1; a note; {SOUGHT}"
    )


def test_each_note_is_a_sentence_of_its_own():
    known = knowledge(reached="1-9", notes=("a note; with a semicolon", "another one"))
    (cell,) = verification_report.build_report([check(OPEN, "1-9")], [], {PAIR: known}, {}).cells
    assert cell.evidence == ("dst answered by name on 9 ports", "a note; with a semicolon", "another one")


def test_rows_without_a_check_are_advice():
    report = verification_report.build_report(
        [], [("tensorboard", "nobody is there")], {}, {"mode": "permit"}
    ).to_dict()
    assert report["summary"] == {"checks": 1, "correct": 0, "wrong": 0, "flaky": 0, "error": 0, "advice": 1}
    (cell,) = report["checks"]
    assert (cell["requirement"], cell["verdict"], cell["evidence"]) == (
        "tensorboard",
        "advice",
        "nobody is there",
    )


CELL_FIELDS = [
    "requirement",
    "source",
    "destination",
    "address",
    "family",
    "protocol",
    "ports",
    "expected",
    "observed",
    "verdict",
    "wrong_ports",
    "evidence",
]


def test_the_shape_of_the_report():
    played = play(Network(build(SMALL)))
    report = json.loads(json.dumps(played.report))
    assert list(report) == ["version", "run", "summary", "checks", "causes"]
    assert report["version"] == 2 and report["causes"] == []
    run = {"mode": "permit", "sweep": "full", "seed": 1, "sample_size": 64, "max_peers": 0, "left_out": []}
    run["not_verified"] = ["registry_access", "resource_access", "agents_to_services", "proxy_bypass"]
    assert report["run"] == run
    assert list(report["summary"]) == ["checks", "correct", "wrong", "flaky", "error", "advice"]
    assert sum(count for name, count in report["summary"].items() if name != "checks") == report["summary"]["checks"]
    assert {cell["verdict"] for cell in report["checks"]} == {"correct", "advice"}
    for cell in report["checks"]:
        assert sorted(cell) == sorted(CELL_FIELDS)
        assert all(isinstance(value, str) for value in cell.values())


def test_the_report_names_the_hosts_that_a_limited_run_left_out():
    played = play(Network(build(SMALL)), hosts=["agent1", "master"])
    assert played.report["run"]["left_out"] == ["agent2"]
    assert not [cell for cell in played.report["checks"] if "agent2" in (cell["source"], cell["destination"])]
