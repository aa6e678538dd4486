# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The questions of a probe and what was observed, as values. Pure.

A :class:`Target` collects one state per port; :meth:`Target.observation` is what travels.
"""

import ipaddress

from ansible_collections.determined.network.plugins.module_utils import _policy, _ports, _socket_states

ANSWER_LENGTH = 200  # characters kept of what a service says
_FIELDS = ("address", "protocol", "ports", "identify", "source")


class Target:
    """One address, one protocol and the ports to try there."""

    def __init__(self, address, protocol, ports, identify=(), source=None):
        """``ports`` and ``identify`` are port sets; ``identify`` are those whose answer is read."""
        self.address = address
        self.protocol = protocol
        self.ports = ports
        self.identify = frozenset(_ports.numbers(identify))
        self.source = source
        self.family = "ipv6" if ":" in address else "ipv4"
        self.states = {state: [] for state in _socket_states.STATES}
        self.answers = {}
        self.reasons = {}  # (state, reason) -> port numbers
        self.sent = 0
        self.repeated = set()  # ports whose SYN went out more than once
        self.resets_sent = 0
        self.resets_received = 0
        self.seconds = []  # how long the first answers took

    def record(self, port, state, reason=""):
        """Say once what was seen of a port."""
        self.states[state].append(port)
        if reason:
            self.reasons.setdefault((state, reason), []).append(port)

    def answered(self, port, data):
        """Keep the first line of what was read from an open port ("" for nothing)."""
        line = data.split(b"\n", 1)[0].decode("utf-8", "replace").strip()[:ANSWER_LENGTH]
        line = "".join(char if char.isprintable() else "?" for char in line)
        self.answers.setdefault(line, []).append(port)

    def take(self, state, ports=None):
        """Forget the ports in ``state`` (or some of them) and return them, ascending."""
        taken = set(self.states[state] if ports is None else ports)
        self.states[state] = [port for port in self.states[state] if port not in taken]
        for (known, reason), listed in list(self.reasons.items()):
            if known == state:
                self.reasons[known, reason] = [port for port in listed if port not in taken]
                if not self.reasons[known, reason]:
                    del self.reasons[known, reason]
        return sorted(taken)

    def move(self, ports, state, other_state, reason):
        """Ports recorded in ``state`` turn out to be in ``other_state`` for ``reason``."""
        for port in self.take(state, ports):
            self.record(port, other_state, reason)

    @property
    def answers_seen(self):
        """How many ports the address itself answered on: with one, a path to it exists."""
        return len(self.states[_socket_states.OPEN]) + len(self.states[_socket_states.REFUSED])

    @property
    def responsive(self):
        """Whether the address itself answered."""
        return self.answers_seen > 0

    def observation(self):
        """What was seen, JSON-ready; every port asked is in exactly one state."""
        seen = {"address": self.address, "protocol": self.protocol}
        for state in _socket_states.STATES:
            seen[state] = _compact(self.states[state])
        seen["answers"] = {line: _compact(ports) for line, ports in self.answers.items()}
        seen["rejections"] = {}
        seen["errors"] = {}
        for (state, reason), ports in self.reasons.items():
            seen["rejections" if state == _socket_states.REJECTED else "errors"][reason] = _compact(ports)
        seen["sent"] = self.sent
        # Each of these may have been reset more than once, although it is seen once.
        seen["refused_repeatedly"] = len(self.repeated.intersection(self.states[_socket_states.REFUSED]))
        seen["resets_sent"] = self.resets_sent
        seen["resets_received"] = self.resets_received
        seen["connect_milliseconds"] = round(1000 * median(self.seconds), 3) if self.seconds else None
        return seen


def _compact(ports):
    return _ports.format_ports(_ports.from_numbers(ports))


def median(values):
    """The median of at least one number."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2.0


def spread(ports, amount):
    """At most ``amount`` of a list of ports, evenly over its whole length, both ends included."""
    if len(ports) <= amount:
        return list(ports)
    if amount < 2:
        return list(ports[:amount])
    return [ports[index * (len(ports) - 1) // (amount - 1)] for index in range(amount)]


def read_targets(data):
    """A list of dicts as the module takes them -> list of Target; ValueError lists all problems."""
    targets, problems = [], []
    for index, item in enumerate(data):
        where = "targets[%d]" % index
        found = len(problems)
        for name in sorted(set(item) - set(_FIELDS)):
            problems.append("%s.%s is unknown; known are %s" % (where, name, ", ".join(_FIELDS)))
        address = _read_address(where, "address", item.get("address"), problems)
        source = item.get("source")
        if source is not None:
            source = _read_address(where, "source", source, problems)
            if source and address and (":" in source) != (":" in address):
                problems.append("%s.source %s is not of the family of %s" % (where, source, address))
        protocol = item.get("protocol", "tcp")
        if protocol not in _policy.PROTOCOLS:
            known = ", ".join(_policy.PROTOCOLS)
            problems.append("%s.protocol is %r, not one of %s" % (where, protocol, known))
        ports = _read_ports(where, "ports", item.get("ports"), problems)
        identify = _read_ports(where, "identify", item.get("identify") or "", problems)
        if not ports:
            problems.append("%s.ports is empty" % where)
        elif _ports.subtract(identify, ports):
            extra = _ports.format_ports(_ports.subtract(identify, ports))
            problems.append("%s.identify has ports that are not in ports: %s" % (where, extra))
        if len(problems) == found:
            targets.append(Target(address, protocol, ports, identify, source))
    if problems:
        raise ValueError("; ".join(problems))
    return targets


def _read_address(where, name, value, problems):
    # A link-local IPv6 address needs its interface: fe80::1%eth0 (RFC 4007, section 11).
    text, percent, zone = str(value).partition("%")
    try:
        return str(ipaddress.ip_address(text)) + percent + zone
    except ValueError:
        problems.append("%s.%s is %r, not an IPv4 or IPv6 address" % (where, name, value))
        return ""


def _read_ports(where, name, value, problems):
    try:
        return _ports.parse_ports(value)
    except ValueError as problem:
        problems.append("%s.%s: %s" % (where, name, problem))
        return ()
