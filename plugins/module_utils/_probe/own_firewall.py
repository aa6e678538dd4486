# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Distinguish SYNs that this host's own firewall drops from those that are dropped on the path.

connect() does not see ``iptables -A OUTPUT -j DROP``: nothing comes back. But the kernel counts
a SYN that it repeats and cannot send in TCPRetransFail, besides TCPSynRetrans. Both counters are
in /proc/net/netstat of the network namespace (in the kernel, net/ipv4/tcp_output.c). If both
rise by the same number, no repetition left this host.
"""

import time
from typing import List, NamedTuple, Sequence, Tuple

from ansible_collections.determined.network.plugins.module_utils import _ports, _socket_states
from ansible_collections.determined.network.plugins.module_utils._probe.observation import Target
from ansible_collections.determined.network.plugins.module_utils._sockets import errors, proc
from ansible_collections.determined.network.plugins.module_utils._sockets.errors import Finding
from ansible_collections.determined.network.plugins.module_utils._sockets.sockets import open_socket, socket_address

_REPEATED_AFTER = 10  # slots: the first SYN is repeated after 1 s (RFC 6298, section 2)
_SLOT = 0.1  # seconds
_OFFSET = 0.03  # seconds from the start of its slot to a SYN, so that a reading that is a little late still counts
_TESTED = 10  # ports of the whole batch
_SHORTEST_TIMEOUT = 1.1  # seconds; with less, no SYN is repeated

DROPPED = Finding(
    _socket_states.REJECTED,
    "%s (it drops the SYNs: TCPRetransFail)" % errors.OWN_FIREWALL_REASON,
    errors.OWN_FIREWALL,
)


class HeldBack(NamedTuple):
    """Repeated SYNs, and repetitions (of any segment) that did not leave this host."""

    repeated: int
    failed: int

    def since(self, before: "HeldBack") -> "HeldBack":
        """What was counted after ``before``."""
        return HeldBack(self.repeated - before.repeated, self.failed - before.failed)

    @property
    def entirely(self) -> bool:
        """Whether every repetition was held back."""
        return self.repeated > 0 and self.failed >= self.repeated


def read() -> HeldBack:
    """The two counters of this network namespace."""
    with open("/proc/net/netstat") as netstat:
        counters = proc.parse_counters(netstat.read())["TcpExt"]
    return HeldBack(counters.get("TCPSynRetrans", 0), counters.get("TCPRetransFail", 0))


def find(targets: Sequence[Target], held_back: HeldBack, timeout: float) -> None:
    """Move to ``rejected`` what this host's own firewall drops.

    ``held_back``: what was counted while the silent ports of the targets waited for ``timeout``
    seconds. If some repetitions were held back and others were not, some ports are tried once
    more, one after the other. (A congested interface holds SYNs back too. Then a single SYN is
    not held back again.)
    """
    silent = [target for target in targets if target.states[_socket_states.FILTERED]]
    if not silent or not held_back.failed or timeout < _SHORTEST_TIMEOUT:
        return
    if held_back.entirely:
        for target in silent:
            target.move(target.states[_socket_states.FILTERED], _socket_states.FILTERED, DROPPED)
        return
    pairs = []
    for target in silent[:_TESTED]:
        ports = sorted(target.states[_socket_states.FILTERED])
        for port in _ports.evenly(ports, max(1, _TESTED // len(silent))):
            pairs.append((target, port))
    for (target, port), counted in zip(pairs, _repeat_one_by_one(pairs)):
        if counted == (1, 1):
            target.move([port], _socket_states.FILTERED, DROPPED)


def _repeat_one_by_one(pairs: Sequence[Tuple[Target, int]]) -> List[HeldBack]:
    """Send one SYN in each slot to a target and port, and count what happened to its repetition."""
    opened, readings = [], []
    start = time.monotonic()
    try:
        for slot in range(len(pairs) + _REPEATED_AFTER + 1):
            _sleep_until(start + slot * _SLOT)
            readings.append(read())
            if slot < len(pairs):
                target, port = pairs[slot]
                _sleep_until(start + slot * _SLOT + _OFFSET)
                opened.append(open_socket(target))
                target.sent += 1
                opened[-1].connect_ex(socket_address(target.address, port))
    finally:
        for sock in opened:
            sock.close()
    return [
        readings[index + _REPEATED_AFTER + 1].since(readings[index + _REPEATED_AFTER]) for index in range(len(pairs))
    ]


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))
