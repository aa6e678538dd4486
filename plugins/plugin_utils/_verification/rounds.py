# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What to listen on and what to probe in the next round of a verification. Pure.

The first round probes every check. Later rounds probe only the ports that differ from what is expected or that have
no explanation, each at most twice more. Every port of a later round has a listener.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.determined.network.plugins.module_utils import _ports
from ansible_collections.determined.network.plugins.plugin_utils._cluster import requirements
from ansible_collections.determined.network.plugins.plugin_utils._flows import PortSet
from ansible_collections.determined.network.plugins.plugin_utils._verification.checks import (
    BLOCKED,
    OPEN,
    Check,
    Checks,
    Pair,
)
from ansible_collections.determined.network.plugins.plugin_utils._verification.observations import Knowledge

FULL, SAMPLE = "full", "sample"

MOST_ATTEMPTS = 3  # the first one and two retries
FIRST_UNPRIVILEGED_PORT = 1024  # ip(7): binding below needs a capability
# Where all ports of a destination are blocked, a spread of some ports is probed again instead of 65,535.
MOST_RETRIES = 1024
# Listeners take local ports away from a host's own connections. More than a few are therefore spread over blocks,
# of which a round takes every fourth: three quarters of the local ports stay free.
MOST_LISTENERS = 4096
SLICES = 4
_BLOCK = 256
_STARTS = range(0, _ports.LAST_PORT + 1, _BLOCK)
_BLOCKS = tuple(
    tuple((max(first, _ports.FIRST_PORT), first + _BLOCK - 1) for first in _STARTS[number::SLICES])
    for number in range(SLICES)
)
# UDP has no resets, so every checked port needs a listener.
MOST_UDP_PORTS = 256
# One answer on a permitted management port shows that the path is alive.
MOST_CONTROLS = 4


class Options(NamedTuple):
    """How thorough a verification is."""

    sweep: str = SAMPLE
    sample_size: int = 64
    seed: int = 0


class Round(NamedTuple):
    """Destination -> its listeners, and source -> its targets; both as the modules take them."""

    listeners: dict[str, list[dict[str, str]]]
    targets: dict[str, list[dict[str, str]]]


def first_listeners(checks: Checks) -> dict[str, list[dict[str, str]]]:
    """Checks -> listeners of the first round: at both ends of every documented range, above the privileged ports,
    and at every single port."""
    ports: dict[tuple[str, str, str], set[int]] = defaultdict(set)
    for check in checks.checks:
        if check.expected == OPEN:
            ports[check.destination, check.address, check.protocol].update(_listener_ports(check))
    return _listeners({key: _ports.from_numbers(numbers) for key, numbers in ports.items()})


def _listener_ports(check: Check) -> Iterable[int]:
    if check.protocol == "udp":
        return _ports.numbers(_ports.spread(check.ports, MOST_UDP_PORTS))
    ends = {end for pair in check.ports for end in pair}
    return {end for end in ends if end >= FIRST_UNPRIVILEGED_PORT or _ports.count(check.ports) == 1}


def first_round(checks: Checks, options: Options, started: Mapping[str, Mapping[str, Any]]) -> Round:
    """Checks, and what the module `listener` returned on each destination -> the first round's targets."""
    # Blocked ports are a target of their own, because `probe` retries silent ports of a target that answers.
    wanted: dict[tuple[Pair, str], list[PortSet]] = defaultdict(list)
    for check in checks.checks:
        ports = _ports.spread(check.ports, MOST_UDP_PORTS) if check.protocol == "udp" else check.ports
        wanted[check.pair, check.expected].append(ports)
        controls = checks.controls.get((check.source, check.destination, check.family))
        if controls and check.expected == BLOCKED:
            wanted[check.pair, OPEN].append(controls[:MOST_CONTROLS])
    landmarks = _landmarks(checks)
    targets: dict[str, list[dict[str, str]]] = defaultdict(list)
    for (pair, _unused), port_sets in wanted.items():
        state = started.get(pair.destination) or {}
        # Many checks of a pair have the very same ports; union them once.
        ports = _ports.union(*dict.fromkeys(port_sets))
        if options.sweep == SAMPLE and pair.protocol == "tcp":
            ports = _ports.intersect(ports, _sample(landmarks, state, options, pair))
        if ports:
            targets[pair.source].append(_target(pair, ports, state))
    return Round(first_listeners(checks), dict(targets))


def _target(pair: Pair, ports: PortSet, started: Mapping[str, Any]) -> dict[str, str]:
    listening = _ports.union(
        *[
            _ports.parse_ports(item["ports"])
            for item in started.get("listening") or []
            if (item["address"], item["protocol"]) == (pair.address, pair.protocol)
        ]
    )
    return {
        "destination": pair.destination,
        "address": pair.address,
        "protocol": pair.protocol,
        "ports": _ports.format_ports(ports),
        "identify": _ports.format_ports(_ports.intersect(ports, listening)),
    }


def _landmarks(checks: Checks) -> PortSet:
    """Every end of every range in the table and in the checks, with its neighbours."""
    sets = [*(check.ports for check in checks.checks), *checks.controls.values()]
    sets += [
        _ports.parse_ports(row.ports)
        for row in requirements.load_table().requirements
        if row.ports and row.ports not in requirements.PORT_SETTINGS
    ]
    ends = {end for ports in set(sets) for pair in ports for end in pair}
    around = {end + step for end in ends for step in (-1, 0, 1)}
    return _ports.from_numbers(port for port in around if _ports.contains(_ports.ALL_PORTS, port))


def _sample(landmarks: PortSet, started: Mapping[str, Any], options: Options, pair: Pair) -> PortSet:
    generator = random.Random(f"{options.seed} {pair.destination}")
    chosen = generator.sample(range(_ports.FIRST_PORT, _ports.LAST_PORT + 1), options.sample_size)
    services = _ports.parse_ports((started.get("listening_services") or {}).get("tcp", ""))
    return _ports.union(landmarks, _ports.from_numbers(chosen), services)


def later_round(checks: Checks, known: Mapping[Pair, Knowledge]) -> Round:
    """What all rounds so far have proven -> the next round; it is empty when no port must be probed again."""
    again: dict[Pair, PortSet] = {}
    for pair, doubtful in _doubtful(checks.checks, known).items():
        knowledge = known[pair]
        remaining = _ports.subtract(doubtful, _asked_often(knowledge.asked))
        suspect = _ports.intersect(remaining, knowledge.suspect)
        # The spread below would choose new ports in every round, so the retries of a pair are limited too.
        differing = _ports.subtract(remaining, suspect) if len(knowledge.asked) < MOST_ATTEMPTS else ()
        if suspect or differing:
            again[pair] = _ports.union(suspect, _ports.spread(differing, MOST_RETRIES))
    wanted: dict[tuple[str, str, str], PortSet] = {}
    for pair, ports in again.items():
        key = (pair.destination, pair.address, pair.protocol)
        wanted[key] = _ports.union(wanted.get(key, ()), ports)
    room = {key: _slice(ports) for key, ports in wanted.items()}
    targets: dict[str, list[dict[str, str]]] = defaultdict(list)
    for pair, ports in again.items():
        ports = _ports.intersect(ports, room[pair.destination, pair.address, pair.protocol])
        if ports:
            text = _ports.format_ports(ports)
            targets[pair.source].append({**_target(pair, ports, {}), "identify": text})
    return Round(_listeners(room), dict(targets))


def _doubtful(checks: Sequence[Check], known: Mapping[Pair, Knowledge]) -> dict[Pair, PortSet]:
    doubtful: dict[Pair, PortSet] = {}
    for check in checks:
        knowledge = known.get(check.pair)
        if knowledge is None:
            continue  # a host is no longer in the run, so a retry cannot help
        wrong = [knowledge.suspect, knowledge.failed, knowledge.impostor]
        wrong += [knowledge.reached] if check.expected == BLOCKED else [knowledge.blocked, knowledge.no_route]
        ports = _ports.intersect(check.ports, _ports.union(*wrong))
        if ports:
            doubtful[check.pair] = _ports.union(doubtful.get(check.pair, ()), ports)
    return doubtful


def _asked_often(asked: Sequence[PortSet]) -> PortSet:
    """The ports that were asked MOST_ATTEMPTS times."""
    often: list[PortSet] = [()] * (MOST_ATTEMPTS + 1)
    for ports in asked:
        for times in range(MOST_ATTEMPTS, 1, -1):
            often[times] = _ports.union(often[times], _ports.intersect(often[times - 1], ports))
        often[1] = _ports.union(often[1], ports)
    return often[MOST_ATTEMPTS]


def _slice(ports: PortSet) -> PortSet:
    """All ports if they are few, else those of every fourth block that has any: see MOST_LISTENERS."""
    if _ports.count(ports) <= MOST_LISTENERS:
        return ports
    for number in range(SLICES):
        chosen = _ports.intersect(ports, _BLOCKS[number])
        if chosen:
            return chosen
    return ()


def _listeners(ports: Mapping[tuple[str, str, str], PortSet]) -> dict[str, list[dict[str, str]]]:
    listeners: dict[str, list[dict[str, str]]] = defaultdict(list)
    for (destination, address, protocol), numbers in ports.items():
        if numbers:
            text = _ports.format_ports(numbers)
            listeners[destination].append({"address": address, "protocol": protocol, "ports": text})
    return dict(listeners)
