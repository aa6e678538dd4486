# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``firewall_info`` says of a host with firewalld. :meth:`base.Backend.inspect` names the keys."""

from typing import Any, Dict, List, Optional

from ansible_collections.determined.network.plugins.module_utils._firewall.backends.base import Facts
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld.nft_table import (
    FAMILY,
    NAME,
)
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld.read import Found

_Row = Dict[str, Any]


def facts(found: Found) -> Facts:
    """Found -> the facts about our rules and ipsets, and about the foreign rules before ours."""
    return {
        "rules": _table_rules(found) + _policy_rules(found),
        "sets": _sets(found),
        "foreign_before": [dict(rule._asdict(), variant=found.variant) for rule in found.before],
        "foreign_variants": {},
    }


def _table_rules(found: Found) -> List[_Row]:
    return [
        _rule(found, "", "%s %s %s" % (FAMILY, NAME, counter.chain), counter.rule, counter.packets, counter.octets)
        for counter in found.counters
    ]


def _policy_rules(found: Found) -> List[_Row]:
    """firewalld does not count the packets of a rich rule."""
    return [
        _rule(found, "ipv6" if 'family="ipv6"' in rule else "ipv4", "policy %s" % name, rule)
        for name, policy in sorted(found.policies.items())
        for rule in policy.rules
    ]


def _rule(
    found: Found, family: str, chain: str, rule: str, packets: Optional[int] = None, octets: Optional[int] = None
) -> _Row:
    return {
        "family": family,
        "chain": chain,
        "rule": rule,
        "packets": packets,
        "bytes": octets,
        "variant": found.variant,
    }


def _sets(found: Found) -> List[_Row]:
    return [
        {
            "name": name,
            "type": ipset.kind,
            "options": " ".join("%s %s" % option for option in ipset.options),
            "entries": len(ipset.members),
        }
        for name, ipset in sorted(found.sets.items())
    ]
