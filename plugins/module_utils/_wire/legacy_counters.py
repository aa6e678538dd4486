# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The counters of the rules of iptables-legacy, which nf_tables does not trace. Pure.

A rule that ended the marked packets has counted at least that many more packets afterwards. Other packets may have met
it, too, so this is a conclusion and not a trace.
"""

import re
from typing import Any, Dict, Iterator, List, NamedTuple, Tuple

_COUNTED = re.compile(r"\[(\d+):\d+\] (-A (\S+) .*)\Z")
_POLICY = re.compile(r":(\S+) (DROP|ACCEPT) \[(\d+):\d+\]\Z")
# What ends a packet: iptables-extensions(8). A jump to a chain of one's own ends nothing.
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')  # a comment, for example, may look like a target
_ENDS = re.compile(r" -[jg] (DROP|REJECT|TARPIT|STEAL)\b")


class Growth(NamedTuple):
    """A rule, or the policy of a chain, that ended more packets than before.

    ``family``: "ip" or "ip6". ``position``: in its chain, from 1; 0 for the policy. ``rule``: as iptables-save prints
    it, or ``:CHAIN DROP`` for the policy. ``packets``: how many more.
    """

    family: str
    table: str
    chain: str
    position: int
    rule: str
    packets: int

    def to_dict(self) -> Dict[str, Any]:
        """Plain data for a module's result."""
        return dict(self._asdict())


def growth(family: str, before: str, after: str) -> List[Growth]:
    """What iptables-save printed before and after the packets -> the rules that ended some, most packets first.

    A rule that has come in the meantime counts with all its packets. It may have moved other rules, so a rule is known
    by its text; of several with the same text, the first one is taken for the first one before.
    """
    known: Dict[Tuple[str, str, str], List[int]] = {}
    for (table, chain, _position, rule), packets in _counters(before):
        known.setdefault((table, chain, rule), []).append(packets)
    found = []
    for (table, chain, position, rule), packets in _counters(after):
        earlier = known.get((table, chain, rule))
        more = packets - (earlier.pop(0) if earlier else 0)
        if more > 0:
            found.append(Growth(family, table, chain, position, rule, more))
    return sorted(found, key=lambda one: (-one.packets, one.table, one.chain, one.position))


def _counters(saved: str) -> Iterator[Tuple[Tuple[str, str, int, str], int]]:
    table = ""
    positions: Dict[str, int] = {}
    for line in saved.splitlines():
        if line.startswith("*"):
            table, positions = line[1:], {}
            continue
        policy = _POLICY.match(line)
        if policy:
            if policy.group(2) == "DROP":
                yield (table, policy.group(1), 0, ":%s DROP" % policy.group(1)), int(policy.group(3))
            continue
        counted = _COUNTED.match(line)
        if counted:
            chain = counted.group(3)
            positions[chain] = positions.get(chain, 0) + 1
            if _ENDS.search(_QUOTED.sub('""', counted.group(2))):
                yield (table, chain, positions[chain], counted.group(2)), int(counted.group(1))
