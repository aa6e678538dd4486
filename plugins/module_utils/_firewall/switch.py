# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dead man's switch: a process that puts the old state back unless somebody confirms.

A change is one file in the folder of ``lock``; its name is its state and its token::

    armed-TOKEN  ->  confirmed-TOKEN  ->  (stored for the next boot: removed) or unstored-TOKEN
                 ->  restoring-TOKEN  ->  restored-TOKEN or failed-TOKEN

Confirming and expiring both rename ``armed-TOKEN``: the kernel lets exactly one of them succeed. So a
bare ``mv`` over a fresh connection is a confirmation, and the switch does the rest. Removing the file
keeps the rules and stores nothing. The switch holds a flock on the file as long as it lives, so
that a file whose switch was killed is told from one that is watched.

Everything is imported before the process is born: Ansible removes the module's files as
soon as the module has ended.
"""

import contextlib
import errno
import fcntl
import json
import os
import re
import signal
import time
from typing import NamedTuple

from ansible_collections.determined.network.plugins.module_utils._firewall import lock
from ansible_collections.determined.network.plugins.module_utils._host.commands import HostError

ARMED, CONFIRMED, UNSTORED = "armed", "confirmed", "unstored"
RESTORING, RESTORED, FAILED = "restoring", "restored", "failed"
_STATES = (ARMED, CONFIRMED, UNSTORED, RESTORING, RESTORED, FAILED)
TOKEN = re.compile(r"[a-z0-9]{8,64}\Z")
_FILE = re.compile(r"(%s)-([a-z0-9]{8,64})\Z" % "|".join(_STATES))
_LOOK_SECONDS = 0.02  # how often a switch looks whether its file is still there
_RETRY_SECONDS = 300.0  # how long it goes on trying to restore
_SHOWN_LOSSES = 20


class Actions(NamedTuple):
    """What a switch does, in its own process, without arguments. ``restore``: puts the old state back and
    returns sentences, what others lost by it. ``keep``: stores the new one. ``drop``: forgets what was to be
    stored; never fails. ``end``: what may follow once everybody has been told that it is stored; its
    failures are nobody's."""

    restore: object
    keep: object
    drop: object
    end: object


class Change(NamedTuple):
    """A change as its file tells it. ``record``: the dict that :func:`arm` was given.
    ``watched``: whether its switch lives."""

    state: str
    token: str
    record: dict
    watched: bool

    def seconds_left(self):
        """Seconds until the old state comes back; 0.0 once the deadline has passed."""
        return max(0.0, self.record.get("deadline", 0.0) - time.monotonic())


def changes(directory):
    """All changes of which something is left on this host -> list of Change."""
    found = []
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
                    watched = _is_held(handle)
            except FileNotFoundError:
                continue  # settled in this very moment
            except ValueError as problem:
                raise HostError(
                    "%s is damaged: %s. Look at it, then remove it" % (os.path.join(directory, name), problem)
                ) from problem
            found.append(Change(parts.group(1), parts.group(2), record, watched))
    return found


def _is_held(handle):
    try:
        fcntl.flock(handle.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as problem:
        if problem.errno in (errno.EAGAIN, errno.EACCES):
            return True
        raise
    return False


def path_of(directory, state, token):
    """Where the file of a change in a state lies."""
    return os.path.join(directory, "%s-%s" % (state, token))


def move(directory, token, state, new_state):
    """Take a change from one state to the next; False when somebody else was faster."""
    try:
        os.rename(path_of(directory, state, token), path_of(directory, new_state, token))
    except FileNotFoundError:
        return False
    return True


def forget(directory, token):
    """Remove what is left of a settled change, and the folder if it is the last one."""
    for state in (RESTORED, FAILED, RESTORING, CONFIRMED, UNSTORED):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path_of(directory, state, token))
    lock.tidy(directory)


def sweep(directory):
    """Remove half-written files; only to be called with the lock held."""
    for name in os.listdir(directory):
        if name.startswith("."):
            os.unlink(os.path.join(directory, name))


def arm(directory, token, record, actions):
    """Start the switch -> its process id, once it watches. HostError when it does not come up.

    ``record``: plain data to keep beside ``deadline`` (time.monotonic seconds, the same
    clock for all processes). ``actions``: an :class:`Actions`; each raises when it cannot.
    """
    answer = spawn(lambda ready: _watch(directory, token, record, actions, ready))
    if not answer.startswith("ready "):
        raise HostError(
            "The dead man's switch could not be armed: %s. Nothing was changed" % (answer or "its process died")
        )
    return int(answer.split()[1])


def confirm(directory, token):
    """Keep the change -> True; False when it does not await a confirmation (any more)."""
    return move(directory, token, ARMED, CONFIRMED)


def disarm(directory, token):
    """The change is undone: its switch has nothing left to do."""
    # When it has just expired instead, it restores the same state once more.
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path_of(directory, ARMED, token))
    lock.tidy(directory)


def await_end(directory, token, seconds):
    """Wait until a confirmed change is stored -> the Change that is left of it, None when all is done."""
    deadline = time.monotonic() + seconds
    while True:
        found = [change for change in changes(directory) if change.token == token]
        left = found[0] if found else None
        if left is None or left.state != CONFIRMED or not left.watched or time.monotonic() >= deadline:
            return left
        time.sleep(_LOOK_SECONDS)


def describe(directory, token):
    """What became of a change -> dict: ``state`` ("unknown" when nothing is left), ``message``,
    ``seconds_left`` (until the old state comes back; 0 unless armed), ``lost`` (as of :func:`losses`)."""
    for change in changes(directory):
        if change.token == token:
            break
    else:
        return {"state": "unknown", "message": "nothing is known of it on this host", "seconds_left": 0.0, "lost": ""}
    lost = losses(change.record.get("lost"))
    seconds = change.seconds_left() if change.state == ARMED else 0.0
    if change.state in (CONFIRMED, UNSTORED):
        message = "it is confirmed, but not stored for the next boot: %s" % (
            change.record.get("problem", "its dead man's switch has not ended")
        )
    elif change.state == ARMED:
        message = "it awaits its confirmation for %.0f s more, then the old state comes back" % seconds
    elif change.state == RESTORING:
        message = "the time to confirm it has passed, and the old state is being put back"
    elif change.state == RESTORED:
        message = "the time to confirm it has passed, and the old state is back%s" % lost
    else:
        message = "the time to confirm it has passed, and the old state could not be put back: %s" % (
            change.record.get("problem", "no reason was kept")
        )
    return {"state": change.state, "message": message, "seconds_left": seconds, "lost": lost}


def losses(lost):
    """What others lost when an old state was put back -> the end of a sentence; "" where they lost nothing."""
    if not lost:
        return ""
    shown = list(lost[:_SHOWN_LOSSES])
    if len(lost) > len(shown):
        shown.append("and %d more" % (len(lost) - len(shown)))
    return "; others have lost by that: %s" % "; ".join(shown)


def spawn(target):
    """Run ``target(ready)`` in a process of its own that outlives this one and its session.

    ``ready(text)`` hands one text back, which is what this function returns; "" when the
    process died before.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        answer = _Answer(writer)
        try:
            os.setsid()
            if os.fork() == 0:
                _detach(writer)
                target(answer.tell)
        except BaseException as problem:  # nothing may fall through into the module's own code
            answer.tell("%s: %s" % (type(problem).__name__, problem))
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader, "rb") as handle:
        return handle.read().decode("utf-8", "replace")


class _Answer:
    """The one text that a new process hands back; later ones go nowhere."""

    def __init__(self, writer):
        self._writer = writer

    def tell(self, text):
        writer, self._writer = self._writer, None
        if writer is not None:
            os.write(writer, text.encode("utf-8", "replace"))
            os.close(writer)


def _detach(keep):
    """No terminal, no signal of a closing session, no descriptor of the parent."""
    os.chdir("/")
    os.umask(0o077)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) != keep:
            with contextlib.suppress(OSError):  # the descriptor that listed them
                os.close(int(name))


def _watch(directory, token, record, actions, ready):
    record = dict(record, pid=os.getpid(), token=token)
    armed = path_of(directory, ARMED, token)
    handle = _write(directory, token, record)  # open and locked for as long as this process lives
    os.rename(handle.name, armed)
    ready("ready %d" % os.getpid())
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


def _keep(directory, token, record, actions):
    try:
        actions.keep()
    except Exception as problem:
        handle = _write(directory, token, dict(record, problem=str(problem)))
        os.rename(handle.name, path_of(directory, UNSTORED, token))
    os.unlink(path_of(directory, CONFIRMED, token))


def _write(directory, token, record):
    handle = open(os.path.join(directory, ".%s-%d" % (token, os.getpid())), "w", encoding="utf-8")  # noqa: SIM115
    fcntl.flock(handle.fileno(), fcntl.LOCK_EX)
    json.dump(record, handle)
    handle.flush()
    return handle


def _restore(directory, token, record, actions):
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
                # A full /run keeps it from being told, nothing else: the old state is back.
                with contextlib.suppress(OSError):
                    handle = _write(directory, token, dict(record, lost=lost))
                    os.rename(handle.name, path_of(directory, RESTORING, token))
            move(directory, token, RESTORING, RESTORED)
            return
