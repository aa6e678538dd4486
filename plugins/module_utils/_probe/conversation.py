# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens on an established connection: read the answer, then part without harm.

Who closes matters, because RSTs are counted afterwards (TcpOutRsts of either host):

- A listener of this collection answers and closes. The probe reads to the end and closes:
  no RST on either side, and TIME_WAIT stays at the listener.
- After thousands of such answers the probe closes by a RST instead, which is counted: connection
  tracking keeps a graceful end for two minutes, and its table would overflow.
- A real service may neither answer nor close. The probe then says that it is done (FIN),
  drops what still comes, and waits a little. Only a service that ignores that is left by
  exactly one RST, which is counted.
"""

import heapq
import itertools
import socket

from ansible_collections.determined.network.plugins.module_utils._probe import sockets

_LONGEST_ANSWER = 1024  # bytes kept while looking for the end of the line
_MOST_DRAINED = 65536  # bytes taken from a service that goes on talking
_MANY = 2000  # answers of one target
_FAREWELL = 2.0  # seconds a service may take to close after our FIN


class Conversation:
    """One established connection of a target; ``over`` once its socket is closed."""

    def __init__(self, target, port, sock, now, timeout):
        self.target, self.port, self.sock = target, port, sock
        self.timeout = timeout
        self.reading = port in target.identify
        self.data = b""
        self.drained = 0
        self.over = False
        self.deadline = now + timeout
        if not self.reading:
            self._say_goodbye(now)

    def readable(self, now):
        """Take what has come; call when epoll reports the socket."""
        while not self.over:
            try:
                chunk = self.sock.recv(4096)
            except BlockingIOError:
                return
            except OSError:  # ECONNRESET: the service slammed the door
                self.target.resets_received += 1
                self._end()
                return
            if not chunk:
                self._end()
            elif self.reading:
                self.data += chunk
                if b"\n" in self.data or len(self.data) > _LONGEST_ANSWER:
                    self._answered()
                    if len(self.target.identify) > _MANY:
                        self._reset()
                        return
                    # A listener's FIN comes with its answer: wait for it, so as to close second.
                    self.deadline = now + min(self.timeout, _FAREWELL)
            else:
                self.drained += len(chunk)
                if self.drained > _MOST_DRAINED:
                    self._reset()

    def expired(self, now):
        """The deadline has passed: go on to the next step."""
        if self.reading:
            self._answered()
            self._say_goodbye(now)
        elif not self.said_goodbye:
            self._say_goodbye(now)
        else:
            self._reset()

    said_goodbye = False

    def _say_goodbye(self, now):
        self.said_goodbye = True
        self.deadline = now + min(self.timeout, _FAREWELL)
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:  # ENOTCONN: a RST has come already
            self.target.resets_received += 1
            self._end()

    def _answered(self):
        self.reading = False
        self.target.answered(self.port, self.data)

    def _reset(self):
        self.target.resets_sent += 1
        sockets.close_with_reset(self.sock)
        self.over = True

    def _end(self):
        if self.reading:
            self._answered()
        self.sock.close()
        self.over = True


class Deadlines:
    """Values by deadline; a value whose deadline was put off is found again later."""

    def __init__(self):
        self.heap = []
        self.serial = itertools.count()

    def add(self, deadline, value):
        heapq.heappush(self.heap, (deadline, next(self.serial), value))

    def next(self):
        """The earliest deadline, or None."""
        return self.heap[0][0] if self.heap else None

    def due(self, now):
        """Take out the values whose deadlines have passed."""
        while self.heap and self.heap[0][0] <= now:
            yield heapq.heappop(self.heap)[2]
