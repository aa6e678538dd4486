# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reach services outside the cluster as workloads do: name, TCP, proxy, TLS, HTTP, and where that ended.

Every attempt has a thread of its own, because looking a name up cannot be given a time limit.
"""

import socket
import ssl
import threading
import time

from ansible_collections.determined.network.plugins.module_utils import _socket_states
from ansible_collections.determined.network.plugins.module_utils._internet import answers, streams
from ansible_collections.determined.network.plugins.module_utils._internet import targets as internet_targets
from ansible_collections.determined.network.plugins.module_utils._internet.targets import Broken, Outcome
from ansible_collections.determined.network.plugins.module_utils._probe import errors

MOST_THREADS = 32
MOST_ATTEMPTS = 3

# What may be different a second later. Credentials are never tried again: accounts get locked.
_WORTH_ANOTHER_TRY = frozenset(
    (
        internet_targets.NAME_SERVER_SILENT,
        internet_targets.TIMEOUT,
        internet_targets.CLOSED,
        internet_targets.PROXY_CANNOT,
        internet_targets.HTTP_STATUS,
        _socket_states.FILTERED,
        _socket_states.REFUSED,
        _socket_states.NO_ROUTE,
        _socket_states.ERROR,
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
    late = Outcome(
        internet_targets.TIMEOUT, internet_targets.NAME, internet_targets.HOST, "looking the name up does not end"
    )
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
        blame = internet_targets.BEYOND if attempt.step == internet_targets.PROXY else attempt.blame
        return Outcome(internet_targets.TIMEOUT, attempt.step, blame, reason)
    except ValueError as problem:  # no HTTP
        state = internet_targets.CLOSED if "closed" in str(problem) else internet_targets.NO_HTTP
        return Outcome(state, attempt.step, attempt.blame, str(problem))
    except OSError as problem:
        reason = "the connection broke off: %s" % errors.describe_errno(problem.errno or 0)
        return Outcome(internet_targets.CLOSED, attempt.step, attempt.blame, reason)
    finally:
        attempt.close()


class Attempt:
    """One conversation, step by step; ``step`` and ``blame`` tell where it stands."""

    def __init__(self, target, way, context, timeout):
        self._target, self._way, self._context, self._timeout = target, way, context, timeout
        self._stream = None
        self.step, self.blame = internet_targets.NAME, internet_targets.HOST

    def outcome(self):
        """Go as far as the target's scheme wants -> Outcome. Raises Broken, socket.timeout, OSError, ValueError."""
        target = self._target
        self._approach()
        if target.scheme == internet_targets.TCP:
            return Outcome(_socket_states.OPEN, internet_targets.CONNECT, "", "it accepts connections")
        if target.scheme == internet_targets.HTTPS:
            self._encrypt(target.host, internet_targets.TARGET)
        return self._ask()

    def close(self):
        """Let go of the connection."""
        if self._stream:
            self._stream.close()

    def _approach(self):
        """Up to the target itself, or to the proxy that will be asked for it."""
        target, way = self._target, self._way
        self._connect(way or target, internet_targets.THE_PROXY if way else internet_targets.TARGET)
        if way and way.scheme == internet_targets.HTTPS:
            self._encrypt(way.host, internet_targets.THE_PROXY)
        if way and target.scheme == internet_targets.HTTPS:
            self._open_tunnel()

    def _connect(self, end, blame):
        addresses = streams.look_up(end.host, end.port, blame)
        self.step = internet_targets.CONNECT
        self._stream = streams.connect(addresses, time.monotonic() + self._timeout, blame)

    def _encrypt(self, hostname, blame):
        self.step, self.blame = internet_targets.TLS, blame
        try:
            self._stream = streams.encrypt(self._stream, self._context, hostname, blame)
        except Broken as broken:
            if broken.outcome.state == internet_targets.CERTIFICATE_UNTRUSTED:
                raise Broken(self._by_dates(broken.outcome, hostname, blame)) from None
            raise

    def _by_dates(self, outcome, hostname, blame):
        """Python 3.6 does not say why a certificate is refused: look again, whether its time is over."""
        if outcome.reason != streams.UNEXPLAINED:
            return outcome
        curious = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        curious.check_hostname, curious.verify_mode = False, ssl.CERT_NONE
        try:
            again = Attempt(self._target, self._way, self._context, self._timeout)
            try:
                if blame == internet_targets.THE_PROXY:
                    again._connect(self._way, blame)
                else:
                    again._approach()
                tls = streams.TlsStream(again._stream, curious, hostname)
                begins, ends = answers.validity(tls.certificate())
            finally:
                again.close()
        except (Broken, OSError, ValueError):
            return outcome
        if ends < time.time():
            return outcome._replace(state=internet_targets.CERTIFICATE_EXPIRED, reason="certificate has expired")
        if begins > time.time():
            return outcome._replace(
                state=internet_targets.CERTIFICATE_NOT_YET_VALID, reason="certificate is not yet valid"
            )
        return outcome

    def _open_tunnel(self):
        self.step, self.blame = internet_targets.PROXY, internet_targets.THE_PROXY
        netloc, authorization = self._target.netloc(), self._way.authorization
        self._stream.send(answers.request("CONNECT", netloc, netloc, authorization))
        refused = answers.tunnel(streams.read_head(self._stream), bool(authorization))
        if refused:
            raise Broken(refused)

    def _ask(self):
        target, way = self._target, self._way
        forwarded = way is not None and target.scheme == internet_targets.HTTP
        self.step = internet_targets.PROXY if forwarded else internet_targets.ANSWER
        self.blame = internet_targets.THE_PROXY if forwarded else internet_targets.TARGET
        path = target.asked_path()
        authorization = way.authorization if forwarded else ""
        asked = "http://%s%s" % (target.netloc(), path) if forwarded else path
        self._stream.send(answers.request("GET", asked, target.netloc(), authorization))
        head = streams.read_head(self._stream)
        return answers.answer(head, target, forwarded, bool(authorization))
