# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The two processes behind a rehearsal, and how one starts and ends.

The *watcher* stays in the machine's own namespaces. It ends the rehearsal when its owner (ansible-playbook)
is gone in whatever way, or on SIGTERM, and removes the state file. The *keeper* is process 1 of a
PID namespace and holds all namespaces; should the watcher be killed, the kernel kills it too.
"""

import json
import os
import select
import signal
import time

from ansible_collections.determined.network.plugins.module_utils._namespaces import build as builder
from ansible_collections.determined.network.plugins.module_utils._namespaces import hosts as namespaces
from ansible_collections.determined.network.plugins.module_utils._namespaces import kernel
from ansible_collections.determined.network.plugins.module_utils._namespaces import state as states

BuildError = builder.BuildError

_OWNER_INTERVAL = 0.2  # seconds until a vanished owner is noticed
_END_TIMEOUT = 120  # seconds; a thousand hosts take some, a hung device driver forever


def start(name, hosts, owner):
    """Build the rehearsal ``name`` with ``hosts`` (of :func:`hosts.read_hosts`) -> its state.

    ``owner``: the PROCESS whose end ends the rehearsal, or None to keep it until :func:`stop`.
    Two processes live on in the background and hold neither files nor terminal of this one.
    Raises BuildError; nothing is left then.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        _in_background(writer, lambda: _watch(name, hosts, owner, writer))
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        answer = file.read()
    if not answer:
        raise BuildError("The process that builds the rehearsal %s was killed." % name)
    result = json.loads(answer.decode("utf-8"))
    if "error" in result:
        os.waitpid(pid, 0)
        raise BuildError(result["error"])
    return result["state"]


def stop(state):
    """End the rehearsal of this state and wait until every process of it is gone. Raises BuildError."""
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


def _in_background(report, work):
    """In a child: leave the parent's session, terminal and files (but ``report``), work, and never return."""
    status = 1
    try:
        os.setsid()
        os.chdir("/")
        os.umask(0o022)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nowhere, descriptor)
        _close_all_but(report)
        work()
        status = 0
    except BaseException as problem:
        # The last resort, so that a mistake here is read and not guessed.
        _send(report, {"error": "Building the rehearsal failed: %s: %s" % (type(problem).__name__, problem)})
    finally:
        os._exit(status)


def _close_all_but(*kept):
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in kept:
            try:
                os.close(int(name))
            except OSError:
                continue  # the one that listed the directory


def _send(descriptor, value):
    """Write a value as JSON and close; False if nobody reads it."""
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(json.dumps(value).encode("utf-8"))
    except (BrokenPipeError, OSError):
        return False
    return True


def _watch(name, hosts, owner, report):
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
        _send(report, {"error": str(problem)})
        return
    # The keeper never reads from its pipe; it only learns that the watcher is no more.
    alive_reader, alive_writer = os.pipe()
    built_reader, built_writer = os.pipe()
    keeper = os.fork()
    if keeper == 0:
        for descriptor in (alive_writer, built_reader, report):
            os.close(descriptor)
        _in_keeper(hosts, ordinary_user, built_writer, alive_reader)
    os.close(alive_reader)
    os.close(built_writer)
    try:
        built = _read_until_end(built_reader, owner)
        if built is None:
            _send(report, {"error": "The rehearsal %s was ended while it was being built." % name})
            return
        if "error" in built:
            # First nothing may be left, then the module may say so.
            _end(keeper)
            _send(report, built)
            return
        state = _state(name, hosts, owner, watcher, keeper, built["held"], ordinary_user)
        states.write(state, file)
        try:
            if _send(report, {"state": state}):
                _wait(owner)
        finally:
            _end(keeper)
            states.remove(file)
    finally:
        _end(keeper)


def _separate(ordinary_user):
    """Enter a new user namespace if needed; the next child is process 1 of a new PID namespace."""
    if ordinary_user:
        user, group = os.geteuid(), os.getegid()
        with builder.step("create a user namespace", True):
            kernel.unshare(kernel.CLONE_NEWUSER)
            kernel.map_to_root(user, group)
    with builder.step("create a PID namespace", ordinary_user):
        kernel.unshare(kernel.CLONE_NEWPID)


def _in_keeper(hosts, ordinary_user, report, alive):
    """In the keeper: build, report, and hold until the watcher is gone. Never returns."""
    try:
        kernel.die_with_parent(signal.SIGKILL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGCHLD})
        kernel.set_process_name("rehearsal-keep")
        try:
            held = builder.build(hosts, ordinary_user)
        except BuildError as problem:
            _send(report, {"error": str(problem)})
            return
        # Process 1 inherits every orphan; the kernel shall bury them.
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        if _send(report, {"held": held}):
            while True:
                try:
                    os.read(alive, 1)
                    return
                except InterruptedError:
                    continue
    except BaseException as problem:
        _send(report, {"error": "Building the rehearsal failed: %s: %s" % (type(problem).__name__, problem)})
    finally:
        os._exit(0)


def _read_until_end(descriptor, owner):
    """What the keeper reports; None if the owner goes, SIGTERM comes or the keeper is killed before."""
    chunks = []
    while True:
        if select.select([descriptor], [], [], _OWNER_INTERVAL)[0]:
            chunk = os.read(descriptor, 65536)
            if not chunk:
                break
            chunks.append(chunk)
        elif signal.SIGTERM in signal.sigpending() or _gone(owner):
            return None
    return json.loads(b"".join(chunks).decode("utf-8")) if chunks else None


def _state(name, hosts, owner, watcher, keeper, held, ordinary_user):
    process = states.process(keeper)
    common = {"pid": "/proc/%d/ns/pid" % keeper}
    if ordinary_user:
        common["user"] = "/proc/%d/ns/user" % keeper
    places = {}
    for host in hosts:
        own = {kind: "/proc/%d/fd/%d" % (keeper, number) for kind, number in held[host.name].items()}
        own.update(common)
        places[host.name] = {"rehearsal": name, "host": host.name, "keeper": process, "files": own}
    return {
        "version": states.VERSION,
        "name": name,
        "watcher": watcher,
        "keeper": process,
        "owner": owner,
        "hosts": namespaces.addresses(hosts),
        "namespaces": places,
    }


def _wait(owner):
    """Until SIGTERM, the keeper's end (SIGCHLD) or the owner's."""
    awaited = {signal.SIGTERM, signal.SIGCHLD}
    if owner is None:
        signal.sigwait(awaited)
        return
    while not _gone(owner) and signal.sigtimedwait(awaited, _OWNER_INTERVAL) is None:
        pass


def _gone(owner):
    return owner is not None and not states.runs(owner)


def _end(keeper):
    """Kill the keeper; waiting for process 1 waits for its whole PID namespace."""
    try:
        os.kill(keeper, signal.SIGKILL)
        os.waitpid(keeper, 0)
    except (ProcessLookupError, ChildProcessError):
        pass
