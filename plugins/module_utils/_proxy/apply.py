# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of the module ``proxy``: read the host, make a plan, apply it, and return the result.

Each of these steps has a file of its own: host, plan, transaction. This file puts them in order.
"""

from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from ansible_collections.determined.network.plugins.module_utils._host.runner import Runner
from ansible_collections.determined.network.plugins.module_utils._proxy import (
    files,
    host,
    json_edit,
    master_yaml,
    parameters,
    paths,
    plan,
    record_file,
    service_targets,
    services,
    targets,
    transaction,
)
from ansible_collections.determined.network.plugins.module_utils._proxy.difference import difference, masked
from ansible_collections.determined.network.plugins.module_utils._proxy.errors import FormatError, Problems
from ansible_collections.determined.network.plugins.module_utils._proxy.parameters import Parameters
from ansible_collections.determined.network.plugins.module_utils._proxy.plan import Plan
from ansible_collections.determined.network.plugins.module_utils._proxy.record import Record
from ansible_collections.determined.network.plugins.module_utils._proxy.request import RequestedFile, Settings


def change(params: Parameters, check_mode: bool, runner: Runner) -> Dict[str, Any]:
    """Do what the arguments ask for, and return the module's result.

    Raises Problems (nothing was changed), HostError (everything was restored) and RollbackFailed.
    """
    record = record_file.read()
    requested = _requested(params, record, runner) if params["state"] == "present" else _NOTHING
    changing = {file.path for file in requested.files} | set(record.files)
    planned = plan.make(requested.files, record.files, {path: files.read(path) for path in changing})
    problems = requested.problems + list(dict(requested.unreadable, **planned.problems).values())
    if problems:
        raise Problems(problems)
    started = services.running_readers(planned, runner)
    if not check_mode:
        transaction.apply(planned, record, runner)
    return _result(planned, requested, params, services.affected_by(planned, started))


class _Requested(NamedTuple):
    """``settings``: None when they are wrong, or when everything is to be removed. ``skipped``: target -> reason.
    ``problems``: sentences. ``unreadable``: path -> why this file cannot be read, though it must be."""

    settings: Optional[Settings]
    files: List[RequestedFile]
    skipped: Dict[str, str]
    problems: List[str]
    unreadable: Dict[str, str]


_NOTHING = _Requested(None, [], {}, [], {})


def _requested(params: Parameters, record: Record, runner: Runner) -> _Requested:
    settings, problems = parameters.read(params)
    own_members, unreadable = _own_daemon_json(record)
    # If the arguments are wrong, the host's files are examined nevertheless, so that all problems are named at once.
    found = targets.requested(
        settings or parameters.placeholder(params),
        host.read(params["roles"], runner, docker_has_proxies="proxies" in own_members),
    )
    if not any(file.target == "docker" for file in found.files):
        # Otherwise it matters even where dockerd gets a drop-in: dockerd would not start with such a file.
        unreadable = {}
    return _Requested(settings, found.files, found.skipped, problems + found.problems, unreadable)


def _own_daemon_json(record: Record) -> Tuple[List[str], Dict[str, str]]:
    """Return the members of daemon.json as it is without us, and path -> why it cannot be read."""
    path = paths.DAEMON_JSON
    try:
        base = plan.base_of(record.files.get(path), files.read(path))
        return [member.name for member in json_edit.members(base.text() if base else "")], {}
    except FormatError as problem:
        return [], {path: plan.unreadable(path, problem)}


def _result(planned: Plan, requested: _Requested, params: Parameters, affected: services.Affected) -> Dict[str, Any]:
    settings = requested.settings
    secrets = settings.description.secrets() if settings else []
    result = {
        "changed": bool(planned.changes),
        "files": [{"path": file.path, "target": file.target, "action": file.action} for file in planned.changes],
        "restart": {service: service in affected.restart for service in paths.SERVICES},
        "outdated": {service: service in affected.outdated for service in paths.SERVICES},
        "diff": [{"prepared": difference(file, secrets)} for file in planned.changes],
        "left_out": requested.skipped,
    }
    if settings and "master" in params["roles"] and settings.task_environment == "print":
        lines = master_yaml.task_lines(service_targets.task_variables(settings.description))
        result["task_environment"] = masked("\n".join(lines) + "\n", secrets)
    return result
