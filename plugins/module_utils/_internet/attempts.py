# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reach services outside the cluster as workloads do, with retries, several services at the same time.

Every target has a thread of its own, because the look-up of a name cannot be given a time limit.
"""

import ssl
import threading
import time
from typing import Any, Dict, List, Optional, Sequence, Tuple

from ansible_collections.determined.network.plugins.module_utils import _socket_states
from ansible_collections.determined.network.plugins.module_utils._internet import targets as internet_targets
from ansible_collections.determined.network.plugins.module_utils._internet.conversation import attempt_once
from ansible_collections.determined.network.plugins.module_utils._internet.targets import Outcome, Proxy, Target

MOST_THREADS = 32
MOST_ATTEMPTS = 3

# These may be different a second later. Refused credentials are never retried, because accounts get locked.
_RETRIED = frozenset(
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

_LATE = Outcome(
    internet_targets.TIMEOUT, internet_targets.NAME, internet_targets.HOST, "the look-up of the name did not end"
)


def make_context(ca: str) -> ssl.SSLContext:
    """A TLS context that trusts the system's certificates and those of a PEM text.

    Raises ValueError if the text has no certificates.
    """
    try:
        context = ssl.create_default_context()
        if ca:
            context.load_verify_locations(cadata=ca)
    except (ssl.SSLError, ValueError, OSError) as problem:
        raise ValueError("determined_proxy_ca_certificate has no certificates that can be read: %s" % problem) from None
    return context


def run(
    targets: Sequence[Target], proxies: Sequence[Optional[Proxy]], context: ssl.SSLContext, timeout: float
) -> List[Dict[str, Any]]:
    """Try to reach all targets.

    ``proxies``: the Proxy for each target, or None for a direct connection. ``timeout``: seconds for one attempt.
    Returns ``{"host", "port", "scheme", "via", "state", "step", "blame", "reason", "status", "attempts", "seconds"}``
    for each target.
    """
    results: List[Optional[Dict[str, Any]]] = [None] * len(targets)
    # However slow the attempts are, the batch ends.
    turns = -(-len(targets) // MOST_THREADS)
    deadline = time.monotonic() + turns * MOST_ATTEMPTS * (timeout + _PAUSE)
    waiting = list(enumerate(zip(targets, proxies)))[::-1]

    def work() -> None:
        while waiting:
            try:
                number, (target, proxy) = waiting.pop()
            except IndexError:  # another thread took the last target
                return
            results[number] = _with_retries(target, proxy, context, timeout)

    # A thread that hangs in a look-up must not keep the module from ending.
    threads = [threading.Thread(target=work, daemon=True) for _unused in range(min(MOST_THREADS, len(targets)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0, deadline - time.monotonic()))
    return [
        result or _result(target, proxy, _LATE, 1, timeout)
        for (target, proxy), result in zip(zip(targets, proxies), results)
    ]


def _with_retries(target: Target, proxy: Optional[Proxy], context: ssl.SSLContext, timeout: float) -> Dict[str, Any]:
    started = time.monotonic()
    outcome, attempts = _last_outcome(target, proxy, context, timeout)
    return _result(target, proxy, outcome, attempts, time.monotonic() - started)


def _last_outcome(
    target: Target, proxy: Optional[Proxy], context: ssl.SSLContext, timeout: float
) -> Tuple[Outcome, int]:
    """Attempt and retry -> the last outcome and the number of attempts."""
    for number in range(1, MOST_ATTEMPTS):
        outcome = attempt_once(target, proxy, context, timeout)
        if outcome.state not in _RETRIED:
            return outcome, number
        time.sleep(_PAUSE)
    return attempt_once(target, proxy, context, timeout), MOST_ATTEMPTS


def _result(target: Target, proxy: Optional[Proxy], outcome: Outcome, attempts: int, seconds: float) -> Dict[str, Any]:
    return {
        "host": target.host,
        "port": target.port,
        "scheme": target.scheme,
        "via": proxy.netloc() if proxy else "",
        "state": outcome.state,
        "step": outcome.step,
        "blame": outcome.blame,
        "reason": outcome.reason,
        "status": outcome.status,
        "attempts": attempts,
        "seconds": round(seconds, 3),
    }
