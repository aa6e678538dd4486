# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as a person reads it: golden texts in data/report-*.txt."""

from pathlib import Path

import pytest
from ansible_collections.determined.network.plugins.module_utils import _ports
from ansible_collections.determined.network.plugins.plugin_utils._verification import checks as verification_checks
from ansible_collections.determined.network.plugins.plugin_utils._verification import steps, text_report
from ansible_collections.determined.network.plugins.plugin_utils._verification.cells import Cell
from ansible_collections.determined.network.plugins.plugin_utils._verification.report import Report

from tests.unit.plugins.plugin_utils.clusters import DEMO, build
from tests.unit.plugins.plugin_utils.simulated_network import Network, play
from tests.unit.plugins.plugin_utils.simulated_network import Path as Way

DATA = Path(__file__).resolve().parents[3] / "data"
FILE = "/srv/report.json"
SERVICES = {"master": _ports.parse_ports("22,8080")}


def ports(text):
    return _ports.parse_ports(text)


def right_paths(cluster):
    checks = verification_checks.derive_checks(
        cluster, verification_checks.Scope(frozenset(host.name for host in cluster.hosts))
    ).checks
    return {(one.source, one.address, "tcp"): Way(dropped=one.ports) for one in checks if one.expected == "blocked"}


def right_report():
    cluster = build(mode="restrict")
    return play(Network(cluster, right_paths(cluster), SERVICES)).result


def broken_report():
    """A cut path, a hole, a REJECT, a port too many, a late path, a source without a route; agent3 never answers."""
    hosts = {name: DEMO[name] for name in ("master", "agent3")}
    hosts |= {
        name: (held, texts[:1]) for name, (held, texts) in DEMO.items() if name in ("agent1", "agent2", "stranger")
    }
    cluster = build(hosts, mode="restrict")
    paths = right_paths(cluster)
    paths["agent1", "192.0.2.22", "tcp"] = Way(dropped=ports("12355,40000-40010"))
    paths["agent2", "192.0.2.21", "tcp"] = [Way(dropped=ports("1734")), Way()]
    paths["agent2", "192.0.2.10", "tcp"] = Way(rejected=_ports.ALL_PORTS)
    paths["stranger", "192.0.2.21", "tcp"] = Way(dropped=_ports.subtract(_ports.ALL_PORTS, ports("22,6379")))
    paths["stranger", "192.0.2.22", "tcp"] = Way(no_route=_ports.ALL_PORTS)
    played = play(Network(cluster, paths, SERVICES))
    run = {"hosts": list(hosts), "sweep": "sample", "seed": 7, "sample_size": 64, "max_peers": 3}
    rounds = {host: results for host, results in played.rounds.items() if host != "agent3"}
    return steps.report(cluster.to_dict(), run, rounds)


@pytest.mark.parametrize("name, make", [("report-right", right_report), ("report-broken", broken_report)])
def test_golden_texts(name, make):
    lines = text_report.render(make(), FILE)
    assert lines == (DATA / f"{name}.txt").read_text(encoding="utf-8").splitlines()


def test_a_right_report_fails_nothing():
    assert text_report.failure_messages(right_report(), FILE) == []


def cell(verdict, number=1, **more):
    fields = {
        "requirement": "row",
        "source": f"source{number}",
        "destination": "agent1",
        "address": "192.0.2.21",
        "family": "ipv4",
        "protocol": "tcp",
        "ports": "1-9",
        "expected": "open",
        "observed": "filtered" if verdict == "wrong" else "unknown",
        "verdict": verdict,
        "wrong_ports": "5" if verdict == "wrong" else "",
        "evidence": ("because",),
    }
    return Cell(**{**fields, **more})


def report(*cells):
    verdicts = ("correct", "wrong", "flaky", "error", "advice")
    summary = {verdict: sum(cell.verdict == verdict for cell in cells) for verdict in verdicts}
    run = {"mode": "permit", "sweep": "full", "seed": 1, "max_peers": 0}
    return Report(run, {"checks": len(cells), **summary}, cells)


WRONG = (
    "The network is not what the cluster requires: {} row: source1 to agent1 (192.0.2.21), tcp 5: "
    "expected open, observed filtered. Because. The whole report is in this file: /srv/report.json"
)
ERROR = (
    "Not everything could be checked: {} row: source1 to agent1 (192.0.2.21), tcp 1-9: "
    "expected open, observed unknown. Because. The whole report is in this file: /srv/report.json"
)


@pytest.mark.parametrize(
    "cells, messages",
    [
        ([], []),
        ([cell("correct"), cell("flaky"), cell("advice")], []),
        ([cell("wrong")], [WRONG.format("1 check is wrong. This is it:")]),
        ([cell("wrong"), cell("wrong", 2)], [WRONG.format("2 checks are wrong. This is the first one:")]),
        ([cell("error")], [ERROR.format("1 check is without an answer. This is it:")]),
        (
            [cell("error"), cell("wrong"), cell("error", 2)],
            [
                WRONG.format("1 check is wrong. This is it:"),
                ERROR.format("2 checks are without an answer. This is the first one:"),
            ],
        ),
    ],
)
def test_why_a_play_fails(cells, messages):
    assert text_report.failure_messages(report(*cells), FILE) == messages


def test_very_many_wrong_cells_are_abridged():
    lines = text_report.render(report(*[cell("wrong", number) for number in range(100)]), FILE)
    assert sum(line.startswith("  WRONG") for line in lines) == text_report.MOST_CELLS
    assert "  ... and 60 more in /srv/report.json" in lines
    assert sum(line.startswith("  source") for line in lines) == text_report.MOST_COLUMNS


def test_a_long_list_of_ports_is_abridged():
    many = ",".join(map(str, range(1, 100, 2)))
    (line,) = [text for text in text_report.render(report(cell("wrong", wrong_ports=many)), FILE) if "WRONG" in text]
    assert ", tcp 1,3,5,7,9,11,13,15,...: expected open" in line


@pytest.mark.parametrize(
    "evidence, sentences",
    [
        ((), []),
        (("none of these ports answers",), ["None of these ports answers."]),
        (("it is so", "find the rule"), ["It is so.", "Find the rule."]),
        (("source1 has no route", "agent1 says: no."), ["source1 has no route.", "agent1 says: no."]),
        (("8080: prohibited", "no_proxy is empty"), ["8080: prohibited.", "no_proxy is empty."]),
        (("the server says: go; away",), ["The server says: go; away."]),
    ],
)
def test_the_evidence_of_a_cell_is_shown_in_sentences_below_it(evidence, sentences):
    lines = text_report.render(report(cell("wrong", evidence=evidence)), FILE)
    (number,) = [number for number, line in enumerate(lines) if line.startswith("  WRONG")]
    assert lines[number].endswith(": expected open, observed filtered.")
    assert lines[number + 1 : number + 1 + len(sentences)] == [f"      {sentence}" for sentence in sentences]
    assert lines[number + 1 + len(sentences)] == ""


def test_advice_of_several_sentences_stands_in_one_line():
    evidence = ("has no public address", "the proxy works")
    cells = [cell("advice", number, evidence=evidence) for number in (1, 2)]
    (line,) = [text for text in text_report.render(report(*cells), FILE) if "advice:" in text]
    assert line == "  row  advice: source1, source2: has no public address. The proxy works."


def test_advice_about_no_host_begins_with_its_reason():
    advice = cell("advice", source="", evidence=("not checked: no agent takes part",))
    (line,) = [text for text in text_report.render(report(advice), FILE) if "advice:" in text]
    assert line == "  row  advice: not checked: no agent takes part."


@pytest.mark.parametrize(
    "observed, symbol",
    [
        ("open", "."),
        ("filtered", "X"),
        ("rejected", "R"),
        ("refused", "r"),
        ("no_route", "X"),
        ("error", "!"),
        ("unknown", "!"),
    ],
)
def test_symbols(observed, symbol):
    lines = text_report.render(report(cell("wrong", observed=observed), cell("correct", observed="open")), FILE)
    (row,) = [line for line in lines if line.startswith("  source1")]
    assert row.split() == ["source1", symbol]


def test_the_heading_tells_how_thorough_the_run_was():
    right = report()
    assert text_report.render(right, FILE)[0] == "Verified in mode permit: every port of every range"
    right.run.update(sweep="sample", seed=5, max_peers=3)
    assert text_report.render(right, FILE)[0] == (
        "Verified in mode permit: a sample of every range (seed 5), at most 3 destinations for each source and row"
    )


@pytest.mark.parametrize(
    "left_out, told",
    [
        ([], ""),
        (["b"], "; NOT verified, because this run left them out: b"),
        (list("abcde"), "; NOT verified, because this run left them out: a, b, c, d, e"),
        (list("abcdefg"), "; NOT verified, because this run left them out: a, b, c, d, e and 2 more"),
    ],
)
def test_the_heading_names_whom_a_limited_run_left_out(left_out, told):
    limited = report()
    limited.run["left_out"] = left_out
    assert text_report.render(limited, FILE)[0] == "Verified in mode permit: every port of every range" + told
