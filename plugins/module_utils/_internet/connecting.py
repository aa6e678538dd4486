# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look a name up, and connect to the first of its addresses that answers."""

import errno
import select
import socket
import time
from typing import Any, Dict, List, Sequence, Tuple

from ansible_collections.determined.network.plugins.module_utils import _socket_states
from ansible_collections.determined.network.plugins.module_utils._internet import targets
from ansible_collections.determined.network.plugins.module_utils._internet.streams import TcpStream
from ansible_collections.determined.network.plugins.module_utils._internet.targets import AttemptFailed, Outcome
from ansible_collections.determined.network.plugins.module_utils._sockets import errors, sockets
from ansible_collections.determined.network.plugins.module_utils._sockets.destination import Destination
from ansible_collections.determined.network.plugins.module_utils._sockets.errors import Finding

_MOST_ADDRESSES = 8

# The address family, and the socket address as the module socket has it.
Address = Tuple[int, Tuple[Any, ...]]


def look_up(host: str, port: int, blame: str) -> List[Address]:
    """The socket addresses of a name or an address. Raises AttemptFailed if there are none.

    ``blame``: who has to repair a name that does not exist.
    """
    try:
        found = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
    except socket.gaierror as problem:
        temporary = problem.args[0] in (socket.EAI_AGAIN, socket.EAI_SYSTEM)
        state = targets.NAME_SERVER_SILENT if temporary else targets.NAME_NOT_FOUND
        who = targets.HOST if temporary else blame
        raise AttemptFailed(Outcome(state, targets.NAME, who, "the name %s: %s" % (host, problem.args[1]))) from None
    except UnicodeError:
        reason = "%r is not a valid DNS name" % host
        raise AttemptFailed(Outcome(targets.NAME_NOT_FOUND, targets.NAME, blame, reason)) from None
    addresses = [(int(family), address) for family, _type, _protocol, _name, address in found]
    return list(dict.fromkeys(addresses))[:_MOST_ADDRESSES]


def connect(addresses: Sequence[Address], deadline: float, blame: str) -> TcpStream:
    """Connect to all addresses at once, and return the first connection that is established.

    ``deadline``: seconds of time.monotonic. ``blame``: who has to repair a destination that refuses.
    Raises AttemptFailed if no connection is established.
    """
    race = _Race()
    try:
        for _family, address in addresses:
            race.start(address)
        return TcpStream(race.first_connection(deadline), deadline)
    except _AllFailed:
        raise AttemptFailed(_worst(race.failures, blame)) from None
    finally:
        race.close()


class _AllFailed(Exception):
    """None of the connection attempts succeeded."""


class _Race:
    """Connection attempts to several addresses of one name at the same time."""

    def __init__(self) -> None:
        self.failures: List[Finding] = []
        self._in_flight: Dict[int, Tuple[socket.socket, Destination]] = {}  # by file descriptor
        self._poll = select.poll()

    def start(self, address: Tuple[Any, ...]) -> None:
        """Start an attempt."""
        destination = Destination(address[0])
        try:
            sock = sockets.open_socket(destination)
        except OSError as problem:
            self.failures.append(errors.classify(problem.errno or 0, None, "", at_once=True))
            return
        number = sock.connect_ex(address)
        if number in (0, errno.EINPROGRESS):
            self._in_flight[sock.fileno()] = (sock, destination)
            self._poll.register(sock.fileno(), select.POLLOUT)
        else:
            self._failed(sock, destination, number, at_once=True)

    def first_connection(self, deadline: float) -> socket.socket:
        """Wait for the first established connection. Raises _AllFailed if there is none until the deadline."""
        while self._in_flight:
            ready = self._poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
            if not ready:
                self.failures.append(Finding(_socket_states.FILTERED, "nothing came back"))
                break
            for descriptor, _events in ready:
                self._poll.unregister(descriptor)
                sock, destination = self._in_flight.pop(descriptor)
                number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                # After ECONNRESET the connection was established, and the caller's first read or write fails.
                if number in (0, errno.ECONNRESET):
                    sock.setblocking(True)
                    return sock
                self._failed(sock, destination, number)
        raise _AllFailed

    def close(self) -> None:
        """Close the sockets of all attempts that are still in flight."""
        for sock, _destination in self._in_flight.values():
            sock.close()

    def _failed(self, sock: socket.socket, destination: Destination, number: int, at_once: bool = False) -> None:
        extended = sockets.read_error_queue(sock)
        sock.close()
        self.failures.append(errors.classify(number, extended, sockets.source_address(destination), at_once))


# If a name has several addresses, the first of these states that occurs is reported: it says most.
_PREFERRED = (
    _socket_states.REFUSED,
    _socket_states.REJECTED,
    _socket_states.FILTERED,
    _socket_states.ERROR,
    _socket_states.NO_ROUTE,
)
_BLAME = {_socket_states.NO_ROUTE: targets.HOST, _socket_states.ERROR: targets.HOST}
_REASONS = {_socket_states.REFUSED: "nothing listens there", _socket_states.FILTERED: "nothing came back"}


def _worst(failures: Sequence[Finding], blame: str) -> Outcome:
    """The outcome that the failures of all addresses have together."""
    finding = min(failures, key=lambda failure: _PREFERRED.index(failure.state))
    reason = finding.reason or _REASONS.get(finding.state, finding.state)
    if finding.by_own_firewall:
        who = targets.HOST
    elif finding.state == _socket_states.REFUSED:
        who = blame
    else:
        who = _BLAME.get(finding.state, targets.NETWORK)
    return Outcome(finding.state, targets.CONNECT, who, reason)
