# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The short form of the report that a job publishes, and the bound of its size."""

import json

import pytest
from ansible_collections.determined.network.plugins.plugin_utils._verification import artifacts

MOST_CHARACTERS_OF_JSON = 262_144  # as the documentation of the module `report` promises

ROW = {
    "requirement": "gloo_rendezvous",
    "source": "agent1",
    "destination": "agent2",
    "address": "192.0.2.22",
    "family": "ipv4",
    "protocol": "tcp",
    "ports": "12355",
    "expected": "open",
    "observed": "filtered",
    "verdict": "wrong",
    "wrong_ports": "12355",
    "evidence": "nothing answers",
    # Rows of the Internet have these, too.
    "via": "",
    "step": "",
    "blame": "",
}
RUN = {"mode": "restrict", "sweep": "sample", "seed": 7, "sample_size": 64, "max_peers": 0, "left_out": []}


CAUSE = {
    "id": 1,
    "kind": "host_drops",
    "sentence": "agent2 stops TCP 12355",
    "host": "agent2",
    "place": "nft",
    "rule": "drop",
    "remedy": "remove it",
    "cells": [0],
}


def report(rows, causes=(), **run):
    counts = {verdict: sum(row["verdict"] == verdict for row in rows) for verdict in ("correct", "wrong", "error")}
    summary = {"checks": len(rows), **counts}
    return {"version": 2, "run": {**RUN, **run}, "summary": summary, "checks": rows, "causes": list(causes)}


def test_a_right_network():
    made = report([{**ROW, "verdict": "correct"}, {**ROW, "verdict": "flaky"}, {**ROW, "verdict": "advice"}])
    assert artifacts.artifacts(made, "/srv/report.json", []) == {
        "version": 2,
        "passed": True,
        "messages": [],
        "run": RUN,
        "summary": made["summary"],
        "causes": [],
        "wrong": [],
        "error": [],
        "not_shown": 0,
        "report": "/srv/report.json",
    }


def test_wrong_rows_and_rows_without_an_answer_are_whole():
    unanswered = {**ROW, "verdict": "error"}
    found = artifacts.artifacts(report([ROW, unanswered, {**ROW, "verdict": "correct"}]), "r", ["why"])
    assert (found["passed"], found["messages"]) == (False, ["why"])
    assert (found["wrong"], found["error"], found["not_shown"]) == ([ROW], [unanswered], 0)


def test_of_many_rows_the_first_are_shown_and_the_rest_counted():
    rows = [{**ROW, "source": f"agent{number}"} for number in range(100)]
    found = artifacts.artifacts(report(rows + [{**ROW, "verdict": "error"}] * 30), "r", ["why"])
    assert found["wrong"] == rows[: artifacts.MOST_ROWS]
    assert len(found["error"]) == artifacts.MOST_ROWS
    assert found["not_shown"] == 100 + 30 - 2 * artifacts.MOST_ROWS


def test_of_a_cause_the_number_of_its_cells_is_published():
    found = artifacts.artifacts(report([ROW] * 3, [{**CAUSE, "cells": [0, 1, 2]}] * 20), "r", ["why"])
    assert found["causes"] == [{**CAUSE, "cells": 3}] * artifacts.MOST_CAUSES


@pytest.mark.parametrize("character", ["x", "\N{SNOWMAN}"])
def test_it_is_bounded_whatever_the_cluster(character):
    long = character * 100_000
    row = dict.fromkeys(ROW, long)
    rows = [{**row, "verdict": verdict} for verdict in ("wrong", "error")] * 500
    causes = [{**dict.fromkeys(CAUSE, long), "cells": list(range(1000))}] * 100
    made = report(rows, causes, left_out=[long] * 10_000)
    found = artifacts.artifacts(made, long, [long, long])
    assert len(json.dumps(found, ensure_ascii=False)) <= MOST_CHARACTERS_OF_JSON
    assert found["run"]["left_out"][-1] == "... and 9975 more"
    assert len(found["run"]["left_out"][0]) == artifacts.MOST_CHARACTERS


def test_the_report_itself_stays_as_it_is():
    made = report([{**ROW, "evidence": "x" * 1000}], left_out=list("abc") * 50)
    before = json.dumps(made)
    artifacts.artifacts(made, "r", [])
    assert json.dumps(made) == before
