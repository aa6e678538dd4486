# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which tests run in one process after each other, and which groups of tests begin first.

A group shares hosts, so one process runs it. The group is a file, or one set of hosts of a file that boots several.
The longest groups begin first, so that all processes end at nearly the same time. The numbers of seconds are measured
(``pytest --durations=0``) and need not be exact; a group that is not in the table begins early.
"""

from __future__ import annotations

import pytest

# File -> the fixture whose every parameter boots hosts of its own.
WORLDS = {
    "test_demo.py": "controller",
    "test_docker.py": "days",
    "test_firewalld.py": "lab",
    "test_persistence.py": "lab",
    "test_reboot.py": "lab",
}
# Files whose tests share nothing -> the number of groups that their tests are dealt to.
INDEPENDENT: dict[str, int] = {}

SECONDS: dict[str, int] = {}
UNKNOWN = 120


def group_of(item: pytest.Item, number: int) -> str:
    """The group of the test that is the ``number``-th of its file."""
    name = item.path.name
    if name in WORLDS:
        world = getattr(item, "callspec", None) and item.callspec.params.get(WORLDS[name])
        return f"{name}/{'-'.join(world) if isinstance(world, tuple) else world}" if world else name
    if name in INDEPENDENT:
        return f"{name}/{number % INDEPENDENT[name]}"
    return name


def schedule(items: list[pytest.Item], longest_first: bool) -> None:
    """Mark each test with its group for pytest-xdist, and bring the tests of a group together.

    Without ``longest_first`` the groups stay in the order of their first tests.
    """
    order: dict[str, int] = {}
    groups: dict[str, str] = {}
    numbers: dict[str, int] = {}
    for item in items:
        number = numbers[item.path.name] = numbers.get(item.path.name, -1) + 1
        group = groups[item.nodeid] = group_of(item, number)
        order.setdefault(group, len(order))
        item.add_marker(pytest.mark.xdist_group(group))

    def position(item: pytest.Item) -> tuple[int, int]:
        group = groups[item.nodeid]
        return -SECONDS.get(group, UNKNOWN) if longest_first else 0, order[group]

    items.sort(key=position)
