# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The short form of the report that a job publishes. Its size is bounded, whatever the size of the cluster. Pure.

Tower and AWX keep what ``set_stats`` publishes in their database, show it with the job, and give it as extra variables
to the next node of a workflow. They do not keep the files of a job.

The limits below bound the whole: two lists of MOST_ROWS rows with 15 texts each, MOST_CAUSES causes with six texts
each, and some lists of names, are less than 256 KiB of JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.determined.network.plugins.plugin_utils._verification.cells import ERROR, WRONG

MOST_CAUSES = 10
MOST_ROWS = 25  # of the wrong rows, and of the rows without an answer
MOST_NAMES = 25  # of hosts or requirements in a list
MOST_CHARACTERS = 300  # of a text
MOST_OF_A_MESSAGE = 3000  # characters; a message has a line for each of some causes


def artifacts(report: Mapping[str, Any], path: str, messages: Sequence[str]) -> dict[str, Any]:
    """A report (as Report.to_dict gives it), the path of its file, and the messages of a failure -> what is published.

    ``{"version": 2, "passed": bool, "messages": [...], "run": {...}, "summary": {...}, "causes": [cause ...],
    "wrong": [row ...], "error": [row ...], "not_shown": n, "report": path}``. The causes and rows are those of the
    report with long texts cut, and ``cells`` of a cause is a number. ``not_shown`` counts the wrong rows and rows
    without an answer that only the report has.
    """
    found = {verdict: [row for row in report["checks"] if row["verdict"] == verdict] for verdict in (WRONG, ERROR)}
    return {
        "version": report["version"],
        "passed": not messages,
        "messages": [_cut(message, MOST_OF_A_MESSAGE) for message in messages],
        "run": {_cut(name): _bounded(value) for name, value in report["run"].items()},
        "summary": dict(report["summary"]),
        "causes": [_row({**cause, "cells": len(cause["cells"])}) for cause in report["causes"][:MOST_CAUSES]],
        **{verdict: [_row(row) for row in rows[:MOST_ROWS]] for verdict, rows in found.items()},
        "not_shown": sum(max(0, len(rows) - MOST_ROWS) for rows in found.values()),
        "report": _cut(path),
    }


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _bounded(value) for name, value in row.items()}


def _bounded(value: Any) -> Any:
    if isinstance(value, str):
        return _cut(value)
    if isinstance(value, (list, tuple)):
        more = len(value) - MOST_NAMES
        return [_bounded(item) for item in value[:MOST_NAMES]] + ([f"... and {more} more"] if more > 0 else [])
    return value


def _cut(text: str, most: int = MOST_CHARACTERS) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."
