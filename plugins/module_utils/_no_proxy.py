# -*- coding: utf-8 -*-
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

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import ipaddress
import re
from typing import NamedTuple

GO, URLLIB, REQUESTS, CURL = "go", "urllib", "requests", "curl"
CLIENTS = (GO, URLLIB, REQUESTS, CURL)

_ANY = "*"


class Host(NamedTuple):
    """Where a client wants to go: a name or an address without brackets, in small letters, and a port or None."""

    name: str
    address: object  # ipaddress.IPv4Address, IPv6Address, or None for a name
    port: object

    def netloc(self):
        """How a URL writes it (RFC 3986, 3.2.2)."""
        name = "[%s]" % self.name if self._is_ipv6() else self.name
        return name if self.port is None else "%s:%d" % (name, self.port)

    def _is_ipv6(self):
        return self.address is not None and self.address.version == 6


def bypasses(client, no_proxy, host, port=None):
    """Whether a client, told to use a proxy, still goes directly to a host.

    ``client``: one of CLIENTS. ``no_proxy``: the variable's text, "" or None where it is not set.
    ``host``: a name or an address, IPv6 with or without brackets. ``port``: the one that the URL spells, or None.
    """
    name = host.strip("[]").lower()
    return _RULES[client](no_proxy or "", Host(name, _address(name), port))


def _address(text):
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _network(text):
    """A network with its prefix length, whatever its host bits; None for anything else."""
    if "/" not in text:
        return None
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _holds(network, address):
    return network.version == address.version and address in network


def _is_or_ends_with(name, domain):
    return name == domain or name.endswith("." + domain)


def _go(no_proxy, host):
    name = host.name.rstrip(".") if host.address is None else host.name
    if name == "localhost" or (host.address is not None and host.address.is_loopback):
        return True
    entries = [entry.strip().lower() for entry in no_proxy.split(",")]
    return _ANY in entries or any(_go_matches(entry, name, host) for entry in entries if entry)


def _go_matches(entry, name, host):
    network = _network(entry)
    if network is not None:
        return host.address is not None and _holds(network, host.address)
    entry, port = _go_split(entry)
    if not entry or (port and port != str(host.port)):
        return False
    address = _address(entry)
    if address is not None:
        return address == host.address
    if entry.startswith("*."):
        entry = entry[1:]
    if entry.startswith("."):
        return name.endswith(entry)
    return _is_or_ends_with(name, entry)


def _go_split(entry):
    """ "[2001:db8::1]:80" -> ("2001:db8::1", "80"); an address of IPv6 in brackets alone is no entry of Go's."""
    found = re.match(r"\[([^][]*)\]:([^:]*)\Z|([^:]*):([^:]*)\Z", entry)
    if not found:
        return entry, ""
    return (found.group(1), found.group(2)) if found.group(3) is None else (found.group(3), found.group(4))


def _urllib(no_proxy, host):
    return _urllib_matches(no_proxy, host.netloc())


def _urllib_matches(no_proxy, netloc):
    if no_proxy == _ANY:
        return True
    # urllib takes whatever follows the last colon for a port, if it is all digits.
    found = re.match(r"(.*):[0-9]*\Z", netloc, re.DOTALL)
    without_port = found.group(1) if found else netloc
    for entry in no_proxy.split(","):
        entry = entry.strip().lstrip(".").lower()
        if entry and (_is_or_ends_with(without_port, entry) or _is_or_ends_with(netloc, entry)):
            return True
    return False


def _requests(no_proxy, host):
    entries = [entry for entry in no_proxy.replace(" ", "").split(",") if entry]
    if host.address is not None and host.address.version == 4:
        if any(_requests_holds(entry, host) for entry in entries):
            return True
    else:
        with_port = host.name if host.port is None else "%s:%d" % (host.name, host.port)
        if any(host.name.endswith(entry) or with_port.endswith(entry) for entry in entries):
            return True
    return _urllib_matches(no_proxy, host.name)


def _requests_holds(entry, host):
    network = _network(entry)
    if network is None or network.version != 4 or network.prefixlen == 0 or not entry.split("/")[1].isdigit():
        return entry == host.name
    return host.address in network


def _curl(no_proxy, host):
    if no_proxy == _ANY:
        return True
    return any(_curl_matches(entry, host) for entry in re.split(r"[ \t,]+", no_proxy) if entry)


def _curl_matches(entry, host):
    if host.address is None:
        entry = entry.lower()
        entry = entry[:-1] if entry.endswith(".") else entry
        entry = entry[1:] if entry.startswith(".") else entry
        return bool(entry) and _is_or_ends_with(host.name.rstrip("."), entry)
    if host.address.version == 6:
        # Some versions take an address of IPv6 for a name, so that only the same spelling is sure to match.
        return entry.lower() == host.name
    network = _network(entry)
    if network is not None and network.prefixlen:
        return _holds(network, host.address)
    # To curl, a prefix of no bits is no prefix.
    return _address(entry.split("/")[0] if network else entry) == host.address


_RULES = {GO: _go, URLLIB: _urllib, REQUESTS: _requests, CURL: _curl}
