# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Expected x observed -> the report, version 2. Pure.

Version 2 has all fields of version 1, and ``causes``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.determined.network.plugins.module_utils import _ports
from ansible_collections.determined.network.plugins.plugin_utils._flows import PortSet
from ansible_collections.determined.network.plugins.plugin_utils._verification.causes import Cause
from ansible_collections.determined.network.plugins.plugin_utils._verification.cells import (
    CORRECT,
    ERROR,
    FLAKY,
    UNKNOWN,
    VERDICTS,
    WRONG,
    Cell,
    advice,
)
from ansible_collections.determined.network.plugins.plugin_utils._verification.checks import (
    BLOCKED,
    OPEN,
    RESTRICT,
    Check,
    Pair,
)
from ansible_collections.determined.network.plugins.plugin_utils._verification.observations import (
    Knowledge,
    count_of_ports,
    some_ports,
)

VERSION = 2
MOST_REASONS = 8  # of one check; its host may return many


class Report(NamedTuple):
    """All checks of a verification with their verdicts.

    ``run`` describes the run (sweep, seed, mode, ...). ``summary`` counts: ``{"checks": n, verdict: n ...}``.
    ``causes``: what explains wrong cells, which they name by their places in ``cells``.
    """

    run: dict[str, Any]
    summary: dict[str, int]
    cells: tuple[Cell, ...]
    causes: tuple[Cause, ...] = ()

    def with_verdict(self, verdict: str) -> list[Cell]:
        """The cells that have this verdict, in the order of the report."""
        return [cell for cell in self.cells if cell.verdict == verdict]

    def to_dict(self) -> dict[str, Any]:
        """The content of report.json: ``{"version": 2, "run": {...}, "summary": {...}, "checks": [cell ...],
        "causes": [cause ...]}``."""
        return {
            "version": VERSION,
            "run": dict(self.run),
            "summary": dict(self.summary),
            "checks": [cell.to_dict() for cell in self.cells],
            "causes": [cause.to_dict() for cause in self.causes],
        }


def build_report(
    checks: Sequence[Check],
    uncovered: Iterable[tuple[str, str]],
    known: Mapping[Pair, Knowledge],
    run: Mapping[str, Any],
    more_cells: Iterable[Cell] = (),
    refused: Mapping[str, str] | None = None,
) -> Report:
    """Checks, rows without a check, knowledge, and what describes the run (sweep, seed, mode, ...) -> the report.

    ``uncovered``: pairs of a requirement's id and the reason why nothing checks it. ``more_cells``: cells of other
    checks, such as those of the Internet. ``refused``: host -> why nothing that it answered is used.
    """
    cells = [_refused(check, refused or {}) or _cell(check, known.get(check.pair)) for check in checks]
    cells += more_cells
    cells += [
        advice(requirement, (reason,), expected=BLOCKED if requirement == RESTRICT else OPEN)
        for requirement, reason in uncovered
    ]
    summary = {"checks": len(cells)}
    for verdict in VERDICTS:
        summary[verdict] = sum(cell.verdict == verdict for cell in cells)
    return Report(dict(run), summary, tuple(cells))


def _refused(check: Check, refused: Mapping[str, str]) -> Cell | None:
    """The cell of a check that would need the answer of a host whose answers are refused."""
    ends = dict.fromkeys((check.source, check.destination))
    sentences = [refused[host] for host in ends if host in refused]
    return _row(check, UNKNOWN, ERROR, (), *sentences) if sentences else None


def _cell(check: Check, knowledge: Knowledge | None) -> Cell:
    if knowledge is None:
        text = f"{check.source} or {check.destination} gave no answer: unreachable, or it failed earlier in this run"
        return _row(check, UNKNOWN, ERROR, (), text)
    if check.expected == OPEN:
        return _positive_cell(check, knowledge)
    return _negative_cell(check, knowledge)


def _positive_cell(check: Check, knowledge: Knowledge) -> Cell:
    within = _Within(check.ports, knowledge)
    bad = _ports.union(within.blocked, within.no_route, within.impostor)
    unknown = _ports.union(within.failed, within.suspect)
    if bad:
        return _row(check, _observed(bad, knowledge), WRONG, bad, *_why_closed(check, bad, within, knowledge))
    if unknown:
        text = f"no trustworthy answer on {some_ports(unknown)}"
        return _row(check, UNKNOWN, ERROR, (), text, *_reasons(unknown, knowledge), *knowledge.notes)
    if not within.reached:
        return _row(check, UNKNOWN, ERROR, (), "none of these ports was probed")
    if within.changed:
        ports = some_ports(within.changed)
        return _row(check, OPEN, FLAKY, (), f"{ports} did not answer at first, then did", *knowledge.notes)
    return _row(check, OPEN, CORRECT, (), *_why_open(check, within, knowledge))


def _negative_cell(check: Check, knowledge: Knowledge) -> Cell:
    within = _Within(check.ports, knowledge)
    through = _ports.union(within.reached, within.impostor)
    unknown = _ports.union(within.failed, within.suspect, within.no_route)
    blocked = some_ports(within.blocked)
    if through:
        text = f"{check.source} reaches {check.destination} on {some_ports(through)}"
        return _row(check, _observed(through, knowledge), WRONG, through, text, *knowledge.notes)
    if unknown or not within.blocked:
        text = f"no trustworthy answer on {some_ports(unknown or check.ports)}"
        if within.no_route:
            text = f"{check.source} has no route to {check.address}, so nothing was shown about a firewall"
        return _row(check, UNKNOWN, ERROR, (), text, *_reasons(unknown, knowledge), *knowledge.notes)
    if not knowledge.answered:
        text = (
            f"{blocked} is blocked, but nothing else of {check.destination} answered {check.source} either: "
            "without a positive control, the path itself may be broken"
        )
        return _row(check, UNKNOWN, ERROR, (), text)
    if knowledge.listener_lost:
        text = f"{blocked} is blocked, but the listeners of {check.destination} ended early: run again"
        return _row(check, UNKNOWN, ERROR, (), text)
    control = "answers an ICMP echo" if knowledge.echo else "answers on permitted ports"
    text = f"nothing came through, while {check.destination} {control} of {check.source}"
    if within.changed:
        ports = some_ports(within.changed)
        return _row(check, _observed(within.blocked, knowledge), FLAKY, (), f"{ports} was open once, then blocked")
    return _row(check, _observed(within.blocked, knowledge), CORRECT, (), text)


class _Within:
    """The knowledge about a pair, restricted to the ports of one check."""

    def __init__(self, ports: PortSet, knowledge: Knowledge) -> None:
        self.reached = _ports.intersect(ports, knowledge.reached)
        self.blocked = _ports.intersect(ports, knowledge.blocked)
        self.no_route = _ports.intersect(ports, knowledge.no_route)
        self.impostor = _ports.intersect(ports, knowledge.impostor)
        self.suspect = _ports.intersect(ports, knowledge.suspect)
        self.failed = _ports.intersect(ports, knowledge.failed)
        self.changed = _ports.intersect(ports, knowledge.changed)


def _observed(ports: PortSet, knowledge: Knowledge) -> str:
    """The state in which most of the ports were observed."""
    return max(knowledge.states, key=lambda state: _ports.count(_ports.intersect(ports, knowledge.states[state])))


def _why_open(check: Check, within: _Within, knowledge: Knowledge) -> list[str]:
    answered = _ports.count(_ports.intersect(within.reached, knowledge.states["open"]))
    parts = [f"{check.destination} answered by name on {count_of_ports(answered)}"] if answered else []
    probed = _ports.count(within.reached)
    if probed < _ports.count(check.ports):
        parts.append(f"{probed} of {_ports.count(check.ports)} ports sampled")
    return [*parts, *knowledge.notes]


def _why_closed(check: Check, bad: PortSet, within: _Within, knowledge: Knowledge) -> list[str]:
    ports = some_ports(bad)
    if within.impostor:
        text = f"another host than {check.destination} answered at {check.address} on {ports}"
    elif within.no_route:
        text = f"{check.source} has no route to {check.address}"
    elif within.reached:
        text = f"{ports} gets no answer, while other ports of {check.destination} answer {check.source}"
    elif knowledge.answered:
        text = f"none of these ports answers, although {check.destination} answers {check.source} in other ways"
    else:
        text = f"nothing of {check.destination} answers {check.source} at {check.address}"
    hint = (
        f"find the rule that drops {check.protocol} from {check.source} to {check.address} "
        f"in OUTPUT of {check.source}, between the hosts, and in INPUT of {check.destination}"
    )
    return [text, *_reasons(bad, knowledge), *knowledge.notes, hint]


def _reasons(ports: PortSet, knowledge: Knowledge) -> list[str]:
    """What an ICMP error or the system reported about some of these ports."""
    told = {text: _ports.intersect(ports, about) for text, about in knowledge.reasons.items()}
    sentences = [f"{some_ports(about)}: {text}" for text, about in told.items() if about]
    more = len(sentences) - MOST_REASONS
    return sentences[:MOST_REASONS] + ([f"and {more} more reasons"] if more > 0 else [])


def _row(check: Check, observed: str, verdict: str, wrong: PortSet, *evidence: str) -> Cell:
    return Cell(
        check.requirement,
        check.source,
        check.destination,
        check.address,
        check.family,
        check.protocol,
        _ports.format_ports(check.ports),
        check.expected,
        observed,
        verdict,
        evidence,
        _ports.format_ports(wrong),
    )
