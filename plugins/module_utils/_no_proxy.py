# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the clients of a cluster read ``no_proxy``, each by its own rule. Pure.

No standard defines the variable, and the clients disagree:

go        golang.org/x/net/http/httpproxy: networks match literal addresses; ".example.com" its subdomains only
urllib    Python's urllib.request: names and their subdomains; a leading dot means nothing; no networks
requests  Python's requests: IPv4 networks; any suffix of a name, and else urllib's rule
curl      curl 7.86 and later: IPv4 networks; a name and its subdomains; ports are not understood
"""

import functools
import ipaddress
import re
from typing import FrozenSet, Iterable, List, NamedTuple, Optional, Tuple, Union

GO, URLLIB, REQUESTS, CURL = "go", "urllib", "requests", "curl"
CLIENTS = (GO, URLLIB, REQUESTS, CURL)

_ANY = "*"

Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]
Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]


class Host(NamedTuple):
    """The destination of a client.

    ``name``: a name or an address without brackets, in lowercase. ``address``: None for a name.
    ``port``: the one that the URL spells, or None.
    """

    name: str
    address: Optional[Address]
    port: Optional[int]

    def netloc(self) -> str:
        """Host and port as a URL writes them (RFC 3986, 3.2.2)."""
        name = "[%s]" % self.name if self._is_ipv6() else self.name
        return name if self.port is None else "%s:%d" % (name, self.port)

    def _is_ipv6(self) -> bool:
        return self.address is not None and self.address.version == 6


def bypasses(client: str, no_proxy: Optional[str], host: str, port: Optional[int] = None) -> bool:
    """Whether a client that has a proxy connects directly to a host.

    ``client``: one of CLIENTS. ``no_proxy``: the variable's text, "" or None where it is not set.
    ``host``: a name or an address, IPv6 with or without brackets. ``port``: the one that the URL spells, or None.
    """
    name = host.strip("[]").lower()
    return _RULES[client](no_proxy or "", Host(name, address_of(name), port))


# A list may name thousands of hosts and is compared with each of them, so it is parsed only once.
_parsed_once = functools.lru_cache(maxsize=64)


def address_of(text: str) -> Optional[Address]:
    """An address of IPv4, or of IPv6 without brackets; None for anything else."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _network(text: str) -> Optional[Network]:
    """A network with a prefix length, whose host bits do not matter; None for anything else."""
    if "/" not in text:
        return None
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _in_any(networks: Iterable[Network], address: Address) -> bool:
    return any(network.version == address.version and address in network for network in networks)


def _domains_of(name: str) -> List[str]:
    """A name and the domains that contain it: "a.b.c", "b.c" and "c"."""
    labels = name.split(".")
    return [".".join(labels[start:]) for start in range(len(labels))]


# --- Go ---------------------------------------------------------------------------------------------


class _GoEntries(NamedTuple):
    """The entries of a list; ports are texts, "" for any."""

    everything: bool
    networks: Tuple[Network, ...]
    addresses: FrozenSet[Tuple[Address, str]]
    domains: FrozenSet[Tuple[str, str]]  # the domain and its subdomains
    subdomains: FrozenSet[Tuple[str, str]]  # the domain's subdomains alone


@_parsed_once
def _go_entries(no_proxy: str) -> _GoEntries:
    networks, addresses, domains, subdomains = [], set(), set(), set()
    entries = [entry.strip().lower() for entry in no_proxy.split(",")]
    for entry in entries:
        network = _network(entry)
        if network is not None:
            networks.append(network)
            continue
        entry, port = _go_split(entry)
        address = address_of(entry)
        if address is not None:
            addresses.add((address, port))
        elif entry.startswith(("*.", ".")):
            subdomains.add((entry.partition(".")[2], port))
        elif entry:
            domains.add((entry, port))
    return _GoEntries(_ANY in entries, tuple(networks), frozenset(addresses), frozenset(domains), frozenset(subdomains))


def _go_split(entry: str) -> Tuple[str, str]:
    """Host and port of an entry, such as "2001:db8::1" and "80" of "[2001:db8::1]:80".

    Go does not read an address of IPv6 in brackets without a port, so such an entry stays as it is.
    """
    found = re.match(r"\[([^][]*)\]:([^:]*)\Z|([^:]*):([^:]*)\Z", entry)
    if not found:
        return entry, ""
    return (found.group(1), found.group(2)) if found.group(3) is None else (found.group(3), found.group(4))


def _go(no_proxy: str, host: Host) -> bool:
    name = host.name.rstrip(".") if host.address is None else host.name
    if name == "localhost" or (host.address is not None and host.address.is_loopback):
        return True
    entries = _go_entries(no_proxy)
    if entries.everything or (host.address is not None and _in_any(entries.networks, host.address)):
        return True
    domains = _domains_of(name)
    return any(
        (host.address, port) in entries.addresses
        or any((domain, port) in entries.domains for domain in domains)
        or any((domain, port) in entries.subdomains for domain in domains[1:])
        for port in ("", str(host.port))
    )


# --- Python -----------------------------------------------------------------------------------------


def _urllib(no_proxy: str, host: Host) -> bool:
    return _urllib_matches(no_proxy, host.netloc())


@_parsed_once
def _urllib_entries(no_proxy: str) -> FrozenSet[str]:
    return frozenset(entry.strip().lstrip(".").lower() for entry in no_proxy.split(",")) - {""}


def _urllib_matches(no_proxy: str, netloc: str) -> bool:
    if no_proxy == _ANY:
        return True
    # For urllib, digits behind the last colon are a port, even in an address of IPv6.
    found = re.match(r"(.*):[0-9]*\Z", netloc, re.DOTALL)
    forms = {netloc, found.group(1)} if found else {netloc}
    entries = _urllib_entries(no_proxy)
    return any(domain in entries for form in forms for domain in _domains_of(form))


@_parsed_once
def _requests_entries(no_proxy: str) -> Tuple[Tuple[str, ...], Tuple[Network, ...]]:
    """The entries, and the networks of IPv4 among them."""
    entries = tuple(entry for entry in no_proxy.replace(" ", "").split(",") if entry)
    networks = [_network(entry) for entry in entries if entry.partition("/")[2].isdigit()]
    return entries, tuple(network for network in networks if network and network.version == 4 and network.prefixlen)


def _requests(no_proxy: str, host: Host) -> bool:
    entries, networks = _requests_entries(no_proxy)
    if host.address is not None and host.address.version == 4:
        if host.name in entries or _in_any(networks, host.address):
            return True
    elif host.name.endswith(entries) or (host.port and ("%s:%d" % (host.name, host.port)).endswith(entries)):
        return True
    return _urllib_matches(no_proxy, host.name)


# --- curl -------------------------------------------------------------------------------------------


class _CurlEntries(NamedTuple):
    entries: FrozenSet[str]
    names: FrozenSet[str]  # the entries without dots at their ends
    addresses: FrozenSet[Address]
    networks: Tuple[Network, ...]


@_parsed_once
def _curl_entries(no_proxy: str) -> _CurlEntries:
    entries = frozenset(re.split(r"[ \t,]+", no_proxy.lower())) - {""}
    names = set()
    for entry in entries:
        entry = entry[:-1] if entry.endswith(".") else entry
        names.add(entry[1:] if entry.startswith(".") else entry)
    networks = [network for network in map(_network, entries) if network is not None]
    hosts = [address_of(entry.partition("/")[0] if _network(entry) else entry) for entry in entries]
    return _CurlEntries(
        entries,
        frozenset(names - {""}),
        frozenset(address for address in hosts if address is not None),
        # curl takes an entry whose prefix has no bits for an address.
        tuple(network for network in networks if network.prefixlen),
    )


def _curl(no_proxy: str, host: Host) -> bool:
    if no_proxy == _ANY:
        return True
    parsed = _curl_entries(no_proxy)
    if host.address is None:
        return any(domain in parsed.names for domain in _domains_of(host.name.rstrip(".")))
    if host.address.version == 6:
        # Some versions compare addresses of IPv6 as names, so only the same spelling matches in every version.
        return host.name in parsed.entries
    return host.address in parsed.addresses or _in_any(parsed.networks, host.address)


_RULES = {GO: _go, URLLIB: _urllib, REQUESTS: _requests, CURL: _curl}
