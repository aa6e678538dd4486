# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses and networks as members of a set that knows no overlaps (nft, firewalld)."""

import ipaddress


def disjoint(addresses):
    """Addresses and networks of one family (texts) -> sorted tuple that means the same, each at most once.

    What lies inside another network is left out: firewalld and nft refuse members that overlap. Neighbours
    are not joined, so that a diff shows what somebody wrote.
    """
    kept = []
    # A network sorts before everything that lies inside it.
    for network in sorted(ipaddress.ip_network(address) for address in addresses):
        if not kept or not _holds(kept[-1], network):
            kept.append(network)
    return tuple(_text(network) for network in kept)


def overlap(left, right):
    """Whether a member of one iterable lies inside, or holds, a member of the other."""
    return len(disjoint(list(left) + list(right))) < len(set(left) | set(right))


def canonical(member):
    """A member as a tool prints it -> in our one form; what is no address stays as it is."""
    try:
        return _text(ipaddress.ip_network(member))
    except ValueError:
        return member


def ordered(members):
    """Members in any order -> sorted tuple in our one form, what is no address last."""
    return tuple(sorted((canonical(member) for member in members), key=_order))


def _order(member):
    try:
        network = ipaddress.ip_network(member)
    except ValueError:
        return (9, 0, 0, member)
    return (network.version, int(network.network_address), network.prefixlen, member)


def _holds(outer, inner):
    return outer.prefixlen <= inner.prefixlen and inner.network_address in outer


def _text(network):
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)
