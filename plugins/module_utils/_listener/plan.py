# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading the requested listeners, dividing them among workers, and merging the workers' reports. Pure."""

import ipaddress
import json
import re
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from ansible_collections.determined.network.plugins.module_utils import _policy, _ports
from ansible_collections.determined.network.plugins.module_utils._sockets import proof

LONGEST_LIFETIME = 86400  # seconds
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_FIELDS = ("address", "protocol", "ports")
CONTROL_PREFIX = "determined.network.listener."
_CONTROL_NAME = re.compile(r"determined\.network\.listener\.([A-Za-z0-9_-]{1,64})\.([1-9][0-9]{0,6})\.[0-9a-f]{6}\Z")

Listener = Tuple[str, str, _ports.PortSet]  # address, protocol, ports
Item = Dict[str, str]  # {"address", "protocol", "ports"}, the ports compact
Sockets = Dict[str, Set[Tuple[str, int]]]  # protocol -> {(address, port)}

_MOST_DIGITS = 20
# What a supervisor tells, and of which types.
_STATE: Dict[str, Any] = {
    "listening": list,
    "held": list,
    "problems": list,
    "received": list,
    "pid": int,
    "alive": bool,
    "seconds_left": (int, float),
}


def read_token(token: str) -> str:
    """A token -> the same token. It becomes the name of a socket; ValueError when it cannot."""
    if not _TOKEN.match(token or ""):
        raise ValueError("token is %r, not 1 to 64 letters, digits, - and _" % (token,))
    return token


def read_secret(secret: str) -> str:
    """The secret of a run -> the same secret. ValueError, which does not repeat it, if it is too short."""
    return proof.read_secret(secret)


def read_answer(answer: Optional[str]) -> str:
    """The line that a listener sends -> the same line; ValueError if it is not one, or is too long to be sealed."""
    if not answer or not answer.isprintable() or len(answer.encode("utf-8")) > proof.LONGEST_LINE:
        raise ValueError("answer is %r, not one line of 1 to %d bytes" % (answer, proof.LONGEST_LINE))
    return answer


def read_lifetime(lifetime: int) -> int:
    """Seconds after which listeners end by themselves -> the same number; ValueError above LONGEST_LIFETIME."""
    if not 1 <= lifetime <= LONGEST_LIFETIME:
        raise ValueError("lifetime is %d, not 1 to %d seconds" % (lifetime, LONGEST_LIFETIME))
    return lifetime


class ControlName(NamedTuple):
    """Whose control socket it is, as its name says."""

    token: str
    pid: int


def control_name(token: str, pid: int, random: str) -> str:
    """The abstract name of a control socket, without the NUL. ``random``: six hexadecimal digits.

    With the longest token and process id (PID_MAX_LIMIT, proc(5)) it has 106 bytes; 107 fit (unix(7)).
    """
    return "%s%s.%d.%s" % (CONTROL_PREFIX, token, pid, random)


def read_control_name(name: bytes) -> Optional[ControlName]:
    """What :func:`control_name` has made -> its parts; None for any other name."""
    match = _CONTROL_NAME.match(name.decode("ascii", "replace"))
    return ControlName(match.group(1), int(match.group(2))) if match else None


def read_state(data: bytes) -> Dict[str, Any]:
    """What a supervisor answered to ``read`` -> its state. Raises ValueError for anything malformed."""
    try:
        state = json.loads(data.decode("utf-8"), parse_int=_read_number)
    except RecursionError as problem:
        raise ValueError("the state is nested too deeply") from problem
    if not isinstance(state, dict):
        raise ValueError("the state is no dictionary")
    for name, kinds in _STATE.items():
        if isinstance(state.get(name), bool) != (kinds is bool) or not isinstance(state.get(name), kinds):
            raise ValueError("%s is missing or of a wrong type" % name)
    for name in ("listening", "held"):
        for item in state[name]:
            if not isinstance(item, dict) or set(item) != set(_FIELDS):
                raise ValueError("an item of %s has not the keys %s" % (name, ", ".join(_FIELDS)))
            _listener, problems = _read_listener(name, item)
            if problems:
                raise ValueError("; ".join(problems))
    if not all(isinstance(problem, str) for problem in state["problems"]):
        raise ValueError("problems are no texts")
    if not all(isinstance(mark, str) for mark in state["received"]):
        raise ValueError("received are no texts")
    return {name: state[name] for name in _STATE}


def _read_number(text: str) -> int:
    if len(text) > _MOST_DIGITS:  # int() takes minutes for a million digits
        raise ValueError("a number has %d digits" % len(text))
    return int(text)


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
