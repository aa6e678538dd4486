# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The native nft table ``inet determined``: what mode ``restrict`` drops beside a firewall that only accepts.

Source: nft(8). The table stands before the host's own firewall and never accepts: what it lets
pass (``return``) still meets the host's own rules, and what it drops is gone, since in netfilter a drop of
any table is final. Its base chains hook in at priority mangle:

- ``prerouting``: all that is addressed to this host, before a container engine translates a
  published port into a container's address (that happens later, at priority dstnat);
- ``input``: the same for what is not addressed to it alone (multicast, broadcast), and once
  more for what was redirected to a port of this host;
- ``forward``: what others send straight to a container's own address, with this host as router.

A rule is a text in the one form that :mod:`nft_listing` also gives what nft lists.
"""

from typing import NamedTuple

from ansible_collections.determined.network.plugins.module_utils._firewall.backends import ipset
from ansible_collections.determined.network.plugins.module_utils._firewall.backends import members as backends_members

FAMILY, NAME = "inet", "determined"
PRIORITY = -150  # nft(8), "mangle": after connection tracking (-200), before dstnat (-100)
LONGEST_COMMENT = 128  # nft(8): bytes, the final NUL included

_IP = {"ipv4": "ip", "ipv6": "ip6"}
_TYPES = {"ipv4": "ipv4_addr", "ipv6": "ipv6_addr"}
_ICMP = {"ipv4": "icmp", "ipv6": "ipv6-icmp"}
# RFC 2131 4.1 and RFC 8415 7.2: a server answers from its port to the client's.
_DHCP = {"ipv4": (67, 68), "ipv6": (547, 546)}
_KNOWN = "ct state established,related return"
_REST = 'counter drop comment "nothing else new comes in"'


class Chain(NamedTuple):
    """``hook``: "prerouting", "input", "forward", or "" for a chain that others jump to.
    ``priority``: of a base chain, else 0. ``rules``: tuple of texts."""

    name: str
    hook: str
    priority: int
    rules: tuple


class Table(NamedTuple):
    """``sets``: tuple of (name, nft type, flags as text, tuple of members), sorted by name.
    ``chains``: tuple of Chain, sorted by name."""

    sets: tuple
    chains: tuple


def render(policy, families, container_interfaces):
    """HostPolicy of mode ``restrict``, families and patterns of interfaces -> Table."""
    sets, inbound = {}, _needed(families, container_interfaces)
    for rule in policy.management + policy.inbound:
        for family in families:
            addresses = policy.peers[rule.peers][family]
            if addresses:
                text = _passing(rule, family, addresses, sets)
                if text not in inbound:
                    inbound.append(text)
    chains = [
        Chain("inbound", "", 0, tuple(inbound + [_REST])),
        Chain("input", "input", PRIORITY, ("jump inbound",)),
        Chain("prerouting", "prerouting", PRIORITY, ("fib daddr type local jump inbound",)),
    ]
    if container_interfaces:
        chains.append(Chain("forward", "forward", PRIORITY, tuple(_direct(container_interfaces))))
    return Table(tuple(sets[name] for name in sorted(sets)), tuple(sorted(chains)))


def emergency(policy, families, container_interfaces):
    """The same for a boot that has lost its sets: what every host needs, and management by address."""
    rules = _needed(families, container_interfaces)
    for rule in policy.management:
        for family in families:
            addresses = policy.peers[rule.peers][family]
            if addresses and not ipset.is_anybody(addresses):
                rules.append(
                    "%s saddr { %s } %s return comment %s"
                    % (
                        _IP[family],
                        ", ".join(backends_members.disjoint(addresses)),
                        _ports(rule),
                        _comment(rule.requirements),
                    )
                )
            elif addresses:
                rules.append(_passing(rule, family, addresses, {}))
    table = render(policy, families, container_interfaces)
    chains = tuple(
        chain._replace(rules=tuple(rules + [_REST])) if chain.name == "inbound" else chain for chain in table.chains
    )
    return Table((), chains)


def _needed(families, container_interfaces):
    rules = ['iifname "lo" return', _KNOWN] + _from_containers(container_interfaces)
    # The middle of a connection that is older than the kernel's connection tracking: it opens
    # nothing (RFC 9293 3.5: that takes a SYN), and cutting it would hang its users.
    rules.append('ct state new tcp flags & (syn | rst | ack) == ack return comment "sessions older than conntrack"')
    for family in families:
        rules.append("meta l4proto %s return" % _ICMP[family])
        rules.append(
            'meta nfproto %s udp sport %d udp dport %d return comment "DHCP replies"' % ((family,) + _DHCP[family])
        )
    return rules


def _from_containers(container_interfaces):
    return ['iifname "%s" return comment "containers of this host"' % _wild(name) for name in container_interfaces]


def _direct(container_interfaces):
    """What others send to a container passes only if this host's own rules translated its address:
    then ``prerouting`` has judged it."""
    rules = [_KNOWN] + _from_containers(container_interfaces)
    rules.append('ct status dnat return comment "published ports"')
    return rules + [
        'oifname "%s" counter drop comment "nobody else reaches a container\'s own address"' % _wild(name)
        for name in container_interfaces
    ]


def _wild(pattern):
    """A pattern as iptables(8) writes it -> as nft does."""
    return pattern[:-1] + "*" if pattern.endswith("+") else pattern


def _passing(rule, family, addresses, sets):
    """One rule for one family; what it needs is added to ``sets``."""
    if ipset.is_anybody(addresses):
        who = "meta nfproto %s" % family
    else:
        name = "%s_v%s" % (rule.peers, family[-1])
        sets[name] = (name, _TYPES[family], "interval", backends_members.disjoint(addresses))
        who = "%s saddr @%s" % (_IP[family], name)
    return "%s %s return comment %s" % (who, _ports(rule), _comment(rule.requirements))


def _ports(rule):
    ranges = ["%d" % first if first == last else "%d-%d" % (first, last) for first, last in rule.ports]
    return "%s dport %s" % (rule.protocol, ranges[0] if len(ranges) == 1 else "{ %s }" % ", ".join(ranges))


def _comment(requirements):
    """Requirement ids -> a quoted comment that fits; what does not fit is counted, not cut in two."""
    kept = list(requirements)
    text = ",".join(kept)
    while len(text) >= LONGEST_COMMENT:
        kept.pop()
        text = "%s and %d more" % (",".join(kept), len(requirements) - len(kept))
    return '"%s"' % text


def text(table):
    """Table -> its text, as nft reads it and people do."""
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


def replacing(table):
    """Table -> what ``nft -f -`` shall read: in one transaction it is all there, whatever was before."""
    whole = "%s %s" % (FAMILY, NAME)
    # Declared first, since nft cannot delete a table that is not there.
    return "table %s\ndelete table %s\n%s" % (whole, whole, text(table))
