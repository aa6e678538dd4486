# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets that this host would forward, in mode ``restrict``: the rules of two chains of table mangle, for one family.

- ``DETERMINED-ROUTED`` judges new packets to an address that is not of this host, before any address is translated. So
  it also judges packets to the address of a service, which rules of kube-proxy translate later.
- ``DETERMINED-FORWARD`` judges the same packets once more, together with packets that a bridge has shown to iptables.
  Packets with a translated destination pass it, because the chains of PREROUTING have judged them.

Both drop what arrives by an outer interface, unless :class:`Allowed` names it. See :mod:`forwarding` of the folder
above.
"""

from typing import Dict, List, Sequence

from ansible_collections.determined.network.plugins.module_utils._firewall.backends.forwarding import Forwarding

_Options = Dict[str, str]  # of one rule: option -> value, see iptables.text

_REST = "nothing new is forwarded from outside"


def from_containers(container_interfaces: Sequence[str], forwarding: Forwarding) -> List[_Options]:
    """The rules that let pass what the host's own containers send. They come last before the rule that drops all else:
    a bridge to other hosts is none of the containers', even if its name matches a pattern."""
    others = [bridge.name for bridge in forwarding.lan_bridges if bridge.like_containers]
    return _drop(others, "connects other hosts") + _from(container_interfaces)


def routed(
    known: Sequence[_Options], family: str, container_interfaces: Sequence[str], forwarding: Forwarding
) -> List[_Options]:
    """The rules of DETERMINED-ROUTED. ``known``: the rules for packets of known connections."""
    rules = list(known)
    rules.append({"! --dst-type": "UNICAST", "-j": "RETURN"})
    if forwarding.bridge_filter:
        # Whether a bridge passes the frame on, or this host routes the packet, is known in FORWARD.
        rules += [
            {"-i": bridge.name, "--physdev-is-in": "", "--comment": "judged in FORWARD", "-j": "RETURN"}
            for bridge in forwarding.lan_bridges
        ]
    return rules + _allowed(family, forwarding) + _from_outside(container_interfaces, forwarding)


def forwarded(
    known: Sequence[_Options], family: str, container_interfaces: Sequence[str], forwarding: Forwarding
) -> List[_Options]:
    """The rules of DETERMINED-FORWARD. ``known``: the rules for packets of known connections."""
    rules = list(known)
    if forwarding.bridge_filter and forwarding.lan_bridges:
        rules.append({"--physdev-is-bridged": "", "--comment": "frames within a bridge", "-j": "RETURN"})
    rules += _allowed(family, forwarding)
    # iptables-extensions(8), conntrack: DNAT.
    rules.append({"--ctstate": "DNAT", "--comment": "judged before it was translated", "-j": "RETURN"})
    rules += _from_outside(container_interfaces, forwarding)
    return rules + [
        {"-o": pattern, "--comment": "nobody else reaches containers directly", "-j": "DROP"}
        for pattern in container_interfaces
    ]


def _allowed(family: str, forwarding: Forwarding) -> List[_Options]:
    rules = []
    for allowed in forwarding.allowed:
        if allowed.family == family:
            rule = {"--comment": "permitted forwarding", "-j": "RETURN"}
            # iptables-save does not print a network that holds every address.
            if not allowed.source.endswith("/0"):
                rule["-s"] = allowed.source
            if not allowed.destination.endswith("/0"):
                rule["-d"] = allowed.destination
            rules.append(rule)
    return rules


def _from_outside(container_interfaces: Sequence[str], forwarding: Forwarding) -> List[_Options]:
    rules = _drop([bridge.name for bridge in forwarding.lan_bridges], _REST)
    rules += _from(container_interfaces)
    return rules + _drop(forwarding.outer, _REST)


def _from(container_interfaces: Sequence[str]) -> List[_Options]:
    return [{"-i": pattern, "--comment": "containers of this host", "-j": "RETURN"} for pattern in container_interfaces]


def _drop(interfaces: Sequence[str], comment: str) -> List[_Options]:
    return [{"-i": name, "--comment": comment, "-j": "DROP"} for name in interfaces]
