# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The facts of ``firewall_info`` about a host with iptables, from a Reading with counters."""

from typing import Any, Dict, List

from ansible_collections.determined.network.plugins.module_utils._firewall.backends import iptables_chains
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.base import Facts, Reading
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.iptables import text


def facts(reading: Reading) -> Facts:
    """A Reading of the backend iptables -> the facts of :meth:`Backend.inspect`."""
    rules: List[Dict[str, Any]] = []
    before: List[Dict[str, Any]] = []
    weights: Dict[str, int] = {}
    for (variant, family), saved in sorted(reading.details.saved.items()):
        weights[variant] = weights.get(variant, 0) + text.foreign_weight(saved)
        for base in iptables_chains.BASES:
            table = saved.tables[base.table]
            place = {"variant": variant, "family": family}
            if base.ours not in table.ours:
                continue
            for rule, count in zip(table.rules.get(base.ours, ()), table.counters.get(base.ours, ())):
                packets, octets = count or (0, 0)
                rules.append(dict(place, chain=base.ours, rule=rule, packets=packets, bytes=octets))
            for rule in table.rules.get(base.chain, ()):
                if text.leads_to(rule) == base.ours:
                    break
                item = dict(place, chain=base.chain, rule=rule)
                # Two jumps of ours may be in the same built-in chain.
                if item not in before and not text.leads_to(rule):
                    before.append(item)
    sets = [
        {"name": name, "type": value.kind, "options": value.options, "entries": len(value.members)}
        for name, value in sorted(reading.state.sets.items())
    ]
    return {"rules": rules, "sets": sets, "foreign_before": before, "foreign_variants": weights}
