# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The chains and sets of somebody else that have names of ours, and the sets that rules of ours use."""

import re
from typing import Dict, FrozenSet, Iterator, List, Sequence, Tuple

from ansible_collections.determined.network.plugins.module_utils._firewall.backends import ipset, iptables_chains
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.iptables import (
    state as iptables_state,
)
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.iptables import (
    text as iptables_text,
)
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.iptables import (
    tools as iptables_tools,
)
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.ownership import Foreign

SavedRules = Dict[Tuple[str, str], iptables_text.Saved]  # (variant, family) -> all its rules

_MATCH_SET = re.compile(r"--match-set (\S+) ")


def used_sets(saved: SavedRules) -> FrozenSet[str]:
    """The names of the sets that rules in our chains use."""
    return frozenset(
        name
        for rules in saved.values()
        for table in rules.tables.values()
        for chain in table.ours
        for rule in table.rules[chain]
        for name in _MATCH_SET.findall(rule)
    )


def all_objects(tools: iptables_tools.Tools, saved: SavedRules, sets: Sequence[str]) -> List[Foreign]:
    """Every foreign chain with a name of ours, and the foreign ``sets`` by their names."""
    return [_chain(tools, key, chain) for key, chain in _chains(saved)] + [_set(name) for name in sets]


def in_the_way_of(
    desired: iptables_state.State, tools: iptables_tools.Tools, saved: SavedRules, sets: Sequence[str]
) -> List[Foreign]:
    """The objects of :func:`all_objects` whose names the desired State needs."""
    found = []
    for key, chain in _chains(saved):
        if key in desired.tables and chain in dict(desired.tables[key].chains):
            found.append(_chain(tools, key, chain))
    # A set that changes is filled under its temporary name.
    needed = set(desired.sets) | {ipset.temporary_name(name) for name in desired.sets}
    return found + [_set(name) for name in sets if name in needed]


_Key = Tuple[str, str, str]  # variant, family, table


def _chains(saved: SavedRules) -> Iterator[Tuple[_Key, str]]:
    for (variant, family), rules in sorted(saved.items()):
        for name in iptables_chains.TABLES:
            for chain in iptables_text.foreign_chains(rules.tables[name]):
                yield (variant, family, name), chain


def _chain(tools: iptables_tools.Tools, key: _Key, chain: str) -> Foreign:
    variant, family, table = key
    command = tools.save[variant, family].rsplit("/", 1)[-1][: -len("-save")]
    return Foreign(
        "the chain %s in table %s of %s" % (chain, table, command),
        "%s -w -t %s -S %s" % (command, table, chain),
        "give it another name: %s -w -t %s -E %s NEW-NAME; or, if it is of an older version of this collection and was "
        "changed by hand, empty it: %s -w -t %s -F %s" % (command, table, chain, command, table, chain),
    )


def _set(name: str) -> Foreign:
    return Foreign(
        "the ipset %s" % name,
        "ipset list %s" % name,
        "while no rule uses it, give it another name: ipset rename %s NEW_NAME; or, if an older version of this "
        "collection left it, remove it: ipset destroy %s" % (name, name),
    )
