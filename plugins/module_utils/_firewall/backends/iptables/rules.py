# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host policy -> the rules of our chains, for one family.

- ``DETERMINED-INPUT`` and ``DETERMINED-OUTPUT`` accept the traffic that the policy requires, the replies to it from and
  to the same peers, and the ICMP messages that such traffic needs: neighbour solicitations and advertisements (RFC
  4861: without them a host reaches no other host on its link) and path MTU discovery (RFC 1191, RFC 8201). What routers
  say (advertisements, redirects) is left to the host's own rules in both modes: a host may have a rule against false
  routers, and another host needs advertisements to keep its default route.
- In mode ``restrict``, more rules follow in ``DETERMINED-INPUT``. Traffic that a host needs is returned (RETURN) to the
  host's own rules, which then decide. All other traffic is dropped. ``DETERMINED-OUTPUT`` never drops anything.
- Only in mode ``restrict``, ``DETERMINED-PREROUTING`` in table mangle does the same for all packets to this host,
  before a container engine translates a published port into a container's address. So published ports obey the policy,
  too.
- Only in mode ``restrict``, ``DETERMINED-FORGED`` in table raw drops packets from outside that bear an address of this
  host as their source, before connection tracking can take them for an answer of this host.
- Only in mode ``restrict``, ``DETERMINED-ROUTED`` and ``DETERMINED-FORWARD`` judge packets to other addresses, see
  :mod:`forwarding`.

The first rule of each chain says that it is ours, see :mod:`chain_ownership`.
"""

from typing import Dict, List, Optional, Sequence, Tuple

from ansible_collections.determined.network.plugins.module_utils._firewall.backends import (
    chain_ownership,
    ipset,
    iptables_chains,
)
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.forwarding import Forwarding
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.iptables import forwarding
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.iptables import (
    text as iptables_text,
)
from ansible_collections.determined.network.plugins.module_utils._policy import HostPolicy, Rule
from ansible_collections.determined.network.plugins.module_utils._ports import PortSet

Options = Dict[str, str]  # of one rule: option -> value, see iptables.text

MULTIPORT_SLOTS = 15  # iptables-extensions(8), multiport: a range takes two of them
COMMENT_LENGTH = 255  # iptables-extensions(8), comment: 256 with the final NUL

# The ICMP messages that required traffic needs. MTU messages belong to a connection, neighbour discovery to none.
# Router solicitations and advertisements (133, 134) and redirects (137) are not among them, see above.
_SUPPORTING = {
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
        for kind in ("135", "136")
    ),
}
_ICMP = {"ipv4": "icmp", "ipv6": "ipv6-icmp"}
_TO_MANY = {"ipv4": ("MULTICAST", "BROADCAST"), "ipv6": ("MULTICAST",)}  # IPv6 has no broadcast
# RFC 2131 4.1 and RFC 8415 7.2: a server answers from its port to the client's.
_DHCP = {"ipv4": ("67", "68"), "ipv6": ("547", "546")}


def chains(
    policy: HostPolicy, family: str, container_interfaces: Sequence[str], forwarded: Forwarding
) -> Dict[str, Tuple[Tuple[str, Tuple[str, ...]], ...]]:
    """A policy, a family, patterns of interfaces and a Forwarding -> table's name -> the ``chains`` of its Table."""
    inbound = _flows(policy, policy.inbound, family)
    outbound = _flows(policy, policy.outbound, family)
    supporting: List[Options] = list(_SUPPORTING[family]) if inbound or outbound else []
    into = supporting + _accept(inbound, "src", "dport") + _accept(outbound, "src", "sport", replies=True)
    out = supporting + _accept(outbound, "dst", "dport") + _accept(inbound, "dst", "sport", replies=True)
    found = {"filter": {iptables_chains.INPUT_CHAIN: into, iptables_chains.OUTPUT_CHAIN: out}}
    if policy.mode == "restrict":
        needed = _needed(policy, family)
        containers = forwarding.from_containers(container_interfaces, forwarded)
        rest = containers + [_REST]
        into += needed + rest
        before = needed + [dict(rule, **{"-j": "RETURN"}) for rule in _accept(inbound, "src", "dport")] + rest
        found["raw"] = {iptables_chains.FORGED_CHAIN: _forged(family, containers)}
        found["mangle"] = {
            iptables_chains.PREROUTING_CHAIN: before,
            iptables_chains.ROUTED_CHAIN: forwarding.routed(_KNOWN, family, container_interfaces, forwarded),
            iptables_chains.FORWARD_CHAIN: forwarding.forwarded(_KNOWN, family, container_interfaces, forwarded),
        }
    return {
        table: tuple(
            (name, (chain_ownership.MARK_RULE,) + tuple(iptables_text.format_rule(rule) for rule in rules))
            for name, rules in sorted(lists.items())
        )
        for table, lists in found.items()
    }


_Flows = List[Tuple[Rule, Optional[str]]]


def _flows(policy: HostPolicy, rules: Sequence[Rule], family: str) -> _Flows:
    """The rules that permit something in a family, each with the name of its set (None: every address)."""
    found = []
    for rule in rules:
        addresses = policy.peers[rule.peers][family]
        if addresses:
            anybody = ipset.is_anybody(addresses)
            found.append((rule, None if anybody else ipset.set_name(rule.peers, family)))
    return found


def _accept(flows: _Flows, direction: str, side: str, replies: bool = False) -> List[Options]:
    rules: List[Options] = []
    for flow, peers in flows:
        for ports in _port_options(flow.ports, side):
            rule = {"-p": flow.protocol, "-j": "ACCEPT", "--comment": comment(flow.requirements, replies)}
            rule.update(ports)
            if peers:
                rule["--match-set"] = "%s %s" % (peers, direction)
            if replies:
                rule["--ctstate"] = "ESTABLISHED"
                if flow.protocol == "tcp":
                    rule.update(_NOT_OPENING)
            rules.append(rule)
    return rules


_REST = {"--comment": "nothing else new comes in", "-j": "DROP"}
# A SYN without ACK opens a connection, so it is always judged as new. Connection tracking may call it ESTABLISHED: it
# makes an entry of any packet that looks like the middle of a connection, and of a forged reply to it.
_NOT_OPENING = {"! --tcp-flags": "SYN,ACK SYN"}
_KNOWN: Tuple[Options, ...] = (
    {"! -p": "tcp", "--ctstate": "RELATED,ESTABLISHED", "-j": "RETURN"},
    dict(_NOT_OPENING, **{"-p": "tcp", "--ctstate": "RELATED,ESTABLISHED", "-j": "RETURN"}),
)


def _needed(policy: HostPolicy, family: str) -> List[Options]:
    server, client = _DHCP[family]
    rules: List[Options] = [{"-i": "lo", "-j": "RETURN"}, *_KNOWN]
    rules += [
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


# An address on the link exists once on every link: fe80::1 may be a router there and a bridge of this host.
_LINK_LOCAL: Options = {"-s": "fe80::/10", "! --src-type": "LOCAL", "--limit-iface-in": "", "-j": "RETURN"}


def _forged(family: str, from_containers: List[Options]) -> List[Options]:
    """Packets that do not come from ``lo`` and bear an address of this host as their source. The kernel itself passes
    a copy of each multicast and broadcast that this host sends back to it, as if it had arrived on that interface."""
    rules: List[Options] = [{"--dst-type": kind, "-j": "RETURN"} for kind in _TO_MANY[family]]
    if family == "ipv6":
        rules.append(_LINK_LOCAL)
    return rules + from_containers + [{"--comment": "forged: an address of this host", "-j": "DROP"}]


def _port_options(ports: PortSet, side: str) -> List[Options]:
    """A port set -> the port options of as few rules as possible."""
    groups: List[List[str]] = [[]]
    used = 0
    for first, last in ports:
        slots = 1 if first == last else 2
        if used + slots > MULTIPORT_SLOTS:
            groups.append([])
            used = 0
        groups[-1].append("%d" % first if first == last else "%d:%d" % (first, last))
        used += slots
    return [{"--%s%s" % (side, "s" if len(group) > 1 else ""): ",".join(group)} for group in groups]


def comment(requirements: Sequence[str], replies: bool = False) -> str:
    """Requirement ids -> a comment that is short enough; ids that do not fit are counted."""
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
