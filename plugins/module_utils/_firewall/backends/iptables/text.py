# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of iptables: the output of ``iptables-save`` and the input of ``iptables-restore``.

Source: iptables-save(8), iptables-restore(8), iptables-extensions(8). Releases print the same rule with other quotes,
names or order. :func:`canonical` gives the rules that we write one form, so that only real differences count.
"""

import re
import shlex
from typing import Dict, FrozenSet, List, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.determined.network.plugins.module_utils._firewall.backends import (
    chain_ownership,
    iptables_chains,
)
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.iptables import (
    state as iptables_state,
)


class SavedTable(NamedTuple):
    """One table. ``chains``: name -> policy ("-" for user chains). ``rules``: name -> list of rule
    texts. ``counters``: beside ``rules``, (packets, bytes) or None. ``ours``: names of the chains that we made."""

    chains: Dict[str, str]
    rules: Dict[str, List[str]]
    counters: Dict[str, List[Optional[Tuple[int, int]]]]
    ours: FrozenSet[str] = frozenset()


class Saved(NamedTuple):
    """The output of ``iptables-save [-c]``.

    ``tables``: name -> SavedTable, for all tables that may hold ours; empty if it printed none. ``elsewhere``: the
    number of rules, user chains and policies other than ACCEPT in other tables. ``unreadable``: names of tables with
    native nftables rules, which iptables-nft does not print.
    """

    tables: Dict[str, SavedTable]
    elsewhere: int
    unreadable: Tuple[str, ...]


_LINE = re.compile(r"(?:\[(\d+):(\d+)\] )?-A (\S+)(?: (.*))?\Z")
# The line for a table that the tool cannot print (iptables-nft only).
_INCOMPATIBLE = re.compile(r"# Table `(\S+)' is incompatible")


class _Parser:
    """Reads the output of ``iptables-save`` line by line."""

    def __init__(self) -> None:
        self.tables = {name: SavedTable({}, {}, {}) for name in iptables_chains.TABLES}
        self.elsewhere = 0
        self.unreadable: List[str] = []
        self.table: Optional[str] = None  # the one whose lines are being read

    def read(self, number: int, line: str) -> None:
        incompatible = _INCOMPATIBLE.match(line)
        if incompatible:
            self.unreadable.append(incompatible.group(1))
        if not line or line.startswith("#"):
            return
        if line.startswith("*"):
            self.table = line[1:]
        elif line == "COMMIT":
            self.table = None
        elif self.table is None:
            raise ValueError("line %d is outside of any table: %r" % (number, line))
        elif line.startswith(":"):
            self._read_chain(line)
        else:
            self._read_rule(number, line)

    def _read_chain(self, line: str) -> None:
        name, policy = line[1:].split()[:2]
        table = self.tables.get(self.table or "")
        if table is None:
            self.elsewhere += policy != "ACCEPT"
            return
        table.chains[name] = policy
        table.rules.setdefault(name, [])
        table.counters.setdefault(name, [])

    def _read_rule(self, number: int, line: str) -> None:
        rule = _LINE.match(line)
        if not rule:
            raise ValueError("line %d is not a rule: %r" % (number, line))
        table = self.tables.get(self.table or "")
        if table is None:
            self.elsewhere += 1
            return
        packets, octets, name, body = rule.groups()
        table.rules.setdefault(name, []).append(body or "")
        count = None if packets is None else (int(packets), int(octets))
        table.counters.setdefault(name, []).append(count)


def parse_save(text: str) -> Saved:
    """The output of ``iptables-save`` -> Saved; raises ValueError for any other text."""
    parser = _Parser()
    for number, line in enumerate(text.splitlines(), 1):
        parser.read(number, line)
    if parser.table is not None:
        raise ValueError("the text ends within table %s" % parser.table)
    tables = {name: table._replace(ours=_our_chains(table)) for name, table in parser.tables.items()}
    return Saved(tables, parser.elsewhere, tuple(parser.unreadable))


def _our_chains(saved: SavedTable) -> FrozenSet[str]:
    """The names of the chains in a table that we made."""
    jumps = {(base.chain, base.jump) for base in iptables_chains.BASES}
    used_by_others = {
        leads_to(rule)
        for name, rules in saved.rules.items()
        for rule in rules
        if name not in iptables_chains.CHAINS and (name, rule) not in jumps
    }
    return frozenset(
        name
        for name in iptables_chains.CHAINS
        if name in saved.chains
        and chain_ownership.is_ours([canonical(rule) for rule in saved.rules[name]], name in used_by_others)
    )


def foreign_chains(saved: SavedTable) -> List[str]:
    """The names of the chains in a table that have a name of ours and belong to somebody else."""
    return [name for name in iptables_chains.CHAINS if name in saved.chains and name not in saved.ours]


def leads_to(rule: str) -> Optional[str]:
    """A rule's text -> the chain with a name of ours that it jumps to, or None."""
    if "DETERMINED-" not in rule:
        return None
    try:
        tokens = shlex.split(rule)
    except ValueError:
        return None
    for index, value in enumerate(tokens):
        if value in iptables_chains.CHAINS and tokens[index - 1] in ("-j", "-g"):
            return value
    return None


def our_table(saved: SavedTable) -> iptables_state.Table:
    """The part of a table that is ours."""
    chains = tuple((name, tuple(canonical(rule) for rule in saved.rules[name])) for name in sorted(saved.ours))
    jumps = (
        iptables_state.Jump(name, position, rule)
        for name in saved.chains
        if name not in saved.ours
        for position, rule in enumerate(saved.rules[name], 1)
        if leads_to(rule) in saved.ours
    )
    return iptables_state.Table(chains, tuple(sorted(jumps)))


def foreign_rules(saved: SavedTable) -> Dict[str, List[str]]:
    """A table -> chain -> its foreign rules."""
    return {
        name: [rule for rule in rules if leads_to(rule) not in saved.ours]
        for name, rules in saved.rules.items()
        if name not in saved.ours
    }


def foreign_weight(saved: Saved) -> int:
    """The number of foreign rules, user chains, and policies other than ACCEPT."""
    weight = saved.elsewhere
    for table in saved.tables.values():
        weight += sum(len(found) for found in foreign_rules(table).values())
        weight += sum(policy != "ACCEPT" for name, policy in table.chains.items() if name not in table.ours)
    return weight


# Every option that our rules use, in the order in which iptables-save prints them, with its match and the number of
# words that follow it.
_OPTIONS = (
    ("-s", None, 1),
    ("-d", None, 1),
    ("-i", None, 1),
    ("-o", None, 1),
    ("-p", None, 1),
    ("! -p", None, 1),
    ("--match-set", "set", 2),
    ("--src-type", "addrtype", 1),
    ("! --src-type", "addrtype", 1),
    ("--dst-type", "addrtype", 1),
    ("! --dst-type", "addrtype", 1),
    ("--limit-iface-in", "addrtype", 0),
    ("--ctstate", "conntrack", 1),
    ("--sport", "protocol", 1),
    ("--dport", "protocol", 1),
    ("--tcp-flags", "protocol", 2),
    ("! --tcp-flags", "protocol", 2),
    ("--sports", "multiport", 1),
    ("--dports", "multiport", 1),
    ("--icmp-type", "icmp", 1),
    ("--icmpv6-type", "icmp6", 1),
    ("--physdev-is-in", "physdev", 0),
    ("--physdev-is-bridged", "physdev", 0),
    ("--comment", "comment", 1),
    ("-j", None, 1),
)
# Option -> the number of words that follow it.
WORDS = {option: words for option, dummy, words in _OPTIONS}
_PROTOCOLS = {"icmpv6": "ipv6-icmp", "58": "ipv6-icmp", "1": "icmp", "6": "tcp", "17": "udp"}
_CONNECTION_STATES = ("INVALID", "NEW", "RELATED", "ESTABLISHED", "UNTRACKED", "SNAT", "DNAT")


def canonical(rule: str) -> str:
    """A rule's text -> the same rule in our one form.

    A rule with an option that we never write is returned unchanged. It differs from all of ours, and can still be
    restored.
    """
    try:
        tokens = shlex.split(rule)
    except ValueError:
        return rule
    options: Dict[str, List[str]] = {}
    index = 0
    while index < len(tokens):
        option = tokens[index]
        if option == "!" and index + 1 < len(tokens):
            index += 1
            option = "! " + tokens[index]
        words = tokens[index + 1 : index + 1 + WORDS.get(option, 1)]
        index += 1 + len(words)
        if option == "-m" and words:
            continue  # each option of ours belongs to exactly one match
        if option not in WORDS or option in options or len(words) != WORDS[option]:
            return rule
        options[option] = words
    return format_rule({option: " ".join(words) for option, words in options.items()})


def format_rule(options: Dict[str, str]) -> str:
    """Options of ``_OPTIONS`` with their values -> the rule's text in our one form."""
    parts = []
    named = set()
    protocol = _PROTOCOLS.get(options.get("-p", ""), options.get("-p", ""))
    for option, match, _words in _OPTIONS:
        value = options.get(option)
        if value is None:
            continue
        if option == "-p":
            value = protocol
        elif option == "--ctstate":
            states = value.split(",")
            value = ",".join(sorted(states, key=_state_order))
        elif option == "--comment":
            value = quote(value)
        match = protocol if match == "protocol" else match
        if match and match not in named:
            named.add(match)
            parts.append("-m %s" % match)
        parts.append("%s %s" % (option, value) if value else option)
    return " ".join(parts)


def _state_order(state: str) -> Tuple[int, str]:
    order = _CONNECTION_STATES.index(state) if state in _CONNECTION_STATES else len(_CONNECTION_STATES)
    return (order, state)


_PLAIN = re.compile(r"[A-Za-z0-9_-]+\Z")


def quote(text: str) -> str:
    """A comment as iptables-save prints it and iptables-restore reads it."""
    if _PLAIN.match(text):
        return text
    return '"%s"' % text.replace("\\", "\\\\").replace('"', '\\"')


class Change(NamedTuple):
    """A table's name, our current and our desired Table, and ``lengths``: chain -> its current number of foreign rules.

    With ``lengths``, a jump is not inserted beyond the end of a chain that has become shorter.
    """

    table: str
    current: iptables_state.Table
    desired: iptables_state.Table
    lengths: Dict[str, int]


def restore_text(changes: Sequence[Change]) -> str:
    """Changes of one family -> the input of ``iptables-restore --noflush``; "" when nothing has to be done.

    Naming a chain of ours rebuilds that chain and no other. The built-in chains are never named, so their policies
    stay.
    """
    return "".join(
        "\n".join(["*%s" % change.table] + lines + ["COMMIT", ""])
        for change, lines in ((change, _lines(change)) for change in changes)
        if lines
    )


def _lines(change: Change) -> List[str]:
    current, desired = dict(change.current.chains), dict(change.desired.chains)
    removed = [name for name in current if name not in desired]
    rebuilt = [name for name in desired if current.get(name) != desired[name]]
    lines = [":%s - [0:0]" % name for name in sorted(removed + rebuilt)]
    for name in sorted(rebuilt):
        lines += ["-A %s %s" % (name, rule) for rule in desired[name]]
    if change.current.jumps != change.desired.jumps:
        lines += ["-D %s %s" % (jump.chain, jump.rule) for jump in change.current.jumps]
        placed: Dict[str, int] = {}
        for jump in change.desired.jumps:
            last = change.lengths.get(jump.chain, 0) + placed.get(jump.chain, 0) + 1
            lines.append("-I %s %d %s" % (jump.chain, min(jump.position, last), jump.rule))
            placed[jump.chain] = placed.get(jump.chain, 0) + 1
    return lines + ["-X %s" % name for name in sorted(removed)]
