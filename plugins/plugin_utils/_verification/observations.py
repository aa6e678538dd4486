# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What sockets saw -> what is proven about each port of a pair. Pure.

A pair is a source, a destination and one of its addresses, with a protocol. A run has rounds: the first round probes
everything, and later rounds probe again the ports that differed from the expectation. `Knowledge` holds what all
rounds together prove.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.determined.network.plugins.module_utils import _ports, _socket_states
from ansible_collections.determined.network.plugins.plugin_utils._flows import PortSet
from ansible_collections.determined.network.plugins.plugin_utils._verification.checks import Pair, pair_of_target

NOTHING: PortSet = ()

MANY = 20000  # refused ports of one destination
MOST_RANGES = 8  # in a sentence; the report's port lists have them all


def some_ports(ports: PortSet) -> str:
    """Ports for a sentence: the first few ranges, and the number of the other ports."""
    rest = _ports.count(ports[MOST_RANGES:])
    return _ports.format_ports(ports[:MOST_RANGES]) + (f" and {rest} more" if rest else "")


def count_of_ports(number: int) -> str:
    """A number of ports for a sentence: "1 port" or "4 ports"."""
    return "1 port" if number == 1 else f"{number} ports"


class Knowledge(NamedTuple):
    """What is known about the ports of one pair; the port sets are disjoint except ``changed``.

    reached    the packet reached the destination, whose own network stack answered
    blocked    the packet did not reach it: it was dropped or rejected, or a firewall imitated a reset
    no_route   the source had no route to the address
    impostor   another host than the destination answered
    suspect    a reset or an answer came, but nothing shows yet who sent it
    failed     the port could not be probed
    changed    reached in one round, and blocked or answered by an impostor in another
    """

    reached: PortSet = NOTHING
    blocked: PortSet = NOTHING
    no_route: PortSet = NOTHING
    impostor: PortSet = NOTHING
    suspect: PortSet = NOTHING
    failed: PortSet = NOTHING
    changed: PortSet = NOTHING
    # Not about single ports:
    echo: bool | None = None  # whether the destination answered an ICMP echo of the source; None: not known
    answered: bool = False  # whether anything of the destination's own came back in some round
    listener_lost: bool = False  # whether a listener behind the pair had ended before the end of a round
    states: dict[str, PortSet] = {}  # the last state that each port's socket saw
    reasons: dict[str, PortSet] = {}  # what an ICMP error or the system said, and of which ports
    notes: tuple[str, ...] = ()  # sentences of evidence
    asked: tuple[PortSet, ...] = ()  # by round
    milliseconds: float | None = None


_CLASSES = ("reached", "blocked", "no_route", "impostor", "suspect", "failed")


def conclude(rounds: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[Pair, Knowledge]:
    """Host -> its results, round by round -> pair -> knowledge.

    A result is ``{"answer", "started", "targets", "probe", "read"}``: the line its listeners say, what the modules
    ``listener`` and ``probe`` returned and the targets that the latter was given; each may be empty.
    """
    known: dict[Pair, Knowledge] = {}
    for number in range(max((len(results) for results in rounds.values()), default=0)):
        results = {host: results[number] for host, results in rounds.items() if len(results) > number}
        destinations = {host: _Destination(host, result) for host, result in results.items()}
        seen = _refused_by_destination(results, destinations)
        met: set[Pair] = set()  # a round may have several targets for one pair
        for source, result in results.items():
            for target, observation in _observations(result):
                pair = pair_of_target(source, target)
                destination = destinations.get(pair.destination)
                fresh = _classify(pair, observation, destination, seen.get(pair.destination, 0))
                known[pair] = _merge(known.get(pair), fresh, same_round=pair in met)
                met.add(pair)
    return known


def _observations(result: Mapping[str, Any]) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    observations = (result.get("probe") or {}).get("observations") or []
    # A probe that failed has no observations; its pairs stay unknown, which is an error and never a pass.
    return list(zip(result.get("targets") or [], observations, strict=False))


class _Destination:
    """What one host reported about itself in one round."""

    def __init__(self, name: str, result: Mapping[str, Any]) -> None:
        self.name = name
        started, read = result.get("started") or {}, result.get("read") or {}
        self.answer = result.get("answer", "")
        self.alive = bool(read.get("alive"))
        self._listening = _by_address(started.get("listening"))
        self._held = _by_address(started.get("held"))
        self._services = _ports.parse_ports((started.get("listening_services") or {}).get("tcp", ""))
        before, after = (part.get("counters") for part in (started, read))
        self.resets: int | None = None  # for ports that sources saw refused
        self.doubtful = 0  # of these: may be second resets of one port
        if before and after:
            own = sum(item.get("resets_sent", 0) for _unused, item in _observations(result))
            self.resets = after["tcp_resets_sent"] - before["tcp_resets_sent"] - own

    def discount(self, observation: Mapping[str, Any]) -> None:
        """Subtract the resets that were not for refused ports. Each would hide a reset that a firewall imitated."""
        if self.resets is not None:
            self.resets -= observation.get("resets_received", 0)
        # A port that was asked twice may have been reset twice.
        self.doubtful += observation.get("refused_repeatedly", 0)

    def attests(self, refused: int) -> bool:
        """Whether so many refused ports were reset by this host's own stack."""
        if self.resets is None or refused > self.resets:
            return False
        # In a full sweep, connection tracking loses a few SYNs that reuse the ports of an earlier probe. It is not
        # worth the load to probe some hundred thousand ports again because of these few.
        return refused <= self.resets - self.doubtful or refused > MANY

    def listening(self, pair: Pair) -> PortSet:
        """Ports at which listeners of the verification were started."""
        return self._listening.get((pair.address, pair.protocol), NOTHING)

    def occupied(self, pair: Pair) -> PortSet:
        """Ports at which something of the host certainly listens on this address, so that the host resets none."""
        # The local port of an outgoing connection is held as well, but nothing listens there.
        held = _ports.intersect(self._held.get((pair.address, pair.protocol), NOTHING), self._services)
        return _ports.union(held, self.listening(pair) if self.alive else NOTHING)

    def services(self, pair: Pair) -> PortSet:
        """Ports that real services of the host hold, perhaps on other addresses only."""
        held = self._held.get((pair.address, pair.protocol), NOTHING)
        return _ports.union(held, self._services) if pair.protocol == "tcp" else held


def _by_address(items: Any) -> dict[tuple[str, str], PortSet]:
    found: dict[tuple[str, str], PortSet] = defaultdict(tuple)
    for item in items or []:
        key = (item["address"], item["protocol"])
        found[key] = _ports.union(found[key], _ports.parse_ports(item["ports"]))
    return dict(found)


def _refused_by_destination(
    results: Mapping[str, Mapping[str, Any]], destinations: Mapping[str, _Destination]
) -> dict[str, int]:
    """Destination -> how many resets all sources together got from its ports without a listener.

    The destination must have sent that many resets itself, or a firewall imitated some.
    """
    seen: dict[str, int] = defaultdict(int)
    for source, result in results.items():
        for target, observation in _observations(result):
            pair = pair_of_target(source, target)
            destination = destinations.get(pair.destination)
            if destination and pair.protocol == "tcp":
                refused = _ports.parse_ports(observation["refused"])
                seen[pair.destination] += _ports.count(_ports.subtract(refused, destination.occupied(pair)))
                destination.discount(observation)
    return seen


class _OpenPorts(NamedTuple):
    """The ports that accepted a connection, by who answered there."""

    genuine: PortSet  # a listener of the destination, which told its name
    by_service: PortSet  # a service of the destination
    impostor: PortSet  # where a listener of the destination should be, somebody told another name
    suspect: PortSet  # nobody told a name, or nothing of the destination is known there


def _classify_open(
    pair: Pair, observation: Mapping[str, Any], destination: _Destination, open_ports: PortSet
) -> _OpenPorts:
    listening, services = destination.listening(pair), destination.services(pair)
    # Line -> ports. An empty line names nobody: the connection was open, but its line came too late or not at all.
    answers = {line: _ports.parse_ports(ports) for line, ports in (observation.get("answers") or {}).items()}
    genuine = answers.get(destination.answer, NOTHING)
    named = _ports.union(*[ports for line, ports in answers.items() if line])

    by_listener = _ports.intersect(open_ports, listening)
    elsewhere = _ports.subtract(open_ports, listening)
    return _OpenPorts(
        genuine=_ports.intersect(by_listener, genuine),
        by_service=_ports.intersect(elsewhere, services),
        impostor=_ports.subtract(_ports.intersect(by_listener, named), genuine),
        suspect=_ports.union(_ports.subtract(elsewhere, services), _ports.subtract(by_listener, named)),
    )


def _classify(
    pair: Pair, observation: Mapping[str, Any], destination: _Destination | None, refused_in_all: int
) -> Knowledge:
    """One observation -> what it proves. ``refused_in_all``: the resets that all sources saw of this destination."""
    states = {state: _ports.parse_ports(observation[state]) for state in _socket_states.STATES}
    observed = Knowledge(
        echo=(observation.get("echo") or {}).get("answered"),
        states=states,
        reasons=_reasons(observation),
        asked=(_ports.union(*states.values()),),
    )
    if destination is None or destination.resets is None:
        note = f"{pair.destination} did not tell what it saw, so nothing here is proven"
        return observed._replace(failed=observed.asked[0], notes=(note,))

    opened = _classify_open(pair, observation, destination, states["open"])
    # A port where something listens does not reset: a firewall imitated the reset.
    imitated = _ports.intersect(states["refused"], destination.occupied(pair))
    closed = _ports.subtract(states["refused"], imitated)
    attested = pair.protocol == "tcp" and destination.attests(refused_in_all)
    reached = _ports.union(opened.genuine, opened.by_service, closed if attested else NOTHING)
    return observed._replace(
        reached=reached,
        blocked=_ports.union(states["filtered"], states["rejected"], imitated),
        no_route=states["no_route"],
        impostor=opened.impostor,
        suspect=_ports.union(opened.suspect, NOTHING if attested else closed),
        failed=states["error"],
        answered=bool(reached) or observed.echo is True,
        listener_lost=bool(destination.listening(pair)) and not destination.alive,
        notes=tuple(_notes(destination, opened.by_service, closed, attested, refused_in_all, imitated)),
        milliseconds=observation.get("connect_milliseconds"),
    )


def _reasons(observation: Mapping[str, Any]) -> dict[str, PortSet]:
    told = [*(observation.get("rejections") or {}).items(), *(observation.get("errors") or {}).items()]
    return {text: _ports.parse_ports(ports) for text, ports in told}


def _notes(
    destination: _Destination,
    by_service: PortSet,
    closed: PortSet,
    attested: bool,
    refused_in_all: int,
    imitated: PortSet,
) -> list[str]:
    """The sentences of evidence about one pair in one round; ``destination.resets`` must be known."""
    name, resets = destination.name, destination.resets or 0
    notes = []
    if by_service:
        notes.append(f"a service of {name} holds {some_ports(by_service)} and answered there")
    if closed and attested:
        count = _ports.count(closed)
        repeated = max(0, refused_in_all - resets + destination.doubtful)
        doubt = f", except at most {repeated} that may have been reset twice" if repeated else ""
        were = "1 closed port was" if count == 1 else f"{count} closed ports were"
        notes.append(f"{were} reset by {name} itself, as its own counter shows{doubt}")
    elif closed:
        surely = resets - destination.doubtful
        notes.append(
            f"sources saw {refused_in_all} resets, but {name} certainly sent only {surely}: a firewall imitates resets"
        )
    if imitated:
        notes.append(f"a firewall reset {some_ports(imitated)} although something listened there")
    return notes


def _merge(old: Knowledge | None, new: Knowledge, same_round: bool) -> Knowledge:
    """The later round replaces what is known about the ports that it asked. Contradictions go into `changed`."""
    if old is None:
        return new
    asked = new.asked[0]
    merged: dict[str, Any] = {
        name: _ports.union(_ports.subtract(getattr(old, name), asked), getattr(new, name)) for name in _CLASSES
    }
    before = (old.reached, old.impostor, _ports.union(old.blocked, old.no_route))
    after = (new.reached, new.impostor, _ports.union(new.blocked, new.no_route))
    changed = _ports.union(
        old.changed,
        *[_ports.intersect(was, now) for i, was in enumerate(before) for j, now in enumerate(after) if i != j],
    )
    states = {state: _ports.union(_ports.subtract(old.states[state], asked), new.states[state]) for state in new.states}
    reasons = {
        text: _ports.union(_ports.subtract(old.reasons.get(text, NOTHING), asked), new.reasons.get(text, NOTHING))
        for text in {**old.reasons, **new.reasons}
    }
    return old._replace(
        **merged,
        changed=changed,
        echo=old.echo or new.echo,
        answered=old.answered or new.answered,
        listener_lost=old.listener_lost or new.listener_lost,
        states=states,
        reasons={text: ports for text, ports in reasons.items() if ports},
        notes=tuple(dict.fromkeys((*old.notes, *new.notes))),
        asked=(*old.asked[:-1], _ports.union(old.asked[-1], asked)) if same_round else (*old.asked, asked),
    )
