# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The attempts of one pass on one target: those that wait, those in flight, and the window that limits them.

An attempt that stays silent for GRACE seconds does not take a place in the other side's accept queue: it leaves the
window, and the window doubles while no connection is established.
"""

import collections
import socket
from typing import Deque, Iterable, List, Optional

from ansible_collections.determined.network.plugins.module_utils import _socket_states
from ansible_collections.determined.network.plugins.module_utils._probe.conversation import Conversation
from ansible_collections.determined.network.plugins.module_utils._probe.observation import Target
from ansible_collections.determined.network.plugins.module_utils._sockets import sockets
from ansible_collections.determined.network.plugins.module_utils._sockets.errors import Finding

GRACE = 0.05  # seconds
REPETITION = 0.9  # seconds: the kernel repeats an unanswered SYN after 1 s (RFC 6298, section 2)
_FIRST_BURST = 4  # attempts that are started before the first look for answers; doubles up to _LARGEST_BURST
_LARGEST_BURST = 256
_TIMED = 28  # answers of a target whose times are taken, which are those of the first bursts


class Attempt:
    """One connection attempt that was not answered at once."""

    __slots__ = ("sweep", "port", "sock", "since", "silent", "conversation", "over", "descriptor")

    def __init__(self, sweep: "Sweep", port: int, sock: socket.socket, since: float) -> None:
        self.sweep, self.port, self.sock, self.since = sweep, port, sock, since
        self.descriptor = sock.fileno()
        self.silent = False  # since GRACE seconds at least, so it is outside the window
        self.conversation: Optional[Conversation] = None  # once the connection is established
        self.over = False

    def connect(self) -> int:
        """Call connect again, which returns the errno of the attempt's state."""
        return self.sweep.connect(self.sock, self.port)


class Sweep:
    """The ports of one target that are tried in one pass."""

    def __init__(self, target: Target, ports: Iterable[int], wait: float, window: int, shorten: bool = False) -> None:
        """``wait``: seconds for an answer. ``shorten``: wait less once the answers show how far away the target is."""
        self.target = target
        self.waiting = collections.deque(ports)
        self.wait = wait
        self.shorten = shorten
        self.window = window
        self.limit = window  # of attempts inside the window
        self.burst = _FIRST_BURST
        self.in_window = 0  # attempts in flight that are not yet silent
        self.in_flight = 0
        self.without_open = 0  # results other than open since the limit was changed
        self.recent: Deque[Attempt] = collections.deque()  # may be inside the window, in the order of their start
        self.silent: Deque[Attempt] = collections.deque()
        self.slowest = 0.0  # seconds
        self.short_since: Optional[float] = None  # since when this host lacks something
        self.paused_until = 0.0
        address = sockets.socket_address(target.address, 0)
        self._host, self._rest = address[0], tuple(address[2:])

    def connect(self, sock: socket.socket, port: int) -> int:
        """Call connect on a socket; returns an errno."""
        return sock.connect_ex((self._host, port) + self._rest)

    def next_burst(self, most: int, now: float) -> int:
        """The number of attempts to start now, at most ``most``; the next burst is larger."""
        amount = min(self.limit - self.in_window, self.burst, most, len(self.waiting))
        if amount <= 0 or now < self.paused_until:
            return 0
        self.burst = min(2 * self.burst, _LARGEST_BURST)
        return amount

    def started(self, port: int, sock: socket.socket, since: float) -> Attempt:
        """Count an attempt that is in flight now."""
        attempt = Attempt(self, port, sock, since)
        self.in_window += 1
        self.in_flight += 1
        self.recent.append(attempt)
        return attempt

    def ended(self, attempt: Attempt) -> None:
        """Count an attempt that is not in flight any more."""
        attempt.over = True
        self.in_flight -= 1
        if not attempt.silent:
            self.in_window -= 1

    def record_time(self, seconds: float) -> None:
        """Keep the time until one of the first answers."""
        if len(self.target.seconds) < _TIMED:
            self.target.seconds.append(seconds)

    def record_all(self, finding: Finding) -> None:
        """Record the same finding for all ports that wait."""
        while self.waiting:
            self.target.record(self.waiting.popleft(), finding)

    def adapt_window(self, opened: bool) -> None:
        """Count an answer or a silence. The window grows while no connection is established."""
        if opened:
            self.limit, self.without_open = self.window, 0
            return
        self.without_open += 1
        if self.without_open >= self.limit:
            self.limit, self.without_open = min(2 * self.limit, sockets.MOST_SOCKETS), 0

    def patience(self) -> float:
        """Seconds to wait for an answer, considering the answers that have come."""
        if self.shorten and self.target.responsive:
            return min(self.wait, max(REPETITION, 10 * self.slowest))
        return self.wait

    def due_times(self) -> List[float]:
        """The moments at which something is due even if no answer comes."""
        moments = []
        if self.recent:
            moments.append(self.recent[0].since + GRACE)
        if self.silent:
            moments.append(self.silent[0].since + self.patience())
        return moments

    def remove_silent_from_window(self, now: float) -> None:
        """Let the attempts that have been silent for GRACE seconds leave the window."""
        recent = self.recent
        while recent and (recent[0].over or recent[0].since <= now - GRACE):
            attempt = recent.popleft()
            if attempt.over:
                continue
            attempt.silent = True
            self.in_window -= 1
            if not attempt.conversation:
                self.adapt_window(False)
                self.silent.append(attempt)

    def take_filtered(self, now: float) -> List[Attempt]:
        """Record the attempts that have been silent for too long as filtered, and return them."""
        silent, latest, taken = self.silent, now - self.patience(), []
        filtered = self.target.states[_socket_states.FILTERED]
        while silent and (silent[0].over or silent[0].since <= latest):
            attempt = silent.popleft()
            if not attempt.over and not attempt.conversation:
                filtered.append(attempt.port)
                taken.append(attempt)
        return taken
