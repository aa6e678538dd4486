# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell SYNs that this host's own firewall drops from those that the path swallows.

``iptables -A OUTPUT -j DROP`` is invisible to connect(): it looks like silence. But a SYN
which the kernel wants to repeat and cannot hand to the network is counted: TCPRetransFail
beside TCPSynRetrans, both in /proc/net/netstat of the network namespace (in the kernel,
net/ipv4/tcp_output.c). Where both rise alike, no repetition left this host.
"""

import time
from typing import NamedTuple

from ansible_collections.determined.network.plugins.module_utils import _socket_states
from ansible_collections.determined.network.plugins.module_utils._probe import errors, observation, proc
from ansible_collections.determined.network.plugins.module_utils._probe import sockets as probe_sockets

_REPEATED_AFTER = 10  # slots: the first SYN is repeated after 1 s (RFC 6298, section 2)
_SLOT = 0.1  # seconds
_OFFSET = 0.03  # seconds into its slot that a SYN leaves, so that a late look still counts
_TESTED = 10  # ports of the whole batch

REASON = "%s (it drops the SYNs: TCPRetransFail)" % errors.OWN_FIREWALL


class HeldBack(NamedTuple):
    """Repeated SYNs, and repetitions (of any segment) that did not leave this host."""

    repeated: int
    failed: int

    def since(self, before):
        return HeldBack(self.repeated - before.repeated, self.failed - before.failed)

    @property
    def entirely(self):
        """Every repetition was held back: the case is clear."""
        return self.repeated > 0 and self.failed >= self.repeated


def read():
    """The two counters of this network namespace, since it was made."""
    with open("/proc/net/netstat") as netstat:
        counters = proc.parse_counters(netstat.read())["TcpExt"]
    return HeldBack(counters.get("TCPSynRetrans", 0), counters.get("TCPRetransFail", 0))


def find(targets, held_back, timeout):
    """Move to ``rejected`` what this host's own firewall drops.

    ``held_back``: what was counted while the silent ports of the targets waited ``timeout``
    seconds; with less than 1.1 s no SYN was repeated and nothing can be told. Were some
    repetitions held back and others not, some ports are tried once more, one after the
    other. (A congested interface holds SYNs back too: then no single one fails again.)
    """
    silent = [target for target in targets if target.states[_socket_states.FILTERED]]
    if not silent or not held_back.failed or timeout < 1.1:
        return
    if held_back.entirely:
        for target in silent:
            target.move(
                list(target.states[_socket_states.FILTERED]), _socket_states.FILTERED, _socket_states.REJECTED, REASON
            )
        return
    pairs = []
    for target in silent[:_TESTED]:
        ports = sorted(target.states[_socket_states.FILTERED])
        for port in observation.spread(ports, max(1, _TESTED // len(silent))):
            pairs.append((target, port))
    for (target, port), counted in _repeat_one_by_one(pairs):
        if counted == (1, 1):
            target.move([port], _socket_states.FILTERED, _socket_states.REJECTED, REASON)


def _repeat_one_by_one(pairs):
    """Send a SYN per slot and look what its repetition did -> [((target, port), HeldBack)]."""
    sockets, looks = [], []
    start = time.monotonic()
    try:
        for slot in range(len(pairs) + _REPEATED_AFTER + 1):
            _sleep_until(start + slot * _SLOT)
            looks.append(read())
            if slot < len(pairs):
                target, port = pairs[slot]
                _sleep_until(start + slot * _SLOT + _OFFSET)
                sockets.append(probe_sockets.open_socket(target))
                target.sent += 1
                sockets[-1].connect_ex(probe_sockets.socket_address(target.address, port))
    finally:
        for sock in sockets:
            sock.close()
    return [
        (pair, looks[index + _REPEATED_AFTER + 1].since(looks[index + _REPEATED_AFTER]))
        for index, pair in enumerate(pairs)
    ]


def _sleep_until(moment):
    time.sleep(max(0.0, moment - time.monotonic()))
