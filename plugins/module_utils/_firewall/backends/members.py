# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses and networks as members of a set whose members must not overlap (nft, firewalld)."""

import ipaddress
from typing import Iterable, List, Tuple, Union

_Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]


def disjoint(addresses: Iterable[str]) -> Tuple[str, ...]:
    """Addresses and networks of one family (texts) -> a sorted tuple of the same addresses, without overlaps.

    A network inside another one is left out, because firewalld and nft refuse members that overlap. Adjacent
    networks are not joined, so that a diff shows what the user wrote.
    """
    kept: List[_Network] = []
    # A network sorts before every network inside it.
    for network in sorted((ipaddress.ip_network(address) for address in addresses), key=_network_order):
        if not kept or not _holds(kept[-1], network):
            kept.append(network)
    return tuple(_text(network) for network in kept)


def overlap(left: Iterable[str], right: Iterable[str]) -> bool:
    """Whether a member of one iterable is inside a member of the other, or contains one."""
    together = set(left) | set(right)
    return len(disjoint(together)) < len(together)


def canonical(member: str) -> str:
    """A member as a tool prints it -> the member in our one form; a text that is not an address is not changed."""
    try:
        return _text(ipaddress.ip_network(member))
    except ValueError:
        return member


def ordered(members: Iterable[str]) -> Tuple[str, ...]:
    """Members in any order -> a sorted tuple in our one form; texts that are not addresses come last."""
    return tuple(sorted((canonical(member) for member in members), key=_order))


def _network_order(network: _Network) -> Tuple[int, int, int]:
    return (network.version, int(network.network_address), network.prefixlen)


def _order(member: str) -> Tuple[int, int, int, str]:
    try:
        network = ipaddress.ip_network(member)
    except ValueError:
        return (9, 0, 0, member)
    return _network_order(network) + (member,)


def _holds(outer: _Network, inner: _Network) -> bool:
    return outer.prefixlen <= inner.prefixlen and inner.network_address in outer


def _text(network: _Network) -> str:
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)
