# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of our objects in iptables and ipset, as values.

Rules are texts as ``iptables-save`` prints them after ``-A CHAIN``. Foreign rules are kept only to know what is before
our jump; comparisons ignore them.
"""

from typing import Any, Dict, NamedTuple, Tuple

from ansible_collections.determined.network.plugins.module_utils._firewall.backends.ipset import Set

INPUT_CHAIN = "DETERMINED-INPUT"
OUTPUT_CHAIN = "DETERMINED-OUTPUT"
PREROUTING_CHAIN = "DETERMINED-PREROUTING"
ROUTED_CHAIN = "DETERMINED-ROUTED"
FORWARD_CHAIN = "DETERMINED-FORWARD"
FORGED_CHAIN = "DETERMINED-FORGED"


class Base(NamedTuple):
    """A built-in chain of a table, our chain ``ours``, and the rule ``jump`` that leads from one to the other."""

    table: str
    chain: str
    ours: str
    jump: str


# In the order in which packets meet them, and in which the jumps of one chain follow each other.
BASES = (
    Base("raw", "PREROUTING", FORGED_CHAIN, "! -i lo -m addrtype --src-type LOCAL -j %s" % FORGED_CHAIN),
    Base("mangle", "PREROUTING", PREROUTING_CHAIN, "-m addrtype --dst-type LOCAL -j %s" % PREROUTING_CHAIN),
    Base("mangle", "PREROUTING", ROUTED_CHAIN, "-m addrtype ! --dst-type LOCAL -j %s" % ROUTED_CHAIN),
    Base("mangle", "FORWARD", FORWARD_CHAIN, "-j %s" % FORWARD_CHAIN),
    Base("filter", "INPUT", INPUT_CHAIN, "-j %s" % INPUT_CHAIN),
    Base("filter", "OUTPUT", OUTPUT_CHAIN, "-j %s" % OUTPUT_CHAIN),
)
CHAINS = tuple(base.ours for base in BASES)
TABLES = ("raw", "mangle", "filter")
VARIANTS = ("nft", "legacy")


class Jump(NamedTuple):
    """A rule that leads into a chain of ours: its chain, its position (from 1) and its text."""

    chain: str
    position: int
    rule: str


class Table(NamedTuple):
    """Our part of one table of one family.

    ``chains``: pairs of a name and its rules, sorted by name. ``jumps``: in the order of the table.
    """

    chains: Tuple[Tuple[str, Tuple[str, ...]], ...] = ()
    jumps: Tuple[Jump, ...] = ()


def jumps(chains: Tuple[Tuple[str, Tuple[str, ...]], ...]) -> Tuple[Jump, ...]:
    """The ``chains`` of one Table -> its ``jumps``: the first rules of the built-in chains, one after the other."""
    found = []
    placed: Dict[str, int] = {}
    for base in BASES:
        if base.ours in dict(chains):
            placed[base.chain] = placed.get(base.chain, 0) + 1
            found.append(Jump(base.chain, placed[base.chain], base.jump))
    return tuple(sorted(found))


class State(NamedTuple):
    """``tables``: (variant, family, table's name) -> Table, only tables that hold something of ours.
    ``sets``: name -> Set."""

    tables: Dict[Tuple[str, str, str], Table]
    sets: Dict[str, Set]


NOTHING = State({}, {})


def dump(state: State) -> Dict[str, Any]:
    """State -> plain data for JSON."""
    return {
        "tables": [
            list(key) + [[list(chain) for chain in table.chains], [list(jump) for jump in table.jumps]]
            for key, table in sorted(state.tables.items())
        ],
        "sets": {name: list(value) for name, value in state.sets.items()},
    }


def load(data: Dict[str, Any]) -> State:
    """The data of :func:`dump`, also after JSON -> an equal State."""
    tables = {
        (variant, family, name): Table(
            tuple((chain, tuple(rules)) for chain, rules in chains),
            tuple(Jump(chain, position, rule) for chain, position, rule in jumps),
        )
        for variant, family, name, chains, jumps in data["tables"]
    }
    sets = {name: Set(kind, options, tuple(members)) for name, (kind, options, members) in data["sets"].items()}
    return State(tables, sets)
