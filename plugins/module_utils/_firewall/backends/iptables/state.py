# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of our objects in iptables and ipset, as values.

Rules are texts as ``iptables-save`` prints them after ``-A CHAIN``. A foreign rule is kept
only to know what stands before our jump; it takes no part in comparisons.
"""

from typing import NamedTuple

INPUT_CHAIN = "DETERMINED-INPUT"
OUTPUT_CHAIN = "DETERMINED-OUTPUT"
PREROUTING_CHAIN = "DETERMINED-PREROUTING"
FORWARD_CHAIN = "DETERMINED-FORWARD"


class Base(NamedTuple):
    """A built-in chain ``chain`` of a table, and the chain of ours that its first rule, ``jump``, leads to."""

    table: str
    chain: str
    ours: str
    jump: str


# In the order in which packets meet them.
BASES = (
    Base("mangle", "PREROUTING", PREROUTING_CHAIN, "-m addrtype --dst-type LOCAL -j %s" % PREROUTING_CHAIN),
    Base("mangle", "FORWARD", FORWARD_CHAIN, "-j %s" % FORWARD_CHAIN),
    Base("filter", "INPUT", INPUT_CHAIN, "-j %s" % INPUT_CHAIN),
    Base("filter", "OUTPUT", OUTPUT_CHAIN, "-j %s" % OUTPUT_CHAIN),
)
CHAINS = tuple(base.ours for base in BASES)
TABLES = ("mangle", "filter")
VARIANTS = ("nft", "legacy")


class Jump(NamedTuple):
    """A rule that leads into a chain of ours: where it stands (from 1) and its text."""

    chain: str
    position: int
    rule: str


class Table(NamedTuple):
    """Our part of one table of one family.

    ``chains``: tuple of (name, tuple of rules), sorted by name. ``jumps``: tuple of Jump in
    the order of the table.
    """

    chains: tuple = ()
    jumps: tuple = ()


class Set(NamedTuple):
    """An ipset: its type ("hash:net"), options ("family inet maxelem 65536"), sorted members."""

    kind: str
    options: str
    members: tuple


class State(NamedTuple):
    """``tables``: (variant, family, table's name) -> Table, only those that hold anything of ours.
    ``sets``: name -> Set."""

    tables: dict
    sets: dict


NOTHING = State({}, {})


def dump(state):
    """State -> plain data for JSON."""
    return {
        "tables": [
            list(key) + [[list(chain) for chain in table.chains], [list(jump) for jump in table.jumps]]
            for key, table in sorted(state.tables.items())
        ],
        "sets": {name: list(value) for name, value in state.sets.items()},
    }


def load(data):
    """What :func:`dump` gave, also after a way through JSON -> an equal State."""
    tables = {
        (variant, family, name): Table(
            tuple((chain, tuple(rules)) for chain, rules in chains),
            tuple(Jump(chain, position, rule) for chain, position, rule in jumps),
        )
        for variant, family, name, chains, jumps in data["tables"]
    }
    sets = {name: Set(kind, options, tuple(members)) for name, (kind, options, members) in data["sets"].items()}
    return State(tables, sets)
