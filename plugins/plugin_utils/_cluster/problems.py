# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with an inventory, told so that an administrator can mend it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Problem(NamedTuple):
    """One thing to correct: where it is (host or group, variable), what it is, and what to do."""

    where: str
    variable: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        place = f"{self.where}: {self.variable}" if self.variable else self.where
        return f"{place}: {self.problem}. Remedy: {self.remedy}."


class InventoryProblems(ValueError):
    """All problems of an inventory at once; nothing was changed when this is raised."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        head = "1 problem" if count == 1 else f"{count} problems"
        lines = "".join(f"\n  {number}. {problem}" for number, problem in enumerate(self.problems, 1))
        super().__init__(f"The inventory has {head}; nothing was changed:{lines}")
