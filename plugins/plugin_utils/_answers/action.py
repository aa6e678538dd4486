# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a module of this collection on a managed host, and lets only a clean answer through."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible.plugins.action.normal import ActionModule as NormalAction
from ansible_collections.determined.network.plugins.plugin_utils import _escape
from ansible_collections.determined.network.plugins.plugin_utils._answers import clean

# What Ansible itself adds to an answer that it could read as JSON, or could not.
_PARSED = "_ansible_parsed"


class CleanAnswers(ActionBase):
    """Cleans what modules answer. Subclasses name what the module of their task returns."""

    RETURNED: tuple[str, ...] = ()
    _host = "the host"  # the name of the host of the task

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """The result of one task; AnsibleError as of Ansible's own action plugins."""
        self._host = _escape.line(str((task_vars or {}).get("inventory_hostname", self._host)))
        result: dict[str, Any] = super().run(tmp, task_vars)
        return result

    def _parse_returned_data(self, res: dict[str, Any], *rest: Any) -> dict[str, Any]:
        """The output of a module -> its answer, cleaned before Ansible acts on any of its keys."""
        try:
            output = clean.json_line(res.get("stdout") or "")
            data: dict[str, Any] = super()._parse_returned_data({**res, "stdout": output}, *rest)
            parsed = bool(data.get(_PARSED, True))
            answer = clean.clean(data, self.RETURNED)
        # Depending on its version, Ansible raises any of these for JSON that is no dictionary or nested too deep, or
        # with a value that claims to be of a type of Ansible's and is not.
        except (ValueError, TypeError, AttributeError, LookupError, RecursionError) as problem:
            answer, parsed = clean.refused(self._host, self._module_name(), _reason(problem)), True
        return {**answer, _PARSED: parsed}

    def _module_name(self) -> str:
        return str(self._task.action).rpartition(".")[2]


class HostAction(CleanAnswers, NormalAction):
    """Runs the module of the task's name, as Ansible does for a module without an action plugin."""


def _reason(problem: Exception) -> str:
    if isinstance(problem, KeyError):
        return f"a value that claims to be of a type of Ansible's lacks {problem}"
    return "it is nested too deep" if isinstance(problem, RecursionError) else str(problem)
