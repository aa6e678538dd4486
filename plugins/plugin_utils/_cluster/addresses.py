# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses and networks as texts. Only this file imports netaddr.

Families are "ipv4" and "ipv6"; a ``Families`` is family -> sorted tuple of canonical texts,
a host's address without a prefix length ("192.0.2.1"), a network with it ("198.51.100.0/24").
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from typing import Any

try:
    import netaddr
except ImportError:
    netaddr = None

from ansible_collections.determined.network.plugins.module_utils._policy import FAMILIES

Families = dict[str, tuple[str, ...]]

ANYWHERE: Families = {"ipv4": ("0.0.0.0/0",), "ipv6": ("::/0",)}


class NetaddrMissing(RuntimeError):
    """The controller's Python has no netaddr."""


def require_netaddr() -> None:
    """Raise NetaddrMissing, with the command that helps, if this interpreter lacks netaddr."""
    if netaddr is None:
        raise NetaddrMissing(
            "determined.network needs the Python library netaddr, which the controller's interpreter "
            f"{sys.executable} does not have. Install it there: {sys.executable} -m pip install netaddr"
        )


def parse_address(text: str) -> tuple[str, str] | None:
    """A text -> (family, canonical address), or None if it is no address (it may be a name)."""
    try:
        address = netaddr.IPAddress(text, flags=netaddr.INET_PTON)
    except (netaddr.AddrFormatError, ValueError):
        return None
    return f"ipv{address.version}", str(address)


def is_numeric(text: str) -> bool:
    """Whether a text that is no address is still written in numbers, such as 010.0.0.1 or 42.

    Resolvers read such texts as octal numbers or as a single number (inet_aton(3)), which no user means.
    """
    return bool(re.fullmatch(r"(.*\.)?(\d+|0[xX][0-9a-fA-F]*)\.?", text)) or ":" in text


def why_unusable(address: str) -> str | None:
    """Why other hosts cannot reach a host by this address, or None if they can."""
    value = netaddr.IPAddress(address)
    if value.is_loopback():
        return "is a loopback address, which only the host itself can reach"
    if value.is_link_local():
        return "is a link-local address, which other hosts cannot use without the name of an interface"
    if value.is_multicast():
        return "is a multicast address, which belongs to no single host"
    if int(value) == 0 or str(value) == "255.255.255.255":
        return "is not the address of a single host"
    if value.version == 6 and value.is_ipv4_mapped():
        return f"is an IPv4-mapped IPv6 address; write {value.ipv4()}"
    return None


def parse_network(value: Any) -> tuple[str, str]:
    """A CIDR or an address as users write it -> (family, canonical text); ValueError says what is wrong."""
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a network like 198.51.100.0/24")
    address = parse_address(value)
    if address:
        return address
    try:
        # netaddr would accept "10/8" and "10.0.0.0/255.0.0.0" too, but only CIDR is documented.
        host, slash, length = value.partition("/")
        if not slash or not parse_address(host) or not (length.isascii() and length.isdecimal()):
            raise ValueError
        network = netaddr.IPNetwork(value)
    except (netaddr.AddrFormatError, ValueError):
        raise ValueError(f"{value!r} is not a network like 198.51.100.0/24 or 2001:db8::/32") from None
    if network.ip != network.network:
        raise ValueError(f"{value!r} has host bits set; {network.cidr} is the network, {network.ip} the address")
    return f"ipv{network.version}", _text(network)


def is_network(text: str) -> bool:
    """Whether a text is an address or a CIDR."""
    try:
        parse_network(text)
    except ValueError:
        return False
    return True


def families(texts: Iterable[str]) -> Families:
    """Canonical addresses and networks, mixed -> Families: sorted, each once, none inside another.

    Addresses are not merged into networks, so that an administrator finds each host in a set of the firewall.
    """
    distinct = set(texts)
    networks = netaddr.IPSet([text for text in distinct if "/" in text])
    alone = [netaddr.IPAddress(text) for text in distinct if "/" not in text]
    kept = [(address.version, address) for address in alone if not networks or address not in networks]
    kept += [(network.version, network) for network in networks.iter_cidrs()]
    found: dict[str, list[str]] = {family: [] for family in FAMILIES}
    for version, item in sorted(kept, key=lambda pair: pair[1].sort_key()):
        found[f"ipv{version}"].append(_text(item) if isinstance(item, netaddr.IPNetwork) else str(item))
    return {family: tuple(values) for family, values in found.items()}


class Matcher:
    """Tells whether an address is in some networks, or is one of some addresses. It is fast for many addresses."""

    def __init__(self, networks: Families) -> None:
        self._addresses = {family: frozenset(texts) for family, texts in networks.items()}
        self._networks = {
            family: [netaddr.IPNetwork(text) for text in texts if "/" in text] for family, texts in networks.items()
        }

    def contains(self, family: str, address: str) -> bool:
        """Whether a canonical address of that family is among them."""
        if address in self._addresses[family]:
            return True
        networks = self._networks[family]
        return bool(networks) and any(netaddr.IPAddress(address) in network for network in networks)


def _text(network: Any) -> str:
    return str(network.network) if network.size == 1 else str(network)
