# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Byte streams to a service or a proxy: a TCP connection, and TLS inside any stream, as often as need be.

Every call ends at the deadline that its stream was given (``time.monotonic``), by socket.timeout.
"""

import errno
import select
import socket
import ssl
import time
from typing import NamedTuple

from ansible_collections.determined.network.plugins.module_utils import _socket_states
from ansible_collections.determined.network.plugins.module_utils._internet import answers, targets
from ansible_collections.determined.network.plugins.module_utils._internet.targets import Broken, Outcome
from ansible_collections.determined.network.plugins.module_utils._probe import errors, sockets

_CHUNK = 16384
_MOST_ADDRESSES = 8


class _Goal(NamedTuple):
    """What _probe_sockets wants to know of a target."""

    address: str
    family: str
    protocol: str = "tcp"
    source: str = ""


class TcpStream:
    """An established connection."""

    def __init__(self, sock, deadline):
        self._socket, self._deadline = sock, deadline

    def receive(self):
        """Some bytes; none when the other end has closed."""
        self._wait()
        return self._socket.recv(_CHUNK)

    def send(self, data):
        """All of the data."""
        self._wait()
        self._socket.sendall(data)

    def address(self):
        """The address at the other end."""
        return self._socket.getpeername()[0]

    def until(self, deadline):
        """Give it another deadline."""
        self._deadline = deadline

    def close(self):
        """At once, so that nothing lingers."""
        self._socket.close()

    def _wait(self):
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise socket.timeout("timed out")
        self._socket.settimeout(left)


class TlsStream:
    """TLS inside another stream."""

    def __init__(self, stream, context, hostname):
        self._stream = stream
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=hostname)
        self._until_done(self._tls.do_handshake)

    def receive(self):
        """Some bytes; none when the other end has closed."""
        try:
            return self._until_done(self._tls.read, _CHUNK)
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    def send(self, data):
        """All of the data."""
        while data:
            data = data[self._until_done(self._tls.write, data) :]

    def certificate(self):
        """The other end's certificate (DER)."""
        return self._tls.getpeercert(True)

    def close(self):
        """Close what is underneath."""
        self._stream.close()

    def _until_done(self, step, *arguments):
        while True:
            try:
                result = step(*arguments)
                self._flush()
                return result
            except ssl.SSLWantReadError:
                self._flush()
                data = self._stream.receive()
                if data:
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()
            except ssl.SSLError:
                self._flush()  # the alert, so that the other end learns why
                raise

    def _flush(self):
        data = self._outgoing.read()
        if data:
            self._stream.send(data)


def look_up(host, port, blame):
    """A name or an address -> its socket addresses. Raises Broken with the outcome if there are none."""
    try:
        found = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
    except socket.gaierror as problem:
        temporary = problem.args[0] in (socket.EAI_AGAIN, socket.EAI_SYSTEM)
        state = targets.NAME_SERVER_SILENT if temporary else targets.NAME_NOT_FOUND
        who = targets.HOST if temporary else blame
        raise Broken(Outcome(state, targets.NAME, who, "the name %s: %s" % (host, problem.args[1]))) from None
    except UnicodeError:
        outcome = Outcome(targets.NAME_NOT_FOUND, targets.NAME, blame, "%r is no name of DNS" % host)
        raise Broken(outcome) from None
    addresses = [(family, address) for family, _type, _protocol, _name, address in found]
    return list(dict.fromkeys(addresses))[:_MOST_ADDRESSES]


def connect(addresses, deadline, blame):
    """Try all addresses at once -> a TcpStream to the first that answers. Raises Broken when none does.

    ``blame``: who is at fault if the other end refuses.
    """
    waiting, failures = {}, []
    try:
        for family, address in addresses:
            goal = _Goal(address[0], "ipv6" if family == socket.AF_INET6 else "ipv4")
            try:
                sock = sockets.open_socket(goal)
            except OSError as problem:
                failures.append(errors.classify(problem.errno, None, "", at_once=True))
                continue
            number = sock.connect_ex(address)
            waiting[sock.fileno()] = (sock, goal)
            if number not in (0, errno.EINPROGRESS):
                failures.append(_failed(waiting.pop(sock.fileno()), number, at_once=True))
        poll = select.poll()
        for number in waiting:
            poll.register(number, select.POLLOUT)
        while waiting:
            left = deadline - time.monotonic()
            ready = poll.poll(max(0, left) * 1000)
            if not ready:
                failures.append((_socket_states.FILTERED, "nothing came back"))
                break
            for number, _events in ready:
                poll.unregister(number)
                sock, goal = waiting.pop(number)
                error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if not error:
                    sock.setblocking(True)
                    return TcpStream(sock, deadline)
                failures.append(_failed((sock, goal), error))
    finally:
        for sock, _goal in waiting.values():
            sock.close()
    raise Broken(_worst(failures, blame))


def _failed(entry, number, at_once=False):
    sock, goal = entry
    extended = sockets.read_error_queue(sock)
    sock.close()
    return errors.classify(number, extended, sockets.source_address(goal), at_once)


# What tells most of a failure, when a name has several addresses.
_TELLING = (
    _socket_states.REFUSED,
    _socket_states.REJECTED,
    _socket_states.FILTERED,
    _socket_states.ERROR,
    _socket_states.NO_ROUTE,
)


def _worst(failures, blame):
    state, reason = min(failures, key=lambda failure: _TELLING.index(failure[0]))
    blames = {_socket_states.REFUSED: blame, _socket_states.NO_ROUTE: targets.HOST, _socket_states.ERROR: targets.HOST}
    if not reason:
        reason = {_socket_states.REFUSED: "nothing listens there", _socket_states.FILTERED: "nothing came back"}.get(
            state, state
        )
    who = targets.HOST if errors.OWN_FIREWALL in reason else blames.get(state, targets.NETWORK)
    return Outcome(state, targets.CONNECT, who, reason)


def encrypt(stream, context, hostname, blame):
    """TLS inside a stream -> TlsStream. Raises Broken that tells what is wrong with the certificate."""
    try:
        return TlsStream(stream, context, hostname)
    except ssl.SSLError as problem:
        state, reason = _tls_failure(problem)
    except ssl.CertificateError as problem:  # Python 3.6, where it is no SSLError, and means the name
        state, reason = targets.CERTIFICATE_OF_ANOTHER, str(problem)
    raise Broken(Outcome(state, targets.TLS, blame, reason))


# All that Python 3.6 says of a certificate that it does not trust.
UNEXPLAINED = "certificate verify failed"


def _tls_failure(problem):
    """An ssl.SSLError -> (state, reason)."""
    if problem.reason == "CERTIFICATE_VERIFY_FAILED":
        code = getattr(problem, "verify_code", 0)
        return answers.certificate_state(code), getattr(problem, "verify_message", UNEXPLAINED)
    if isinstance(problem, ssl.SSLEOFError) or problem.reason == "UNEXPECTED_EOF_WHILE_READING":
        return targets.CLOSED, "the connection broke off in the handshake"
    words = (problem.reason or str(problem)).replace("_", " ").lower()
    return targets.TLS_FAILED, "the TLS handshake failed: %s" % words


def read_head(stream):
    """The head of an HTTP answer -> _internet_answers.Head; interim answers (1xx) are passed over.

    ValueError if what comes is no HTTP, or ends too early.
    """
    data = b""
    while True:
        head, end, rest = data.partition(b"\r\n\r\n")
        if end:
            parsed = answers.parse_head(head)
            if parsed.status >= 200:
                return parsed
            data = rest
            continue
        if len(data) > answers.MOST_HEAD:
            raise ValueError("the answer's head does not end")
        # What cannot become HTTP is told at once.
        if len(data) >= 5 and data[:5] != b"HTTP/":
            raise ValueError("the answer is no HTTP: %r" % data[:40])
        more = stream.receive()
        if not more:
            raise ValueError("the connection was closed after %d bytes of an answer" % len(data))
        data += more
