# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens on an established connection: read the answer, then end without harm.

It matters who closes, because RSTs are counted afterwards (TcpOutRsts of either host):

- A listener of this collection answers and closes. The probe reads to the end and closes:
  neither side sends a RST, and TIME_WAIT stays at the listener.
- After thousands of such answers the probe closes by a RST, which is counted: connection
  tracking keeps a graceful end for two minutes, and its table would overflow.
- Another service may neither answer nor close. The probe then sends a FIN, discards what still
  comes, and waits a little. Only if the service ignores the FIN, the probe closes by exactly one
  RST, which is counted.
"""

import heapq
import itertools
import socket
from typing import Generic, Iterator, List, Optional, Tuple, TypeVar

from ansible_collections.determined.network.plugins.module_utils._probe.observation import Target
from ansible_collections.determined.network.plugins.module_utils._sockets import sockets

_LONGEST_ANSWER = 1024  # bytes kept until the end of the line is found
_MOST_DISCARDED = 65536  # bytes discarded of a service that goes on sending
_MANY = 2000  # answers of one target
_CLOSING_TIME = 2.0  # seconds that a service has for closing after our FIN


class Conversation:
    """One established connection of a target; ``over`` once its socket is closed.

    The caller watches ``deadline`` (seconds of time.monotonic), which may be extended.
    """

    def __init__(self, target: Target, port: int, sock: socket.socket, now: float, timeout: float) -> None:
        self.target, self.port, self.sock = target, port, sock
        self.timeout = timeout
        self.reading = port in target.identify
        self.data = b""
        self.discarded = 0
        self.sent_fin = False
        self.over = False
        self.deadline = now + timeout
        if not self.reading:
            self._send_fin(now)

    def readable(self, now: float) -> None:
        """Read what has come. Call this when epoll reports the socket."""
        while not self.over:
            try:
                chunk = self.sock.recv(4096)
            except BlockingIOError:
                return
            except OSError:  # ECONNRESET: the service closed by a RST
                self.target.resets_received += 1
                self._end()
                return
            if not chunk:
                self._end()
            elif self.reading:
                self._read(chunk, now)
            else:
                self._discard(chunk)

    def expired(self, now: float) -> None:
        """Take the next step, because the deadline has passed."""
        if self.reading:
            self._answered()
        if self.sent_fin:
            self._reset()
        else:
            self._send_fin(now)

    def _read(self, chunk: bytes, now: float) -> None:
        self.data += chunk
        if b"\n" not in self.data and len(self.data) <= _LONGEST_ANSWER:
            return
        self._answered()
        if len(self.target.identify) > _MANY:
            self._reset()
            return
        # A listener's FIN comes with its answer. The probe waits for it, so that the listener closes first.
        self.deadline = now + min(self.timeout, _CLOSING_TIME)

    def _discard(self, chunk: bytes) -> None:
        self.discarded += len(chunk)
        if self.discarded > _MOST_DISCARDED:
            self._reset()

    def _send_fin(self, now: float) -> None:
        self.sent_fin = True
        self.deadline = now + min(self.timeout, _CLOSING_TIME)
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:  # ENOTCONN: a RST has come already
            self.target.resets_received += 1
            self._end()

    def _answered(self) -> None:
        self.reading = False
        self.target.answered(self.port, self.data)

    def _reset(self) -> None:
        self.target.resets_sent += 1
        sockets.close_with_reset(self.sock)
        self.over = True

    def _end(self) -> None:
        if self.reading:
            self._answered()
        self.sock.close()
        self.over = True


Value = TypeVar("Value")


class Deadlines(Generic[Value]):
    """Values by their deadlines (seconds of time.monotonic)."""

    def __init__(self) -> None:
        self.heap: List[Tuple[float, int, Value]] = []
        self.serial = itertools.count()  # so that values with equal deadlines need not be comparable

    def add(self, deadline: float, value: Value) -> None:
        """Add a value."""
        heapq.heappush(self.heap, (deadline, next(self.serial), value))

    def next(self) -> Optional[float]:
        """The earliest deadline, or None."""
        return self.heap[0][0] if self.heap else None

    def due(self, now: float) -> Iterator[Value]:
        """Remove the values whose deadlines have passed, and return them."""
        while self.heap and self.heap[0][0] <= now:
            yield heapq.heappop(self.heap)[2]
