# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many TCP connections at once: how every port of some targets answers a SYN.

What makes this fast and right:

- A socket whose connection was refused can connect again at once (Linux keeps it unbound),
  so a closed port costs two calls of connect and one look into the error queue.
- Only what has not answered by then is handed to epoll.
- What stays silent for _GRACE seconds holds no place in the other side's accept queue: it
  leaves the window, and the window doubles while no connection is established.
- A shortage on this host (files, buffers, local ports) slows the probe down; it never
  turns into a state of the path.
"""

import collections
import errno
import select
import time

from ansible_collections.determined.network.plugins.module_utils import _socket_states
from ansible_collections.determined.network.plugins.module_utils._probe import conversation, errors, sockets

_GRACE = 0.05  # seconds
_FIRST_LAP = 4  # connections launched before the first look; doubles up to _LONGEST_LAP
_LONGEST_LAP = 256
_TIMED = 28  # the first laps only: so many answers of a target are timed
_PATIENCE = 5.0  # seconds that a shortage may last
_IDLE = 0.05  # seconds
_PAUSE = 0.1  # seconds without a launch after a shortage
_REPETITION = 0.9  # seconds: the kernel repeats an unanswered SYN after 1 s (RFC 6298, section 2)


class Sweep:
    """The ports of one target that are tried in one pass."""

    def __init__(self, target, ports, wait, window, shorten=False):
        """``wait``: seconds for an answer; ``shorten`` it once the answers show the distance."""
        self.target = target
        self.todo = collections.deque(ports)
        self.wait = wait
        self.shorten = shorten
        self.window = window
        self.limit = window  # how many may be in flight and not yet silent
        self.lap = _FIRST_LAP
        self.fresh = 0  # in flight, not yet silent
        self.flying = 0
        self.quiet = 0  # answers other than open since the limit last changed
        self.young = collections.deque()
        self.old = collections.deque()
        self.slowest = 0.0
        self.short_since = None
        self.paused_until = 0.0
        address = sockets.socket_address(target.address, 0)
        self.host, self.tail = address[0], tuple(address[2:])

    def settle(self, opened):
        """Count an answer or a silence: without open connections the window may grow."""
        if opened:
            self.limit, self.quiet = self.window, 0
            return
        self.quiet += 1
        if self.quiet >= self.limit:
            self.limit, self.quiet = min(2 * self.limit, sockets.MOST_SOCKETS), 0

    def patience(self):
        """Seconds to wait for an answer, now that some may have shown the distance."""
        if self.shorten and self.target.responsive:
            return min(self.wait, max(_REPETITION, 10 * self.slowest))
        return self.wait


class Flight:
    """One connection attempt that was not answered at once."""

    __slots__ = ("sweep", "port", "sock", "since", "silent", "talk", "over", "descriptor")

    def __init__(self, sweep, port, sock, since):
        self.sweep, self.port, self.sock, self.since = sweep, port, sock, since
        self.descriptor = sock.fileno()
        self.silent = False
        self.talk = None  # a Conversation once established
        self.over = False


class Engine:
    """Runs sweeps; the results go to their targets."""

    def __init__(self, timeout, capacity, meanwhile):
        """``timeout``: seconds a service may take to answer; ``capacity``: sockets at most;
        ``meanwhile``: called about every _IDLE seconds, for what else is going on.
        """
        self.meanwhile = meanwhile
        self.timeout = timeout
        self.capacity = capacity
        self.sockets = 0
        self.pools = {}  # (family, source) -> sockets that can connect again
        self.flights = {}  # file descriptor -> Flight
        self.talks = conversation.Deadlines()
        self.epoll = select.epoll()

    def run(self, sweeps):
        """Try all ports of all sweeps; returns when every one has a state."""
        active = collections.deque(sweep for sweep in sweeps if sweep.todo)
        try:
            while active:
                now = time.monotonic()
                launched = 0
                for sweep in active:
                    launched += self._launch(sweep, now)
                self._collect(0 if launched else self._idle_time(active, now))
                for sweep in active:
                    self._age(sweep, now)
                self._end_talks(now)
                self.meanwhile()
                active = collections.deque(sweep for sweep in active if sweep.todo or sweep.flying)
                active.rotate(-1)  # nobody is always first when sockets are scarce
        finally:
            for pool in self.pools.values():
                while pool:
                    self._close(pool.pop())

    def close(self):
        """Give back the epoll descriptor and whatever an exception left in flight."""
        for flight in self.flights.values():
            flight.sock.close()
        self.epoll.close()

    # -- launching ---------------------------------------------------------------------

    def _launch(self, sweep, now):
        """Start what the window allows and collect what is answered already."""
        target = sweep.target
        pool = self.pools.setdefault((target.family, target.source), [])
        if self.sockets >= self.capacity:
            self._empty_other_pools(pool)
        room = min(sweep.limit - sweep.fresh, sweep.lap, self.capacity - self.sockets + len(pool))
        amount = min(room, len(sweep.todo))
        if amount <= 0 or now < sweep.paused_until:
            return 0
        sweep.lap = min(2 * sweep.lap, _LONGEST_LAP)
        host, tail, todo = sweep.host, sweep.tail, sweep.todo
        begun = []
        since = time.monotonic()
        for _unused in range(amount):
            port = todo.popleft()
            try:
                sock = pool.pop() if pool else self._open(target)
            except OSError as problem:
                self._failed_here(sweep, port, problem.errno, None, now)
                if problem.errno in errors.SHORTAGES:
                    break
                continue
            number = sock.connect_ex((host, port) + tail)
            if number == errno.EINPROGRESS or number == 0:
                begun.append((port, sock))
                continue
            extended = sockets.read_error_queue(sock)
            self._close(sock)
            self._failed_here(sweep, port, number, extended, now)
            if number in errors.SHORTAGES:
                break
        if begun:
            target.sent += len(begun)
            sweep.short_since = None
            self._look_at_once(sweep, begun, pool, since)
        return amount

    def _look_at_once(self, sweep, begun, pool, since):
        """Most ports of a near host have answered by now: no need to bother epoll."""
        host, tail = sweep.host, sweep.tail
        refused, seconds = sweep.target.states[_socket_states.REFUSED], sweep.target.seconds
        read_error_queue = sockets.read_error_queue
        for port, sock in begun:
            number = sock.connect_ex((host, port) + tail)
            extended = None
            if number == errno.ECONNREFUSED:
                extended = read_error_queue(sock)
                if extended is None:  # a RST
                    refused.append(port)
                    pool.append(sock)
                    sweep.settle(False)
                    if len(seconds) < _TIMED:
                        seconds.append(time.monotonic() - since)
                    continue
            flight = Flight(sweep, port, sock, since)
            self.flights[flight.descriptor] = flight
            sweep.fresh += 1
            sweep.flying += 1
            sweep.young.append(flight)
            self.epoll.register(flight.descriptor, select.EPOLLOUT)
            if number != errno.EALREADY:
                self._answered(flight, number, extended, time.monotonic())

    def _open(self, target):
        sock = sockets.open_socket(target)
        self.sockets += 1
        return sock

    def _close(self, sock):
        sock.close()
        self.sockets -= 1

    def _empty_other_pools(self, kept):
        for pool in self.pools.values():
            while pool and pool is not kept:
                self._close(pool.pop())

    def _failed_here(self, sweep, port, number, extended, now):
        """No packet left this host: a shortage is waited for, anything else is a result."""
        target = sweep.target
        if extended is not None or number not in errors.SHORTAGES:
            own = sockets.source_address(target) if extended else ""
            target.record(port, *errors.classify(number, extended, own, at_once=True))
            return
        sweep.todo.append(port)  # the last, as a lack of local ports concerns this port alone
        sweep.paused_until = now + _PAUSE
        if number != errno.EADDRNOTAVAIL:
            self.capacity = max(4, min(self.capacity, self.sockets))
        if sweep.short_since is None:
            sweep.short_since = now
        elif now - sweep.short_since > _PATIENCE:
            while sweep.todo:
                target.record(sweep.todo.popleft(), _socket_states.ERROR, errors.describe_errno(number))

    # -- collecting --------------------------------------------------------------------

    def _idle_time(self, active, now):
        """Seconds until something is due without an event, at most _IDLE."""
        due = now + _IDLE
        for sweep in active:
            if sweep.young:
                due = min(due, sweep.young[0].since + _GRACE)
            if sweep.old:
                due = min(due, sweep.old[0].since + sweep.patience())
            if sweep.todo:
                due = min(due, max(sweep.paused_until, now + 0.01))
        if self.talks.next() is not None:
            due = min(due, self.talks.next())
        return max(0.001, due - now)

    def _collect(self, seconds):
        events = self.epoll.poll(seconds, max(1, len(self.flights)))
        now = time.monotonic()
        for descriptor, _unused in events:
            flight = self.flights[descriptor]
            if flight.talk:
                flight.talk.readable(now)
                if flight.talk.over:
                    self._land(flight)
                continue
            sweep = flight.sweep
            if now - flight.since > _REPETITION and sockets.repeated(flight.sock):
                sweep.target.repeated.add(flight.port)
            number = flight.sock.connect_ex((sweep.host, flight.port) + sweep.tail)
            extended = sockets.read_error_queue(flight.sock) if number else None
            if number != errno.EALREADY or extended is not None:
                self._answered(flight, number, extended, now)

    def _answered(self, flight, number, extended, now):
        """An attempt has ended, or is established: record it."""
        sweep, target = flight.sweep, flight.sweep.target
        elapsed = now - flight.since
        sweep.slowest = max(sweep.slowest, elapsed)
        if number in (0, errno.EISCONN) and extended is None:
            self._established(flight, now, elapsed)
            return
        own = sockets.source_address(target) if extended else ""
        state, reason = errors.classify(number, extended, own, seconds=elapsed)
        target.record(flight.port, state, reason)
        if state == _socket_states.OPEN:  # opened and reset before we looked
            target.resets_received += 1
            if flight.port in target.identify:
                target.answered(flight.port, b"")
        elif state == _socket_states.REFUSED and len(target.seconds) < _TIMED:
            target.seconds.append(elapsed)
        sweep.settle(state == _socket_states.OPEN)
        self._land(flight, again=state == _socket_states.REFUSED)

    def _established(self, flight, now, elapsed):
        sweep, target, sock = flight.sweep, flight.sweep.target, flight.sock
        if sockets.met_itself(sock):
            # RFC 9293 3.5, simultaneous open: a local port was the very port we asked for.
            sweep.todo.append(flight.port)
            self._land(flight)
            return
        target.record(flight.port, _socket_states.OPEN)
        if len(target.seconds) < _TIMED:
            target.seconds.append(elapsed)
        sweep.settle(True)
        flight.talk = conversation.Conversation(target, flight.port, sock, now, self.timeout)
        if flight.talk.over:
            self._land(flight)
            return
        self.epoll.modify(flight.descriptor, select.EPOLLIN)
        self.talks.add(flight.talk.deadline, flight)

    def _land(self, flight, again=False):
        """An attempt is over; ``again``: its socket may connect to the next port."""
        sweep = flight.sweep
        flight.over = True
        sweep.flying -= 1
        if not flight.silent:
            sweep.fresh -= 1
        self.flights.pop(flight.descriptor)
        if again:
            self.epoll.unregister(flight.descriptor)
            self.pools[sweep.target.family, sweep.target.source].append(flight.sock)
        else:
            self._close(flight.sock)

    def _age(self, sweep, now):
        """What stays silent leaves the window; what stayed silent for long is filtered."""
        young, old = sweep.young, sweep.old
        while young and (young[0].over or young[0].since <= now - _GRACE):
            flight = young.popleft()
            if flight.over:
                continue
            flight.silent = True
            sweep.fresh -= 1
            if not flight.talk:
                sweep.settle(False)
                old.append(flight)
        filtered = sweep.target.states[_socket_states.FILTERED]
        latest = now - sweep.patience()
        while old and (old[0].over or old[0].since <= latest):
            flight = old.popleft()
            if not flight.over and not flight.talk:
                filtered.append(flight.port)
                self._land(flight)

    def _end_talks(self, now):
        for flight in self.talks.due(now):
            if flight.over:
                continue
            if flight.talk.deadline <= now:
                flight.talk.expired(now)
            if flight.talk.over:
                self._land(flight)
            else:
                self.talks.add(flight.talk.deadline, flight)
