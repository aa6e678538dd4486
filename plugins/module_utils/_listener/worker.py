# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One process of a group of listeners: binds its ports, reports, and answers until it ends."""

import binascii
import contextlib
import errno
import mmap
import os
import select
import socket
import time
from typing import Any, Callable, Dict, List, Optional, Sequence, Set, Tuple

from ansible_collections.determined.network.plugins.module_utils import _ports
from ansible_collections.determined.network.plugins.module_utils._listener import plan
from ansible_collections.determined.network.plugins.module_utils._sockets import errors, proof
from ansible_collections.determined.network.plugins.module_utils._sockets import sockets as probe_sockets

_BACKLOG = 4096  # the kernel bounds it by net.core.somaxconn
MOST_MARKS = 4096  # that one worker remembers


def bind_all(listeners: Sequence[plan.Listener]) -> Tuple[List[socket.socket], Dict[str, Any]]:
    """Listen on [(address, protocol, port set)] -> ``([sockets], report)``.

    The report: ``listening`` and ``held`` (ports in use by somebody else) as lists of
    {"address", "protocol", "ports"}, and ``problems``, sentences about what could not be bound.
    """
    sockets = []
    report: Dict[str, Any] = {"listening": [], "held": [], "problems": []}
    for address, protocol, ports in listeners:
        listening: List[int] = []
        held: List[int] = []
        failed: Dict[int, List[int]] = {}
        for port in _ports.numbers(ports):
            try:
                sockets.append(_bind(address, protocol, port))
                listening.append(port)
            except OSError as problem:
                if problem.errno == errno.EADDRINUSE:
                    held.append(port)
                    continue
                failed.setdefault(problem.errno or 0, []).append(port)
                if problem.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    break  # it is the address, not the port
        for name, numbers in (("listening", listening), ("held", held)):
            if numbers:
                text = _ports.format_ports(_ports.from_numbers(numbers))
                report[name].append({"address": address, "protocol": protocol, "ports": text})
        for number, numbers in failed.items():
            report["problems"].append(_problem(address, protocol, number, numbers))
    return sockets, report


def _bind(address: str, protocol: str, port: int) -> socket.socket:
    family = probe_sockets.FAMILIES["ipv6" if ":" in address else "ipv4"]
    sock = socket.socket(family, probe_sockets.TYPES[protocol] | socket.SOCK_NONBLOCK)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if protocol == "tcp":
            # For TCP this ignores closed connections (TIME_WAIT) only. For UDP it would share a service's port.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(probe_sockets.socket_address(address, port))
        if protocol == "tcp":
            sock.listen(_BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def _problem(address: str, protocol: str, number: int, numbers: Sequence[int]) -> str:
    """Ports that could not be bound, and the errno -> a sentence."""
    if number == errno.EADDRNOTAVAIL:
        return (
            "the inventory says %s, but no interface here has it; correct determined_address, "
            "or give the address to an interface (ip address show)" % address
        )
    if number == errno.EAFNOSUPPORT:
        return "%s: the kernel of this host has no IPv6; use its IPv4 address" % address
    ports = _ports.format_ports(_ports.from_numbers(numbers))
    if number == errno.EACCES:
        return "%s %s ports %s: listening on these needs root (become: true)" % (address, protocol, ports)
    return "%s %s ports %s: %s" % (address, protocol, ports, errors.describe_errno(number))


class Marks:
    """The marks of datagrams that one worker has received, in memory that it shares with the supervisor.

    Make it before the worker's process starts.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, MOST_MARKS * proof.MARK)  # mmap(2): zeros, shared with child processes
        self._known: Set[bytes] = set()

    def remember(self, mark: bytes) -> None:
        """Remember a mark once, and MOST_MARKS at most."""
        if mark not in self._known and len(self._known) < MOST_MARKS:
            start = len(self._known) * proof.MARK
            self._known.add(mark)
            self._memory[start : start + proof.MARK] = mark

    def read(self) -> List[str]:
        """All marks that any process has remembered here, in hexadecimal digits."""
        data = self._memory[:]
        marks = {data[start : start + proof.MARK] for start in range(0, len(data), proof.MARK)}
        return sorted(binascii.hexlify(mark).decode("ascii") for mark in marks - {b"\0" * proof.MARK})


class Answers:
    """What a worker sends: its line, sealed with the secret of the run (:mod:`proof`)."""

    def __init__(self, line: str, secret: str, marks: Marks) -> None:
        self.line = line
        self.marks = marks
        self.proof = proof.Proof(secret)
        # All TCP clients are sent the same bytes, so that thousands of them cost no computation.
        self.for_connections = self.proof.seal(line, os.urandom(proof.RANDOM))

    def to_datagram(self, datagram: bytes) -> Optional[bytes]:
        """The answer, as long as the datagram; or None, unless a probe of the same run has sent it.

        Whoever repeats such a datagram with a forged source has one answer sent there, and nobody answers that.
        A marked datagram has no answer: its mark is remembered.
        """
        nonce = self.proof.read_question(datagram)
        mark = None if nonce is None else proof.read_mark(nonce)
        if mark is not None:
            self.marks.remember(mark)
        return None if nonce is None or mark else self.proof.seal(self.line, os.urandom(proof.RANDOM), nonce)


def serve(sockets: Sequence[socket.socket], answers: Answers, deadline: float, leash: int) -> None:
    """Answer until ``deadline`` (time.monotonic) or until the file descriptor ``leash`` is closed.

    The supervisor holds the other end of the leash. When it ends for whatever reason, this function returns.
    """
    epoll = select.epoll()
    epoll.register(leash, select.EPOLLIN)
    by_descriptor = {}
    for sock in sockets:
        by_descriptor[sock.fileno()] = sock
        epoll.register(sock.fileno(), select.EPOLLIN)
    while True:
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            return
        for descriptor, _unused in epoll.poll(remaining, 1024):
            if descriptor == leash:
                return
            _answer(by_descriptor[descriptor], answers)


def _answer(sock: socket.socket, answers: Answers) -> None:
    """Answer one client. epoll(7) reports the socket again while more clients wait."""
    try:
        if sock.type & socket.SOCK_DGRAM:
            datagram, client = sock.recvfrom(proof.LENGTH + 1)  # the kernel cuts off what is longer
            answer = answers.to_datagram(datagram)
            if answer is not None:
                sock.sendto(answer, client)
            return
        connection, _unused = sock.accept()
    except OSError:
        return  # the client has closed, or there are too many clients at once; those that still wait come again
    with contextlib.suppress(OSError):
        connection.send(answers.for_connections)
    connection.close()


def run(
    listeners: Sequence[plan.Listener],
    answers: Answers,
    deadline: float,
    leash: int,
    report_to: Callable[[Dict[str, Any]], object],
) -> None:
    """A worker's whole life: bind, call ``report_to`` with the report of :func:`bind_all`, and serve."""
    probe_sockets.raise_file_limit()
    sockets, report = bind_all(listeners)
    report_to(report)
    serve(sockets, answers, deadline, leash)
