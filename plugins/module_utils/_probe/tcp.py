# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many TCP connections at once: how every port of some targets answers a SYN.

What makes this fast and right:

- A socket whose connection was refused can connect again at once (Linux keeps it unbound),
  so a closed port costs two calls of connect and one read of the error queue.
- Only attempts that are not answered by then are registered with epoll.
- Silent attempts leave the window (:mod:`sweep`).
- A shortage on this host (files, buffers, local ports) slows the probe down. It never becomes
  a state of the path.
"""

import collections
import errno
import select
import socket
import time
from typing import Callable, Deque, Dict, Iterable, List, Optional, Sequence, Tuple

from ansible_collections.determined.network.plugins.module_utils import _socket_states
from ansible_collections.determined.network.plugins.module_utils._probe.conversation import Conversation, Deadlines
from ansible_collections.determined.network.plugins.module_utils._probe.observation import Target
from ansible_collections.determined.network.plugins.module_utils._probe.sweep import REPETITION, Attempt, Sweep
from ansible_collections.determined.network.plugins.module_utils._sockets import errors, sockets
from ansible_collections.determined.network.plugins.module_utils._sockets.errors import ExtendedError, Finding

_PATIENCE = 5.0  # seconds that a shortage may last
_IDLE = 0.05  # seconds to wait for events at most
_SHORTEST_IDLE = 0.01  # seconds, while ports wait
_PAUSE = 0.1  # seconds without a new attempt after a shortage
_FEWEST_SOCKETS = 4

# What the sockets of a pool have in common: family and source address.
_PoolKey = Tuple[str, Optional[str]]


class Engine:
    """Runs sweeps. The results are recorded in the targets."""

    def __init__(self, timeout: float, capacity: int, meanwhile: Callable[[], None]) -> None:
        """``timeout``: seconds that a service may take to answer. ``capacity``: the most sockets.

        ``meanwhile``: is called about every _IDLE seconds, for other work.
        """
        self.meanwhile = meanwhile
        self.timeout = timeout
        self.capacity = capacity
        self.open_sockets = 0
        self.pools: Dict[_PoolKey, List[socket.socket]] = {}  # sockets that can connect again
        self.attempts: Dict[int, Attempt] = {}  # in flight, by file descriptor
        self.deadlines: Deadlines[Attempt] = Deadlines()  # of the conversations
        self.epoll = select.epoll()

    def run(self, sweeps: Iterable[Sweep]) -> None:
        """Try all ports of all sweeps, until every one has a state."""
        active = collections.deque(sweep for sweep in sweeps if sweep.waiting)
        try:
            while active:
                now = time.monotonic()
                started = 0
                for sweep in active:
                    started += self._start_burst(sweep, now)
                self._collect(0 if started else self._idle_time(active, now))
                for sweep in active:
                    self._end_silent(sweep, now)
                self._continue_conversations(now)
                self.meanwhile()
                active = collections.deque(sweep for sweep in active if sweep.waiting or sweep.in_flight)
                active.rotate(-1)  # Another sweep is first in each turn, in case there are too few sockets for all.
        finally:
            for pool in self.pools.values():
                self._empty(pool)

    def close(self) -> None:
        """Close the epoll descriptor, and the sockets that an exception has left in flight."""
        for attempt in self.attempts.values():
            attempt.sock.close()
        self.epoll.close()

    # -- starting attempts -------------------------------------------------------------

    def _start_burst(self, sweep: Sweep, now: float) -> int:
        """Start as many attempts as the window permits, and read the answers that have come by then.

        Returns the number of ports that were taken from those that wait.
        """
        pool = self._pool_of(sweep.target)
        if self.open_sockets >= self.capacity:
            self._empty_other_pools(pool)
        amount = sweep.next_burst(self.capacity - self.open_sockets + len(pool), now)
        begun: List[Tuple[int, socket.socket]] = []
        since = time.monotonic()
        for _unused in range(amount):
            port = sweep.waiting.popleft()
            try:
                sock = pool.pop() if pool else self._open(sweep.target)
            except OSError as problem:
                number, extended = problem.errno or 0, None
            else:
                number = sweep.connect(sock, port)
                if number in (0, errno.EINPROGRESS):
                    begun.append((port, sock))
                    continue
                extended = sockets.read_error_queue(sock)
                self._close(sock)
            self._failed_on_this_host(sweep, port, number, extended, now)
            if number in errors.SHORTAGES:
                break
        if begun:
            sweep.target.sent += len(begun)
            sweep.short_since = None
            self._look_at_once(sweep, begun, pool, since)
        return amount

    def _look_at_once(
        self, sweep: Sweep, begun: Sequence[Tuple[int, socket.socket]], pool: List[socket.socket], since: float
    ) -> None:
        """Read the answers that have come. Most ports of a near host have answered, so they never need epoll."""
        refused = sweep.target.states[_socket_states.REFUSED]
        read_error_queue, connect = sockets.read_error_queue, sweep.connect
        for port, sock in begun:
            number = connect(sock, port)
            extended = None
            if number == errno.ECONNREFUSED:
                extended = read_error_queue(sock)
                if extended is None:  # a RST
                    refused.append(port)
                    pool.append(sock)
                    sweep.adapt_window(False)
                    sweep.record_time(time.monotonic() - since)
                    continue
            attempt = sweep.started(port, sock, since)
            self.attempts[attempt.descriptor] = attempt
            self.epoll.register(attempt.descriptor, select.EPOLLOUT)
            if number != errno.EALREADY:
                self._answered(attempt, number, extended, time.monotonic())

    def _pool_of(self, target: Target) -> List[socket.socket]:
        return self.pools.setdefault((target.family, target.source), [])

    def _open(self, target: Target) -> socket.socket:
        sock = sockets.open_socket(target)
        self.open_sockets += 1
        return sock

    def _close(self, sock: socket.socket) -> None:
        sock.close()
        self.open_sockets -= 1

    def _empty(self, pool: List[socket.socket]) -> None:
        while pool:
            self._close(pool.pop())

    def _empty_other_pools(self, kept: List[socket.socket]) -> None:
        for pool in self.pools.values():
            if pool is not kept:
                self._empty(pool)

    def _failed_on_this_host(
        self, sweep: Sweep, port: int, number: int, extended: Optional[ExtendedError], now: float
    ) -> None:
        """Handle an attempt that sent no packet. A shortage may end, anything else is a result."""
        target = sweep.target
        if extended is not None or number not in errors.SHORTAGES:
            own = sockets.source_address(target) if extended else ""
            target.record(port, errors.classify(number, extended, own, at_once=True))
            return
        sweep.waiting.append(port)  # The others go first, because a lack of local ports concerns this port alone.
        sweep.paused_until = now + _PAUSE
        if number != errno.EADDRNOTAVAIL:
            self.capacity = max(_FEWEST_SOCKETS, min(self.capacity, self.open_sockets))
        if sweep.short_since is None:
            sweep.short_since = now
        elif now - sweep.short_since > _PATIENCE:
            sweep.record_all(Finding(_socket_states.ERROR, errors.describe_errno(number)))

    # -- collecting answers ------------------------------------------------------------

    def _idle_time(self, active: Deque[Sweep], now: float) -> float:
        """Seconds until something is due without an event, at most _IDLE."""
        due = now + _IDLE
        for sweep in active:
            due = min([due] + sweep.due_times())
            if sweep.waiting:
                due = min(due, max(sweep.paused_until, now + _SHORTEST_IDLE))
        deadline = self.deadlines.next()
        if deadline is not None:
            due = min(due, deadline)
        return max(0.001, due - now)

    def _collect(self, seconds: float) -> None:
        """Wait for events and read the answers."""
        events = self.epoll.poll(seconds, max(1, len(self.attempts)))
        now = time.monotonic()
        for descriptor, _unused in events:
            attempt = self.attempts[descriptor]
            if attempt.conversation:
                attempt.conversation.readable(now)
                if attempt.conversation.over:
                    self._end(attempt)
                continue
            # The kernel forgets the repetitions once connect has returned the error.
            if now - attempt.since > REPETITION and sockets.repeated(attempt.sock):
                attempt.sweep.target.repeated.add(attempt.port)
            number = attempt.connect()
            extended = sockets.read_error_queue(attempt.sock) if number else None
            if number != errno.EALREADY or extended is not None:
                self._answered(attempt, number, extended, now)

    def _answered(self, attempt: Attempt, number: int, extended: Optional[ExtendedError], now: float) -> None:
        """Record an attempt that has failed, or whose connection is established."""
        sweep, target = attempt.sweep, attempt.sweep.target
        elapsed = now - attempt.since
        sweep.slowest = max(sweep.slowest, elapsed)
        if number in (0, errno.EISCONN) and extended is None:
            self._established(attempt, now, elapsed)
            return
        own = sockets.source_address(target) if extended else ""
        finding = errors.classify(number, extended, own, seconds=elapsed)
        target.record(attempt.port, finding)
        if finding.state == _socket_states.OPEN:  # The service reset the connection before we looked.
            target.resets_received += 1
            if attempt.port in target.identify:
                target.answered(attempt.port, b"")
        elif finding.state == _socket_states.REFUSED:
            sweep.record_time(elapsed)
        sweep.adapt_window(finding.state == _socket_states.OPEN)
        self._end(attempt, keep_socket=finding.state == _socket_states.REFUSED)

    def _established(self, attempt: Attempt, now: float, elapsed: float) -> None:
        """Start the conversation on a new connection."""
        sweep, target = attempt.sweep, attempt.sweep.target
        if sockets.is_connected_to_itself(attempt.sock):
            # RFC 9293 3.5, simultaneous open: the kernel's choice of the local port was the port that is tested.
            sweep.waiting.append(attempt.port)
            self._end(attempt)
            return
        target.record(attempt.port, Finding(_socket_states.OPEN))
        sweep.record_time(elapsed)
        sweep.adapt_window(True)
        attempt.conversation = Conversation(target, attempt.port, attempt.sock, now, self.timeout)
        if attempt.conversation.over:
            self._end(attempt)
            return
        self.epoll.modify(attempt.descriptor, select.EPOLLIN)
        self.deadlines.add(attempt.conversation.deadline, attempt)

    def _end(self, attempt: Attempt, keep_socket: bool = False) -> None:
        """Remove an attempt that is over. ``keep_socket``: its socket can connect to another port."""
        attempt.sweep.ended(attempt)
        self.attempts.pop(attempt.descriptor)
        if keep_socket:
            self.epoll.unregister(attempt.descriptor)
            self._pool_of(attempt.sweep.target).append(attempt.sock)
        else:
            self._close(attempt.sock)

    def _end_silent(self, sweep: Sweep, now: float) -> None:
        sweep.remove_silent_from_window(now)
        for attempt in sweep.take_filtered(now):
            self._end(attempt)

    def _continue_conversations(self, now: float) -> None:
        """Take the next step of the conversations whose deadlines have passed."""
        for attempt in self.deadlines.due(now):
            conversation = attempt.conversation
            if attempt.over or conversation is None:
                continue
            if conversation.deadline <= now:  # It may have been extended.
                conversation.expired(now)
            if conversation.over:
                self._end(attempt)
            else:
                self.deadlines.add(conversation.deadline, attempt)
