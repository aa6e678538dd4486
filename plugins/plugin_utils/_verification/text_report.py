# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as a person reads it in a terminal. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.determined.network.plugins.plugin_utils._verification.cells import (
    ADVICE,
    CORRECT,
    ERROR,
    FLAKY,
    WRONG,
    Cell,
)
from ansible_collections.determined.network.plugins.plugin_utils._verification.checks import RESTRICT
from ansible_collections.determined.network.plugins.plugin_utils._verification.observations import MOST_RANGES
from ansible_collections.determined.network.plugins.plugin_utils._verification.report import Report

# What a cell of the matrix shows, the worst state first.
_SYMBOLS = (
    ("error", "!"),
    ("unknown", "!"),
    ("filtered", "X"),
    ("rejected", "R"),
    ("no_route", "X"),
    ("refused", "r"),
    ("open", "."),
)
_LEGEND = ". open   X filtered   R rejected   r refused   ! no answer   # self   blank: not checked"
MOST_CELLS = 40  # that are not correct; report.json has them all
MOST_COLUMNS = 40  # hosts in the matrix
MOST_NAMES = 5  # of hosts in a sentence


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
        lines += ["", *_bad_lines(bad, path)]
    lines += ["", _summary_line(report.summary), f"Report: {path}"]
    return lines


def _heading(run: Mapping[str, Any]) -> str:
    sweep = "every port of every range" if run["sweep"] == "full" else f"a sample of every range (seed {run['seed']})"
    text = f"Verified in mode {run['mode']}: {sweep}"
    if run.get("max_peers"):
        text += f", at most {run['max_peers']} destinations for each source and row"
    if run.get("left_out"):
        text += f"; NOT verified, because this run left them out: {_names(run['left_out'])}"
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
    return (f"{_names(sources)}: " if sources else "") + " ".join(sentences)


def _names(hosts: Sequence[str]) -> str:
    more = len(hosts) - MOST_NAMES
    return ", ".join(hosts[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


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
    """The lines of a matrix with the worst state that the required rows observed between each two hosts.

    Each line is a source, each column is a destination. There is no matrix without a required row.
    """
    # A cell with a `via` is about a service outside the cluster, and the matrix shows hosts of the cluster only.
    required = [cell for cell in cells if cell.expected == "open" and cell.source and cell.via is None]
    if not required:
        return []
    sources = list(dict.fromkeys(cell.source for cell in required))[:MOST_COLUMNS]
    destinations = list(dict.fromkeys(cell.destination for cell in required))[:MOST_COLUMNS]
    symbols = _worst_symbols(required)
    width = max(len(name) for name in sources)
    lines = [
        "What the required rows observed. Each line is a source, each column is a destination:",
        " " * (width + 4) + "  ".join(destinations),
    ]
    for source in sources:
        row = "".join("  " + _symbol(symbols, source, name).center(len(name)) for name in destinations)
        lines.append(f"  {source:<{width}}{row}".rstrip())
    return [*lines, "  " + _LEGEND]


def _worst_symbols(cells: Sequence[Cell]) -> dict[tuple[str, str], str]:
    """(source, destination) -> the symbol of the worst state that some cell of the two hosts observed."""
    rank = {state: number for number, (state, _unused) in enumerate(_SYMBOLS)}
    worst: dict[tuple[str, str], str] = {}
    for cell in cells:
        key = (cell.source, cell.destination)
        if key not in worst or rank[cell.observed] < rank[worst[key]]:
            worst[key] = cell.observed
    return {key: dict(_SYMBOLS)[state] for key, state in worst.items()}


def _symbol(symbols: Mapping[tuple[str, str], str], source: str, destination: str) -> str:
    return "#" if source == destination else symbols.get((source, destination), " ")


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
    """Why the play must fail: a message about wrong cells, and one about cells without an answer."""
    problems = (
        (WRONG, "The network is not what the cluster requires", "wrong"),
        (ERROR, "Not everything could be checked", "without an answer"),
    )
    messages = []
    for verdict, text, what in problems:
        cells = report.with_verdict(verdict)
        if cells:
            first = " ".join([_what_differs(cells[0]), *_sentences(cells[0])])
            which = "This is it:" if len(cells) == 1 else "This is the first one:"
            messages.append(f"{text}: {_count(cells)} {what}. {which} {first} The whole report is in this file: {path}")
    return messages


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
