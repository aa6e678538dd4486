# -*- coding: utf-8 -*-
# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reach services outside the cluster as workloads do: name, TCP, proxy, TLS, HTTP, and where that ended.

Every attempt has a thread of its own, because looking a name up cannot be given a time limit.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import socket
import ssl
import threading
import time

from ansible_collections.determined.network.plugins.module_utils import (
    _internet,
    _internet_answers,
    _model,
    _probe_errors,
    _probe_streams,
)
from ansible_collections.determined.network.plugins.module_utils._internet import Broken, Outcome

MOST_THREADS = 32
MOST_ATTEMPTS = 3

# What may be different a second later. Credentials are never tried again: accounts get locked.
_WORTH_ANOTHER_TRY = frozenset(
    (
        _internet.NAME_SERVER_SILENT,
        _internet.TIMEOUT,
        _internet.CLOSED,
        _internet.PROXY_CANNOT,
        _internet.HTTP_STATUS,
        _model.FILTERED,
        _model.REFUSED,
        _model.NO_ROUTE,
        _model.ERROR,
    )
)
_PAUSE = 1.0  # seconds between two attempts


def make_context(ca):
    """A TLS context that trusts the system's certificates and those of a PEM text. ValueError if it is none."""
    try:
        context = ssl.create_default_context()
        if ca:
            context.load_verify_locations(cadata=ca)
    except (ssl.SSLError, ValueError, OSError) as problem:
        raise ValueError("proxy_ca_certificate holds no certificates that can be read: %s" % problem) from None
    return context


def run(targets, ways, context, timeout):
    """Targets, the Proxy or None for each, a TLS context, seconds for one attempt -> a dict for each target.

    ``{"host", "port", "scheme", "via", "state", "step", "blame", "reason", "status", "attempts", "seconds"}``.
    """
    results = [None] * len(targets)
    # An attempt may be slow, but the batch ends.
    rounds = -(-len(targets) // MOST_THREADS)
    deadline = time.monotonic() + rounds * MOST_ATTEMPTS * (timeout + _PAUSE)
    queue = list(enumerate(zip(targets, ways)))[::-1]

    def work():
        while queue:
            try:
                number, (target, way) = queue.pop()
            except IndexError:  # another thread was faster
                return
            results[number] = _several_attempts(target, way, context, timeout)

    threads = [threading.Thread(target=work) for _unused in range(min(MOST_THREADS, len(targets)))]
    for thread in threads:
        thread.daemon = True  # one that hangs in a look-up must not hold the module back
        thread.start()
    for thread in threads:
        thread.join(max(0, deadline - time.monotonic()))
    late = Outcome(_internet.TIMEOUT, _internet.NAME, _internet.HOST, "looking the name up does not end")
    return [
        result or _result(target, way, late, 1, timeout) for (target, way), result in zip(zip(targets, ways), results)
    ]


def _several_attempts(target, way, context, timeout):
    started = time.monotonic()
    for attempt in range(1, MOST_ATTEMPTS + 1):
        outcome = _attempt(target, way, context, timeout)
        if outcome.state not in _WORTH_ANOTHER_TRY:
            break
        if attempt < MOST_ATTEMPTS:
            time.sleep(_PAUSE)
    return _result(target, way, outcome, attempt, time.monotonic() - started)


def _result(target, way, outcome, attempts, seconds):
    return {
        "host": target.host,
        "port": target.port,
        "scheme": target.scheme,
        "via": way.netloc() if way else "",
        "state": outcome.state,
        "step": outcome.step,
        "blame": outcome.blame,
        "reason": outcome.reason,
        "status": outcome.status,
        "attempts": attempts,
        "seconds": round(seconds, 3),
    }


def _attempt(target, way, context, timeout):
    attempt = Attempt(target, way, context, timeout)
    try:
        return attempt.outcome()
    except Broken as broken:
        return broken.outcome
    except socket.timeout:
        reason = "no answer within %g seconds" % timeout
        blame = _internet.BEYOND if attempt.step == _internet.PROXY else attempt.blame
        return Outcome(_internet.TIMEOUT, attempt.step, blame, reason)
    except ValueError as problem:  # no HTTP
        state = _internet.CLOSED if "closed" in str(problem) else _internet.NO_HTTP
        return Outcome(state, attempt.step, attempt.blame, str(problem))
    except OSError as problem:
        reason = "the connection broke off: %s" % _probe_errors.describe_errno(problem.errno or 0)
        return Outcome(_internet.CLOSED, attempt.step, attempt.blame, reason)
    finally:
        attempt.close()


class Attempt:
    """One conversation, step by step; ``step`` and ``blame`` tell where it stands."""

    def __init__(self, target, way, context, timeout):
        self._target, self._way, self._context, self._timeout = target, way, context, timeout
        self._stream = None
        self.step, self.blame = _internet.NAME, _internet.HOST

    def outcome(self):
        """Go as far as the target's scheme wants -> Outcome. Raises Broken, socket.timeout, OSError, ValueError."""
        target = self._target
        self._approach()
        if target.scheme == _internet.TCP:
            return Outcome(_model.OPEN, _internet.CONNECT, "", "it accepts connections")
        if target.scheme == _internet.HTTPS:
            self._encrypt(target.host, _internet.TARGET)
        return self._ask()

    def close(self):
        """Let go of the connection."""
        if self._stream:
            self._stream.close()

    def _approach(self):
        """Up to the target itself, or to the proxy that will be asked for it."""
        target, way = self._target, self._way
        self._connect(way or target, _internet.THE_PROXY if way else _internet.TARGET)
        if way and way.scheme == _internet.HTTPS:
            self._encrypt(way.host, _internet.THE_PROXY)
        if way and target.scheme == _internet.HTTPS:
            self._open_tunnel()

    def _connect(self, end, blame):
        addresses = _probe_streams.look_up(end.host, end.port, blame)
        self.step = _internet.CONNECT
        self._stream = _probe_streams.connect(addresses, time.monotonic() + self._timeout, blame)

    def _encrypt(self, hostname, blame):
        self.step, self.blame = _internet.TLS, blame
        try:
            self._stream = _probe_streams.encrypt(self._stream, self._context, hostname, blame)
        except Broken as broken:
            if broken.outcome.state == _internet.CERTIFICATE_UNTRUSTED:
                raise Broken(self._by_dates(broken.outcome, hostname, blame)) from None
            raise

    def _by_dates(self, outcome, hostname, blame):
        """Python 3.6 does not say why a certificate is refused: look again, whether its time is over."""
        if outcome.reason != _probe_streams.UNEXPLAINED:
            return outcome
        curious = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        curious.check_hostname, curious.verify_mode = False, ssl.CERT_NONE
        try:
            again = Attempt(self._target, self._way, self._context, self._timeout)
            try:
                if blame == _internet.THE_PROXY:
                    again._connect(self._way, blame)
                else:
                    again._approach()
                tls = _probe_streams.TlsStream(again._stream, curious, hostname)
                begins, ends = _internet_answers.validity(tls.certificate())
            finally:
                again.close()
        except (Broken, OSError, ValueError):
            return outcome
        if ends < time.time():
            return outcome._replace(state=_internet.CERTIFICATE_EXPIRED, reason="certificate has expired")
        if begins > time.time():
            return outcome._replace(state=_internet.CERTIFICATE_NOT_YET_VALID, reason="certificate is not yet valid")
        return outcome

    def _open_tunnel(self):
        self.step, self.blame = _internet.PROXY, _internet.THE_PROXY
        netloc, authorization = self._target.netloc(), self._way.authorization
        self._stream.send(_internet_answers.request("CONNECT", netloc, netloc, authorization))
        refused = _internet_answers.tunnel(_probe_streams.read_head(self._stream), bool(authorization))
        if refused:
            raise Broken(refused)

    def _ask(self):
        target, way = self._target, self._way
        forwarded = way is not None and target.scheme == _internet.HTTP
        self.step = _internet.PROXY if forwarded else _internet.ANSWER
        self.blame = _internet.THE_PROXY if forwarded else _internet.TARGET
        path = target.asked_path()
        authorization = way.authorization if forwarded else ""
        asked = "http://%s%s" % (target.netloc(), path) if forwarded else path
        self._stream.send(_internet_answers.request("GET", asked, target.netloc(), authorization))
        head = _probe_streams.read_head(self._stream)
        return _internet_answers.answer(head, target, forwarded, bool(authorization))
