# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One batch of probes from this host: the passes over its ports, and what is concluded from them.

A SYN may be lost, and a fast pass over many ports may send more than a path can carry. So
``filtered`` is concluded in several passes:

1. If a target has few ports (at most _SAMPLE), every port waits for the full timeout. If it has
   many, the first pass waits for at most _FIRST_WAIT seconds, or less once answers have shown
   how far away the address is.
2. If the address itself answered on some port (open or refused), every silent port is tried
   again for the full timeout. If nothing at all came back, a sample of the silent ports is.
3. If ports that were silent before answer in such a pass, the path loses SYNs. Then all ports
   that are still silent are tried again, at most _MORE_PASSES times.

The ports that are silent after that are ``filtered``, or ``rejected`` if this host's own firewall
drops the SYNs (:mod:`own_firewall`).
"""

import errno
from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Sequence, Tuple

from ansible_collections.determined.network.plugins.module_utils import _ports, _socket_states
from ansible_collections.determined.network.plugins.module_utils._probe import own_firewall, tcp, udp
from ansible_collections.determined.network.plugins.module_utils._probe.echo import Echoes
from ansible_collections.determined.network.plugins.module_utils._probe.observation import Target
from ansible_collections.determined.network.plugins.module_utils._sockets import errors, sockets
from ansible_collections.determined.network.plugins.module_utils._sockets.errors import Finding

_SAMPLE = 256  # ports
_FIRST_WAIT = 1.2  # seconds: the kernel repeats a SYN after 1 s (RFC 6298, section 2)
_MORE_PASSES = 3
_LONGEST_ECHO = 3.0  # seconds


def check_settings(timeout: float, window: int) -> None:
    """Raise ValueError unless ``timeout`` (seconds) and ``window`` (attempts) are in their ranges."""
    if not 0.1 <= timeout <= 60:
        raise ValueError("timeout is %s, not 0.1 to 60 seconds" % timeout)
    if not 1 <= window <= sockets.MOST_SOCKETS:
        raise ValueError("window is %d, not 1 to %d attempts" % (window, sockets.MOST_SOCKETS))


def run(targets: Sequence[Target], timeout: float, window: int, echo: bool) -> Dict[str, Any]:
    """Probe the targets -> ``{"observations": [...], "resets_sent": n}``, ready for JSON.

    ``timeout``: seconds that an attempt waits. ``window``: the most attempts in flight to one address, without
    those that have been silent for a while. ``echo``: whether ICMP echo requests are sent to every address too.
    The targets must have no results yet, as :func:`observation.read_targets` returns them.
    """
    pairs = {(target.address, target.source) for target in targets} if echo else set()
    echoes = Echoes(pairs, min(timeout, _LONGEST_ECHO))
    try:
        usable = [target for target in targets if _has_source_address(target)]
        tcp_targets = [target for target in usable if target.protocol == "tcp"]
        udp_targets = [target for target in usable if target.protocol == "udp"]
        if tcp_targets:
            _probe_tcp_targets(tcp_targets, _Pass(timeout, window, echoes.poll))
        if udp_targets:
            udp.run(udp_targets, timeout, sockets.capacity() - 1)
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


def _has_source_address(target: Target) -> bool:
    """Whether this host has the target's source address. If it does not, every port is recorded as an error."""
    if not target.source:
        return True
    try:
        sockets.open_socket(target).close()
    except OSError as problem:
        if problem.errno != errno.EADDRNOTAVAIL:
            return True  # The attempts will fail in the same way and record the error.
        reason = "no interface of this host has the source address %s" % target.source
        for port in _ports.numbers(target.ports):
            target.record(port, Finding(_socket_states.ERROR, reason))
        return False
    return True


class _Pass(NamedTuple):
    """What all passes of a batch share; see :func:`run`. ``meanwhile`` serves other work of the batch."""

    timeout: float
    window: int
    meanwhile: Callable[[], None]

    def sweep(self, target: Target, ports: Iterable[int], wait: float, shorten: bool = False) -> tcp.Sweep:
        """The attempts of one pass on one target."""
        return tcp.Sweep(target, ports, wait, self.window, shorten)

    def run(self, sweeps: Sequence[tcp.Sweep]) -> own_firewall.HeldBack:
        """Run some sweeps, and count the SYNs that were repeated and held back meanwhile."""
        engine = tcp.Engine(self.timeout, sockets.capacity() - 1, self.meanwhile)
        before = own_firewall.read()
        try:
            engine.run(sweeps)
        finally:
            engine.close()
        return own_firewall.read().since(before)

    def retry(self, chosen: Sequence[Tuple[Target, List[int]]]) -> own_firewall.HeldBack:
        """Try some filtered ports of some targets again, for the full timeout."""
        sweeps = []
        for target, ports in chosen:
            taken = target.take(_socket_states.FILTERED, ports)
            target.repeated.update(taken)
            sweeps.append(self.sweep(target, taken, self.timeout))
        return self.run(sweeps)


def _probe_tcp_targets(targets: Sequence[Target], passes: _Pass) -> None:
    first = []
    for target in targets:
        many = _has_many_ports(target)
        wait = min(passes.timeout, _FIRST_WAIT) if many else passes.timeout
        first.append(passes.sweep(target, _ports.numbers(target.ports), wait, shorten=many))
    held_back = passes.run(first)
    chosen = [(target, _worth_a_retry(target)) for target in targets]
    if any(ports for target, ports in chosen if _has_many_ports(target)):
        answered = [target.answers_seen for target in targets]
        held_back = passes.retry(chosen)
        _retry_while_answered(targets, answered, passes)
    for target in targets:
        _settle_neighbour_failure(target)
    own_firewall.find(targets, held_back, passes.timeout)


def _has_many_ports(target: Target) -> bool:
    return _ports.count(target.ports) > _SAMPLE


def _retry_while_answered(targets: Sequence[Target], answered: List[int], passes: _Pass) -> None:
    """Retry the silent ports of each target that answered more often than in the pass before.

    Such answers show that the path loses SYNs, or that there is a path at all.
    ``answered``: the answers of each target before the last pass.
    """
    for _unused in range(_MORE_PASSES):
        chosen = [
            (target, sorted(target.states[_socket_states.FILTERED]))
            for target, before in zip(targets, answered)
            if target.answers_seen > before
        ]
        answered = [target.answers_seen for target in targets]
        if not any(ports for _target, ports in chosen):
            return
        passes.retry(chosen)


def _worth_a_retry(target: Target) -> List[int]:
    """The silent ports that the second pass tries again."""
    silent = sorted(target.states[_socket_states.FILTERED])
    if target.responsive or len(silent) <= _SAMPLE:
        return silent
    return sorted(set(_ports.evenly(silent, _SAMPLE)) | (target.identify & set(silent)))


def _settle_neighbour_failure(target: Target) -> None:
    """Move the silent ports of an address whose neighbour does not answer (ARP, ND) to no_route.

    The failure concerns the whole address, but the kernel reports it only to some of the sockets.
    """
    failures = [finding for finding in target.findings if finding.cause == errors.NO_NEIGHBOUR]
    if not failures or target.states[_socket_states.OPEN]:
        return
    # An attempt shortly before the failure got the error promptly, so it looked like a REJECT.
    for finding, ports in list(target.findings.items()):
        if finding.cause == errors.OWN_UNREACHABLE:
            target.move(ports, _socket_states.REJECTED, failures[0])
    target.move(target.states[_socket_states.FILTERED], _socket_states.FILTERED, failures[0])
