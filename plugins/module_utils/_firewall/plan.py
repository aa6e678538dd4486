# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a change would do, as texts: the current state and the desired state. Pure."""

import difflib
from typing import Dict, NamedTuple


class Plan(NamedTuple):
    """``before``, ``after``: descriptions by the backend. ``before_header``, ``after_header``: their titles."""

    before: str
    after: str
    before_header: str
    after_header: str

    @property
    def changed(self) -> bool:
        """Whether the two texts differ."""
        return self.before != self.after


def compare(before: str, after: str, host: str) -> Plan:
    """The plan that leads from one description to the other. ``host``: the name of the host."""
    return Plan(before, after, "firewall of %s, now" % host, "firewall of %s, as its policy asks" % host)


def as_ansible_diff(plan: Plan) -> Dict[str, str]:
    """The dict that a module returns as ``diff`` (ansible-playbook shows it with ``--diff``)."""
    return {
        "before": plan.before,
        "after": plan.after,
        "before_header": plan.before_header,
        "after_header": plan.after_header,
    }


def unified(plan: Plan) -> str:
    """The unified diff, "" if nothing differs. It holds no dates, so that equal plans give equal texts."""
    return "".join(
        line if line.endswith("\n") else line + "\n"
        for line in difflib.unified_diff(
            plan.before.splitlines(True),
            plan.after.splitlines(True),
            plan.before_header,
            plan.after_header,
            n=3,
        )
    )
