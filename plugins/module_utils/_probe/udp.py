# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""UDP probes: a datagram, and whatever comes back to it.

UDP has no handshake. An answer means open; an ICMP error means rejected, also when a host
without a firewall says by it that the port is closed (RFC 1122 4.1.3.1); silence means
filtered, or a service that does not answer strangers.
"""

import collections
import select
import time

from ansible_collections.determined.network.plugins.module_utils import _ports, _socket_states
from ansible_collections.determined.network.plugins.module_utils._probe import errors, sockets

_DATAGRAM = b"determined.network probe\n"
_ATTEMPTS = 3  # datagrams are lost without anybody's knowledge
_LAP = 256
_PATIENCE = 5.0  # seconds that a shortage may last


class _Question:
    __slots__ = ("target", "port", "sock", "since", "sent")

    def __init__(self, target, port, sock, since):
        self.target, self.port, self.sock, self.since, self.sent = target, port, sock, since, 0


def run(targets, timeout, capacity):
    """Ask every port of the UDP targets; ``timeout`` is in seconds, for all attempts together.

    At most ``capacity`` questions are open at once: unlike connections they fill no queue.
    """
    waiting = collections.deque((target, port) for target in targets for port in _ports.numbers(target.ports))
    questions = {}
    shortage = None
    epoll = select.epoll()
    try:
        while waiting or questions:
            now = time.monotonic()
            for _unused in range(min(_LAP, capacity - len(questions), len(waiting))):
                target, port = waiting.popleft()
                try:
                    question = _ask(target, port, now)
                except OSError as problem:
                    if problem.errno in errors.SHORTAGES:
                        shortage = shortage or now
                        if now - shortage < _PATIENCE:
                            waiting.append((target, port))
                            break
                    target.record(port, *errors.classify(problem.errno, None, "", at_once=True))
                    continue
                shortage = None
                questions[question.sock.fileno()] = question
                epoll.register(question.sock.fileno(), select.EPOLLIN)
            room = waiting and len(questions) < capacity and not shortage
            for descriptor, _unused in epoll.poll(0 if room else timeout / 50.0, max(1, len(questions))):
                _hear(questions[descriptor])
            for descriptor, question in list(questions.items()):
                if question.sock is not None:
                    _repeat_or_give_up(question, now, timeout)
                if question.sock is None:
                    del questions[descriptor]
    finally:
        for question in questions.values():
            if question.sock is not None:
                question.sock.close()
        epoll.close()


def _ask(target, port, now):
    sock = sockets.open_socket(target)
    try:
        sock.connect(sockets.socket_address(target.address, port))
        question = _Question(target, port, sock, now)
        _send(question)
    except OSError:
        sock.close()
        raise
    return question


def _send(question):
    question.sock.send(_DATAGRAM)
    question.sent += 1
    question.target.sent += 1


def _hear(question):
    """An answer, or an error from the network, has come."""
    target, port = question.target, question.port
    try:
        data = question.sock.recv(2048)
    except BlockingIOError:
        return
    except OSError as problem:
        _end_by_error(question, problem.errno)
        return
    target.record(port, _socket_states.OPEN)
    target.seconds.append(time.monotonic() - question.since)
    if port in target.identify:
        target.answered(port, data)
    _end(question)


def _end_by_error(question, number):
    extended = sockets.read_error_queue(question.sock)
    own = sockets.source_address(question.target)
    question.target.record(question.port, *errors.classify(number, extended, own, at_once=True))
    _end(question)


def _repeat_or_give_up(question, now, timeout):
    elapsed = now - question.since
    if elapsed >= timeout:
        question.target.record(question.port, _socket_states.FILTERED)
        _end(question)
    elif question.sent < _ATTEMPTS and elapsed >= timeout * question.sent / _ATTEMPTS:
        try:
            _send(question)
        except OSError as problem:
            if problem.errno not in errors.SHORTAGES:
                _end_by_error(question, problem.errno)


def _end(question):
    question.sock.close()
    question.sock = None
