# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a rehearsal leaves word of itself: one small file while it lives.

``/run/determined-network/NAME.json`` for root, ``/run/user/UID/...`` for an ordinary user, or
``/tmp/determined-network-UID/...`` where that directory is missing. Nobody else may write there. The
file goes when the rehearsal ends; one that a killed watcher left behind is known by the process it
names and is ignored.

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

from ansible_collections.determined.network.plugins.module_utils._namespaces import kernel

VERSION = 1


def directory():
    """The directory of this user's states. Nothing of the environment counts: who looks must find."""
    user = os.geteuid()
    runtime = "/run" if user == 0 else "/run/user/%d" % user
    if os.access(runtime, os.W_OK):
        return runtime + "/determined-network"
    return "/tmp/determined-network-%d" % user


def path(name):
    """The file of the rehearsal ``name`` of this user. Ask before entering a user namespace."""
    return os.path.join(directory(), name + ".json")


def process(pid):
    """A process id -> PROCESS, or None if it does not run."""
    started = kernel.started(pid)
    return None if started is None else {"pid": pid, "started": started}


def runs(value):
    """Whether a PROCESS still runs."""
    return kernel.started(value["pid"]) == value["started"]


def read(name):
    """The state of the rehearsal ``name``, or None if there is none that lives."""
    try:
        with open(path(name)) as file:
            state = json.load(file)
    except FileNotFoundError:
        return None
    except ValueError as problem:
        # Written by rename, so this is nothing that a rehearsal wrote.
        raise OSError("%s is not the state of a rehearsal: remove it" % path(name)) from problem
    if state.get("version") != VERSION or not runs(state["keeper"]):
        return None
    return state


def write(state, target):
    """Write a state to the file ``target`` (of :func:`path`) for others of the same user to read."""
    _make(os.path.dirname(target))
    draft = "%s.%d" % (target, os.getpid())
    with open(draft, "w") as file:
        json.dump(state, file)
    os.rename(draft, target)


def remove(target):
    """Remove the file of a state if it is there, and the directory if it was the last."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(target)
    with contextlib.suppress(OSError):
        os.rmdir(os.path.dirname(target))


@contextlib.contextmanager
def locked():
    """Keep two modules of one user from building or removing at the same time."""
    place = directory()
    while True:
        _make(place)
        try:
            descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            # The last rehearsal to end removes the directory; a lock on a removed one is none.
            with contextlib.suppress(FileNotFoundError):
                if os.stat(place).st_ino == os.fstat(descriptor).st_ino:
                    break
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.rmdir(place)
        os.close(descriptor)


def _make(place):
    with contextlib.suppress(FileExistsError):
        os.mkdir(place, 0o700)
    found = os.lstat(place)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise OSError("%s is not a directory that only you may use: remove it, or have its owner remove it" % place)
