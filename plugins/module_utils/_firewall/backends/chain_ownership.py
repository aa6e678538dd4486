# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which chains of iptables are ours. The names of chains play no part here.

The first rule of each chain of ours is the mark: it has a comment and no target, so packets pass it. Versions 0.2 and
0.3 wrote no mark. Their chains are known by their rules: each rule has to be one that these versions wrote, and their
first rule (and in mode ``restrict`` their last one) is always the same.
"""

import re
from typing import Sequence

from ansible_collections.determined.network.plugins.module_utils._firewall.backends.ownership import MARK

# As iptables-save prints it after "-A CHAIN".
MARK_RULE = '-m comment --comment "%s"' % MARK

_PATH_MTU = (
    '-p icmp -m conntrack --ctstate RELATED -m icmp --icmp-type 3/4 -m comment --comment "path MTU discovery" '
    "-j ACCEPT",
    '-p ipv6-icmp -m conntrack --ctstate RELATED -m icmp6 --icmpv6-type 2 -m comment --comment "path MTU discovery" '
    "-j ACCEPT",
)
_LOOPBACK = "-i lo -j RETURN"
_KNOWN = (
    "-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN",  # version 0.2
    "! -p tcp -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN",
)
_REST = '-m comment --comment "nothing else new comes in" -j DROP'
_DIRECT = re.compile(r'-o \S+ -m comment --comment "nobody else reaches containers directly" -j DROP\Z')
_FIRST = _PATH_MTU + (_LOOPBACK,) + _KNOWN
_FIXED = frozenset(
    _FIRST
    + (
        _REST,
        "-p tcp -m conntrack --ctstate RELATED,ESTABLISHED -m tcp ! --tcp-flags SYN,ACK SYN -j RETURN",
        "-p tcp -m conntrack --ctstate NEW -m tcp --tcp-flags SYN,RST,ACK ACK "
        '-m comment --comment "sessions older than conntrack" -j RETURN',
        "-p icmp -j RETURN",
        "-p ipv6-icmp -j RETURN",
        '-p udp -m udp --sport 67 --dport 68 -m comment --comment "DHCP replies" -j RETURN',
        '-p udp -m udp --sport 547 --dport 546 -m comment --comment "DHCP replies" -j RETURN',
        '-m conntrack --ctstate DNAT -m comment --comment "published ports" -j RETURN',
    )
)
_SHAPES = (
    re.compile(r'-p ipv6-icmp -m icmp6 --icmpv6-type 13[3-6] -m comment --comment "neighbour discovery" -j ACCEPT\Z'),
    re.compile(r'-i \S+ -m comment --comment "containers of this host" -j RETURN\Z'),
    _DIRECT,
    # What the cluster requires, replies to it, and management.
    re.compile(
        r"-p (tcp|udp)( -m set --match-set determined_\w+_v[46] (src|dst))?( -m conntrack --ctstate ESTABLISHED)?"
        r"( -m \1)?( --[sd]port [\d:]+)?( ! --tcp-flags SYN,ACK SYN)?( -m multiport --[sd]ports [\d,:]+)?"
        r' -m comment --comment ("[^"]*"|[\w-]+) -j (ACCEPT|RETURN)\Z'
    ),
)


def is_ours(rules: Sequence[str], foreign_jumps: bool) -> bool:
    """The rules of a chain with a name of ours, in the form of iptables-save -> whether we made the chain.

    ``foreign_jumps``: whether a rule leads to it that is not our own jump. An empty chain has no effect, so it is taken
    for ours (``iptables -F`` empties our chains, and with it the mark is lost), unless somebody else uses it.
    """
    if MARK_RULE in rules:
        return True
    return _is_of_an_old_version(rules) if rules else not foreign_jumps


def _is_of_an_old_version(rules: Sequence[str]) -> bool:
    """Whether version 0.2 or 0.3 wrote these rules. There is at least one."""
    if rules[0] not in _FIRST:
        return False
    if _LOOPBACK in rules and rules[-1] != _REST:
        return False
    if rules[0] in _KNOWN and not _DIRECT.match(rules[-1]):
        return False
    return all(rule in _FIXED or any(shape.match(rule) for shape in _SHAPES) for rule in rules)
