# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a probe tests and what it observed, as values. Pure.

A :class:`Target` collects one state per port; :meth:`Target.observation` is the part of the module's result.
"""

import ipaddress
from typing import Any, Dict, FrozenSet, Iterable, List, Optional, Sequence, Set

from ansible_collections.determined.network.plugins.module_utils import _policy, _ports, _socket_states
from ansible_collections.determined.network.plugins.module_utils._ports import PortSet
from ansible_collections.determined.network.plugins.module_utils._sockets.destination import Destination
from ansible_collections.determined.network.plugins.module_utils._sockets.errors import Finding
from ansible_collections.determined.network.plugins.module_utils._sockets.proof import Proof

ANSWER_LENGTH = 200  # characters kept of what a service says
UNPROVEN = "unproven: "  # begins the line of who did not prove to know the secret
_FIELDS = ("address", "protocol", "ports", "identify", "source")


class Target(Destination):
    """One address, one protocol, the ports to try there, and what was observed of them."""

    def __init__(
        self,
        address: str,
        protocol: str,
        ports: PortSet,
        identify: PortSet = (),
        source: Optional[str] = None,
        proof: Optional[Proof] = None,
    ) -> None:
        """``identify``: the ports whose answer is read. ``proof``: opens the lines of this run's listeners."""
        super().__init__(address, protocol, source)
        self.proof = proof
        self.ports = ports
        self.identify: FrozenSet[int] = frozenset(_ports.numbers(identify))
        self.states: Dict[str, List[int]] = {state: [] for state in _socket_states.STATES}
        self.answers: Dict[str, List[int]] = {}  # by the first line
        self.findings: Dict[Finding, List[int]] = {}  # those that have a reason
        self.sent = 0
        self.repeated: Set[int] = set()  # ports whose SYN went out more than once
        self.resets_sent = 0
        self.resets_received = 0
        self.seconds: List[float] = []  # the times until the first answers

    def record(self, port: int, finding: Finding) -> None:
        """Record how the attempt on a port ended. A port is recorded once, unless it is taken back."""
        self.states[finding.state].append(port)
        if finding.reason:
            self.findings.setdefault(finding, []).append(port)

    def answered(self, port: int, data: bytes, nonce: bytes = b"") -> None:
        """Keep the first line of what an open port sent (nothing: b"").

        ``nonce``: of the datagram that it answers. With a secret, a line that no listener of this run has sealed is
        marked. So nobody else can pass for one, whatever it says.
        """
        sealed, newline, _rest = data.partition(b"\n")
        proven = self.proof.unseal(sealed + newline, nonce) if self.proof else None
        line = (sealed.decode("utf-8", "replace") if proven is None else proven).strip()[:ANSWER_LENGTH]
        line = "".join(char if char.isprintable() else "?" for char in line)
        if line and self.proof and proven is None:
            line = UNPROVEN + line
        self.answers.setdefault(line, []).append(port)

    def take(self, state: str, ports: Optional[Iterable[int]] = None) -> List[int]:
        """Forget the ports in ``state`` (or some of them) and return them, ascending."""
        taken = set(self.states[state] if ports is None else ports)
        self.states[state] = [port for port in self.states[state] if port not in taken]
        for finding, recorded in list(self.findings.items()):
            if finding.state == state:
                self.findings[finding] = [port for port in recorded if port not in taken]
                if not self.findings[finding]:
                    del self.findings[finding]
        return sorted(taken)

    def move(self, ports: Iterable[int], state: str, finding: Finding) -> None:
        """Record another finding for ports that are in ``state``."""
        for port in self.take(state, list(ports)):
            self.record(port, finding)

    @property
    def answers_seen(self) -> int:
        """The number of ports on which the address itself answered. One of them shows that a path exists."""
        return len(self.states[_socket_states.OPEN]) + len(self.states[_socket_states.REFUSED])

    @property
    def responsive(self) -> bool:
        """Whether the address itself answered."""
        return self.answers_seen > 0

    def observation(self) -> Dict[str, Any]:
        """What was observed, ready for JSON; every port is in exactly one state."""
        seen: Dict[str, Any] = {"address": self.address, "protocol": self.protocol}
        for state in _socket_states.STATES:
            seen[state] = _compact(self.states[state])
        seen["answers"] = {line: _compact(ports) for line, ports in self.answers.items()}
        by_reason: Dict[str, Dict[str, List[int]]] = {"rejections": {}, "errors": {}}
        for finding, ports in self.findings.items():
            name = "rejections" if finding.state == _socket_states.REJECTED else "errors"
            by_reason[name].setdefault(finding.reason, []).extend(ports)
        for name, reasons in by_reason.items():
            seen[name] = {reason: _compact(ports) for reason, ports in reasons.items()}
        seen["sent"] = self.sent
        # The destination may have reset each of these more than once, although one RST was seen.
        seen["refused_repeatedly"] = len(self.repeated.intersection(self.states[_socket_states.REFUSED]))
        seen["resets_sent"] = self.resets_sent
        seen["resets_received"] = self.resets_received
        seen["connect_milliseconds"] = round(1000 * median(self.seconds), 3) if self.seconds else None
        return seen


def _compact(ports: Iterable[int]) -> str:
    return _ports.format_ports(_ports.from_numbers(ports))


def median(values: Sequence[float]) -> float:
    """The median of at least one number."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2.0


def read_targets(data: Sequence[Dict[str, Any]], secret: Optional[str] = None) -> List[Target]:
    """Read the module's parameter ``targets``. Raises ValueError that lists all problems.

    ``secret``: that of the listeners of this run, for all targets.
    """
    proof = None if secret is None else Proof(secret)
    targets: List[Target] = []
    problems: List[str] = []
    for index, item in enumerate(data):
        where = "targets[%d]" % index
        found: List[str] = []
        target = _read_target(where, item, found, proof)
        if found:
            problems += found
        else:
            targets.append(target)
    if problems:
        raise ValueError("; ".join(problems))
    return targets


def _read_target(where: str, item: Dict[str, Any], problems: List[str], proof: Optional[Proof]) -> Target:
    """One item as a Target, which is right only if the item adds no problem."""
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
    return Target(address, protocol, ports, identify, source, proof)


def _read_address(where: str, name: str, value: Any, problems: List[str]) -> str:
    # A link-local IPv6 address needs its interface: fe80::1%eth0 (RFC 4007, section 11).
    text, percent, zone = str(value).partition("%")
    try:
        return str(ipaddress.ip_address(text)) + percent + zone
    except ValueError:
        problems.append("%s.%s is %r, not an IPv4 or IPv6 address" % (where, name, value))
        return ""


def _read_ports(where: str, name: str, value: Any, problems: List[str]) -> PortSet:
    try:
        return _ports.parse_ports(value)
    except ValueError as problem:
        problems.append("%s.%s: %s" % (where, name, problem))
        return ()
