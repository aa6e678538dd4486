# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nft table ``inet determined``, which drops what mode ``restrict`` does not permit.

This table only drops; what the cluster requires is accepted by the host's own firewall. Source: nft(8). Packets meet
this table first. A packet that the table lets pass (``return``) still meets the host's own rules. A packet that it
drops is lost, because in netfilter a drop of any table is final. Its base chains have the priority of mangle, except
the first one:

- ``raw`` judges packets from outside that bear an address of this host as their source, before connection tracking can
  take them for an answer of this host;
- ``prerouting`` judges all packets to an address of this host, before a container engine translates a published port
  into a container's address (that happens later, at priority dstnat);
- ``input`` judges packets that ``prerouting`` does not see as addressed to this host (multicast, broadcast), and once
  more those that were redirected to a port of this host;
- ``prerouting`` and ``forward`` also judge packets to addresses of other hosts and containers, see
  :mod:`nft_forwarding`.

Each rule is a text. :mod:`nft_listing` gives the same text for the rule that nft lists.
"""

from typing import Dict, List, NamedTuple, Sequence, Tuple

from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld import nft_forwarding
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.forwarding import (
    PATTERNS_ONLY,
    Forwarding,
)
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.ipset import is_anybody
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.members import disjoint
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.ownership import MARK
from ansible_collections.determined.network.plugins.module_utils._policy import HostPolicy, Rule

FAMILY, NAME = "inet", "determined"
PRIORITY = -150  # nft(8), "mangle": after connection tracking (-200), before dstnat (-100)
BEFORE_TRACKING = -300  # nft(8), "raw"
LONGEST_COMMENT = 128  # nft(8): bytes, the final NUL included

_IP = {"ipv4": "ip", "ipv6": "ip6"}
_TYPES = {"ipv4": "ipv4_addr", "ipv6": "ipv6_addr"}
_ICMP = {"ipv4": "icmp", "ipv6": "ipv6-icmp"}
# RFC 2131 4.1 and RFC 8415 7.2: (the server's port, from which it answers; the client's port).
_DHCP = {"ipv4": (67, 68), "ipv6": (547, 546)}
# A SYN without ACK opens a connection, so it is always judged as new. Connection tracking may call it established: it
# makes an entry of any packet that looks like the middle of a connection, and of a forged reply to it.
_KNOWN_CONNECTIONS = (
    "meta l4proto != tcp ct state established,related return",
    "tcp flags & (syn | ack) != syn ct state established,related return",
)
_DROP_ALL_ELSE = 'counter drop comment "nothing else new comes in"'
_LOOPBACK = 'iifname "lo" return'
# The first rule of chain "inbound". It counts, and says that the table is ours.
MARK_RULE = 'counter comment "%s"' % MARK
_INPUT = ("jump inbound",)
_PREROUTING = ("fib daddr type local jump inbound",)
_OLD_NAMES = ("forward", "inbound", "input", "prerouting")  # of the versions 0.2 and 0.3
_NAMES = _OLD_NAMES + ("forged", "raw", "routed")


class Set(NamedTuple):
    """``kind``: nft's type of the members. ``flags``: as a text. ``members``: addresses and networks, sorted."""

    name: str
    kind: str
    flags: str
    members: Tuple[str, ...]


class Chain(NamedTuple):
    """``hook``: "prerouting", "input", "forward", or "" for a chain that other chains jump to.
    ``priority``: that of a base chain, otherwise 0. ``rules``: their texts."""

    name: str
    hook: str
    priority: int
    rules: Tuple[str, ...]


class Table(NamedTuple):
    """``sets`` and ``chains`` are sorted by name."""

    sets: Tuple[Set, ...]
    chains: Tuple[Chain, ...]


def render(
    policy: HostPolicy,
    families: Sequence[str],
    container_interfaces: Sequence[str],
    forwarding: Forwarding = PATTERNS_ONLY,
) -> Table:
    """A HostPolicy of mode ``restrict`` -> Table.

    ``families``: "ipv4", "ipv6". ``container_interfaces``: patterns of interfaces' names as in iptables(8).
    """
    sets: Dict[str, Set] = {}
    permitted = _always_permitted(families)
    for rule in policy.management + policy.inbound:
        for family in families:
            addresses = policy.peers[rule.peers][family]
            if addresses:
                permit = _permit(rule, family, addresses, sets)
                if permit not in permitted:
                    permitted.append(permit)
    return Table(tuple(sets[name] for name in sorted(sets)), _chains(permitted, container_interfaces, forwarding))


def fallback(
    policy: HostPolicy,
    families: Sequence[str],
    container_interfaces: Sequence[str],
    forwarding: Forwarding = PATTERNS_ONLY,
) -> Table:
    """A HostPolicy of mode ``restrict`` -> the fallback rules, a Table without sets.

    The fallback rules permit what every host needs, and management by its addresses.
    """
    permitted = _always_permitted(families)
    for rule in policy.management:
        for family in families:
            addresses = policy.peers[rule.peers][family]
            if addresses:
                permitted.append(_permit_without_set(rule, family, addresses))
    return Table((), _chains(permitted, container_interfaces, forwarding))


def is_ours(table: Table) -> bool:
    """Whether we made a table that has the name of ours.

    Versions 0.2 and 0.3 wrote no mark: their tables are known by their chains. A table that somebody flushed has our
    chains without rules, and no effect.
    """
    rules = {chain.name: chain.rules for chain in table.chains}
    if MARK_RULE in rules.get("inbound", ()):
        return True
    if not any(rules.values()):
        return set(rules) <= set(_NAMES) and ("inbound" in rules or not table.sets)
    inbound = rules.get("inbound", ())
    return (
        set(rules) <= set(_OLD_NAMES)
        and (rules.get("input"), rules.get("prerouting")) == (_INPUT, _PREROUTING)
        and (inbound[:1], inbound[-1:]) == ((_LOOPBACK,), (_DROP_ALL_ELSE,))
    )


def _chains(permitted: Sequence[str], container_interfaces: Sequence[str], forwarding: Forwarding) -> Tuple[Chain, ...]:
    """The rules that permit a packet -> all chains, sorted by name."""
    inbound = (
        [MARK_RULE, *permitted] + nft_forwarding.from_containers(container_interfaces, forwarding) + [_DROP_ALL_ELSE]
    )
    routed = nft_forwarding.routed(_KNOWN_CONNECTIONS, container_interfaces, forwarding)
    forward = nft_forwarding.forwarded(_KNOWN_CONNECTIONS, container_interfaces, forwarding)
    prerouting = _PREROUTING + ("fib daddr type != { local, broadcast, multicast } jump routed",)
    forged = _forged_rules(container_interfaces, forwarding)
    return (
        Chain("forged", "", 0, tuple(forged)),
        Chain("forward", "forward", PRIORITY, tuple(forward)),
        Chain("inbound", "", 0, tuple(inbound)),
        Chain("input", "input", PRIORITY, _INPUT),
        Chain("prerouting", "prerouting", PRIORITY, prerouting),
        Chain("raw", "prerouting", BEFORE_TRACKING, ('iifname != "lo" fib saddr type local jump forged',)),
        Chain("routed", "", 0, tuple(routed)),
    )


def _always_permitted(families: Sequence[str]) -> List[str]:
    """The rules for what every host needs."""
    rules = [_LOOPBACK, *_KNOWN_CONNECTIONS]
    for family in families:
        rules.append("meta l4proto %s return" % _ICMP[family])
        server, client = _DHCP[family]
        rules.append(
            'meta nfproto %s udp sport %d udp dport %d return comment "DHCP replies"' % (family, server, client)
        )
    return rules


def _forged_rules(container_interfaces: Sequence[str], forwarding: Forwarding) -> List[str]:
    """Packets that do not come from ``lo`` and bear an address of this host as their source. The kernel itself passes
    a copy of each multicast and broadcast that this host sends back to it, as if it had arrived on that interface. An
    address on the link exists once on every link: fe80::1 may be a router there and a bridge of this host."""
    return [
        "fib daddr type multicast return",
        "fib daddr type broadcast return",
        "ip6 saddr fe80::/10 fib saddr . iif type != local return",
        *nft_forwarding.from_containers(container_interfaces, forwarding),
        'counter drop comment "forged: an address of this host"',
    ]


def _permit(rule: Rule, family: str, addresses: Sequence[str], sets: Dict[str, Set]) -> str:
    """A rule for one family -> its text. The set that it needs is added to ``sets``."""
    if is_anybody(addresses):
        source = "meta nfproto %s" % family
    else:
        name = "%s_v%s" % (rule.peers, family[-1])
        sets[name] = Set(name, _TYPES[family], "interval", disjoint(addresses))
        source = "%s saddr @%s" % (_IP[family], name)
    return _permit_from(source, rule)


def _permit_without_set(rule: Rule, family: str, addresses: Sequence[str]) -> str:
    """A rule for one family -> its text with the addresses in it."""
    if is_anybody(addresses):
        return _permit_from("meta nfproto %s" % family, rule)
    return _permit_from("%s saddr { %s }" % (_IP[family], ", ".join(disjoint(addresses))), rule)


def _permit_from(source: str, rule: Rule) -> str:
    return "%s %s return comment %s" % (source, _ports(rule), _comment(rule.requirements))


def _ports(rule: Rule) -> str:
    ranges = ["%d" % first if first == last else "%d-%d" % (first, last) for first, last in rule.ports]
    return "%s dport %s" % (rule.protocol, ranges[0] if len(ranges) == 1 else "{ %s }" % ", ".join(ranges))


def _comment(requirements: Sequence[str]) -> str:
    """Requirement ids -> a quoted comment of nft's length. It counts the ids that have no space."""
    kept = list(requirements)
    comment = ",".join(kept)
    while len(comment) >= LONGEST_COMMENT:
        kept.pop()
        comment = "%s and %d more" % (",".join(kept), len(requirements) - len(kept))
    return '"%s"' % comment


def text(table: Table) -> str:
    """Table -> its text in the syntax of nft."""
    lines = ["table %s %s {" % (FAMILY, NAME)]
    for name, kind, flags, members in table.sets:
        lines += ["\tset %s {" % name, "\t\ttype %s" % kind, "\t\tflags %s" % flags]
        if members:
            lines.append("\t\telements = {")
            lines += ["\t\t\t%s," % member for member in members]
            lines.append("\t\t}")
        lines.append("\t}")
    for chain in table.chains:
        lines.append("\tchain %s {" % chain.name)
        if chain.hook:
            lines.append("\t\ttype filter hook %s priority %d; policy accept;" % (chain.hook, chain.priority))
        lines += ["\t\t%s" % rule for rule in chain.rules]
        lines.append("\t}")
    return "\n".join(lines + ["}", ""])


def replacing(table: Table) -> str:
    """Table -> the input of ``nft -f -`` that replaces our table, or makes it, in one transaction."""
    whole = "%s %s" % (FAMILY, NAME)
    # The first line makes the table if it does not exist, because nft refuses to delete a missing table.
    return "table %s\ndelete table %s\n%s" % (whole, whole, text(table))
