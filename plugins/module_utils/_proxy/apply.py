# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of the module proxy: read what is there, plan, write, and say what has to be restarted."""

import contextlib
import os

from ansible_collections.determined.network.plugins.module_utils import _ports
from ansible_collections.determined.network.plugins.module_utils._proxy import (
    certificate,
    edits,
    files,
    json_edit,
    targets,
    yaml_edit,
)
from ansible_collections.determined.network.plugins.module_utils._proxy import description as proxy_description
from ansible_collections.determined.network.plugins.module_utils._proxy import host as proxy_host
from ansible_collections.determined.network.plugins.module_utils._proxy import record as proxy_record


def change(params, check_mode, runner):
    """The arguments -> the result, after everything was done. Raises Problems and FileProblem."""
    record, folders = read_record()
    settings, wishes, left, problems = None, [], {}, []
    if params["state"] == "present":
        settings, wishes, left, problems = wanted(params, record, runner)
    states = {path: files.read(path) for path in {wish.path for wish in wishes} | set(record)}
    try:
        plan = proxy_record.plan(wishes, record, states)
    except proxy_record.Problems as more:
        problems += [problem for problem in more.problems if problem not in problems]
    if problems:
        raise proxy_record.Problems(problems)
    if not check_mode:
        write(plan, record, folders, runner)
    result = report(plan, settings, runner)
    result["left_out"] = left
    if settings and "master" in params["roles"] and settings.task_environment == "print":
        lines = yaml_edit.task_lines(targets.task_variables(settings.description))
        result["task_environment"] = proxy_record.masked("\n".join(lines) + "\n", settings.description.secrets())
    return result


def wanted(params, record, runner):
    """The arguments, path -> Kept, a Runner -> (Settings or None, Wishes, what is left out and why, problems)."""
    settings, problems = wanted_settings(params)
    own, broken = own_daemon_json(record)
    host = proxy_host.look(params["roles"], runner, "proxies" in own)
    # What is wrong with the description must not hide what is wrong with the host's files.
    probe = settings or wanted_settings(dict(params, **STAND_IN))[0]
    wishes, left, refused = targets.wishes(probe, host)
    if any(wish.target == "docker" for wish in wishes):
        problems += broken  # also where a drop-in is written: dockerd would not start with it
    return settings, wishes, left, problems + refused


def report(plan, settings, runner):
    """What was done or would be (a Plan), by which Settings (None: restored) -> what the module returns of it."""
    touched = {service for step in plan.steps for service in step.services}
    readers = {service for kept in plan.record.values() for service in kept.services}
    started = proxy_host.running(sorted(readers | touched), runner)
    # A longer list for tasks to come: neither agent nor master ends its work for a new neighbour.
    at_once = {
        service
        for step in plan.steps
        for service in step.services
        if step.path not in targets.FOR_TASKS or not proxy_record.only_lists_differ(step)
    }
    restart = at_once & set(started)
    outdated = touched & set(started) | proxy_host.outdated(plan.record, started)
    secrets = settings.description.secrets() if settings else []
    return {
        "changed": bool(plan.steps),
        "files": [{"path": step.path, "target": step.target, "action": action(step)} for step in plan.steps],
        "restart": {service: service in restart for service in targets.SERVICES},
        "outdated": {service: service in outdated for service in targets.SERVICES},
        "diff": [{"prepared": proxy_record.difference(step, secrets)} for step in plan.steps],
    }


# A description that is right, to look at the host's files when the user's is wrong.
STAND_IN = {
    "http": "http://192.0.2.1:1",
    "https": None,
    "ftp": None,
    "username": None,
    "password": None,
    "no_proxy": [],
    "stable_no_proxy": None,
    "ca_certificate": None,
    "registries": [],
}


def action(step):
    """What happens to a Step's file, in a word."""
    return "created" if step.before is None else "removed" if step.after is None else "changed"


def read_record():
    """-> (path -> Kept, the folders that we made)."""
    try:
        return proxy_record.load(files.read_record())
    except ValueError as problem:
        raise proxy_record.Problems(
            [
                "%s, which knows how files were before, cannot be used: %s. Bring it back from a backup; without "
                "it, remove it and mend the files by hand" % (files.RECORD, problem)
            ]
        ) from problem


def wanted_settings(params):
    """The arguments -> (Settings or None, problems)."""
    stable = params["stable_no_proxy"]
    description, problems = proxy_description.describe(
        {protocol: params[protocol] for protocol in proxy_description.PROTOCOLS},
        params["username"],
        params["password"],
        params["no_proxy"],
        params["no_proxy"] if stable is None else stable,
    )
    try:
        registries = tuple(_registry_names(params["registries"]))
    except ValueError as problem:
        problems.append("registries: %s" % problem)
    certificates = []
    if params["ca_certificate"]:
        try:
            certificates = certificate.certificates(params["ca_certificate"])
        except ValueError as problem:
            path = "" if "\n" in params["ca_certificate"].strip() else "%r: " % params["ca_certificate"]
            problems.append("proxy_ca_certificate: %s%s" % (path, problem))
    if problems:
        return None, problems
    settings = targets.Settings(
        description=description,
        certificates=tuple(certificates),
        registries=registries,
        targets=tuple(targets.TARGETS if targets.ALL in params["targets"] else params["targets"]),
        docker_method=params["docker_method"],
        task_environment=params["task_environment"],
        share_credentials=params["share_credentials"],
    )
    return settings, problems


def _registry_names(services):
    """[{host, ports}] -> how images name each registry, the names of its folders below Docker's certs.d."""
    for service in services:
        if not isinstance(service.get("host"), str) or "ports" not in service:
            raise ValueError("%r has no host and ports" % (service,))
        host = "[%s]" % service["host"] if service["host"].count(":") > 1 else service["host"]
        if "/" not in host:  # a network has no certificate
            for first, last in _ports.parse_ports(service["ports"]):
                if first == last:
                    yield host if first == proxy_description.SCHEMES["https"] else "%s:%d" % (host, first)


def own_daemon_json(record):
    """-> (the names in the host's daemon.json as it is without us, problems with it)."""
    path = targets.DAEMON_JSON
    try:
        base = proxy_record.base_of(record.get(path), files.read(path))
        text = base.data.decode("utf-8", "surrogateescape") if base else ""
        return {member.name for member in json_edit.members(text)}, []
    except edits.PROBLEMS as problem:
        return set(), ["%s, %s. The file was left as it is" % (path, problem)]


def write(plan, record, folders, runner):
    """Carry the plan out; if that fails, everything is put back."""
    if not plan.steps and plan.record == record:
        return
    # First what is needed to undo it: should the host stop in between, nothing is lost.
    before = proxy_record.dump(record, folders)
    files.write_record(proxy_record.dump(dict(record, **plan.record), folders))
    try:
        with files.all_or_nothing(plan.steps) as made:
            proxy_host.make_effective(plan.steps, runner)
            left = files.remove_folders(set(folders) - used_folders(plan.record))
            kept = (set(folders) & used_folders(plan.record)) | set(left) | set(made)
            files.write_record(proxy_record.dump(plan.record, kept))
    except files.Unrestored:
        raise  # the record that knows old and new stays
    except BaseException:
        files.write_record(before)
        back = [step._replace(before=step.after, after=step.before) for step in plan.steps]
        with contextlib.suppress(files.FileProblem):  # that one of them fails may be why all this happens
            proxy_host.make_effective(back, runner)
        raise


def used_folders(record):
    """Every folder above a file of the record."""
    found = set()
    for path in record:
        while path != "/":
            path = os.path.dirname(path)
            found.add(path)
    return found
