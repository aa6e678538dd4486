# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start a process that outlives the module and its session (daemon(7), "SysV Daemons").

Everything that such a process needs must be imported before it starts: Ansible removes the module's files
as soon as the module has ended.
"""

import contextlib
import gc
import json
import os
import signal
from typing import Any, Callable, NamedTuple

from ansible_collections.determined.network.plugins.module_utils._host.commands import HostError

_ALARM_DELAY = 2  # seconds


class DaemonError(HostError):
    """The process could not start its work. The text is the class and the text of its exception."""


class DaemonDied(DaemonError):
    """The process ended before it reported anything; somebody killed it, or it forgot to report."""


class Started(NamedTuple):
    """A process that :func:`start` has started.

    ``answer``: what the process has sent, any JSON value. ``child``: the id of the direct child of this
    process; with a second fork it has already ended and has been waited for.
    """

    answer: Any
    child: int


class Report:
    """The writing end of a pipe, over which a new process reports once. :func:`read_report` reads it."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._is_open = True

    def send(self, answer: object) -> bool:
        """Send a JSON value and close the pipe; False if nobody reads it, or if it was closed before."""
        return self._send({"answer": answer})

    def fail(self, problem: BaseException) -> bool:
        """Send an exception and close the pipe; False as for :meth:`send`."""
        return self._send({"failure": "%s: %s" % (type(problem).__name__, problem)})

    def close(self) -> None:
        """Close the pipe. Every process that inherited the pipe must close it before the reader sees its end."""
        if self._is_open:
            self._is_open = False
            os.close(self.descriptor)

    def _send(self, message: object) -> bool:
        if not self._is_open:
            return False
        data = json.dumps(message).encode("utf-8")
        try:
            while data:
                data = data[os.write(self.descriptor, data) :]
        except OSError:
            return False
        finally:
            self.close()
        return True


def read_report(data: bytes) -> Any:
    """All bytes of a :class:`Report`'s pipe -> the answer. Raises DaemonError, or DaemonDied without bytes."""
    if not data:
        raise DaemonDied("its process died")
    message = json.loads(data.decode("utf-8"))
    if "failure" in message:
        raise DaemonError(message["failure"])
    return message["answer"]


def start(work: Callable[[Report], None], umask: int = 0o077, second_fork: bool = True) -> Started:
    """Run ``work(report)`` in a new process that outlives this one -> :class:`Started`, once it has reported.

    The process has a session of its own, / as its directory and /dev/null as its standard files. It holds no
    other descriptor of this process. It ends when ``work`` returns. ``second_fork``: whether the process is
    a grandchild, which process 1 waits for. Otherwise it is a child, and ``Started.child`` is its id.
    Raises DaemonError when ``work`` raises before it has reported, and DaemonDied when it never reports.
    """
    reader, writer = os.pipe()
    report = Report(writer)

    def work_detached() -> None:
        try:
            detach(umask, writer)
            work(report)
        except BaseException as problem:
            report.fail(problem)
            raise

    def lead_session() -> None:
        try:
            os.setsid()
            if second_fork:
                fork(work_detached)
        except BaseException as problem:
            report.fail(problem)
            raise
        if not second_fork:
            work_detached()

    child = fork(lead_session)
    report.close()
    if second_fork:
        os.waitpid(child, 0)
    with os.fdopen(reader, "rb") as pipe:
        data = pipe.read()
    try:
        return Started(read_report(data), child)
    except DaemonError:
        if not second_fork:
            os.waitpid(child, 0)
        raise


def fork(work: Callable[[], None]) -> int:
    """Run ``work`` in a child process -> the child's id. The child's exit code is 0, or 1 after an exception.

    The child never returns into the code of its parent, and runs none of its exit handlers.
    """
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return pid


def detach(umask: int, *kept: int) -> None:
    """Leave this process's directory, standard files and descriptors, except those of ``kept``."""
    os.chdir("/")
    os.umask(umask)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    close_all_but(*kept)


def die_after(seconds: float) -> None:
    """Let the kernel kill this process two seconds after a deadline, if it has not ended (alarm(2)).

    A child does not inherit it (fork(2)).
    """
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(int(seconds) + _ALARM_DELAY)


def close_all_but(*kept: int) -> None:
    """Close all descriptors but the standard files and those of ``kept``.

    This also turns the garbage collector off. A file object of the parent that nothing refers to any more
    would otherwise be collected later, and would close the descriptor that took its number in the meantime.
    """
    gc.disable()
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in kept:
            with contextlib.suppress(OSError):  # listdir itself had one more descriptor, which is closed already
                os.close(int(name))
