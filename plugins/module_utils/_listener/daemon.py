# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The supervisor of a group of listeners: detaches, starts the workers, obeys its control socket.

    module --fork--> (session leader, exits) --fork--> supervisor --fork--> workers

The control socket has an abstract name (unix(7)): no file, and one name space per network
namespace. Only the supervisor's own user and root are obeyed (SO_PEERCRED). The supervisor
holds a pipe, the leash: when it ends for whatever reason, its workers end. Every process also
carries an alarm that kills it shortly after the deadline, whatever it is doing.
"""

import contextlib
import errno
import gc
import json
import os
import resource
import select
import signal
import socket
import struct
import time

from ansible_collections.determined.network.plugins.module_utils._listener import plan
from ansible_collections.determined.network.plugins.module_utils._listener import worker as listener_worker
from ansible_collections.determined.network.plugins.module_utils._probe import sockets

_NAME = "\0determined.network.listener."
_RESERVE = 64  # descriptors of a worker that are no listeners: clients, pipes
_HASTE = 0.5  # seconds for a client that has no right to be heard
_PATIENCE = 5.0  # seconds for a client of the control socket, and for an old name to be free


def control_address(token):
    """The abstract name of the control socket of a token."""
    return _NAME + token


def peer(sock):
    """Who is at the other end of a Unix socket -> ``(pid, uid, gid)``."""
    size = struct.calcsize("=3i")
    return struct.unpack("=3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))


def launch(token, answer, lifetime, listeners):
    """Start a detached group of listeners -> its report, after everything listens.

    ``lifetime`` in seconds. The report is that of the workers together, and ``pid``; or only
    ``error``, a sentence, when there is no group of listeners.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            if os.fork() == 0:
                os.close(reading)
                _supervise(writing, token, answer, lifetime, listeners)
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading, "rb") as pipe:
        text = pipe.read()
    if not text:
        return {"error": "the listeners ended before they could report; see the kernel's log for a kill"}
    return json.loads(text.decode("utf-8"))


def _supervise(writing, token, answer, lifetime, listeners):
    """The supervisor's whole life. ``writing``: where its first report goes."""
    try:
        _detach(writing)
        deadline = time.monotonic() + lifetime
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(int(lifetime) + 2)
        control = _claim(token)
        workers, leash, report = _start_workers(answer, deadline, lifetime, listeners)
        report["pid"] = os.getpid()
        _write_all(writing, report)
    except BaseException as problem:
        _write_all(writing, {"error": "the listeners could not be started: %s" % problem})
        return
    os.close(writing)
    client = _obey(control, deadline, report, workers)
    control.close()
    os.close(leash)
    for worker in workers:
        os.waitpid(worker, 0)
    if client is not None:  # only now do the ports belong to others again
        client.close()


def _detach(kept):
    """Keep nothing of the module: neither its files nor its directory."""
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    _close_all_but(kept)


def _close_all_but(*kept):
    gc.disable()  # a forgotten file of the module, collected later, would close what took its number
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in kept:
            with contextlib.suppress(OSError):  # the directory that was listed
                os.close(int(name))


def _claim(token):
    control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            control.bind(control_address(token))
            break
        except OSError as problem:
            if problem.errno != errno.EADDRINUSE or time.monotonic() > until:
                raise
            time.sleep(0.02)
    control.listen(16)
    return control


def _start_workers(answer, deadline, lifetime, listeners):
    limit = sockets.raise_file_limit()
    most = 65536 if limit == resource.RLIM_INFINITY else max(1, limit - _RESERVE)
    leash_reading, leash_writing = os.pipe()
    workers, pipes = [], []
    for part in plan.divide(listeners, most):
        reading, writing = os.pipe()
        worker = os.fork()
        if worker == 0:
            try:
                _close_all_but(leash_reading, writing)
                signal.alarm(int(lifetime) + 2)  # alarms are not inherited
                _work(part, answer, deadline, leash_reading, writing)
            finally:
                os._exit(1)
        os.close(writing)
        workers.append(worker)
        pipes.append(reading)
    os.close(leash_reading)
    reports = []
    for reading in pipes:
        with os.fdopen(reading, "rb") as pipe:
            text = pipe.read()
        if not text:
            raise RuntimeError("a worker ended before it could report")
        reports.append(json.loads(text.decode("utf-8")))
    return workers, leash_writing, plan.merge_reports(reports)


def _work(part, answer, deadline, leash, writing):
    def report_to(report):
        _write_all(writing, report)
        os.close(writing)

    listener_worker.run(part, answer.encode("utf-8") + b"\n", deadline, leash, report_to)


def _write_all(descriptor, report):
    data = json.dumps(report).encode("utf-8")
    while data:
        data = data[os.write(descriptor, data) :]


def _obey(control, deadline, report, workers):
    """Answer control connections until the deadline (None) or a stop (its connection)."""
    poll = select.poll()
    poll.register(control.fileno(), select.POLLIN)
    while True:
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            return None
        if not poll.poll(1000 * remaining):
            continue
        client = control.accept()[0]
        if _hear(client, deadline, report, workers):
            return client
        client.close()


def _hear(client, deadline, report, workers):
    """Answer one control connection; returns whether it asks for the end."""
    client.settimeout(_PATIENCE)
    try:
        if peer(client)[1] not in (0, os.getuid()):
            refusal = {"error": "only uid %d and root may" % os.getuid()}
            client.settimeout(_HASTE)
            client.sendall(json.dumps(refusal).encode("utf-8"))
            client.recv(16)  # closed with a command unread, the refusal would be lost
            return False
        command = client.recv(16)
        if command == b"read":
            state = dict(report, alive=all(_runs(worker) for worker in workers))
            state["seconds_left"] = round(deadline - time.monotonic(), 1)
            client.sendall(json.dumps(state).encode("utf-8"))
        return command == b"stop"
    except OSError:
        return False  # a client that says nothing, or goes away


def _runs(worker):
    try:
        return os.waitpid(worker, os.WNOHANG) == (0, 0)
    except OSError:  # ECHILD: seen dead before
        return False
