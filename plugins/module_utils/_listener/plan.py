# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading the requested listeners, dividing them among workers, and merging the workers' reports. Pure."""

import ipaddress
import re
from typing import Any, Dict, List, Mapping, Sequence, Set, Tuple

from ansible_collections.determined.network.plugins.module_utils import _policy, _ports

LONGEST_LIFETIME = 86400  # seconds
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_FIELDS = ("address", "protocol", "ports")

Listener = Tuple[str, str, _ports.PortSet]  # address, protocol, ports
Item = Dict[str, str]  # {"address", "protocol", "ports"}, the ports compact
Sockets = Dict[str, Set[Tuple[str, int]]]  # protocol -> {(address, port)}


def read_token(token: str) -> str:
    """A token -> the same token. It becomes the name of a socket; ValueError when it cannot."""
    if not _TOKEN.match(token or ""):
        raise ValueError("token is %r, not 1 to 64 letters, digits, - and _" % (token,))
    return token


def read_listeners(data: Sequence[Mapping[str, Any]]) -> List[Listener]:
    """A list of dicts as the module takes them -> [(address, protocol, port set)].

    One ValueError lists all problems.
    """
    listeners: List[Listener] = []
    problems: List[str] = []
    for index, item in enumerate(data):
        listener, found = _read_listener("listeners[%d]" % index, item)
        problems += found
        if not found:
            listeners.append(listener)
    if problems:
        raise ValueError("; ".join(problems))
    return listeners


def _read_listener(where: str, item: Mapping[str, Any]) -> Tuple[Listener, List[str]]:
    """One dict, and its place in the module's options -> (listener, problems). With problems, ignore the listener."""
    problems = [
        "%s.%s is unknown; known are %s" % (where, name, ", ".join(_FIELDS))
        for name in sorted(set(item) - set(_FIELDS))
    ]
    text, percent, zone = str(item.get("address")).partition("%")
    address = ""
    try:
        address = str(ipaddress.ip_address(text)) + percent + zone
        if ipaddress.ip_address(text).is_unspecified:
            problems.append("%s.address %s is every address; name one" % (where, text))
    except ValueError:
        problems.append("%s.address is %r, not an IPv4 or IPv6 address" % (where, text))
    protocol = item.get("protocol", "tcp")
    if protocol not in _policy.PROTOCOLS:
        problems.append("%s.protocol is %r, not one of %s" % (where, protocol, ", ".join(_policy.PROTOCOLS)))
    ports: _ports.PortSet = ()
    try:
        ports = _ports.parse_ports(item.get("ports"))
    except ValueError as problem:
        problems.append("%s.ports: %s" % (where, problem))
    return (address, protocol, ports), problems


def divide(listeners: Sequence[Listener], most: int) -> List[List[Listener]]:
    """[(address, protocol, port set)] -> a part for each worker, with at most ``most`` ports.

    An address and protocol that is named twice is listened on once. There is at least one part.
    """
    merged: Dict[Tuple[str, str], _ports.PortSet] = {}
    for address, protocol, ports in listeners:
        key = (address, protocol)
        merged[key] = _ports.union(merged.get(key, ()), ports)
    parts: List[List[Listener]] = [[]]
    room = most
    for (address, protocol), ports in merged.items():
        numbers = list(_ports.numbers(ports))
        while numbers:
            if not room:
                parts.append([])
                room = most
            taken, numbers = numbers[:room], numbers[room:]
            room -= len(taken)
            parts[-1].append((address, protocol, _ports.from_numbers(taken)))
    return parts


def merge_reports(reports: Sequence[Mapping[str, Any]]) -> Dict[str, Any]:
    """Reports of workers (:func:`worker.bind_all`) -> one: port sets joined, each problem once."""
    problems: List[str] = []
    for report in reports:
        problems.extend(problem for problem in report["problems"] if problem not in problems)
    merged: Dict[str, Any] = {name: _merge(reports, name) for name in ("listening", "held")}
    merged["problems"] = problems
    return merged


def _merge(reports: Sequence[Mapping[str, Any]], name: str) -> List[Item]:
    """The items of one field of all reports -> one item for each address and protocol, sorted."""
    merged: Dict[Tuple[str, str], _ports.PortSet] = {}
    for report in reports:
        for item in report[name]:
            key = (item["address"], item["protocol"])
            merged[key] = _ports.union(merged.get(key, ()), _ports.parse_ports(item["ports"]))
    return [
        {"address": address, "protocol": protocol, "ports": _ports.format_ports(ports)}
        for (address, protocol), ports in sorted(merged.items())
    ]


def split_held(held: Sequence[Item], sockets: Sockets) -> Tuple[List[Item], List[Item]]:
    """Ports that could not be bound -> ``(held by services, busy)``, both as ``held`` is.

    ``sockets``: protocol -> set of (address, port) that wait for clients. A port that is in use, and on
    which no socket waits for clients, is busy: an outgoing connection has it as its local port.
    """
    by_services: List[Item] = []
    busy: List[Item] = []
    for item in held:
        waiting = _ports.from_numbers({port for _address, port in sockets[item["protocol"]]})
        ports = _ports.parse_ports(item["ports"])
        shares = ((by_services, _ports.intersect(ports, waiting)), (busy, _ports.subtract(ports, waiting)))
        for found, share in shares:
            if share:
                found.append(dict(item, ports=_ports.format_ports(share)))
    return by_services, busy


def services(sockets: Set[Tuple[str, int]], own: Set[Tuple[str, int]]) -> str:
    """Listening sockets -> compact ports of those that are not ours.

    ``sockets`` and ``own``: sets of ``(address, port)``. A listener on a wildcard address is a
    service, whatever we hold on other addresses.
    """
    return _ports.format_ports(_ports.from_numbers({port for _address, port in sockets - own}))
