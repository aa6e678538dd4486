# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The two processes behind a rehearsal, and how one starts and ends.

The *watcher* stays in the machine's own namespaces. It ends the rehearsal when its owner (ansible-playbook)
has ended for whatever reason, or on SIGTERM, and removes the state file. The *keeper* is process 1 of a
PID namespace and holds all namespaces. If the watcher is killed, the kernel kills the keeper too.
"""

import os
import select
import signal
import time
from typing import Optional, Sequence, Tuple

from ansible_collections.determined.network.plugins.module_utils._host import daemon
from ansible_collections.determined.network.plugins.module_utils._namespaces import build as builder
from ansible_collections.determined.network.plugins.module_utils._namespaces import hosts as namespaces
from ansible_collections.determined.network.plugins.module_utils._namespaces import kernel
from ansible_collections.determined.network.plugins.module_utils._namespaces import state as states

BuildError = builder.BuildError

_OWNER_INTERVAL = 0.2  # seconds between two looks whether the owner still runs
_END_TIMEOUT = 120  # seconds; a thousand hosts need some, and a hung device driver never ends
_ENDED = "The rehearsal %s was ended while it was being built."


def start(name: str, hosts: Sequence[namespaces.Host], owner: Optional[states.Process]) -> states.State:
    """Build the rehearsal ``name`` with ``hosts`` (of :func:`hosts.read_hosts`) -> its state.

    ``owner``: the process whose end ends the rehearsal, or None to keep it until :func:`stop`.
    Two processes stay in the background. They hold neither files nor the terminal of this one.
    Raises BuildError, after everything that was built is removed.
    """
    try:
        started = daemon.start(
            lambda report: _watch(name, hosts, owner, report),
            umask=0o022,
            # The watcher is a child, so that a failed build can be waited for.
            second_fork=False,
        )
    except daemon.DaemonDied as problem:
        raise BuildError("The process that builds the rehearsal %s was killed." % name) from problem
    except daemon.DaemonError as problem:
        raise BuildError("Building the rehearsal failed: %s" % problem) from problem
    if "error" in started.answer:
        os.waitpid(started.child, 0)
        raise BuildError(started.answer["error"])
    return dict(started.answer["state"])


def stop(state: states.State) -> None:
    """End the rehearsal of this state and wait until all its processes have ended. Raises BuildError."""
    for process in (state["watcher"], state["keeper"]):
        if states.runs(process):
            try:
                os.kill(process["pid"], signal.SIGTERM if process is state["watcher"] else signal.SIGKILL)
            except ProcessLookupError:
                continue
            except PermissionError as problem:
                raise BuildError("Process %d of the rehearsal belongs to another user." % process["pid"]) from problem
        deadline = time.time() + _END_TIMEOUT
        while states.runs(process):
            if time.time() > deadline:
                raise BuildError(
                    "Process %d of the rehearsal %s did not end in %d seconds: see 'ps -fp %d'."
                    % (process["pid"], state["name"], _END_TIMEOUT, process["pid"])
                )
            time.sleep(0.01)
    states.remove(states.path(state["name"]))


def _watch(name: str, hosts: Sequence[namespaces.Host], owner: Optional[states.Process], report: daemon.Report) -> None:
    """The watcher's whole life. It sends ``{"state": STATE}`` or ``{"error": sentence}``."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGCHLD})
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    kernel.set_process_name("rehearsal-watch")
    watcher = states.process(os.getpid())
    file = states.path(name)
    ordinary_user = not kernel.may_administer()
    try:
        _separate(ordinary_user)
    except BuildError as problem:
        report.send({"error": str(problem)})
        return
    keeper, reader = _start_keeper(hosts, ordinary_user, report)
    try:
        held = _await_build(reader, name, owner)
        state = _state(name, hosts, owner, watcher, keeper, held, ordinary_user)
        states.write(state, file)
    except BuildError as problem:
        # The keeper ends before the report, so that nothing remains when the module reads it.
        _end(keeper)
        report.send({"error": str(problem)})
        return
    except BaseException:
        _end(keeper)
        raise
    try:
        if report.send({"state": state}):
            _await_end(owner)
    finally:
        _end(keeper)
        states.remove(file)


def _separate(ordinary_user: bool) -> None:
    """Enter a new user namespace if needed; the next child is process 1 of a new PID namespace."""
    if ordinary_user:
        user, group = os.geteuid(), os.getegid()
        with builder.step("create a user namespace", True):
            kernel.unshare(kernel.CLONE_NEWUSER)
            kernel.map_to_root(user, group)
    with builder.step("create a PID namespace", ordinary_user):
        kernel.unshare(kernel.CLONE_NEWPID)


def _start_keeper(hosts: Sequence[namespaces.Host], ordinary_user: bool, report: daemon.Report) -> Tuple[int, int]:
    """Start the keeper -> (its process id, the descriptor from which its report is read)."""
    # The keeper never reads data from this pipe. The end of the pipe tells it that the watcher has ended.
    alive_reader, alive_writer = os.pipe()
    built_reader, built_writer = os.pipe()

    def work() -> None:
        for descriptor in (alive_writer, built_reader):
            os.close(descriptor)
        report.close()
        _keep(hosts, ordinary_user, daemon.Report(built_writer), alive_reader)

    keeper = daemon.fork(work)
    os.close(alive_reader)
    os.close(built_writer)
    return keeper, built_reader


def _keep(hosts: Sequence[namespaces.Host], ordinary_user: bool, report: daemon.Report, alive: int) -> None:
    """The keeper's whole life: build, report, and hold the namespaces until the watcher has ended.

    It sends ``{"held": descriptors}``, as of :func:`build.build`, or ``{"error": sentence}``.
    """
    try:
        kernel.die_with_parent(signal.SIGKILL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGCHLD})
        kernel.set_process_name("rehearsal-keep")
        try:
            held = builder.build(hosts, ordinary_user)
        except BuildError as problem:
            report.send({"error": str(problem)})
            return
        # Every orphan of the PID namespace becomes a child of process 1. The kernel waits for them (sigaction(2)).
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        if report.send({"held": held}):
            os.read(alive, 1)  # returns at the end of the pipe; Python repeats it after a signal (PEP 475)
    except BaseException as problem:
        report.fail(problem)
        raise


def _await_build(descriptor: int, name: str, owner: Optional[states.Process]) -> builder.Held:
    """Read the keeper's report -> what it holds.

    Raises BuildError when the build fails, when the owner ends, when SIGTERM comes or when the keeper is killed.
    """
    chunks = []
    while True:
        if select.select([descriptor], [], [], _OWNER_INTERVAL)[0]:
            chunk = os.read(descriptor, 65536)
            if not chunk:
                break
            chunks.append(chunk)
        elif signal.SIGTERM in signal.sigpending() or _has_ended(owner):
            raise BuildError(_ENDED % name)
    try:
        answer = daemon.read_report(b"".join(chunks))
    except daemon.DaemonDied as problem:
        raise BuildError(_ENDED % name) from problem
    except daemon.DaemonError as problem:
        raise BuildError("Building the rehearsal failed: %s" % problem) from problem
    if "error" in answer:
        raise BuildError(answer["error"])
    return dict(answer["held"])


def _state(
    name: str,
    hosts: Sequence[namespaces.Host],
    owner: Optional[states.Process],
    watcher: Optional[states.Process],
    keeper: int,
    held: builder.Held,
    ordinary_user: bool,
) -> states.State:
    process = states.process(keeper)
    shared = {"pid": "/proc/%d/ns/pid" % keeper}
    if ordinary_user:
        shared["user"] = "/proc/%d/ns/user" % keeper
    entries = {}
    for host in hosts:
        files = {kind: "/proc/%d/fd/%d" % (keeper, number) for kind, number in held[host.name].items()}
        files.update(shared)
        entries[host.name] = {"rehearsal": name, "host": host.name, "keeper": process, "files": files}
    return {
        "version": states.VERSION,
        "name": name,
        "watcher": watcher,
        "keeper": process,
        "owner": owner,
        "hosts": namespaces.addresses(hosts),
        "namespaces": entries,
    }


def _await_end(owner: Optional[states.Process]) -> None:
    """Wait until SIGTERM comes, or the keeper ends (SIGCHLD), or the owner ends."""
    awaited = {signal.SIGTERM, signal.SIGCHLD}
    if owner is None:
        signal.sigwait(awaited)
        return
    while not _has_ended(owner) and signal.sigtimedwait(awaited, _OWNER_INTERVAL) is None:
        pass


def _has_ended(owner: Optional[states.Process]) -> bool:
    return owner is not None and not states.runs(owner)


def _end(keeper: int) -> None:
    """Kill the keeper, and wait for its whole PID namespace (pid_namespaces(7)). It may have ended already."""
    try:
        os.kill(keeper, signal.SIGKILL)
        os.waitpid(keeper, 0)
    except (ProcessLookupError, ChildProcessError):
        pass
