# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which packets to send again, watched by both hosts, to find out why cells of the report are wrong. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

from ansible_collections.determined.network.plugins.module_utils import _ports
from ansible_collections.determined.network.plugins.plugin_utils._verification import attack_checks
from ansible_collections.determined.network.plugins.plugin_utils._verification.cells import WRONG, Cell

MOST_PACKETS = 4000  # of one run
MOST_OF_A_HOST = 400  # that one host sends or receives; each is sent three times, and its events are remembered
MOST_OF_A_CELL = 64  # wrong ports; each may have a cause of its own


class Packet(NamedTuple):
    """A packet of a trace. ``number``: by which the hosts know it. ``expected``: of its cell, "open" or "blocked"."""

    number: int
    source: str
    destination: str
    address: str
    protocol: str
    port: int
    expected: str


def plan(cells: Sequence[Cell]) -> tuple[Packet, ...]:
    """The cells of a report -> the packets that explain the wrong ones. Cells with the same wrong port share one."""
    wanted = [
        [(cell.source, cell.destination, cell.address, cell.protocol, port, cell.expected) for port in _ports_of(cell)]
        for cell in cells
        if is_traced(cell)
    ]
    packets: dict[tuple[str, str, str, str, int, str], Packet] = {}
    load: dict[str, int] = defaultdict(int)
    # First one packet for each cell, then the second ones.
    for key in (one for layer in zip_longest(*wanted) for one in layer if one is not None):
        source, destination = key[:2]
        if key in packets or len(packets) >= MOST_PACKETS or max(load[source], load[destination]) >= MOST_OF_A_HOST:
            continue
        load[source] += 1
        load[destination] += 1
        packets[key] = Packet(len(packets), *key)
    return tuple(packets.values())


def is_traced(cell: Cell) -> bool:
    """Whether packets of the cell can be sent again: it is about two hosts, and wrong at some ports.

    What an attack got through was no packet of an honest host.
    """
    is_attack = cell.requirement in attack_checks.ATTACKS
    return cell.verdict == WRONG and cell.via is None and not is_attack and bool(cell.wrong_ports)


def packets_of(cells: Sequence[Cell], packets: Iterable[Packet]) -> dict[int, list[Packet]]:
    """The place of each wrong cell -> the packets that were sent at its wrong ports."""
    known: dict[tuple[str, ...], list[Packet]] = defaultdict(list)
    for packet in packets:
        key = (packet.source, packet.destination, packet.address, packet.protocol, packet.expected)
        known[key].append(packet)
    found: dict[int, list[Packet]] = {}
    for place, cell in enumerate(cells):
        if is_traced(cell):
            ports = _ports.parse_ports(cell.wrong_ports)
            sent = known[cell.source, cell.destination, cell.address, cell.protocol, cell.expected]
            found[place] = [packet for packet in sent if _ports.contains(ports, packet.port)]
    return found


def by_source(packets: Iterable[Packet]) -> dict[str, list[dict[str, Any]]]:
    """Packets -> host -> what the module ``trace`` sends there."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for packet in packets:
        found[packet.source].append(
            {
                "number": packet.number,
                "protocol": packet.protocol,
                "address": packet.address,
                "port": packet.port,
            }
        )
    return dict(found)


def to_plan(packets: Sequence[Packet], hosts: Iterable[str]) -> dict[str, Any]:
    """What the role hands on: ``{"packets": host -> packets, "watching": hosts, "plan": for :func:`from_plan`}``.

    All hosts of the run watch, because a packet may arrive at another host than its destination.
    """
    return {
        "packets": by_source(packets),
        "watching": sorted(hosts) if packets else [],
        "plan": [list(packet) for packet in packets],
    }


def from_plan(plan: Iterable[Sequence[Any]]) -> tuple[Packet, ...]:
    """``plan`` of :func:`to_plan` -> the packets that were sent.

    They are not derived again for the report: a host that has failed in the meantime would change their numbers.
    """
    packets = map(Packet._make, plan)
    # Depending on its version, Ansible hands on a number as a text.
    return tuple(packet._replace(number=int(packet.number), port=int(packet.port)) for packet in packets)


def _ports_of(cell: Cell) -> list[int]:
    """Some wrong ports of a cell: all of a few, the ends of ranges otherwise. The first and the last are among them."""
    ports = _ports.parse_ports(cell.wrong_ports)
    if _ports.count(ports) <= MOST_OF_A_CELL:
        return list(_ports.numbers(ports))
    ends = sorted({port for pair in ports for port in pair})
    if len(ends) <= MOST_OF_A_CELL:
        return ends
    last = MOST_OF_A_CELL - 1
    return [ends[place * (len(ends) - 1) // last] for place in range(MOST_OF_A_CELL)]
