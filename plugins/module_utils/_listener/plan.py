# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What temporary listeners are asked for, and how their reports are put together. Pure."""

import ipaddress
import re

from ansible_collections.determined.network.plugins.module_utils import _policy, _ports

LONGEST_LIFETIME = 86400  # seconds
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_FIELDS = ("address", "protocol", "ports")


def read_token(token):
    """A token -> the same; ValueError when it is none. It becomes the name of a socket."""
    if not _TOKEN.match(token or ""):
        raise ValueError("token is %r, not 1 to 64 letters, digits, - and _" % (token,))
    return token


def read_listeners(data):
    """A list of dicts as the module takes them -> [(address, protocol, port set)].

    One ValueError lists all problems.
    """
    listeners, problems = [], []
    for index, item in enumerate(data):
        where = "listeners[%d]" % index
        found = len(problems)
        for name in sorted(set(item) - set(_FIELDS)):
            problems.append("%s.%s is unknown; known are %s" % (where, name, ", ".join(_FIELDS)))
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
            known = ", ".join(_policy.PROTOCOLS)
            problems.append("%s.protocol is %r, not one of %s" % (where, protocol, known))
        ports = ()
        try:
            ports = _ports.parse_ports(item.get("ports"))
        except ValueError as problem:
            problems.append("%s.ports: %s" % (where, problem))
        if len(problems) == found:
            listeners.append((address, protocol, ports))
    if problems:
        raise ValueError("; ".join(problems))
    return listeners


def divide(listeners, most):
    """[(address, protocol, port set)] -> parts with at most ``most`` ports each, for a worker each.

    The same address and protocol named twice is listened on once. At least one part.
    """
    merged = {}
    for address, protocol, ports in listeners:
        key = (address, protocol)
        merged[key] = _ports.union(merged.get(key, ()), ports)
    parts, room = [[]], most
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


def merge_reports(reports):
    """Reports of workers (see _listener_worker) -> one: port sets joined, problems once each."""
    merged = {"listening": {}, "held": {}, "problems": []}
    for report in reports:
        for name in ("listening", "held"):
            for item in report[name]:
                key = (item["address"], item["protocol"])
                ports = _ports.parse_ports(item["ports"])
                merged[name][key] = _ports.union(merged[name].get(key, ()), ports)
        merged["problems"].extend(problem for problem in report["problems"] if problem not in merged["problems"])
    for name in ("listening", "held"):
        merged[name] = [
            {"address": key[0], "protocol": key[1], "ports": _ports.format_ports(ports)}
            for key, ports in sorted(merged[name].items())
        ]
    return merged


def split_held(held, sockets):
    """Ports that could not be bound -> ``(held by services, busy)``, both as ``held`` is.

    ``sockets``: protocol -> set of (address, port) that wait for clients. A port in use by
    nothing that waits for clients is busy: an outgoing connection has it as its local port.
    """
    by_services, busy = [], []
    for item in held:
        waiting = _ports.from_numbers({port for _address, port in sockets[item["protocol"]]})
        ports = _ports.parse_ports(item["ports"])
        shares = ((by_services, _ports.intersect(ports, waiting)), (busy, _ports.subtract(ports, waiting)))
        for found, share in shares:
            if share:
                found.append(dict(item, ports=_ports.format_ports(share)))
    return by_services, busy


def services(sockets, own):
    """Listening sockets, without our own -> compact ports.

    ``sockets`` and ``own``: sets of ``(address, port)``. A listener on a wildcard address is a
    service whatever we hold on other addresses.
    """
    return _ports.format_ports(_ports.from_numbers({port for _address, port in sockets - own}))
