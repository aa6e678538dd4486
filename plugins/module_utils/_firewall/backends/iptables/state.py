# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of our objects in iptables and ipset, as values.

Rules are texts as ``iptables-save`` prints them after ``-A CHAIN``. Foreign rules are kept only to know what is before
our jump; comparisons ignore them.
"""

from typing import Any, Dict, NamedTuple, Tuple

from ansible_collections.determined.network.plugins.module_utils._firewall.backends.ipset import Set
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.iptables_chains import BASES

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
