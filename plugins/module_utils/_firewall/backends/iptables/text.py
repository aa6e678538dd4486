# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of iptables: what ``iptables-save`` prints, what ``iptables-restore`` reads.

Source: iptables-save(8), iptables-restore(8), iptables-extensions(8). Releases print the
same rule with other quotes, names or order; :func:`canonical` brings the rules that we
write into one form, so that only a real difference counts as one.
"""

import re
import shlex
from typing import NamedTuple

from ansible_collections.determined.network.plugins.module_utils._firewall.backends.iptables import (
    state as iptables_state,
)


class SavedTable(NamedTuple):
    """One table. ``chains``: name -> policy ("-" for user chains). ``rules``: name -> list of rule
    texts. ``counters``: beside ``rules``, (packets, bytes) or None."""

    chains: dict
    rules: dict
    counters: dict


class Saved(NamedTuple):
    """What ``iptables-save [-c]`` printed.

    ``tables``: name -> SavedTable, of all that may hold ours, empty where it printed none.
    ``elsewhere``: how much the other tables hold (rules, user chains, policies that are not
    ACCEPT). ``unreadable``: names of tables that hold native nftables rules, which
    iptables-nft does not print.
    """

    tables: dict
    elsewhere: int
    unreadable: tuple


_LINE = re.compile(r"(?:\[(\d+):(\d+)\] )?-A (\S+)(?: (.*))?\Z")
# What tells that a table holds what the tool cannot print (iptables-nft only).
_INCOMPATIBLE = re.compile(r"# Table `(\S+)' is incompatible")


def parse_save(text):
    """The text of ``iptables-save`` -> Saved; ValueError when it is no such text."""
    tables = {name: SavedTable({}, {}, {}) for name in iptables_state.TABLES}
    elsewhere, unreadable = 0, []
    table = None
    for number, line in enumerate(text.splitlines(), 1):
        incompatible = _INCOMPATIBLE.match(line)
        if incompatible:
            unreadable.append(incompatible.group(1))
        if not line or line.startswith("#"):
            continue
        if line.startswith("*"):
            table = line[1:]
        elif line == "COMMIT":
            table = None
        elif table is None:
            raise ValueError("line %d is outside of any table: %r" % (number, line))
        elif line.startswith(":"):
            name, policy = line[1:].split()[:2]
            if table in tables:
                tables[table].chains[name] = policy
                tables[table].rules.setdefault(name, [])
                tables[table].counters.setdefault(name, [])
            else:
                elsewhere += policy != "ACCEPT"
        else:
            rule = _LINE.match(line)
            if not rule:
                raise ValueError("line %d is not a rule: %r" % (number, line))
            if table in tables:
                packets, octets, name, body = rule.groups()
                tables[table].rules.setdefault(name, []).append(body or "")
                count = None if packets is None else (int(packets), int(octets))
                tables[table].counters.setdefault(name, []).append(count)
            else:
                elsewhere += 1
    if table is not None:
        raise ValueError("the text ends within table %s" % table)
    return Saved(tables, elsewhere, tuple(unreadable))


def leads_to(rule):
    """A rule's text -> the chain of ours that it leads to, or None."""
    if "DETERMINED-" not in rule:
        return None
    try:
        tokens = shlex.split(rule)
    except ValueError:
        return None
    for index, value in enumerate(tokens):
        if value in iptables_state.CHAINS and tokens[index - 1] in ("-j", "-g"):
            return value
    return None


def our_table(saved):
    """SavedTable -> the Table of what is ours in it."""
    chains = tuple(
        (name, tuple(canonical(rule) for rule in saved.rules[name]))
        for name in sorted(saved.chains)
        if name in iptables_state.CHAINS
    )
    jumps = (
        iptables_state.Jump(name, position, rule)
        for name in saved.chains
        if name not in iptables_state.CHAINS
        for position, rule in enumerate(saved.rules[name], 1)
        if leads_to(rule)
    )
    return iptables_state.Table(chains, tuple(sorted(jumps)))


def foreign_rules(saved):
    """SavedTable -> chain -> list of the rules that are not ours."""
    return {
        name: [rule for rule in rules if not leads_to(rule)]
        for name, rules in saved.rules.items()
        if name not in iptables_state.CHAINS
    }


def foreign_weight(saved):
    """Saved -> how much of it is not ours: rules, user chains, policies other than ACCEPT."""
    weight = saved.elsewhere
    for table in saved.tables.values():
        weight += sum(len(found) for found in foreign_rules(table).values())
        weight += sum(policy != "ACCEPT" for name, policy in table.chains.items() if name not in iptables_state.CHAINS)
    return weight


# Every option that our rules use, in the order in which iptables-save prints them, with the
# match that it belongs to and how many words follow it.
_OPTIONS = (
    ("-i", None, 1),
    ("-o", None, 1),
    ("-p", None, 1),
    ("--match-set", "set", 2),
    ("--ctstate", "conntrack", 1),
    ("--sport", "protocol", 1),
    ("--dport", "protocol", 1),
    ("--tcp-flags", "protocol", 2),
    ("--sports", "multiport", 1),
    ("--dports", "multiport", 1),
    ("--icmp-type", "icmp", 1),
    ("--icmpv6-type", "icmp6", 1),
    ("--comment", "comment", 1),
    ("-j", None, 1),
)
_WORDS = {option: words for option, dummy, words in _OPTIONS}
_PROTOCOLS = {"icmpv6": "ipv6-icmp", "58": "ipv6-icmp", "1": "icmp", "6": "tcp", "17": "udp"}
_CONNECTION_STATES = ("INVALID", "NEW", "RELATED", "ESTABLISHED", "UNTRACKED", "SNAT", "DNAT")


def canonical(rule):
    """A rule's text -> the same rule in our one form.

    A rule with anything in it that we never write comes back unchanged: it differs from all
    of ours, and can still be put back.
    """
    try:
        tokens = shlex.split(rule)
    except ValueError:
        return rule
    options = {}
    index = 0
    while index < len(tokens):
        option = tokens[index]
        words = tokens[index + 1 : index + 1 + _WORDS.get(option, 1)]
        index += 1 + len(words)
        if option == "-m" and words:
            continue  # every option of ours says by itself which match it needs
        if option not in _WORDS or option in options or len(words) != _WORDS[option]:
            return rule
        options[option] = words
    return format_rule({option: " ".join(words) for option, words in options.items()})


def format_rule(options):
    """Option -> value, all of them in ``_OPTIONS`` -> the rule's text in our one form."""
    parts = []
    named = set()
    protocol = _PROTOCOLS.get(options.get("-p"), options.get("-p"))
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
        parts.append("%s %s" % (option, value))
    return " ".join(parts)


def _state_order(state):
    order = _CONNECTION_STATES.index(state) if state in _CONNECTION_STATES else len(_CONNECTION_STATES)
    return (order, state)


_PLAIN = re.compile(r"[A-Za-z0-9_-]+\Z")


def quote(text):
    """A comment -> as iptables-save prints it and iptables-restore reads it."""
    if _PLAIN.match(text):
        return text
    return '"%s"' % text.replace("\\", "\\\\").replace('"', '\\"')


class Change(NamedTuple):
    """A table's name, our Table in it now, the desired one, and ``lengths``: chain -> number of foreign
    rules in it now, so that a jump is not put beyond the end of a chain that has become shorter."""

    table: str
    current: object
    desired: object
    lengths: dict


def restore_text(changes):
    """Changes of one family -> what ``iptables-restore --noflush`` shall read; "" when nothing is to do.

    Naming a chain of ours rebuilds that chain and no other; the built-in chains are never
    named, so their policies stay.
    """
    return "".join(
        "\n".join(["*%s" % change.table] + lines + ["COMMIT", ""])
        for change, lines in ((change, _lines(change)) for change in changes)
        if lines
    )


def _lines(change):
    was, wanted = dict(change.current.chains), dict(change.desired.chains)
    gone = [name for name in was if name not in wanted]
    rebuilt = [name for name in wanted if was.get(name) != wanted[name]]
    lines = [":%s - [0:0]" % name for name in sorted(gone + rebuilt)]
    for name in sorted(rebuilt):
        lines += ["-A %s %s" % (name, rule) for rule in wanted[name]]
    if change.current.jumps != change.desired.jumps:
        lines += ["-D %s %s" % (jump.chain, jump.rule) for jump in change.current.jumps]
        placed = {}
        for jump in change.desired.jumps:
            last = change.lengths.get(jump.chain, 0) + placed.get(jump.chain, 0) + 1
            lines.append("-I %s %d %s" % (jump.chain, min(jump.position, last), jump.rule))
            placed[jump.chain] = placed.get(jump.chain, 0) + 1
    return lines + ["-X %s" % name for name in sorted(gone)]
