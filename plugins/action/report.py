# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugin of the module ``report``: it concludes a verification on the controller."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.determined.network.plugins.plugin_utils import _escape
from ansible_collections.determined.network.plugins.plugin_utils._verification import artifacts, steps, text_report

display = Display()

FOLDER, FILE = "determined-network-report", "report.json"
# ansible-runner, and with it Tower and AWX, sets this variable to the directory of a job's artifacts.
ARTIFACTS_VARIABLE = "AWX_ISOLATED_DATA_DIR"
VERIFICATION = ("cluster", "run", "rounds")


class ActionModule(ActionBase):
    """Write and show the report of a verification; everything happens on the controller."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """One task -> its result."""
        super().run(tmp, task_vars)
        _unused, arguments = self.validate_argument_spec(
            {
                "state": {"type": "str", "choices": ["written", "writable"], "default": "written"},
                "cluster": {"type": "dict"},
                "run": {"type": "dict"},
                "rounds": {"type": "dict"},
                "directory": {"type": "path", "default": ""},
            },
            required_if=[("state", "written", VERIFICATION)],
        )
        path = report_path(arguments["directory"], os.environ)
        if arguments["state"] == "writable":
            return _writable(path)
        return _written(path, *(arguments[name] for name in VERIFICATION))


def report_path(directory: str, environment: Mapping[str, str]) -> Path:
    """The option ``directory`` (it may be empty) and the environment variables -> the absolute path of the report."""
    folder = Path(directory) if directory else Path(environment.get(ARTIFACTS_VARIABLE) or ".") / FOLDER
    return folder.absolute() / FILE


def _writable(path: Path) -> dict[str, Any]:
    """Test whether :func:`_write` will be able to write the report."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{FILE}."):
            pass
        if path.is_dir():
            raise IsADirectoryError(f"{path} is a directory")
    except OSError as problem:
        return {"failed": True, "changed": False, "msg": f"{_cannot(problem)} Nothing was verified."}
    return {"changed": False, "report": str(path)}


def _written(
    path: Path, cluster: Mapping[str, Any], run: Mapping[str, Any], rounds: Mapping[str, Any]
) -> dict[str, Any]:
    """Derive, show and write the report -> the task's result. A report that cannot be written is still shown."""
    report = steps.report(cluster, run, rounds)
    messages = text_report.failure_messages(report, str(path))
    for line in text_report.render(report, str(path)):
        display.display(_escape.line(line, None))
    try:
        _write(path, _escape.as_json(report.to_dict()))
    except OSError as problem:
        messages.append(_cannot(problem))
    verification = artifacts.artifacts(report.to_dict(), str(path), messages)
    result = {"changed": False, "report": str(path), "summary": report.summary, "verification": verification}
    if messages:
        return {**result, "failed": True, "msg": "\n".join(messages)}
    message = text_report.success_message(report)
    if report.summary["advice"]:
        display.warning(message)
    return {**result, "msg": message}


def _write(path: Path, text: str) -> None:
    """Write the whole text or nothing, so that no reader ever finds half a report. Raises OSError if that fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{FILE}.{os.getpid()}")
    try:
        temporary.unlink(missing_ok=True)
        with open(temporary, "x", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _cannot(problem: OSError) -> str:
    return (
        f"The report cannot be written: {problem}. Set determined_verify_report_dir to a directory of the controller "
        "that this user may write to."
    )
