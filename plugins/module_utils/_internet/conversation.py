# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One attempt to reach a service, step by step: name, TCP, proxy, TLS, HTTP, and how it ended."""

import socket
import ssl
import time
from typing import Optional, Union

from ansible_collections.determined.network.plugins.module_utils import _socket_states
from ansible_collections.determined.network.plugins.module_utils._internet import (
    answers,
    certificates,
    connecting,
    streams,
    targets,
)
from ansible_collections.determined.network.plugins.module_utils._internet.answers import NotHttp
from ansible_collections.determined.network.plugins.module_utils._internet.streams import (
    ClosedEarly,
    Stream,
    UnexplainedCertificate,
)
from ansible_collections.determined.network.plugins.module_utils._internet.targets import (
    AttemptFailed,
    Outcome,
    Proxy,
    Target,
)
from ansible_collections.determined.network.plugins.module_utils._sockets import errors


def attempt_once(target: Target, proxy: Optional[Proxy], context: ssl.SSLContext, timeout: float) -> Outcome:
    """Try once to reach a target, through a proxy or directly (None). ``timeout`` is in seconds."""
    conversation = Conversation(target, proxy, context, timeout)
    try:
        return conversation.run()
    except AttemptFailed as failure:
        return failure.outcome
    except NotHttp as problem:
        return conversation.ended(targets.NO_HTTP, str(problem))
    except ClosedEarly as problem:
        return conversation.ended(targets.CLOSED, str(problem))
    except socket.timeout:
        outcome = conversation.ended(targets.TIMEOUT, "no answer within %g seconds" % timeout)
        return outcome._replace(blame=targets.PROXY_OR_TARGET) if outcome.step == targets.PROXY else outcome
    except OSError as problem:
        reason = "the connection broke off: %s" % errors.describe_errno(problem.errno or 0)
        return conversation.ended(targets.CLOSED, reason)
    except ValueError as problem:  # A library refuses the host or the path.
        return conversation.ended(_socket_states.ERROR, str(problem))
    finally:
        conversation.close()


class Conversation:
    """One conversation with a target; it knows its current step, and who has to repair a failure there."""

    def __init__(self, target: Target, proxy: Optional[Proxy], context: ssl.SSLContext, timeout: float) -> None:
        self._target, self._proxy, self._context, self._timeout = target, proxy, context, timeout
        self._stream: Optional[Stream] = None
        self._step, self._blame = targets.NAME, targets.HOST

    def run(self) -> Outcome:
        """Do all steps that the target's scheme needs.

        Raises AttemptFailed, NotHttp, ClosedEarly, socket.timeout or OSError at the step that fails.
        """
        target = self._target
        stream = self._reach_target()
        if target.scheme == targets.TCP:
            return Outcome(_socket_states.OPEN, targets.CONNECT, "", "it accepts connections")
        if target.scheme == targets.HTTPS:
            stream = self._encrypt(stream, target.host, targets.TARGET)
        return self._request(stream)

    def ended(self, state: str, reason: str) -> Outcome:
        """The outcome of a conversation that ended at the current step."""
        return Outcome(state, self._step, self._blame, reason)

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._stream:
            self._stream.close()

    def _reach_target(self) -> Stream:
        """Open a stream to the target itself, or to the proxy if that takes requests for plain HTTP."""
        target, proxy = self._target, self._proxy
        if proxy is None:
            return self._connect(target, targets.TARGET)
        stream = self._reach_proxy(proxy)
        if proxy.scheme == targets.HTTPS:
            stream = self._encrypt(stream, proxy.host, targets.THE_PROXY)
        if target.scheme == targets.HTTPS:
            self._open_tunnel(stream, proxy)
        return stream

    def _reach_proxy(self, proxy: Proxy) -> Stream:
        return self._connect(proxy, targets.THE_PROXY)

    def _connect(self, end: Union[Target, Proxy], blame: str) -> Stream:
        addresses = connecting.look_up(end.host, end.port, blame)
        self._step = targets.CONNECT
        self._stream = connecting.connect(addresses, time.monotonic() + self._timeout, blame)
        return self._stream

    def _encrypt(self, stream: Stream, hostname: str, blame: str) -> Stream:
        self._step, self._blame = targets.TLS, blame
        try:
            self._stream = streams.encrypt(stream, self._context, hostname, blame)
        except UnexplainedCertificate as refused:
            raise AttemptFailed(self._explained_by_dates(refused.outcome, hostname)) from None
        return self._stream

    def _explained_by_dates(self, outcome: Outcome, hostname: str) -> Outcome:
        """Read the refused certificate over a second connection, and say whether its dates are the cause.

        Returns the outcome unchanged if they are not, or if that connection fails.
        """
        second = Conversation(self._target, self._proxy, self._context, self._timeout)
        try:
            if outcome.blame == targets.THE_PROXY and self._proxy:
                stream = second._reach_proxy(self._proxy)
            else:
                stream = second._reach_target()
            tls = streams.TlsStream(stream, _context_without_verification(), hostname)
            begins, ends = certificates.validity(tls.certificate())
        except (AttemptFailed, NotHttp, ClosedEarly, OSError, ValueError):
            return outcome
        finally:
            second.close()
        if ends < time.time():
            return outcome._replace(state=targets.CERTIFICATE_EXPIRED, reason="certificate has expired")
        if begins > time.time():
            return outcome._replace(state=targets.CERTIFICATE_NOT_YET_VALID, reason="certificate is not yet valid")
        return outcome

    def _open_tunnel(self, stream: Stream, proxy: Proxy) -> None:
        self._step, self._blame = targets.PROXY, targets.THE_PROXY
        netloc = self._target.netloc()
        stream.send(answers.request("CONNECT", netloc, netloc, proxy.authorization))
        refused = answers.tunnel(streams.read_head(stream), bool(proxy.authorization))
        if refused:
            raise AttemptFailed(refused)

    def _request(self, stream: Stream) -> Outcome:
        target, path, authorization = self._target, self._target.request_path(), ""
        # Plain HTTP is requested from the proxy, everything else from the target.
        proxy = self._proxy if target.scheme == targets.HTTP else None
        if proxy:
            self._step, self._blame = targets.PROXY, targets.THE_PROXY
            path = "http://%s%s" % (target.netloc(), path)
            authorization = proxy.authorization
        else:
            self._step, self._blame = targets.ANSWER, targets.TARGET
        stream.send(answers.request("GET", path, target.netloc(), authorization))
        return answers.answer(streams.read_head(stream), target, bool(proxy), bool(authorization))


def _context_without_verification() -> ssl.SSLContext:
    """A TLS context that accepts every certificate. No data is sent over its connections."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
