# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The texts of the rules that a trace names by numbers. Pure: it yields questions, see ``_host.commands``.

A rule of iptables-nft is shown as iptables prints it, because that is what an administrator edits.
"""

import re
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

from ansible_collections.determined.network.plugins.module_utils._host.commands import Command, Conversation, FindTool

MOST_CHAINS = 64  # of one host; each costs a process
_IPTABLES = {"ip": "iptables-nft", "ip6": "ip6tables-nft"}
_IPTABLES_TABLES = ("filter", "nat", "mangle", "raw", "security")
_HANDLE = re.compile(r"\s*(.*?)\s*# handle (\d+)\Z")
_COUNTER = re.compile(r"\bcounter packets \d+ bytes \d+\b")

Place = Tuple[str, str, str, int]  # family of the packet, table, chain, handle of the rule


class RuleText(NamedTuple):
    """A rule of a chain.

    ``family``, ``table``, ``chain``: where it is, with the family of the packet. ``table_family``: of the table, which
    may be "inet". ``handle``: its number in nf_tables; 0 for the policy of a base chain. ``position``: in its chain,
    from 1; 0 for the policy. ``text``: as the program ``program`` prints it.
    """

    family: str
    table_family: str
    table: str
    chain: str
    handle: int
    position: int
    program: str
    text: str

    def to_dict(self) -> Dict[str, Any]:
        """Plain data for a module's result."""
        return dict(self._asdict())


def read(wanted: Sequence[Place]) -> Conversation[List[RuleText]]:
    """Rules -> their texts. A rule that is not there any more is left out."""
    nft = yield from FindTool("nft").ask()
    if nft is None:
        return []
    found = []
    for chain in sorted({place[:3] for place in wanted})[:MOST_CHAINS]:
        handles = {place[3] for place in wanted if place[:3] == chain}
        for table_family in (chain[0], "inet"):
            rules = yield from _read_chain(nft, table_family, chain)
            rules = [rule for rule in rules if rule.handle in handles]
            found += rules
            if rules:
                break
    return found


def _read_chain(nft: str, table_family: str, chain: Tuple[str, str, str]) -> Conversation[List[RuleText]]:
    family, table, name = chain
    output = yield from Command((nft, "--handle", "list", "chain", table_family, table, name)).ask()
    if output.code != 0:
        return []
    hook, rules = _parse_chain(output.stdout)
    iptables = yield from _iptables_rules(table_family, table, name)
    # Both programs list the rules of a chain in one order. If they do not agree on the number, nft is right.
    by_iptables = len(iptables) == len(rules) > 0
    found = []
    for place, (handle, text) in enumerate(rules):
        shown = iptables[place] if by_iptables else text
        program = _IPTABLES[family] if by_iptables else "nft"
        found.append(RuleText(family, table_family, table, name, handle, place + 1, program, shown))
    if hook:
        found.append(RuleText(family, table_family, table, name, 0, 0, "nft", hook))
    return found


def _parse_chain(listed: str) -> Tuple[str, List[Tuple[int, str]]]:
    """What nft lists of a chain -> (the line with its hook and its policy, [(handle, rule)])."""
    hook = ""
    rules = []
    for line in listed.splitlines():
        match = _HANDLE.match(line)
        text = match.group(1) if match else line.strip()
        if text.startswith("type ") and " hook " in text:
            hook = text
        elif match and not text.endswith("{"):  # tables, chains and sets have handles, too
            rules.append((int(match.group(2)), _COUNTER.sub("counter", text)))
    return hook, rules


def _iptables_rules(family: str, table: str, chain: str) -> Conversation[List[str]]:
    """The rules of a chain as iptables prints them; none if it is no chain of iptables."""
    if family not in _IPTABLES or table not in _IPTABLES_TABLES:
        return []
    program = yield from FindTool(_IPTABLES[family]).ask()
    if program is None:
        return []
    # It waits for the lock of iptables at most this long; a rule can be shown without it.
    output = yield from Command((program, "--wait", "5", "--table", table, "--list-rules", chain)).ask()
    if output.code != 0:
        return []
    return [line for line in output.stdout.splitlines() if line.startswith("-A ")]
