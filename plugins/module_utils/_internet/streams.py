# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Byte streams to a service or a proxy: a TCP connection, and TLS inside any stream, also inside another TLS.

Every call ends at the deadline of its stream (seconds of ``time.monotonic``) with socket.timeout.
"""

import socket
import ssl
import time
from typing import Any, Callable, Union

from ansible_collections.determined.network.plugins.module_utils._internet import answers, certificates, targets
from ansible_collections.determined.network.plugins.module_utils._internet.answers import Head, NotHttp
from ansible_collections.determined.network.plugins.module_utils._internet.targets import AttemptFailed, Outcome

_CHUNK = 16384  # bytes


class ClosedEarly(Exception):
    """The other end closed the connection before its answer was complete."""


class UnexplainedCertificate(AttemptFailed):
    """A certificate was refused, and Python does not say why. Python 3.6 never does."""


class TcpStream:
    """An established connection."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._socket, self._deadline = sock, deadline

    def receive(self) -> bytes:
        """Some bytes; none if the other end has closed."""
        self._set_timeout()
        return self._socket.recv(_CHUNK)

    def send(self, data: bytes) -> None:
        """Send all of the data."""
        self._set_timeout()
        self._socket.sendall(data)

    def set_deadline(self, deadline: float) -> None:
        """Replace the deadline."""
        self._deadline = deadline

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _set_timeout(self) -> None:
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            raise socket.timeout("timed out")
        self._socket.settimeout(remaining)


class TlsStream:
    """TLS inside another stream."""

    def __init__(self, stream: "Stream", context: ssl.SSLContext, hostname: str) -> None:
        """Do the handshake. Raises ssl.SSLError or, on Python 3.6, ssl.CertificateError if it fails."""
        self._stream = stream
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=hostname)
        self._until_done(self._tls.do_handshake)

    def receive(self) -> bytes:
        """Some bytes; none if the other end has closed."""
        try:
            data: bytes = self._until_done(self._tls.read, _CHUNK)
            return data
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    def send(self, data: bytes) -> None:
        """Send all of the data."""
        while data:
            data = data[self._until_done(self._tls.write, data) :]

    def certificate(self) -> bytes:
        """The other end's certificate (DER); empty if it has none."""
        return self._tls.getpeercert(True) or b""

    def close(self) -> None:
        """Close the stream below."""
        self._stream.close()

    def _until_done(self, step: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function of the TLS object, and move bytes to and from the stream below until it has a result."""
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
                self._flush()  # The alert tells the other end why the handshake failed.
                raise

    def _flush(self) -> None:
        data = self._outgoing.read()
        if data:
            self._stream.send(data)


Stream = Union[TcpStream, TlsStream]


def encrypt(stream: Stream, context: ssl.SSLContext, hostname: str, blame: str) -> TlsStream:
    """Start TLS inside a stream.

    Raises AttemptFailed if the handshake fails, UnexplainedCertificate if Python does not say why.
    """
    try:
        return TlsStream(stream, context, hostname)
    except ssl.SSLError as problem:
        raise _tls_failure(problem, blame) from None
    except ssl.CertificateError as problem:  # Python 3.6, where it is not an SSLError; it concerns the name.
        raise AttemptFailed(Outcome(targets.CERTIFICATE_OF_ANOTHER, targets.TLS, blame, str(problem))) from None


def _tls_failure(problem: ssl.SSLError, blame: str) -> AttemptFailed:
    """The exception that stands for an error of the handshake."""
    if problem.reason == "CERTIFICATE_VERIFY_FAILED":
        code = getattr(problem, "verify_code", None)
        reason = getattr(problem, "verify_message", "certificate verify failed")
        if code is None:
            return UnexplainedCertificate(Outcome(targets.CERTIFICATE_UNTRUSTED, targets.TLS, blame, reason))
        return AttemptFailed(Outcome(certificates.certificate_state(code), targets.TLS, blame, reason))
    if isinstance(problem, ssl.SSLEOFError) or problem.reason == "UNEXPECTED_EOF_WHILE_READING":
        reason = "the connection was closed during the TLS handshake"
        return AttemptFailed(Outcome(targets.CLOSED, targets.TLS, blame, reason))
    reason = (problem.reason or str(problem)).replace("_", " ").lower()
    return AttemptFailed(Outcome(targets.TLS_FAILED, targets.TLS, blame, "the TLS handshake failed: %s" % reason))


def read_head(stream: Stream) -> Head:
    """Read the head of an HTTP answer. Interim answers (1xx) are skipped.

    Raises NotHttp if the other end sends anything else, ClosedEarly if it closes before the head is complete.
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
            raise NotHttp("the head of the answer is longer than %d bytes" % answers.MOST_HEAD)
        # Another protocol may never send an empty line, so its first bytes decide.
        if len(data) >= 5 and data[:5] != b"HTTP/":
            raise NotHttp("the answer is not HTTP: %r" % data[:40])
        more = stream.receive()
        if not more:
            raise ClosedEarly("the connection was closed after %d bytes of an answer" % len(data))
        data += more
