# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file in which a running rehearsal describes itself.

``/run/determined-network/NAME.json`` for root, ``/run/user/UID/...`` for an ordinary user, or
``/tmp/determined-network-UID/...`` where that directory is missing. Nobody else may write there. The
rehearsal removes the file when it ends. If its watcher was killed, the file remains; it names processes that
no longer run, and is ignored.

A state is a dict::

    {"version": 1, "name": "rehearsal", "watcher": PROCESS, "keeper": PROCESS, "owner": PROCESS or None,
     "hosts": {host: [address, ...]}, "namespaces": {host: NAMESPACE}}

where PROCESS is ``{"pid": int, "started": clock ticks since boot}`` and NAMESPACE what the
connection plugin needs: ``{"rehearsal": name, "host": host, "keeper": PROCESS, "files": {kind: path}}``
with the kinds of nsenter(1): mount, net, uts, pid, and for an ordinary user ``user``.
"""

import contextlib
import fcntl
import json
import os
import stat
from typing import Any, Dict, Iterator, Optional

from ansible_collections.determined.network.plugins.module_utils._namespaces import kernel

VERSION = 1

Process = Dict[str, int]  # PROCESS above
State = Dict[str, Any]  # as above


def directory() -> str:
    """The directory of this user's states. It does not depend on the environment, so that every process finds it."""
    user = os.geteuid()
    runtime = "/run" if user == 0 else "/run/user/%d" % user
    if os.access(runtime, os.W_OK):
        return runtime + "/determined-network"
    return "/tmp/determined-network-%d" % user


def path(name: str) -> str:
    """The file of the rehearsal ``name`` of this user. Ask before entering a user namespace."""
    return os.path.join(directory(), name + ".json")


def process(pid: int) -> Optional[Process]:
    """A process id -> PROCESS, or None if no such process runs."""
    started = kernel.start_time(pid)
    return None if started is None else {"pid": pid, "started": started}


def runs(value: Process) -> bool:
    """Whether a PROCESS still runs."""
    return kernel.start_time(value["pid"]) == value["started"]


def read(name: str) -> Optional[State]:
    """The state of the rehearsal ``name``, or None if it does not run. OSError if the file is damaged."""
    try:
        with open(path(name)) as file:
            state: State = json.load(file)
    except FileNotFoundError:
        return None
    except ValueError as problem:
        # A rehearsal writes its file by rename(2), so another program has written this one.
        raise OSError("%s is not the state of a rehearsal: remove it" % path(name)) from problem
    if state.get("version") != VERSION or not runs(state["keeper"]):
        return None
    return state


def write(state: State, target: str) -> None:
    """Write a state to the file ``target`` (of :func:`path`) for others of the same user to read."""
    _make(os.path.dirname(target))
    draft = "%s.%d" % (target, os.getpid())
    with open(draft, "w") as file:
        json.dump(state, file)
    os.rename(draft, target)


def remove(target: str) -> None:
    """Remove the file of a state if it exists, and the directory if the file was the last one."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(target)
    with contextlib.suppress(OSError):
        os.rmdir(os.path.dirname(target))


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """Keep two modules of one user from building or removing at the same time."""
    folder = directory()
    while True:
        _make(folder)
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            # The last rehearsal to end removes the directory. A lock on a removed directory excludes nobody.
            with contextlib.suppress(FileNotFoundError):
                if os.stat(folder).st_ino == os.fstat(descriptor).st_ino:
                    break
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.rmdir(folder)
        os.close(descriptor)


def _make(folder: str) -> None:
    """Make a directory that only this user may use. OSError if it is there and others may use it."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise OSError("%s is not a directory that only you may use: remove it, or have its owner remove it" % folder)
