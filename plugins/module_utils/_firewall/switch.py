# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dead man's switch: a process that restores the old state unless the change is confirmed.

A change is one file in the folder of ``lock``; its name is its state and its token::

    armed-TOKEN  ->  confirmed-TOKEN  ->  (stored for the next boot: removed) or unstored-TOKEN
                 ->  restoring-TOKEN  ->  restored-TOKEN or failed-TOKEN

Confirmation and expiry both rename ``armed-TOKEN``, and the kernel lets exactly one of them succeed. So
``mv`` over a new connection confirms a change, and the switch does the rest. If the file is removed, the
rules stay and nothing is stored. The switch holds a flock(2) on the file as long as it runs. Without the
flock, the process of the switch was killed.
"""

import contextlib
import errno
import fcntl
import json
import os
import re
import signal
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, TextIO

from ansible_collections.determined.network.plugins.module_utils._firewall import lock
from ansible_collections.determined.network.plugins.module_utils._host import daemon
from ansible_collections.determined.network.plugins.module_utils._host.commands import HostError

ARMED, CONFIRMED, UNSTORED = "armed", "confirmed", "unstored"
RESTORING, RESTORED, FAILED = "restoring", "restored", "failed"
_STATES = (ARMED, CONFIRMED, UNSTORED, RESTORING, RESTORED, FAILED)
TOKEN = re.compile(r"[a-z0-9]{8,64}\Z")
_FILE = re.compile(r"(%s)-([a-z0-9]{8,64})\Z" % "|".join(_STATES))
_LOOK_SECONDS = 0.02  # how often a switch looks whether its file is still there
_RETRY_SECONDS = 300.0  # how long it goes on trying to restore

Record = Dict[str, Any]  # JSON: what the caller of arm() keeps, with "deadline", and "pid", "token", "problem", "lost"
Description = Dict[str, Any]  # as describe() says


class Actions(NamedTuple):
    """What a switch does, in its own process, without arguments.

    ``restore``: restores the old state and returns sentences, what others lost by it. ``keep``: stores the
    new state for the next boot. ``drop``: forgets what was to be stored, and never fails. ``end``: runs last,
    when the file of the change already says that it is settled; nobody learns of its failures.
    """

    restore: Callable[[], Sequence[str]]
    keep: Callable[[], object]
    drop: Callable[[], object]
    end: Callable[[], object]


class Change(NamedTuple):
    """A change as its file describes it.

    ``record``: the dict that :func:`arm` was given, with what the switch has added. ``watched``: whether the
    process of its switch still runs.
    """

    state: str
    token: str
    record: Record
    watched: bool

    def seconds_left(self) -> float:
        """Seconds until the switch restores the old state; 0.0 once the deadline has passed."""
        return max(0.0, self.record.get("deadline", 0.0) - time.monotonic())


class _Renamed(Exception):
    """Another process has moved a change to its next state, or settled it, since the folder was listed."""


def changes(directory: str) -> List[Change]:
    """All changes that have a file in ``directory``, by name. HostError when a file is damaged."""
    while True:
        try:
            return _read_all(directory)
        except _Renamed:
            # The file was listed under its old name and had another name when it was opened. A change that was passed
            # over here would count as settled. A change has few states, so this ends.
            continue


def _read_all(directory: str) -> List[Change]:
    found: List[Change] = []
    try:
        names = sorted(os.listdir(directory))
    except (FileNotFoundError, NotADirectoryError):
        return found
    for name in names:
        parts = _FILE.match(name)
        if parts:
            try:
                with open(os.path.join(directory, name), encoding="utf-8") as handle:
                    record = json.load(handle)
                    watched = _is_locked(handle)
            except FileNotFoundError as problem:
                raise _Renamed(name) from problem
            except ValueError as problem:
                raise HostError(
                    "%s is damaged: %s. Look at it, then remove it" % (os.path.join(directory, name), problem)
                ) from problem
            found.append(Change(parts.group(1), parts.group(2), record, watched))
    return found


def _is_locked(handle: TextIO) -> bool:
    try:
        fcntl.flock(handle.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as problem:
        if problem.errno in (errno.EAGAIN, errno.EACCES):
            return True
        raise
    return False


def path_of(directory: str, state: str, token: str) -> str:
    """The path of the file of a change that is in ``state``."""
    return os.path.join(directory, "%s-%s" % (state, token))


def move(directory: str, token: str, state: str, new_state: str) -> bool:
    """Take a change from one state to the next; False when another process has already done so."""
    try:
        os.rename(path_of(directory, state, token), path_of(directory, new_state, token))
    except FileNotFoundError:
        return False
    return True


def forget(directory: str, token: str) -> None:
    """Remove the files of a settled change, and the folder if they were the last ones."""
    for state in (RESTORED, FAILED, RESTORING, CONFIRMED, UNSTORED):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path_of(directory, state, token))
    lock.tidy(directory)


def sweep(directory: str) -> None:
    """Remove half-written files. The caller must own the lock."""
    for name in os.listdir(directory):
        if name.startswith("."):
            os.unlink(os.path.join(directory, name))


def arm(directory: str, token: str, record: Record, actions: Actions) -> int:
    """Start the switch -> its process id, once it watches. HostError when it could not start.

    The process has no terminal and ignores the signals of a session that ends.

    ``record``: JSON data with ``deadline``, in seconds of time.monotonic, which is the same clock in all
    processes. ``actions``: an :class:`Actions`; each raises an exception when it fails.
    """
    try:
        started = daemon.start(lambda report: _watch(directory, token, record, actions, report))
    except daemon.DaemonError as problem:
        raise HostError("The dead man's switch could not be armed: %s. Nothing was changed" % problem) from problem
    return int(started.answer)


def confirm(directory: str, token: str) -> bool:
    """Keep the change -> True; False when it does not await a confirmation (any more)."""
    return move(directory, token, ARMED, CONFIRMED)


def disarm(directory: str, token: str) -> None:
    """End the switch of a change that the caller has already undone."""
    # If the switch has expired at this moment, it restores the same state once more.
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path_of(directory, ARMED, token))
    lock.tidy(directory)


def await_end(directory: str, token: str, seconds: float) -> Optional[Change]:
    """Wait until a confirmed change is stored -> None; or the Change if it is not stored after ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        found = [change for change in changes(directory) if change.token == token]
        change = found[0] if found else None
        if change is None or change.state != CONFIRMED or not change.watched or time.monotonic() >= deadline:
            return change
        time.sleep(_LOOK_SECONDS)


def describe(directory: str, token: str) -> Description:
    """What became of a change.

    The dict has ``state`` ("unknown" without a file), ``message``, ``seconds_left`` (until the switch restores the
    old state; 0 unless armed) and ``lost`` (a list of sentences: what others lost when the old state was restored).
    """
    for change in changes(directory):
        if change.token == token:
            break
    else:
        return {"state": "unknown", "message": "nothing is known of it on this host", "seconds_left": 0.0, "lost": []}
    seconds = change.seconds_left() if change.state == ARMED else 0.0
    if change.state in (CONFIRMED, UNSTORED):
        message = "it is confirmed, but not stored for the next boot: %s" % (
            change.record.get("problem", "its dead man's switch has not ended")
        )
    elif change.state == ARMED:
        message = "it awaits its confirmation for %.0f s more, then the old state comes back" % seconds
    elif change.state == RESTORING:
        message = "the time to confirm it has passed, and the dead man's switch is restoring the old state"
    elif change.state == RESTORED:
        message = "the time to confirm it has passed, and the old state is back"
    else:
        message = "the time to confirm it has passed, and the old state could not be restored: %s" % (
            change.record.get("problem", "no reason was kept")
        )
    return {
        "state": change.state,
        "message": message,
        "seconds_left": seconds,
        "lost": list(change.record.get("lost", [])),
    }


def _watch(directory: str, token: str, record: Record, actions: Actions, report: daemon.Report) -> None:
    # The end of a terminal or of a session must not end the switch.
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    record = dict(record, pid=os.getpid(), token=token)
    armed = path_of(directory, ARMED, token)
    handle = _write(directory, token, record)  # open and locked for as long as this process lives
    os.rename(handle.name, armed)
    report.send(os.getpid())
    while os.path.exists(armed):
        remaining = record["deadline"] - time.monotonic()
        if remaining <= 0:
            break
        time.sleep(min(remaining, _LOOK_SECONDS))
    if move(directory, token, ARMED, RESTORING):
        _restore(directory, token, record, actions)
        return
    if os.path.exists(path_of(directory, CONFIRMED, token)):
        _keep(directory, token, record, actions)
    else:
        actions.drop()
    lock.tidy(directory)
    actions.end()


def _keep(directory: str, token: str, record: Record, actions: Actions) -> None:
    try:
        actions.keep()
    except Exception as problem:
        handle = _write(directory, token, dict(record, problem=str(problem)))
        os.rename(handle.name, path_of(directory, UNSTORED, token))
    os.unlink(path_of(directory, CONFIRMED, token))


def _write(directory: str, token: str, record: Record) -> TextIO:
    """Write a record to a hidden file -> the file, which is open and locked; renaming it publishes it."""
    handle = open(os.path.join(directory, ".%s-%d" % (token, os.getpid())), "w", encoding="utf-8")  # noqa: SIM115
    fcntl.flock(handle.fileno(), fcntl.LOCK_EX)
    json.dump(record, handle)
    handle.flush()
    return handle


def _restore(directory: str, token: str, record: Record, actions: Actions) -> None:
    deadline = time.monotonic() + _RETRY_SECONDS
    while True:
        try:
            lost = actions.restore()
        except Exception as problem:
            if time.monotonic() >= deadline:
                handle = _write(directory, token, dict(record, problem=str(problem)))
                os.rename(handle.name, path_of(directory, FAILED, token))
                os.unlink(path_of(directory, RESTORING, token))
                actions.drop()
                return
            time.sleep(1.0)
        else:
            actions.drop()
            if lost:
                # If /run is full, the losses cannot be recorded. The old state is restored all the same.
                with contextlib.suppress(OSError):
                    handle = _write(directory, token, dict(record, lost=lost))
                    os.rename(handle.name, path_of(directory, RESTORING, token))
            move(directory, token, RESTORING, RESTORED)
            return
