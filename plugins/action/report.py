# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from pathlib import Path

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.determined.network.plugins.plugin_utils import _text_report, _verification

display = Display()


class ActionModule(ActionBase):
    """Write and show the report of a verification; everything happens on the controller."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        _unused, arguments = self.validate_argument_spec(
            {
                "cluster": {"type": "dict", "required": True},
                "run": {"type": "dict", "required": True},
                "rounds": {"type": "dict", "required": True},
                "directory": {"type": "path", "required": True},
            }
        )
        report = _verification.report(arguments["cluster"], arguments["run"], arguments["rounds"])
        path = Path(arguments["directory"]).absolute() / "report.json"
        result = {"changed": False, "report": str(path), "summary": report["summary"]}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        except OSError as problem:
            return {**result, "failed": True, "msg": f"The report cannot be written: {problem}. Set verify_report_dir."}
        for line in _text_report.render(report, str(path)):
            display.display(line)
        messages = _text_report.failure_messages(report, str(path))
        if messages:
            return {**result, "failed": True, "msg": "\n".join(messages)}
        message = _text_report.success_message(report)
        if report["summary"]["advice"]:
            display.warning(message)
        return {**result, "msg": message}
