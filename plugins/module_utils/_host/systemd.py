# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the firewall needs of systemd where it is process 1: reload and forget units, make a scope."""

import os
import time
from typing import Sequence

from ansible_collections.determined.network.plugins.module_utils._host.commands import Command, HostError
from ansible_collections.determined.network.plugins.module_utils._host.runner import Runner

RUNS = "/run/systemd/system"  # sd_booted(3)
_MANAGER = ("org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager")
_SIGKILL = "9"
_MOVE_SECONDS = 2.0


def runs() -> bool:
    """Whether systemd is this host's process 1."""
    return os.path.isdir(RUNS)


def reload(runner: Runner) -> None:
    """Let systemd read its units again. Nothing is started or stopped. HostError when systemd cannot."""
    _systemctl(runner, "daemon-reload")


def forget_units(runner: Runner, paths: Sequence[str]) -> None:
    """Let systemd forget that units ran whose files (paths) will be removed. Stopping these units changes no rule."""
    names = [os.path.basename(path) for path in paths]
    for verb in ("stop", "reset-failed"):
        _systemctl(runner, verb, *names, accept=(1, 5))  # systemctl(1): the unit is not loaded


def _systemctl(runner: Runner, *arguments: str, accept: Sequence[int] = ()) -> None:
    tool = runner.find("systemctl")
    if not runs() or tool is None:
        return
    output = runner.run(Command((tool,) + arguments, purpose="run systemctl %s" % " ".join(arguments)))
    if output.code != 0 and output.code not in accept:
        raise HostError(
            "systemctl %s ended with code %d: %s" % (" ".join(arguments), output.code, output.stderr.strip())
        )


def move_to_scope(runner: Runner, pid: int, name: str) -> str:
    """Move a process out of its session or service into a scope of its own -> "", or why it was not moved.

    With KillUserProcesses= (logind.conf(5)) systemd kills the processes of a session that ends. The processes
    of a service end with it, too. At a shutdown systemd kills the scope at once and does not wait for it.
    """
    busctl = runner.find("busctl")
    if not runs():
        return ""
    if busctl is None:
        return "the command busctl of systemd is missing"
    before = _cgroups(pid)
    pids = ("PIDs", "au", "1", "%d" % pid)
    kill_signal = ("KillSignal", "i", _SIGKILL)
    description = ("Description", "s", "The dead man's switch of determined.network")
    command = Command(
        (busctl, "call")
        + _MANAGER
        + ("StartTransientUnit", "ssa(sv)a(sa(sv))", "%s.scope" % name, "fail", "3")
        + pids
        + kill_signal
        + description
        + ("0",),
        timeout=10.0,
    )
    output = runner.run(command)
    if output.code != 0:
        return output.stderr.strip() or "busctl ended with code %d" % output.code
    deadline = time.monotonic() + _MOVE_SECONDS
    while _cgroups(pid) == before:
        if time.monotonic() >= deadline:
            return "systemd did not move it"
        time.sleep(0.002)
    return ""


def _cgroups(pid: int) -> str:
    try:
        with open("/proc/%d/cgroup" % pid, encoding="utf-8", errors="replace") as handle:
            return handle.read()
    except OSError:
        return "ended"
