# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets that this host would forward, in mode ``restrict``: the rules of two chains of the nft table.

- ``routed`` judges new packets to an address that is not of this host, before any address is translated. So it also
  judges packets to the address of a service, which rules of kube-proxy translate later.
- ``forward`` judges the same packets once more, together with packets that a bridge has shown to netfilter. Packets
  with a translated destination pass it, because the chains of ``prerouting`` have judged them.

Both drop what arrives by an outer interface, unless :class:`Allowed` names it. See :mod:`forwarding` of the folder
above. Source: nft(8).
"""

from typing import List, Sequence

from ansible_collections.determined.network.plugins.module_utils._firewall.backends.forwarding import Forwarding

_IP = {"ipv4": "ip", "ipv6": "ip6"}
_REST = "nothing new is forwarded from outside"


def from_containers(container_interfaces: Sequence[str], forwarding: Forwarding) -> List[str]:
    """The rules that let pass what the host's own containers send. They come last before the rule that drops all else:
    a bridge to other hosts is none of the containers', even if its name matches a pattern."""
    others = [bridge.name for bridge in forwarding.lan_bridges if bridge.like_containers]
    return _drop(others, "connects other hosts") + _from(container_interfaces)


def routed(known: Sequence[str], container_interfaces: Sequence[str], forwarding: Forwarding) -> List[str]:
    """The rules of ``routed``. ``known``: the rules for packets of known connections."""
    rules = list(known) + _bridged(forwarding) + _allowed(forwarding)
    return rules + _from_outside(container_interfaces, forwarding)


def forwarded(known: Sequence[str], container_interfaces: Sequence[str], forwarding: Forwarding) -> List[str]:
    """The rules of ``forward``. ``known``: the rules for packets of known connections."""
    rules = list(known) + _bridged(forwarding) + _allowed(forwarding)
    rules.append('ct status dnat return comment "judged before it was translated"')
    rules += _from_outside(container_interfaces, forwarding)
    return rules + [
        'oifname "%s" counter drop comment "nobody else reaches a container\'s own address"' % _nft_pattern(name)
        for name in container_interfaces
    ]


def _bridged(forwarding: Forwarding) -> List[str]:
    """Frames that only pass through a bridge are sent to another hardware address than this host's."""
    if not forwarding.bridge_filter:
        return []
    return [
        'iifname "%s" ether daddr != { %s } return comment "frames within a bridge"'
        % (bridge.name, ", ".join(bridge.hardware))
        for bridge in forwarding.lan_bridges
    ]


def _allowed(forwarding: Forwarding) -> List[str]:
    return ['%s return comment "permitted forwarding"' % _between(*allowed) for allowed in forwarding.allowed]


def _between(family: str, source: str, destination: str) -> str:
    """The match of a source and a destination network. A network that holds every address needs no match."""
    fields = (("saddr", source), ("daddr", destination))
    parts = [_address(family, field, network) for field, network in fields if not network.endswith("/0")]
    return " ".join(parts) or "meta nfproto %s" % family


def _address(family: str, field: str, network: str) -> str:
    """The match of one network. nft lists a network of a single address without its prefix length."""
    address, _slash, length = network.partition("/")
    whole = length == ("32" if family == "ipv4" else "128")
    return "%s %s %s" % (_IP[family], field, address if whole else network)


def _from_outside(container_interfaces: Sequence[str], forwarding: Forwarding) -> List[str]:
    rules = _drop([bridge.name for bridge in forwarding.lan_bridges], _REST)
    rules += _from(container_interfaces)
    return rules + _drop(forwarding.outer, _REST)


def _from(container_interfaces: Sequence[str]) -> List[str]:
    return [
        'iifname "%s" return comment "containers of this host"' % _nft_pattern(name) for name in container_interfaces
    ]


def _drop(interfaces: Sequence[str], comment: str) -> List[str]:
    return ['iifname "%s" counter drop comment "%s"' % (_nft_pattern(name), comment) for name in interfaces]


def _nft_pattern(pattern: str) -> str:
    """The pattern of an interface's name as in iptables(8) ("br-+") -> the pattern of nft ("br-*")."""
    return pattern[:-1] + "*" if pattern.endswith("+") else pattern
