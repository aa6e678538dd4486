# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cell of the report: one check with its verdict. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple

from ansible_collections.determined.network.plugins.module_utils import _socket_states

CORRECT, WRONG, FLAKY, ERROR, ADVICE = "correct", "wrong", "flaky", "error", "advice"
VERDICTS = (CORRECT, WRONG, FLAKY, ERROR, ADVICE)

UNKNOWN = "unknown"  # observed, where no answer can be trusted

_EVIDENCE_SEPARATOR = "; "  # between the sentences of a cell's evidence in report.json


class Cell(NamedTuple):
    """One check with its verdict. Every field but ``evidence`` is a text.

    ``source`` and ``destination`` are names of hosts or of services outside the cluster, and ``address`` is the
    destination's. ``ports`` and ``wrong_ports`` are compact lists such as "22,1024-65535". ``observed`` is the state
    of a socket, or a more special word. ``evidence`` holds sentences; each of them is one thought.
    ``via`` (the proxy, "" without one), ``step`` (where an attempt ended) and ``blame`` (who has to act) belong to
    the checks of the Internet; None: the cell is about hosts of the cluster and does not have these fields.
    """

    requirement: str
    source: str
    destination: str
    address: str
    family: str
    protocol: str
    ports: str
    expected: str
    observed: str
    verdict: str
    evidence: tuple[str, ...]
    wrong_ports: str = ""
    via: str | None = None
    step: str | None = None
    blame: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The cell as an entry of `checks` in report.json; there, the evidence is one text."""
        fields = {**self._asdict(), "evidence": _EVIDENCE_SEPARATOR.join(self.evidence)}
        return {name: value for name, value in fields.items() if value is not None}


def advice(
    requirement: str,
    evidence: tuple[str, ...],
    source: str = "",
    destination: str = "",
    address: str = "",
    expected: str = _socket_states.OPEN,
    observed: str = UNKNOWN,
) -> Cell:
    """A cell that is for information and never fails the play."""
    return Cell(requirement, source, destination, address, "", "", "", expected, observed, ADVICE, evidence)
