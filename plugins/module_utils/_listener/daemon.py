# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The supervisor of a group of listeners: it starts the workers and serves the control socket.

    module --fork--> (session leader, exits) --fork--> supervisor --fork--> workers

The control socket has an abstract name (unix(7)). There is no file, and every network namespace has names
of its own. Any user can take any such name. So the name holds the supervisor's process id and a random
part, and :mod:`control` finds out who holds it. The supervisor obeys only its own user (SO_PEERCRED), and
disconnects others at once.

The supervisor holds the writing end of a pipe, the leash: when it ends for whatever reason, its workers
end. Every process also has an alarm(2) that kills it shortly after the deadline, whatever it is doing.
"""

import binascii
import functools
import json
import os
import resource
import select
import socket
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.determined.network.plugins.module_utils._host import daemon
from ansible_collections.determined.network.plugins.module_utils._listener import plan
from ansible_collections.determined.network.plugins.module_utils._listener import worker as listener_worker
from ansible_collections.determined.network.plugins.module_utils._sockets import sockets

_RESERVE = 64  # descriptors that a worker needs beside its listeners: clients, pipes
_CLIENT_SECONDS = 5.0  # how long to wait for a client of the control socket
_WAITING_CLIENTS = 1024  # so that others can hardly keep our user out; the kernel bounds it by net.core.somaxconn


class Group(NamedTuple):
    """What a group of listeners is started with.

    ``answer``: the line that clients are sent, sealed with ``secret``. ``lifetime``: seconds.
    """

    token: str
    answer: str
    secret: str
    lifetime: float
    listeners: Sequence[plan.Listener]


def launch(group: Group) -> Dict[str, Any]:
    """Start a detached group of listeners -> its report, after everything listens.

    The report is that of the workers together (:func:`plan.merge_reports`) and ``pid``; or only ``error``, a
    sentence, when there is no group of listeners.
    """
    try:
        started = daemon.start(lambda report: _supervise(report, group))
    except daemon.DaemonDied:
        return {"error": "the listeners ended before they could report; see the kernel's log for a kill"}
    except daemon.DaemonError as problem:
        return {"error": "the listeners could not be started: %s" % problem}
    return dict(started.answer)


def _supervise(report_pipe: daemon.Report, group: Group) -> None:
    """The supervisor's whole life. ``report_pipe``: where its first report goes."""
    deadline = time.monotonic() + group.lifetime
    daemon.die_after(group.lifetime)
    try:
        control = _listen(group.token)
        workers, leash, report, marks = _start_workers(group, deadline)
    except (OSError, RuntimeError) as problem:
        report_pipe.send({"error": "the listeners could not be started: %s" % problem})
        return
    report["pid"] = os.getpid()
    report_pipe.send(report)
    client = _serve_control_socket(control, deadline, report, workers, marks)
    control.close()
    os.close(leash)
    for worker in workers:
        os.waitpid(worker, 0)
    if client is not None:  # the client learns of the end only now, when the ports are free
        client.close()


def _listen(token: str) -> socket.socket:
    """Listen on a control socket of a token, whose name nobody can have taken before."""
    control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    control.bind("\0" + plan.control_name(token, os.getpid(), binascii.hexlify(os.urandom(3)).decode("ascii")))
    control.listen(_WAITING_CLIENTS)
    return control


def _start_workers(group: Group, deadline: float) -> Tuple[List[int], int, Dict[str, Any], List[listener_worker.Marks]]:
    """Start the workers -> (their process ids, the writing end of the leash, their merged report, their marks)."""
    limit = sockets.raise_file_limit()
    most = 65536 if limit == resource.RLIM_INFINITY else max(1, limit - _RESERVE)
    leash_reader, leash_writer = os.pipe()
    workers, pipes, marks = [], [], []
    for part in plan.divide(group.listeners, most):
        reader, writer = os.pipe()
        marks.append(listener_worker.Marks())
        work = functools.partial(_work, group._replace(listeners=part), marks[-1], deadline, leash_reader, writer)
        workers.append(daemon.fork(work))
        os.close(writer)
        pipes.append(reader)
    os.close(leash_reader)
    reports = []
    for reader in pipes:
        with os.fdopen(reader, "rb") as pipe:
            data = pipe.read()
        try:
            reports.append(daemon.read_report(data))
        except daemon.DaemonError as problem:
            raise RuntimeError("a worker ended before it could report") from problem
    return workers, leash_writer, plan.merge_reports(reports), marks


def _work(part: Group, marks: listener_worker.Marks, deadline: float, leash: int, writer: int) -> None:
    """A worker's whole life, with its part of the listeners.

    ``leash`` and ``writer``: the only descriptors that it keeps.
    """
    daemon.close_all_but(leash, writer)
    daemon.die_after(part.lifetime)  # a child does not inherit alarms (fork(2))
    answers = listener_worker.Answers(part.answer, part.secret, marks)
    listener_worker.run(part.listeners, answers, deadline, leash, daemon.Report(writer).send)


def _serve_control_socket(
    control: socket.socket,
    deadline: float,
    report: Dict[str, Any],
    workers: Sequence[int],
    marks: Sequence[listener_worker.Marks],
) -> Optional[socket.socket]:
    """Answer control connections -> None at the deadline, or the connection that asked for the end."""
    poll = select.poll()
    poll.register(control.fileno(), select.POLLIN)
    while True:
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            return None
        if not poll.poll(1000 * remaining):
            continue
        try:
            client = control.accept()[0]
        except OSError:
            continue  # the client has closed, or this host lacks something at the moment
        if _answer_client(client, lambda: _state(deadline, report, workers, marks)):
            return client
        client.close()


def _state(
    deadline: float, report: Dict[str, Any], workers: Sequence[int], marks: Sequence[listener_worker.Marks]
) -> Dict[str, Any]:
    return dict(
        report,
        alive=all(_runs(worker) for worker in workers),
        received=sorted({mark for some in marks for mark in some.read()}),
        seconds_left=round(deadline - time.monotonic(), 1),
    )


def _answer_client(client: socket.socket, state: Callable[[], Dict[str, Any]]) -> bool:
    """Answer one control connection -> whether it asks for the end of the listeners.

    ``state``: makes the answer to ``read``. Others than our user must not cost us the time for it.
    """
    client.settimeout(_CLIENT_SECONDS)
    try:
        if sockets.peer(client).uid != os.getuid():
            return False
        command = client.recv(16)
        if command == b"read":
            client.sendall(json.dumps(state()).encode("utf-8"))
        return command == b"stop"
    except OSError:
        return False  # the client sent nothing in time, or has closed the connection


def _runs(worker: int) -> bool:
    try:
        return os.waitpid(worker, os.WNOHANG) == (0, 0)
    except OSError:  # ECHILD: an earlier call has already seen its end
        return False
