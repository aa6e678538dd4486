# -*- coding: utf-8 -*-
# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host policy -> the rules of our two chains, for one family.

What the chains do, packet by packet:

- ``DETERMINED-INPUT`` and ``DETERMINED-OUTPUT`` accept what the policy requires, the
  replies to it from and to the same peers, and what such traffic needs beneath: neighbour
  discovery (RFC 4861: a host without it reaches nobody on its link) and the ICMP messages
  of path MTU discovery (RFC 1191, RFC 8201).
- In mode ``restrict`` a tail follows in ``DETERMINED-INPUT``: what the cluster does not ask
  for but a host needs goes back (RETURN) to the host's own rules, which keep their say; the
  rest is dropped. Nothing is ever dropped in ``DETERMINED-OUTPUT``.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from ansible_collections.determined.network.plugins.module_utils._backends import (
    _ipset,
    _iptables_state,
    _iptables_text,
)

MULTIPORT_SLOTS = 15  # iptables-extensions(8), multiport: a range takes two of them
COMMENT_LENGTH = 255  # iptables-extensions(8), comment: 256 with the final NUL

# The protocol's name, and its messages that flows need beneath them, with the connection
# state they have: MTU messages belong to a connection, neighbour discovery to none.
_BENEATH = {
    "ipv4": (
        {
            "-p": "icmp",
            "--icmp-type": "3/4",
            "--ctstate": "RELATED",
            "--comment": "path MTU discovery",
            "-j": "ACCEPT",
        },
    ),
    "ipv6": (
        {
            "-p": "ipv6-icmp",
            "--icmpv6-type": "2",
            "--ctstate": "RELATED",
            "--comment": "path MTU discovery",
            "-j": "ACCEPT",
        },
    )
    + tuple(
        {"-p": "ipv6-icmp", "--icmpv6-type": kind, "--comment": "neighbour discovery", "-j": "ACCEPT"}
        for kind in ("133", "134", "135", "136")
    ),
}
_ICMP = {"ipv4": "icmp", "ipv6": "ipv6-icmp"}
# RFC 2131 4.1 and RFC 8415 7.2: a server answers from its port to the client's.
_DHCP = {"ipv4": ("67", "68"), "ipv6": ("547", "546")}


def chains(policy, family):
    """HostPolicy and family -> the ``chains`` of that family's Table."""
    inbound = _flows(policy, policy.inbound, family)
    outbound = _flows(policy, policy.outbound, family)
    beneath = list(_BENEATH[family]) if inbound or outbound else []
    into = beneath + _accept(inbound, "src", "dport") + _accept(outbound, "src", "sport", replies=True)
    out = beneath + _accept(outbound, "dst", "dport") + _accept(inbound, "dst", "sport", replies=True)
    if policy.mode == "restrict":
        into += _tail(policy, family)
    return tuple(
        (name, tuple(_iptables_text.format_rule(rule) for rule in rules))
        for name, rules in ((_iptables_state.INPUT_CHAIN, into), (_iptables_state.OUTPUT_CHAIN, out))
    )


def _flows(policy, rules, family):
    """The rules that permit something in a family -> list of (rule, set name or None for anybody)."""
    found = []
    for rule in rules:
        addresses = policy.peers[rule.peers][family]
        if addresses:
            anybody = _ipset.is_anybody(addresses)
            found.append((rule, None if anybody else _ipset.set_name(rule.peers, family)))
    return found


def _accept(flows, direction, side, replies=False):
    rules = []
    for flow, peers in flows:
        for ports in _port_options(flow.ports, side):
            rule = {"-p": flow.protocol, "-j": "ACCEPT", "--comment": comment(flow.requirements, replies)}
            rule.update(ports)
            if peers:
                rule["--match-set"] = "%s %s" % (peers, direction)
            if replies:
                rule["--ctstate"] = "ESTABLISHED"
            rules.append(rule)
    return rules


def _tail(policy, family):
    server, client = _DHCP[family]
    rules = [
        {"-i": "lo", "-j": "RETURN"},
        {"--ctstate": "RELATED,ESTABLISHED", "-j": "RETURN"},
        # The middle of a connection that is older than the kernel's connection tracking: it
        # opens nothing (RFC 9293 3.5: that takes a SYN), and cutting it would hang its users.
        {
            "-p": "tcp",
            "--ctstate": "NEW",
            "--tcp-flags": "SYN,RST,ACK ACK",
            "--comment": "sessions older than conntrack",
            "-j": "RETURN",
        },
        {"-p": _ICMP[family], "-j": "RETURN"},
        {
            "-p": "udp",
            "--sport": server,
            "--dport": client,
            "--comment": "DHCP replies",
            "-j": "RETURN",
        },
    ]
    for rule in _accept(_flows(policy, policy.management, family), "src", "dport"):
        rules.append(dict(rule, **{"-j": "RETURN"}))
    rules.append({"--comment": "nothing else new comes in", "-j": "DROP"})
    return rules


def _port_options(ports, side):
    """A port set -> the options of as few rules as can hold it."""
    groups = [[]]
    used = 0
    for first, last in ports:
        slots = 1 if first == last else 2
        if used + slots > MULTIPORT_SLOTS:
            groups.append([])
            used = 0
        groups[-1].append("%d" % first if first == last else "%d:%d" % (first, last))
        used += slots
    return [{"--%s%s" % (side, "s" if len(group) > 1 else ""): ",".join(group)} for group in groups]


def comment(requirements, replies=False):
    """Requirement ids -> a comment that fits; what does not fit is counted, not cut in two."""
    text = "replies: " if replies else ""
    text += ",".join(requirements)
    if len(text) <= COMMENT_LENGTH:
        return text
    kept = list(requirements)
    while len(text) > COMMENT_LENGTH:
        kept.pop()
        text = "%s%s and %d more" % (
            "replies: " if replies else "",
            ",".join(kept),
            len(requirements) - len(kept),
        )
    return text
