# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One batch of probes from this host: the order of the passes and what they conclude.

A SYN may be lost, and a fast sweep may be faster than a path. So ``filtered`` is concluded
in passes:

1. Few ports (at most _SAMPLE of a target): every port waits the full timeout. Many ports:
   a fast pass, which waits at most _FIRST_WAIT seconds, or less once answers have shown how
   far the address is.
2. Where the address itself answered on some port (open or refused), every silent port is
   tried again for the full timeout. Where nothing at all came back, a sample of the silent
   ports is.
3. While such a pass is answered on ports that were silent before, the path loses SYNs: what is
   silent still is tried again, _MORE_PASSES times at most.

What is silent then is ``filtered``, or ``rejected`` where this host's own firewall is the
one that swallows the SYNs (:mod:`own_firewall`).
"""

import errno
from typing import NamedTuple

from ansible_collections.determined.network.plugins.module_utils import _ports, _socket_states
from ansible_collections.determined.network.plugins.module_utils._probe import echo as probe_echo
from ansible_collections.determined.network.plugins.module_utils._probe import errors, own_firewall, sockets
from ansible_collections.determined.network.plugins.module_utils._probe import observation as probe_observation
from ansible_collections.determined.network.plugins.module_utils._probe import tcp as probe_tcp
from ansible_collections.determined.network.plugins.module_utils._probe import udp as probe_udp

_SAMPLE = 256  # ports
_FIRST_WAIT = 1.2  # seconds: the kernel repeats a SYN after 1 s (RFC 6298, section 2)
_MORE_PASSES = 3


def check_settings(timeout, window):
    """ValueError unless ``timeout`` (seconds) and ``window`` (probes) make sense."""
    if not 0.1 <= timeout <= 60:
        raise ValueError("timeout is %s, not 0.1 to 60 seconds" % timeout)
    if not 1 <= window <= sockets.MOST_SOCKETS:
        raise ValueError("window is %d, not 1 to %d probes" % (window, sockets.MOST_SOCKETS))


def run(targets, timeout, window, echo):
    """Probe a list of Target -> ``{"observations": [...], "resets_sent": n}``, JSON-ready.

    ``timeout``: seconds a probe waits; ``window``: fresh attempts at most in flight to one
    address; ``echo``: whether one ICMP echo goes to every address too.
    The targets must be new ones, as :func:`observation.read_targets` gives them.
    """
    asked = {(target.address, target.source) for target in targets} if echo else ()
    echoes = probe_echo.Echoes(asked, min(timeout, 3.0))
    try:
        usable = [target for target in targets if _source_is_here(target)]
        tcp = [target for target in usable if target.protocol == "tcp"]
        udp = [target for target in usable if target.protocol == "udp"]
        if tcp:
            _probe_tcp_targets(tcp, _Pass(timeout, window, echoes.poll))
        if udp:
            probe_udp.run(udp, timeout, sockets.capacity() - 1)
        results = echoes.finish()
    finally:
        echoes.close()
    observations = []
    for target in targets:
        observation = target.observation()
        if echo:
            observation["echo"] = results[target.address, target.source]
        observations.append(observation)
    return {"observations": observations, "resets_sent": sum(target.resets_sent for target in targets)}


def _source_is_here(target):
    """Whether the source address can be bound; otherwise every port is an error."""
    if not target.source:
        return True
    try:
        sockets.open_socket(target).close()
    except OSError as problem:
        if problem.errno != errno.EADDRNOTAVAIL:
            return True  # whatever it is, the probe itself meets it and names it
        reason = "no interface of this host has the source address %s" % target.source
        for port in _ports.numbers(target.ports):
            target.record(port, _socket_states.ERROR, reason)
        return False
    return True


class _Pass(NamedTuple):
    """What all passes of a batch share; see :func:`run`."""

    timeout: float
    window: int
    meanwhile: object

    def sweep(self, target, ports, wait, shorten=False):
        return probe_tcp.Sweep(target, ports, wait, self.window, shorten)

    def run(self, sweeps):
        """Run some sweeps -> how many SYNs were repeated and held back meanwhile."""
        engine = probe_tcp.Engine(self.timeout, sockets.capacity() - 1, self.meanwhile)
        before = own_firewall.read()
        try:
            engine.run(sweeps)
        finally:
            engine.close()
        return own_firewall.read().since(before)

    def try_again(self, chosen):
        """Try some filtered ports of some targets for the full timeout."""
        sweeps = []
        for target, ports in chosen:
            taken = target.take(_socket_states.FILTERED, ports)
            target.repeated.update(taken)
            sweeps.append(self.sweep(target, taken, self.timeout))
        return self.run(sweeps)


def _probe_tcp_targets(targets, passes):
    first = []
    for target in targets:
        many = _ports.count(target.ports) > _SAMPLE
        wait = min(passes.timeout, _FIRST_WAIT) if many else passes.timeout
        first.append(passes.sweep(target, _ports.numbers(target.ports), wait, shorten=many))
    held_back = passes.run(first)
    again = [(target, _worth_another_try(target)) for target in targets]
    if any(ports for target, ports in again if _ports.count(target.ports) > _SAMPLE):
        answered = [target.answers_seen for target in targets]
        held_back = passes.try_again(again)
        for _unused in range(_MORE_PASSES):
            # Answers to what was silent show a path that loses SYNs, or that there is a path at all.
            again = [
                (target, sorted(target.states[_socket_states.FILTERED]))
                for target, before in zip(targets, answered)
                if target.answers_seen > before
            ]
            answered = [target.answers_seen for target in targets]
            if not any(ports for _target, ports in again):
                break
            passes.try_again(again)
    for target in targets:
        _settle_neighbour_failure(target)
    own_firewall.find(targets, held_back, passes.timeout)


def _worth_another_try(target):
    """The silent ports that a second pass asks again."""
    silent = sorted(target.states[_socket_states.FILTERED])
    if target.responsive or len(silent) <= _SAMPLE:
        return silent
    chosen = set(probe_observation.spread(silent, _SAMPLE)) | (target.identify & set(silent))
    return sorted(chosen)


def _settle_neighbour_failure(target):
    """An unanswered ARP or ND holds for the whole address: its silent ports have no way either."""
    failures = [
        reason
        for state, reason in target.reasons
        if state == _socket_states.NO_ROUTE and reason.startswith(errors.NEIGHBOUR)
    ]
    if failures and not target.states[_socket_states.OPEN]:
        # A port asked just before the failure got the error promptly, as from a REJECT.
        for (state, reason), ports in list(target.reasons.items()):
            if state == _socket_states.REJECTED and reason.endswith(errors.OWN_UNREACHABLE):
                target.move(list(ports), _socket_states.REJECTED, _socket_states.NO_ROUTE, failures[0])
        target.move(
            list(target.states[_socket_states.FILTERED]), _socket_states.FILTERED, _socket_states.NO_ROUTE, failures[0]
        )
