# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of our objects in firewalld, as values, and the state that a policy asks for.

firewalld only accepts here, before all that it does by itself: a policy object from anywhere to
this host, one from this host to anywhere, both at the smallest priority and with target CONTINUE,
so that what they do not name meets the host's own zones. What mode ``restrict`` drops, the native
table of :mod:`nft_table` drops. Source: firewalld.policy(5), firewalld.richlanguage(5).
"""

import re
from typing import NamedTuple

from ansible_collections.determined.network.plugins.module_utils._firewall.backends import ipset
from ansible_collections.determined.network.plugins.module_utils._firewall.backends import members as backends_members
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld import nft_table

INBOUND, OUTBOUND = "determined", "determined-out"
POLICIES = (INBOUND, OUTBOUND)
# Not the names of backend iptables: firewalld also makes kernel ipsets of the same name, and each backend knows
# its own by their names. At most 30 of the 31 characters.
OUR_SETS = re.compile(r"determined-[a-z][a-z0-9_]{0,15}-v[46]\Z")
PRIORITY = -32768  # firewalld.policies(5): the smallest, so nothing stands before
TARGET = "CONTINUE"
_BETWEEN = {INBOUND: (("ANY",), ("HOST",)), OUTBOUND: (("HOST",), ("ANY",))}
# RFC 4861: a host that lets none of these through reaches nobody on its link.
_NEIGHBOUR_DISCOVERY = (
    "router-solicitation",
    "router-advertisement",
    "neighbour-solicitation",
    "neighbour-advertisement",
)


class Policy(NamedTuple):
    """A policy object. ``ingress``, ``egress``: tuples of zones. ``rules``: sorted tuple of rich rules.
    ``other``: sorted tuple of texts, what it holds that we never write."""

    target: str
    priority: int
    ingress: tuple
    egress: tuple
    rules: tuple
    other: tuple = ()

    def frame(self):
        """What cannot change without a reload."""
        return self._replace(rules=())


class Set(NamedTuple):
    """An ipset of firewalld: its type, options (sorted tuple of pairs), sorted members."""

    kind: str
    options: tuple
    members: tuple

    def frame(self):
        """What cannot change without a reload."""
        return self._replace(members=())


class State(NamedTuple):
    """What is in force now: ``policies``: name -> Policy, ``sets``: name -> Set, ``table``: the
    nft Table or None."""

    policies: dict
    sets: dict
    table: object


NOTHING = State({}, {}, None)


def render(policy, families, outbound, container_interfaces):
    """HostPolicy -> State. ``outbound``: whether this firewalld can name a set as destination."""
    sets = {}
    directions = [(INBOUND, policy.inbound, "source")]
    if outbound:
        directions.append((OUTBOUND, policy.outbound, "destination"))
    policies = {}
    for name, rules, side in directions:
        texts = set()
        for rule in rules:
            for family in families:
                texts.update(_rich_rules(policy, rule, family, side, sets))
        if "ipv6" in families:
            texts.update('rule family="ipv6" icmp-type name="%s" accept' % kind for kind in _NEIGHBOUR_DISCOVERY)
        ingress, egress = _BETWEEN[name]
        policies[name] = Policy(TARGET, PRIORITY, ingress, egress, tuple(sorted(texts)))
    table = None
    if policy.mode == "restrict":
        table = nft_table.render(policy, families, container_interfaces)
    return State(policies, sets, table)


def set_name(peers, family):
    """A peers name and a family -> the name of their set in firewalld."""
    return "determined-%s-v%s" % (peers, family[-1])


def _rich_rules(policy, rule, family, side, sets):
    """The rich rules of one rule in one family; the set that they need is added to ``sets``.

    A set exists even when it is empty: a new one takes a reload, a new member does not.
    """
    addresses = policy.peers[rule.peers][family]
    who = ""
    if not ipset.is_anybody(addresses):
        name = set_name(rule.peers, family)
        made = ipset.make_set((), family)
        words = made.options.split()
        options = dict(zip(words[::2], words[1::2]))
        members = backends_members.disjoint(addresses)
        while int(options["maxelem"]) < len(members):
            options["maxelem"] = "%d" % (2 * int(options["maxelem"]))
        sets[name] = Set(made.kind, tuple(sorted(options.items())), members)
        who = '%s ipset="%s" ' % (side, name)
    for first, last in rule.ports:
        ports = "%d" % first if first == last else "%d-%d" % (first, last)
        yield 'rule family="%s" %sport port="%s" protocol="%s" accept' % (family, who, ports, rule.protocol)


def dump(state):
    """State -> plain data for JSON."""
    return {
        "policies": {name: list(value) for name, value in state.policies.items()},
        "sets": {name: list(value) for name, value in state.sets.items()},
        "table": None if state.table is None else [list(state.table.sets), list(state.table.chains)],
    }


def load(data):
    """What :func:`dump` gave, also after a way through JSON -> an equal State."""
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
        found_sets, chains = data["table"]
        table = nft_table.Table(
            tuple((name, kind, flags, tuple(members)) for name, kind, flags, members in found_sets),
            tuple(nft_table.Chain(name, hook, prio, tuple(rules)) for name, hook, prio, rules in chains),
        )
    return State(policies, sets, table)


def describe(state):
    """State -> its text for people."""
    lines = []
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
