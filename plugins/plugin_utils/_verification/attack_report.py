# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attacks x what outsiders and attacked hosts saw -> cells of the report. Pure.

An attack that could not be made is an error, or advice if the outsider's place or user does not permit it. It is never
a pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.determined.network.plugins.module_utils import _ports, _socket_states
from ansible_collections.determined.network.plugins.plugin_utils._verification import cells
from ansible_collections.determined.network.plugins.plugin_utils._verification.attack_checks import (
    CONNECTION,
    CONTAINER,
    SOURCE,
    UDP,
    Attack,
)
from ansible_collections.determined.network.plugins.plugin_utils._verification.cells import (
    CORRECT,
    ERROR,
    UNKNOWN,
    WRONG,
    Cell,
)
from ansible_collections.determined.network.plugins.plugin_utils._verification.checks import BLOCKED, Pair, some_names
from ansible_collections.determined.network.plugins.plugin_utils._verification.observations import Knowledge
from ansible_collections.determined.network.plugins.plugin_utils._verification.results_attacks import Attacks

# What the outsider sent, in plain words.
_SENT = {
    CONNECTION: "an outsider sent the middle of a connection, a forged reply and a SYN",
    CONTAINER: "an outsider sent a SYN to a container, with {destination} as the router to it",
    SOURCE: "an outsider sent datagrams that bear the address of {destination} itself as their source",
    UDP: "an outsider sent datagrams to UDP ports on which a listener waits",
}
_THROUGH = {
    CONNECTION: "{destination} accepted the connection, because it took the SYN for a part of an older one",
    CONTAINER: "the container answered",
    SOURCE: "they arrived at UDP port {ports}",
    UDP: "they arrived at UDP port {ports}",
}
_OPEN = "{destination} accepted a SYN alone, too: this port is open to the outsider without any attack"
_HELD = {
    CONNECTION: "no SYN/ACK came back",
    CONTAINER: "the container answered {destination} itself, but not the outsider",
    SOURCE: "none arrived",
    UDP: "none arrived",
}
# Nobody sees the frames where they arrive.
_NOT_KNOWN = "it is not known whether the host or the network on the way dropped the frames"
_FIND = (
    "run the role determined.network.firewall again; if that changes nothing, "
    "find the rule that accepts {what} before the chains of determined.network drop them"
)
_REMEDIES = {
    CONNECTION: _FIND.format(what="established connections"),
    CONTAINER: _FIND.format(what="packets to this container"),
    SOURCE: _FIND.format(what="these datagrams"),
    UDP: _FIND.format(what="datagrams to these ports"),
}
_FIND_OPEN = _FIND.format(what="new connections to this port")
_CANNOT = {
    "not_permitted": "Ansible does not manage it as root (become: true)",
    "other": "it is not on the same link",
}


def attack_cells(
    attacks: Sequence[Attack], answers: Attacks, known: Mapping[Pair, Knowledge], refused: Mapping[str, str]
) -> list[Cell]:
    """Attacks and what was seen -> a cell for each attack, and advice for those that could not be made.

    ``refused``: host -> why nothing that it answered is used. Its attacks are errors.
    """
    found: list[Cell] = []
    for attack in attacks:
        sentences = [refused[host] for host in (attack.source, attack.destination) if host in refused]
        found += [_Wire(attack, None, answers).refused(requirement, sentences) for requirement in _SENT if sentences]
    outcomes = dict(_outcomes(attacks, answers))
    remaining = [attack for attack in attacks if not {attack.source, attack.destination} & set(refused)]
    return found + _cells(remaining, outcomes, answers, known)


def _cells(
    attacks: Sequence[Attack],
    outcomes: Mapping[tuple[str, str], Mapping[str, Any]],
    answers: Attacks,
    known: Mapping[Pair, Knowledge],
) -> list[Cell]:
    found: dict[str, list[Cell]] = {requirement: [] for requirement in _SENT}
    for attack in attacks:
        on_wire = _Wire(attack, outcomes.get((attack.source, attack.address)), answers)
        if on_wire.is_possible:
            if attack.tcp_port:
                found[CONNECTION].append(on_wire.connection())
            found[CONTAINER] += [on_wire.container(address) for address in attack.containers]
            if attack.forged:
                found[SOURCE].append(on_wire.source())
        if attack.datagrams:
            pair = Pair(attack.source, attack.destination, attack.address, "tcp")
            found[UDP].append(on_wire.datagrams(known.get(pair)))
    return [
        *(cell for some in found.values() for cell in some),
        *_advice(attacks, outcomes),
        *_without_port(attacks),
        *_of_containers(attacks, answers.found),
    ]


def _outcomes(attacks: Sequence[Attack], answers: Attacks) -> Iterator[tuple[tuple[str, str], Mapping[str, Any]]]:
    """(Outsider, address) -> what the outsider's module returned about it."""
    for source in dict.fromkeys(attack.source for attack in attacks):
        mine = [attack for attack in attacks if attack.source == source]
        told = (answers.made.get(source) or {}).get("attempts") or []
        if len(told) == len(mine):
            for attack, outcome in zip(mine, told, strict=True):
                yield (source, attack.address), outcome


class _Wire:
    """The cells of one attack."""

    def __init__(self, attack: Attack, outcome: Mapping[str, Any] | None, answers: Attacks) -> None:
        self._attack = attack
        self._outcome = outcome
        self._message = (answers.made.get(attack.source) or {}).get("msg") or ""
        self._read = answers.received.get(attack.destination) or {}

    @property
    def is_possible(self) -> bool:
        """Whether the outsider could send frames to the host, or it is not known why it could not."""
        return self._outcome is None or self._outcome["link"] not in _CANNOT

    def refused(self, requirement: str, sentences: Sequence[str]) -> Cell:
        """The cell of an attack, one end of which gave a malformed answer."""
        protocol = "tcp" if requirement in (CONNECTION, CONTAINER) else "udp"
        return self._cell(requirement, protocol, ())._replace(evidence=tuple(sentences))

    def connection(self) -> Cell:
        """The cell of the middle of a connection."""
        cell = self._cell(CONNECTION, "tcp", [self._attack.tcp_port])
        if self._outcome and self._outcome["open"]:
            return self._through(cell, [self._attack.tcp_port], _OPEN, _FIND_OPEN)
        if self._outcome and self._outcome["connected"]:
            return self._through(cell, [self._attack.tcp_port])
        problem = self._no_frames() or self._no_listener()
        return self._error(cell, problem) if problem else self._held(cell)

    def container(self, address: str) -> Cell:
        """The cell of a container on the attacked host."""
        cell = self._cell(CONTAINER, "tcp", [self._attack.container_port])._replace(address=address)
        if self._outcome and address in self._outcome["containers"]:
            return self._through(cell, [self._attack.container_port])
        problem = self._no_frames()
        return self._error(cell, problem) if problem else self._held(cell)

    def source(self) -> Cell:
        """The cell of datagrams with a forged source."""
        cell = self._cell(SOURCE, "udp", self._attack.forged)
        arrived = self._arrived(self._attack.forged)
        if arrived:
            return self._through(cell, arrived)
        problem = self._no_frames() or self._no_listener()
        return self._error(cell, problem) if problem else self._held(cell)

    def datagrams(self, knowledge: Knowledge | None) -> Cell:
        """The cell of the outsider's own datagrams. ``knowledge``: of its TCP probes of the same address."""
        cell = self._cell(UDP, "udp", self._attack.datagrams)
        arrived = self._arrived(self._attack.datagrams)
        if arrived:
            return self._through(cell, arrived)
        problem = self._no_outcome() or self._no_listener()
        if self._outcome and self._outcome["datagram_problem"]:
            problem = f"{self._attack.source} could not send the datagrams: {self._outcome['datagram_problem']}"
        if not problem and not (knowledge and knowledge.answered):
            problem = (
                f"nothing of {self._attack.destination} answered {self._attack.source} in this run: "
                "without a positive control, the path itself may be broken"
            )
        return self._error(cell, problem) if problem else self._held(cell)

    def _arrived(self, marks: Mapping[int, str]) -> list[int]:
        received = self._read.get("received") or []
        return [port for port, mark in marks.items() if mark in received]

    def _no_outcome(self) -> str:
        if self._outcome is not None:
            return ""
        if self._message:
            return f"{self._attack.source} could not attack: {self._message}"
        return f"{self._attack.source} gave no answer: unreachable, or it failed earlier in this run"

    def _no_frames(self) -> str:
        """Why silence proves nothing about frames; "" if it proves that they were dropped."""
        if self._outcome is None:
            return self._no_outcome()
        source, address = self._attack.source, self._attack.address
        if self._outcome["reason"]:
            return f"{source} could not send frames to {address}: {self._outcome['reason']}"
        if not self._outcome["control"]:
            return (
                f"{address} did not answer the ICMP echo requests that {source} sent in the same way: "
                "without a positive control, the attack proves nothing"
            )
        if self._outcome["lost"]:
            return f"{source} received more packets than it could read, and an answer may be among them: run again"
        return ""

    def _no_listener(self) -> str:
        if self._read.get("alive"):
            return ""
        return f"the listeners of {self._attack.destination} ended early, or it gave no answer: run again"

    def _cell(self, requirement: str, protocol: str, ports: Iterable[int]) -> Cell:
        attack = self._attack
        text = _ports.format_ports(_ports.from_numbers(ports))
        return Cell(
            requirement,
            attack.source,
            attack.destination,
            attack.address,
            attack.family,
            protocol,
            text,
            BLOCKED,
            UNKNOWN,
            ERROR,
            (self._told(_SENT[requirement], text),),
        )

    def _through(self, cell: Cell, ports: Iterable[int], what: str = "", remedy: str = "") -> Cell:
        text = _ports.format_ports(_ports.from_numbers(ports))
        sentences = (
            self._told(what or _THROUGH[cell.requirement], text),
            remedy or _REMEDIES[cell.requirement],
        )
        evidence = (*cell.evidence, *sentences)
        return cell._replace(observed=_socket_states.OPEN, verdict=WRONG, wrong_ports=text, evidence=evidence)

    def _held(self, cell: Cell) -> Cell:
        control = "answers permitted packets of the outsider in the same run"
        sentences = [self._told(_HELD[cell.requirement], ""), f"{self._attack.destination} {control}"]
        if cell.requirement != UDP:
            sentences.append(_NOT_KNOWN)
        return cell._replace(observed=_socket_states.FILTERED, verdict=CORRECT, evidence=(*cell.evidence, *sentences))

    def _error(self, cell: Cell, problem: str) -> Cell:
        return cell._replace(evidence=(problem,))

    def _told(self, text: str, ports: str) -> str:
        return text.format(destination=self._attack.destination, ports=ports)


def _advice(attacks: Sequence[Attack], outcomes: Mapping[tuple[str, str], Mapping[str, Any]]) -> Iterator[Cell]:
    """Attacks that an outsider could not make because of its place or its user -> advice that names it."""
    wanted = {
        CONNECTION: [attack for attack in attacks if attack.tcp_port],
        CONTAINER: [attack for attack in attacks if attack.containers],
        SOURCE: [attack for attack in attacks if attack.forged],
    }
    for requirement, some in wanted.items():
        names: dict[tuple[str, str], dict[str, None]] = {}
        for attack in some:
            outcome = outcomes.get((attack.source, attack.address))
            if outcome and outcome["link"] in _CANNOT:
                names.setdefault((attack.source, outcome["link"]), {})[attack.destination] = None
        for (source, link), destinations in names.items():
            text = f"it did NOT make this attack on {some_names(list(destinations))}, because {_CANNOT[link]}"
            yield cells.advice(requirement, (text,), source, expected=BLOCKED)


def _without_port(attacks: Sequence[Attack]) -> Iterator[Cell]:
    for requirement, missing in (
        (CONNECTION, [attack for attack in attacks if not attack.tcp_port]),
        (UDP, [attack for attack in attacks if not attack.datagrams]),
    ):
        if missing:
            names = some_names(list(dict.fromkeys(attack.destination for attack in missing)))
            reason = "no listener there waits at a port that must be closed to outsiders"
            text = f"this attack was NOT made on {names}: {reason}"
            yield cells.advice(requirement, (text,), expected=BLOCKED)


def _of_containers(attacks: Sequence[Attack], found: Mapping[str, Mapping[str, Any]]) -> Iterator[Cell]:
    """Hosts that did not tell their container networks, and networks in which no container answers its own host."""
    empty: list[str] = []
    for host in dict.fromkeys(attack.destination for attack in attacks):
        answer = found.get(host) or {}
        if "networks" not in answer:
            why = answer.get("msg") or "it is unreachable, or it failed earlier in this run"
            text = f"{host} did not tell which containers it has: {why}"
            yield cells.advice(CONTAINER, (text,), destination=host, expected=BLOCKED)._replace(verdict=ERROR)
        for network in answer.get("networks") or []:
            if not network["containers"]:
                empty.append(f"{network['network']} ({network['interface']} of {host})")
    if empty:
        # One line for all hosts: a host of the cluster has containers only while it works.
        what = f"in {some_names(empty)} no container answers its own host, so nobody tried to reach one directly"
        yield cells.advice(CONTAINER, (what, "verify again while containers run"), expected=BLOCKED)
