# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host policy -> the rules of our chains, for one family.

What the chains do, packet by packet:

- ``DETERMINED-INPUT`` and ``DETERMINED-OUTPUT`` accept what the policy requires, the
  replies to it from and to the same peers, and what such traffic needs beneath: neighbour
  discovery (RFC 4861: a host without it reaches nobody on its link) and the ICMP messages
  of path MTU discovery (RFC 1191, RFC 8201).
- In mode ``restrict`` a tail follows in ``DETERMINED-INPUT``: what the cluster does not ask
  for but a host needs goes back (RETURN) to the host's own rules, which keep their say; the
  rest is dropped. Nothing is ever dropped in ``DETERMINED-OUTPUT``.
- Only in mode ``restrict``, ``DETERMINED-PREROUTING`` says the same of all that is addressed
  to this host, in table mangle: before any container engine translates a published port into
  a container's address, so what they publish obeys the policy too.
- Only in mode ``restrict``, ``DETERMINED-FORWARD`` drops what others send straight to a
  container's own address, with this host as their router.
"""

from ansible_collections.determined.network.plugins.module_utils._firewall.backends import ipset
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.iptables import state
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.iptables import (
    text as iptables_text,
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


def chains(policy, family, container_interfaces):
    """HostPolicy, family and patterns of interfaces -> table's name -> the ``chains`` of its Table."""
    inbound = _flows(policy, policy.inbound, family)
    outbound = _flows(policy, policy.outbound, family)
    beneath = list(_BENEATH[family]) if inbound or outbound else []
    into = beneath + _accept(inbound, "src", "dport") + _accept(outbound, "src", "sport", replies=True)
    out = beneath + _accept(outbound, "dst", "dport") + _accept(inbound, "dst", "sport", replies=True)
    found = {"filter": {state.INPUT_CHAIN: into, state.OUTPUT_CHAIN: out}}
    if policy.mode == "restrict":
        needed = _needed(policy, family, container_interfaces)
        into += needed + [_REST]
        before = needed + [dict(rule, **{"-j": "RETURN"}) for rule in _accept(inbound, "src", "dport")] + [_REST]
        found["mangle"] = {state.PREROUTING_CHAIN: before}
        if container_interfaces:
            found["mangle"][state.FORWARD_CHAIN] = _direct(container_interfaces)
    return {
        table: tuple(
            (name, tuple(iptables_text.format_rule(rule) for rule in rules)) for name, rules in sorted(lists.items())
        )
        for table, lists in found.items()
    }


def _flows(policy, rules, family):
    """The rules that permit something in a family -> list of (rule, set name or None for anybody)."""
    found = []
    for rule in rules:
        addresses = policy.peers[rule.peers][family]
        if addresses:
            anybody = ipset.is_anybody(addresses)
            found.append((rule, None if anybody else ipset.set_name(rule.peers, family)))
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


_REST = {"--comment": "nothing else new comes in", "-j": "DROP"}
_KNOWN = {"--ctstate": "RELATED,ESTABLISHED", "-j": "RETURN"}


def _from_containers(container_interfaces):
    return [{"-i": pattern, "--comment": "containers of this host", "-j": "RETURN"} for pattern in container_interfaces]


def _needed(policy, family, container_interfaces):
    server, client = _DHCP[family]
    rules = [{"-i": "lo", "-j": "RETURN"}, _KNOWN]
    rules += _from_containers(container_interfaces)
    rules += [
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
    return rules


def _direct(container_interfaces):
    """What others send to a container passes only if this host's own rules translated its address
    (iptables-extensions(8), conntrack: DNAT): then DETERMINED-PREROUTING has judged it."""
    rules = [_KNOWN] + _from_containers(container_interfaces)
    rules.append({"--ctstate": "DNAT", "--comment": "published ports", "-j": "RETURN"})
    return rules + [
        {"-o": pattern, "--comment": "nobody else reaches containers directly", "-j": "DROP"}
        for pattern in container_interfaces
    ]


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
