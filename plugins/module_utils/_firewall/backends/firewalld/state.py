# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of our objects in firewalld and in nft as values, and the state that a policy asks for.

Our policy objects in firewalld only accept: one for traffic from anywhere to this host, one for traffic from this host
to anywhere. Both have the smallest priority, so that firewalld applies them first, and the target CONTINUE, so that
all other traffic meets the host's own zones. The nft table of :mod:`nft_table` drops what mode ``restrict`` does not
permit. Source: firewalld.policy(5), firewalld.richlanguage(5).
"""

import re
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.determined.network.plugins.module_utils._firewall.backends import ipset
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld import nft_table
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.forwarding import (
    PATTERNS_ONLY,
    Forwarding,
)
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.members import disjoint
from ansible_collections.determined.network.plugins.module_utils._policy import HostPolicy, Rule

INBOUND, OUTBOUND = "determined", "determined-out"
POLICIES = (INBOUND, OUTBOUND)
# firewalld may make a kernel ipset for each of its own, with the same name. Each backend knows its ipsets by their
# names, so these names differ from those of backend iptables. They have at most 30 of the 31 permitted characters.
OUR_SETS = re.compile(r"determined-[a-z][a-z0-9_]{0,15}-v[46]\Z")
PRIORITY = -32768  # firewalld.policies(5): the smallest, so nothing comes first
TARGET = "CONTINUE"
# The zones of each policy object: (ingress, egress).
_ZONES: Dict[str, Tuple[Tuple[str, ...], Tuple[str, ...]]] = {
    INBOUND: (("ANY",), ("HOST",)),
    OUTBOUND: (("HOST",), ("ANY",)),
}
# RFC 4861: a host that drops these cannot reach any other host on its link. The host's own policies and zones decide
# about router advertisements and redirects: they may hold a rule against false routers.
_NEIGHBOUR_DISCOVERY = ("neighbour-solicitation", "neighbour-advertisement")


class Policy(NamedTuple):
    """A policy object. ``ingress``, ``egress``: names of zones. ``rules``: rich rules, sorted.
    ``other``: texts of all settings that we never make, sorted."""

    target: str
    priority: int
    ingress: Tuple[str, ...]
    egress: Tuple[str, ...]
    rules: Tuple[str, ...]
    other: Tuple[str, ...] = ()

    def changed_by_reload_only(self) -> "Policy":
        """The settings that only a reload can change. Rules can change without it."""
        return self._replace(rules=())


class Set(NamedTuple):
    """An ipset of firewalld. ``kind``: its type. ``options``: pairs of name and value, sorted. ``members``: sorted."""

    kind: str
    options: Tuple[Tuple[str, str], ...]
    members: Tuple[str, ...]

    def changed_by_reload_only(self) -> "Set":
        """The settings that only a reload can change. Members can change without it."""
        return self._replace(members=())


class State(NamedTuple):
    """Our objects by name, and our nft table."""

    policies: Dict[str, Policy]
    sets: Dict[str, Set]
    table: Optional[nft_table.Table]


NOTHING = State({}, {}, None)


def render(
    policy: HostPolicy,
    families: Sequence[str],
    outbound: bool,
    container_interfaces: Sequence[str],
    forwarding: Forwarding = PATTERNS_ONLY,
) -> State:
    """HostPolicy -> State. ``outbound``: whether this firewalld can use an ipset as a destination."""
    sets: Dict[str, Set] = {}
    policies = {INBOUND: _policy(INBOUND, policy, policy.inbound, families, sets)}
    if outbound:
        policies[OUTBOUND] = _policy(OUTBOUND, policy, policy.outbound, families, sets)
    table = None
    if policy.mode == "restrict":
        table = nft_table.render(policy, families, container_interfaces, forwarding)
    return State(policies, sets, table)


def _policy(
    name: str, policy: HostPolicy, rules: Sequence[Rule], families: Sequence[str], sets: Dict[str, Set]
) -> Policy:
    """The policy object of one direction. The ipsets that it needs are added to ``sets``."""
    texts = {
        text
        for rule in rules
        for family in families
        for text in _rich_rules(name, rule, family, policy.peers[rule.peers][family], sets)
    }
    if "ipv6" in families:
        texts.update('rule family="ipv6" icmp-type name="%s" accept' % kind for kind in _NEIGHBOUR_DISCOVERY)
    ingress, egress = _ZONES[name]
    return Policy(TARGET, PRIORITY, ingress, egress, tuple(sorted(texts)))


def set_name(peers: str, family: str) -> str:
    """The name of peers and a family -> the name of their ipset in firewalld."""
    return "determined-%s-v%s" % (peers, family[-1])


def _rich_rules(
    policy_name: str, rule: Rule, family: str, addresses: Sequence[str], sets: Dict[str, Set]
) -> Iterator[str]:
    """The rich rules of one rule in one family. The ipset that they need is added to ``sets``.

    An ipset exists even when it is empty: only a reload adds an ipset, but a member needs no reload.
    """
    element = ""
    if not ipset.is_anybody(addresses):
        name = set_name(rule.peers, family)
        sets[name] = _set(family, addresses)
        element = '%s ipset="%s" ' % ("source" if policy_name == INBOUND else "destination", name)
    for first, last in rule.ports:
        ports = "%d" % first if first == last else "%d-%d" % (first, last)
        yield 'rule family="%s" %sport port="%s" protocol="%s" accept' % (family, element, ports, rule.protocol)


def _set(family: str, addresses: Sequence[str]) -> Set:
    """The ipset of one family's addresses, with a maxelem that is large enough for them."""
    members = disjoint(addresses)
    empty = ipset.make_set((), family)
    words = empty.options.split()
    options = dict(zip(words[::2], words[1::2]))
    while int(options["maxelem"]) < len(members):
        options["maxelem"] = "%d" % (2 * int(options["maxelem"]))
    return Set(empty.kind, tuple(sorted(options.items())), members)


def dump(state: State) -> Dict[str, Any]:
    """State -> plain data for JSON."""
    return {
        "policies": {name: list(value) for name, value in state.policies.items()},
        "sets": {name: list(value) for name, value in state.sets.items()},
        "table": None if state.table is None else [list(state.table.sets), list(state.table.chains)],
    }


def load(data: Dict[str, Any]) -> State:
    """The result of :func:`dump`, also after JSON has made lists of its tuples -> an equal State."""
    policies = {
        name: Policy(target, priority, *[tuple(part) for part in parts])
        for name, (target, priority, *parts) in data["policies"].items()
    }
    sets = {
        name: Set(kind, tuple(tuple(pair) for pair in options), tuple(members))
        for name, (kind, options, members) in data["sets"].items()
    }
    table = None
    if data["table"] is not None:
        nft_sets, chains = data["table"]
        table = nft_table.Table(
            tuple(nft_table.Set(name, kind, flags, tuple(members)) for name, kind, flags, members in nft_sets),
            tuple(nft_table.Chain(name, hook, prio, tuple(rules)) for name, hook, prio, rules in chains),
        )
    return State(policies, sets, table)


def describe(state: State) -> str:
    """State -> its text for people."""
    lines: List[str] = []
    for name, policy in sorted(state.policies.items()):
        lines.append("# firewalld, policy %s: %s -> %s" % (name, ",".join(policy.ingress), ",".join(policy.egress)))
        lines.append("target=%s priority=%d" % (policy.target, policy.priority))
        lines += list(policy.rules) + list(policy.other) + [""]
    for name, value in sorted(state.sets.items()):
        options = " ".join("%s %s" % pair for pair in value.options)
        lines += ["# firewalld, ipset", ("create %s %s %s" % (name, value.kind, options)).rstrip()]
        lines += ["add %s %s" % (name, member) for member in value.members] + [""]
    if state.table is not None:
        lines += ["# nft", nft_table.text(state.table)]
    return "\n".join(lines)
