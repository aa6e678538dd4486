# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as a person reads it in a terminal. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.determined.network.plugins.plugin_utils._verification.causes import Cause
from ansible_collections.determined.network.plugins.plugin_utils._verification.cells import (
    ADVICE,
    CORRECT,
    ERROR,
    FLAKY,
    WRONG,
    Cell,
)
from ansible_collections.determined.network.plugins.plugin_utils._verification.checks import (
    MOST_NAMES,
    RESTRICT,
    some_names,
)
from ansible_collections.determined.network.plugins.plugin_utils._verification.observations import MOST_RANGES
from ansible_collections.determined.network.plugins.plugin_utils._verification.report import Report

# What a cell of the matrix shows for each state that was observed where a port must be open.
_SYMBOLS = {
    "error": "!",
    "unknown": "!",
    "filtered": "X",
    "no_route": "X",
    "rejected": "R",
    "refused": "r",
    "open": ".",
}
_LET_IN, _BLOCKED, _NO_ANSWER = "O", "-", "!"
_WORST_FIRST = "!OXRr.-"
_LEGEND = (
    ". open   X filtered   R rejected   r refused   - blocked, and must be   O open, and must be blocked   "
    "! no answer   # self   blank: not checked"
)
_NOT_CORRECT = {WRONG: "that are wrong", ERROR: "without an answer"}
MOST_CAUSES = 20
MOST_CAUSES_IN_MESSAGE = 8  # so that the message of the failure has ten lines
MOST_CELLS = 40  # that are not correct; report.json has them all
MOST_COLUMNS = 40  # hosts in the matrix


def render(report: Report, path: str) -> list[str]:
    """A report, and the path of its file -> the lines of the terminal."""
    cells = report.cells
    # Wrong cells first: a host that does not answer must not hide them.
    bad = [cell for verdict in (WRONG, ERROR, FLAKY) for cell in report.with_verdict(verdict)]
    lines = [_heading(report.run), ""]
    lines += _requirement_lines(cells, sampled=report.run["sweep"] != "full")
    if report.run.get("not_verified"):
        names = ", ".join(report.run["not_verified"])
        lines.append(
            f"  Not verified, because a rehearsal has no Internet or determined_verify_internet is false: {names}"
        )
    if report.run.get("not_attacked"):
        names = ", ".join(report.run["not_attacked"])
        reason = "the hosts of a rehearsal share no link or determined_verify_attack is false"
        lines.append(f"  Not attacked, because {reason}: {names}")
    if bad:
        lines += ["", *_matrix(cells)]
    if report.causes:
        lines += ["", *_cause_lines(report, path)]
    explained = {id(cells[place]) for cause in report.causes for place in cause.cells}
    rest = [cell for cell in bad if id(cell) not in explained]
    if rest:
        lines += ["", *_bad_lines(rest, path)]
    lines += ["", _summary_line(report.summary), f"Report: {path}"]
    return lines


def _heading(run: Mapping[str, Any]) -> str:
    sweep = "every port of every range" if run["sweep"] == "full" else f"a sample of every range (seed {run['seed']})"
    text = f"Verified in mode {run['mode']}: {sweep}"
    if run.get("max_peers"):
        text += f", at most {run['max_peers']} destinations for each source and row"
    if run.get("left_out"):
        text += f"; NOT verified, because this run left them out: {some_names(run['left_out'])}"
    return text


def _requirement_lines(cells: Sequence[Cell], sampled: bool) -> list[str]:
    ids = list(dict.fromkeys(cell.requirement for cell in cells))
    width = max((len(name) for name in ids), default=0)
    lines = []
    for name in ids:
        named = [cell for cell in cells if cell.requirement == name]
        mine = [cell for cell in named if cell.verdict != ADVICE]
        if mine:
            lines.append(_requirement_line(name, width, mine, sampled))
        lines += [f"  {name:<{width}}  advice: {text}" for text in _advice([c for c in named if c.verdict == ADVICE])]
    return lines


def _advice(cells: Sequence[Cell]) -> list[str]:
    """Advice cells of one row -> one text for each advice. It begins with the names of the hosts that share it."""
    shared: dict[tuple[str, ...], list[Cell]] = {}
    for cell in cells:
        shared.setdefault(cell.evidence, []).append(cell)
    return [_advice_text(same) for same in shared.values()]


def _advice_text(cells: Sequence[Cell]) -> str:
    sources = [cell.source for cell in cells if cell.source]
    # The first sentence stands after a colon, so it does not begin with a capital letter.
    sentences = [_with_full_stop(cells[0].evidence[0])] + _sentences(cells[0])[1:]
    return (f"{some_names(sources)}: " if sources else "") + " ".join(sentences)


def _requirement_line(name: str, width: int, mine: Sequence[Cell], sampled: bool) -> str:
    counts = {verdict: sum(cell.verdict == verdict for cell in mine) for verdict in (WRONG, ERROR, FLAKY)}
    correct = sum(cell.verdict == CORRECT for cell in mine)
    different = len({cell.ports for cell in mine}) > 1
    several = "every other port" if name == RESTRICT else "several ports"
    ports = several if different else mine[0].ports
    text = f"  {name:<{width}}  {mine[0].expected:<7}  {correct:>5} of {len(mine):<5} correct"
    text += "".join(f", {number} {verdict}" for verdict, number in counts.items() if number)
    # Ranges only: a sample holds every port that the table names.
    is_range = any("-" in cell.ports for cell in mine if cell.via is None)
    return f"{text}  {mine[0].protocol} {ports}".rstrip() + (" (sampled)" if sampled and is_range else "")


def _matrix(cells: Sequence[Cell]) -> list[str]:
    """The lines of a matrix with the worst that was observed between each two hosts.

    Each line is a source, each column is a destination. There is no matrix without a check between two hosts.
    """
    # A cell with a `via` is about a service outside the cluster, and the matrix shows hosts of the cluster only.
    shown = [cell for cell in cells if cell.source and cell.via is None and cell.verdict != ADVICE]
    if not shown:
        return []
    sources = list(dict.fromkeys(cell.source for cell in shown))[:MOST_COLUMNS]
    destinations = list(dict.fromkeys(cell.destination for cell in shown))[:MOST_COLUMNS]
    worst: dict[tuple[str, str], str] = {}
    for cell in shown:
        key = (cell.source, cell.destination)
        worst[key] = min(_symbol(cell), worst.get(key, _BLOCKED), key=_WORST_FIRST.index)
    width = max(len(name) for name in sources)
    lines = [
        "What was observed. Each line is a source, each column is a destination:",
        " " * (width + 4) + "  ".join(destinations),
    ]
    for source in sources:
        symbols = ["#" if source == name else worst.get((source, name), " ") for name in destinations]
        row = "".join("  " + symbol.center(len(name)) for symbol, name in zip(symbols, destinations, strict=True))
        lines.append(f"  {source:<{width}}{row}".rstrip())
    return [*lines, "  " + _LEGEND]


def _symbol(cell: Cell) -> str:
    """The symbol of one cell. Where a port must be blocked, only its verdict counts."""
    if cell.expected == "open":
        return _SYMBOLS[cell.observed]
    return {WRONG: _LET_IN, ERROR: _NO_ANSWER}.get(cell.verdict, _BLOCKED)


def _cause_lines(report: Report, path: str) -> list[str]:
    """A block for each cause: what happens, the rule, which checks are not correct because of it, and what to do."""
    lines = []
    for cause in report.causes[:MOST_CAUSES]:
        cells = [report.cells[place] for place in cause.cells]
        number = "1 check" if len(cells) == 1 else f"{len(cells)} checks"
        lines.append(f"  CAUSE {cause.id}, of {number} {_NOT_CORRECT[cells[0].verdict]}:")
        lines.append(f"      {cause.sentence}")
        if cause.place:
            lines.append(f"      {cause.place}: {cause.rule}")
        # Of a host that gave no answer nothing is known between it and any other.
        if cells[0].verdict == WRONG:
            lines += [f"      Wrong: {text}" for text in _wrong_pairs(cells)]
        if cause.remedy:
            lines.append(f"      Remedy: {cause.remedy}")
    if len(report.causes) > MOST_CAUSES:
        lines.append(f"  ... and {len(report.causes) - MOST_CAUSES} more causes in {path}")
    return lines


def _wrong_pairs(cells: Sequence[Cell]) -> list[str]:
    """One text for each two hosts: what is wrong between them, and in which rows."""
    pairs: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        pairs.setdefault((cell.source, _destination(cell)), []).append(cell)
    texts = []
    for (source, destination), same in list(pairs.items())[:MOST_NAMES]:
        rows = ", ".join(dict.fromkeys(cell.requirement for cell in same))
        ports = max((cell.wrong_ports for cell in same), key=len)
        first = same[0]
        texts.append(
            f"{source} to {destination}, {first.protocol} {_some(ports)}: "
            f"expected {first.expected}, observed {first.observed} ({rows})"
        )
    more = len(pairs) - MOST_NAMES
    return texts + ([f"and between {more} more pairs of hosts"] if more > 0 else [])


def _bad_lines(bad: Sequence[Cell], path: str) -> list[str]:
    """One line for each cell, and below it one indented line for each sentence of its evidence."""
    lines = []
    for cell in bad[:MOST_CELLS]:
        lines.append(f"  {cell.verdict.upper()} {_what_differs(cell)}")
        lines += [f"      {sentence}" for sentence in _sentences(cell)]
    if len(bad) > MOST_CELLS:
        lines.append(f"  ... and {len(bad) - MOST_CELLS} more in {path}")
    return lines


def _what_differs(cell: Cell) -> str:
    """The check of a cell, what it expects and what was observed, as one sentence."""
    ports = _some(cell.wrong_ports or cell.ports)
    what = f"{cell.protocol} {ports}".rstrip()
    return (
        f"{cell.requirement}: {cell.source} to {_destination(cell)}, {what}: "
        f"expected {cell.expected}, observed {cell.observed}."
    )


def _sentences(cell: Cell) -> list[str]:
    """The evidence of a cell, as sentences with a capital letter and a full stop."""
    return [_sentence(text, cell) for text in cell.evidence]


def _sentence(text: str, cell: Cell) -> str:
    first = text.split(" ", 1)[0]
    # The names of hosts, services and settings stay as they are.
    if first.isalpha() and first not in (cell.source, cell.destination):
        text = text[0].upper() + text[1:]
    return _with_full_stop(text)


def _with_full_stop(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else text + "."


def _summary_line(summary: Mapping[str, int]) -> str:
    parts = [f"{summary[verdict]} {verdict}" for verdict in (CORRECT, WRONG, FLAKY, ERROR, ADVICE)]
    return f"{summary['checks']} checks: " + ", ".join(parts)


def success_message(report: Report) -> str:
    """The message of a play that does not fail."""
    if not report.summary[CORRECT] and not report.summary[FLAKY]:
        return "NOTHING was verified: there is no check between any two hosts of this run."
    if report.summary[ADVICE]:
        text = "All that was checked is what the cluster requires."
        return f"{text} Advice is for information: it names what was not checked and what could be better."
    return "The network is what the cluster requires."


def failure_messages(report: Report, path: str) -> list[str]:
    """Why the play must fail: a message about wrong cells, and one about cells without an answer.

    Each names the causes; or the first cell, where no cause is known.
    """
    problems = (
        (WRONG, "The network is not what the cluster requires", "wrong"),
        (ERROR, "Not everything could be checked", "without an answer"),
    )
    messages = []
    for verdict, text, what in problems:
        cells = report.with_verdict(verdict)
        causes = [cause for cause in report.causes if report.cells[cause.cells[0]].verdict == verdict]
        if cells:
            why = _why(causes) if causes else _first(cells)
            messages.append(f"{text}: {_count(cells)} {what}. {why}The whole report is in this file: {path}")
    return messages


def _why(causes: Sequence[Cause]) -> str:
    """A line for each cause."""
    lines = ["There is 1 cause:" if len(causes) == 1 else f"There are {len(causes)} causes:"]
    shown = causes[:MOST_CAUSES_IN_MESSAGE]
    lines += [
        f"{cause.id}. {cause.sentence}" + (f" {cause.place}: {cause.rule}" if cause.rule else "") for cause in shown
    ]
    more = len(causes) - len(shown)
    return "\n".join(lines) + (f"\nAnd {more} more. " if more else "\n")


def _first(cells: Sequence[Cell]) -> str:
    which = "This is it:" if len(cells) == 1 else "This is the first one:"
    return " ".join([which, _what_differs(cells[0]), *_sentences(cells[0]), ""])


def _count(cells: Sequence[Any]) -> str:
    return "1 check is" if len(cells) == 1 else f"{len(cells)} checks are"


def _some(ports: str) -> str:
    """Ports for a line of a terminal: the first few; report.json has them all."""
    ranges = ports.split(",")
    return ports if len(ranges) <= MOST_RANGES else ",".join(ranges[:MOST_RANGES]) + ",..."


def _destination(cell: Cell) -> str:
    if cell.address in ("", cell.destination):
        return cell.destination
    return f"{cell.destination} ({cell.address})"
