# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host has installed, what runs on it, and the programs that make changed files count."""

import os
import re
import time

from ansible_collections.determined.network.plugins.module_utils._host.commands import Command, HostError
from ansible_collections.determined.network.plugins.module_utils._proxy import attached_networks, targets
from ansible_collections.determined.network.plugins.module_utils._proxy.files import FileProblem

# systemd.unit(5), "Unit File Load Path", those of the system manager.
_UNIT_FOLDERS = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
_SYSTEMD = "/run/systemd/system"  # there is one if systemd manages the host: sd_booted(3)
_SECONDS = 120.0
# A file's time stamp comes from the kernel's coarse clock, which lags behind by up to a tick.
_TICK = 0.02


def look(roles, runner, docker_has_proxies):
    """The host's roles, a Runner, whether its own daemon.json sets proxies -> targets.Host."""
    paths = {path for path in targets.PATHS if os.path.exists(path)}
    if os.path.realpath(targets.YUM) == os.path.realpath(targets.DNF):
        paths.discard(targets.YUM)
    programs = {name for name in targets.PROGRAMS if runner.find(name)}
    services = {
        name
        for name in targets.SERVICES
        if any(os.path.exists("%s/%s.service" % (folder, name)) for folder in _UNIT_FOLDERS)
    }
    docker = _docker_release(runner) if "dockerd" in programs else None
    return targets.Host(
        roles=tuple(roles),
        paths=frozenset(paths),
        programs=frozenset(programs),
        services=frozenset(services),
        docker=docker,
        docker_has_proxies=docker_has_proxies,
        networks=_networks(runner) if targets.MASTER_SERVICE in services else (),
    )


def _networks(runner):
    """Where nobody can tell them, none: every agent is then named."""
    try:
        return attached_networks.networks(_run(runner, "ip", "-oneline", "address", "show"))
    except FileProblem:
        return ()


def _run(runner, *argv):
    program = runner.find(argv[0])
    if not program:
        raise FileProblem("%s is not installed" % argv[0])
    try:
        output = runner.run(Command(argv=(program,) + argv[1:], stdin="", timeout=_SECONDS))
    except HostError as problem:
        raise FileProblem(str(problem)) from problem
    if output.code != 0:
        raise FileProblem("%s failed: %s" % (" ".join(argv), (output.stderr or output.stdout).strip()))
    return output.stdout


def _docker_release(runner):
    found = re.search(r"version (\d+)\.(\d+)", _run(runner, "dockerd", "--version"))
    return (int(found.group(1)), int(found.group(2))) if found else None


def make_effective(steps, runner):
    """Run what turns changed files (Steps) into settings: the trust store's program, and systemd's reload."""
    for program in sorted({step.program for step in steps if step.program}):
        gone = any(step.after is None for step in steps if step.program == program)
        # Only so it takes away its links to what is gone. (Red Hat's update-ca-trust makes everything anew each time.)
        options = ("--fresh",) if gone and program == "update-ca-certificates" else ()
        _run(runner, program, *options)
    if os.path.isdir(_SYSTEMD) and any(step.path.startswith(targets.UNITS + "/") for step in steps):
        _run(runner, "systemctl", "daemon-reload")


def running(services, runner):
    """Names of services -> name -> when its main process started (seconds since the epoch), of those that run."""
    if not services or not os.path.isdir(_SYSTEMD):
        return {}
    found = {}
    since_boot = time.clock_gettime(time.CLOCK_MONOTONIC)
    now = time.time()
    for service in services:
        output = _run(
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


def outdated(record, started):
    """path -> Kept, service -> when it started -> the services that started before one of their files was written."""
    found = set()
    for path, kept in record.items():
        for service in kept.services:
            if service in started and _written(path) > started[service] - _TICK:
                found.add(service)
    return found


def _written(path):
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0
