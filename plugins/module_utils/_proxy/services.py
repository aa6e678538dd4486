# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which services run, which of them have to be restarted after a change, and which still use old settings."""

import os
import time
from typing import Dict, Iterable, Mapping, NamedTuple, Sequence, Set

from ansible_collections.determined.network.plugins.module_utils._host import systemd
from ansible_collections.determined.network.plugins.module_utils._host.commands import Command, HostError, explanation
from ansible_collections.determined.network.plugins.module_utils._host.runner import Runner
from ansible_collections.determined.network.plugins.module_utils._proxy import paths, programs
from ansible_collections.determined.network.plugins.module_utils._proxy.file_change import (
    FileChange,
    changes_only_no_proxy,
)
from ansible_collections.determined.network.plugins.module_utils._proxy.plan import Plan
from ansible_collections.determined.network.plugins.module_utils._proxy.record import RecordedFile

_RESTART_SECONDS = 900.0  # dockerd stops its containers first, and each may take its time

# Seconds: a file's time stamp comes from the kernel's coarse clock, which lags behind by up to one tick.
_TICK = 0.02


class Affected(NamedTuple):
    """``restart``: running services that read at their start what changes now. ``outdated``: running services that use
    older settings than their files hold, whether these change now or changed earlier."""

    restart: Set[str]
    outdated: Set[str]


def running_readers(plan: Plan, runner: Runner) -> Dict[str, float]:
    """Return the running services that read a file of the plan, as :func:`running` does. Raises HostError.

    Ask before the plan is applied: if systemd does not answer, nothing has been changed yet.
    """
    readers = {service for recorded in plan.recorded.values() for service in recorded.services}
    return running(sorted(readers | _changed(plan)), runner)


def affected_by(plan: Plan, started: Mapping[str, float]) -> Affected:
    """Return the running services that a plan affects, after it was applied, or in check mode.

    ``started``: as :func:`running_readers` returns it.
    """
    changed = _changed(plan)
    needed = {service for change in plan.changes if _needs_restart(change) for service in change.services}
    return Affected(
        restart=needed & set(started),
        outdated=(changed & set(started)) | outdated(plan.recorded, started),
    )


def _changed(plan: Plan) -> Set[str]:
    return {service for change in plan.changes for service in change.services}


def _needs_restart(change: FileChange) -> bool:
    """A longer no_proxy list for tasks needs no restart: agent and master go on working when an agent is added."""
    return change.path not in paths.FOR_TASKS or not changes_only_no_proxy(change)


def running(services: Iterable[str], runner: Runner) -> Dict[str, float]:
    """Return those of the services that run: name -> when the main process started, in seconds since the epoch.

    The result is empty where systemd does not manage the host. Raises HostError.
    """
    if not services or not systemd.runs():
        return {}
    found = {}
    since_boot = time.clock_gettime(time.CLOCK_MONOTONIC)
    now = time.time()
    for service in services:
        output = programs.run(
            runner,
            "systemctl",
            "show",
            "%s.service" % service,
            "--property=ActiveState,MainPID,ExecMainStartTimestampMonotonic",
        )
        values = dict(line.split("=", 1) for line in output.splitlines() if "=" in line)
        if values.get("ActiveState") in ("active", "reloading") and values.get("MainPID", "0") != "0":
            started = int(values["ExecMainStartTimestampMonotonic"]) / 1e6
            found[service] = now - (since_boot - started)
    return found


def restart(services: Sequence[str], runner: Runner) -> None:
    """Restart services by one command, so that systemd restarts each only once, even if one requires another.

    Raises HostError.
    """
    units = tuple("%s.service" % service for service in services)
    command = Command(
        (runner.find("systemctl") or "systemctl", "restart") + units,
        purpose="restart %s" % ", ".join(services),
        timeout=_RESTART_SECONDS,
    )
    output = runner.run(command)
    if output.code != 0:
        raise HostError(explanation(command, output, ()))


def outdated(recorded_files: Mapping[str, RecordedFile], started: Mapping[str, float]) -> Set[str]:
    """Return the services that started before one of their files was written.

    ``recorded_files``: path -> RecordedFile. ``started``: as :func:`running` returns it.
    """
    return {
        service
        for path, recorded in recorded_files.items()
        for service in recorded.services
        if service in started and _written_at(path) > started[service] - _TICK
    }


def _written_at(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0
