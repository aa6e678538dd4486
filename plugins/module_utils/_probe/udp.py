# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""UDP probes: a datagram to each port, and whatever comes back.

UDP has no handshake. An answer means open. An ICMP error means rejected, even if a host without
a firewall says by it that the port is closed (RFC 1122 4.1.3.1). If nothing comes back, the port
is filtered, or its service does not answer to unknown datagrams.

A source address is easily forged. So where a listener of this run should answer, the probe waits for the answer that
proves it; another answer counts only if that one does not come.
"""

import collections
import os
import select
import socket
import time
from typing import Deque, Dict, Optional, Sequence, Tuple

from ansible_collections.determined.network.plugins.module_utils import _ports, _socket_states
from ansible_collections.determined.network.plugins.module_utils._probe.observation import Target
from ansible_collections.determined.network.plugins.module_utils._sockets import errors, proof, sockets
from ansible_collections.determined.network.plugins.module_utils._sockets.errors import Finding

_DATAGRAM = b"determined.network probe\n"
_MOST_DATAGRAMS = 3  # to one port, because nobody reports a lost datagram
_BURST = 256  # ports whose first datagram is sent before the answers are read
_PATIENCE = 5.0  # seconds that a shortage may last
_WAITS = 50  # how often within the timeout the ports in flight are checked, if nothing comes back


def run(targets: Sequence[Target], timeout: float, capacity: int) -> None:
    """Probe every port of the UDP targets; the results are recorded in the targets.

    ``timeout``: seconds for all datagrams to a port together. ``capacity``: the most ports in flight. They need
    no window, because UDP has no queue of half-open connections that they could fill.
    """
    engine = _Engine(targets, timeout, capacity)
    try:
        engine.run()
    finally:
        engine.close()


class _Port:
    """One port in flight; ``sock`` is None once its result is recorded."""

    def __init__(self, target: Target, number: int, sock: socket.socket, since: float) -> None:
        self.target, self.number, self.since = target, number, since
        self.sock: Optional[socket.socket] = sock
        self.sent = 0
        self.nonce = os.urandom(proof.RANDOM) if target.proof else b""
        self.datagram = target.proof.question(self.nonce) if target.proof else _DATAGRAM
        self.unproven: Optional[bytes] = None  # the first answer that proves nothing

    def send(self) -> None:
        """Send a datagram. Raises OSError."""
        if self.sock is not None:
            self.sock.send(self.datagram)
            self.sent += 1
            self.target.sent += 1

    def receive(self) -> None:
        """Read the answer, or the error of the network. Call this when epoll reports the socket."""
        if self.sock is None:
            return
        try:
            data = self.sock.recv(2048)
        except BlockingIOError:
            return
        except OSError as problem:
            self._failed(self.sock, problem)
            return
        identify = self.number in self.target.identify
        if identify and self.target.proof and self.target.proof.unseal(data, self.nonce) is None:
            self.unproven = self.unproven or data
            return
        self.target.seconds.append(time.monotonic() - self.since)
        self._open(self.sock, data)

    def _open(self, sock: socket.socket, data: bytes) -> None:
        if self.number in self.target.identify:
            self.target.answered(self.number, data, self.nonce)
        self._end(sock, Finding(_socket_states.OPEN))

    def send_again_or_end(self, now: float, timeout: float) -> None:
        """Send a further datagram if it is due; if the time is over, the port is filtered."""
        if self.sock is None:
            return
        elapsed = now - self.since
        if elapsed >= timeout and self.unproven is not None:
            self._open(self.sock, self.unproven)
        elif elapsed >= timeout:
            self._end(self.sock, Finding(_socket_states.FILTERED))
        elif self.sent < _MOST_DATAGRAMS and elapsed >= timeout * self.sent / _MOST_DATAGRAMS:
            try:
                self.send()
            except OSError as problem:
                if problem.errno not in errors.SHORTAGES:
                    self._failed(self.sock, problem)

    def close(self) -> None:
        """Close the socket without a result."""
        if self.sock is not None:
            self.sock.close()
            self.sock = None

    def _failed(self, sock: socket.socket, problem: OSError) -> None:
        extended = sockets.read_error_queue(sock)
        own = sockets.source_address(self.target)
        self._end(sock, errors.classify(problem.errno or 0, extended, own, at_once=True))

    def _end(self, sock: socket.socket, finding: Finding) -> None:
        self.target.record(self.number, finding)
        sock.close()
        self.sock = None


class _Engine:
    """All ports of a batch: those that wait, and those in flight."""

    def __init__(self, targets: Sequence[Target], timeout: float, capacity: int) -> None:
        self.timeout, self.capacity = timeout, capacity
        self.waiting: Deque[Tuple[Target, int]] = collections.deque(
            (target, port) for target in targets for port in _ports.numbers(target.ports)
        )
        self.in_flight: Dict[int, _Port] = {}  # by file descriptor
        self.short_since: Optional[float] = None  # since when this host lacks something
        self.epoll = select.epoll()

    def run(self) -> None:
        """Probe until every port has a result."""
        while self.waiting or self.in_flight:
            now = time.monotonic()
            self._start_burst(now)
            self._receive()
            for descriptor, port in list(self.in_flight.items()):
                port.send_again_or_end(now, self.timeout)
                if port.sock is None:
                    del self.in_flight[descriptor]

    def close(self) -> None:
        """Close the sockets of all ports that are still in flight."""
        for port in self.in_flight.values():
            port.close()
        self.epoll.close()

    def _start_burst(self, now: float) -> None:
        for _unused in range(min(_BURST, self.capacity - len(self.in_flight), len(self.waiting))):
            target, number = self.waiting.popleft()
            try:
                self._start(target, number, now)
                self.short_since = None
            except OSError as problem:
                if self._may_wait_for(problem, now):
                    self.waiting.append((target, number))
                    return
                target.record(number, errors.classify(problem.errno or 0, None, "", at_once=True))

    def _may_wait_for(self, problem: OSError, now: float) -> bool:
        """Whether a shortage on this host has not lasted too long yet."""
        if problem.errno not in errors.SHORTAGES:
            return False
        self.short_since = self.short_since or now
        return now - self.short_since < _PATIENCE

    def _start(self, target: Target, number: int, now: float) -> None:
        """Send the first datagram to a port. Raises OSError."""
        sock = sockets.open_socket(target)
        port = _Port(target, number, sock, now)
        try:
            sock.connect(sockets.socket_address(target.address, number))
            port.send()
            self.epoll.register(sock.fileno(), select.EPOLLIN)
        except OSError:
            sock.close()
            raise
        self.in_flight[sock.fileno()] = port

    def _receive(self) -> None:
        can_start_more = self.waiting and len(self.in_flight) < self.capacity and self.short_since is None
        seconds = 0 if can_start_more else self.timeout / _WAITS
        for descriptor, _unused in self.epoll.poll(seconds, max(1, len(self.in_flight))):
            self.in_flight[descriptor].receive()
