# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The causes of a report: what explains its cells, with the host, the rule and the remedy. Pure.

Packets that stopped at the same place have one cause, whatever their ports and pairs. A host that gave no answer is
one cause, whatever the number of its checks. Checks of services outside the cluster are grouped by what failed and by
who has to act.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.determined.network.plugins.plugin_utils._verification import cause_words, stops
from ansible_collections.determined.network.plugins.plugin_utils._verification.cells import ERROR, WRONG, Cell
from ansible_collections.determined.network.plugins.plugin_utils._verification.results_traces import View
from ansible_collections.determined.network.plugins.plugin_utils._verification.traces import Packet, packets_of

# Kinds of causes beside those of ``stops``.
ABSENT = "absent"  # a host did not take part
OUTSIDE = "outside"  # a service outside the cluster, or the way to it


class Cause(NamedTuple):
    """What explains some cells.

    ``kind``: one of the kinds of ``stops``, ABSENT or OUTSIDE. ``sentence``: what happens. ``host``: which host does
    it, "" for the network. ``place``: program, family, table, chain and position of a rule, or "". ``rule``: verbatim,
    or "". ``remedy``: what to do, or "". ``cells``: the places of the cells in the report.
    """

    id: int
    kind: str
    sentence: str
    host: str
    place: str
    rule: str
    remedy: str
    cells: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """An entry of ``causes`` in report.json."""
        return {**self._asdict(), "cells": list(self.cells)}


class _Key(NamedTuple):
    """What packets have in common that one cause explains. ``ends``: of the network's causes, else empty."""

    stop: stops.Stop
    ends: tuple[str, str]
    unnamed: str


class _Group(NamedTuple):
    packets: list[Packet]
    cells: dict[int, None]


def find(
    cells: Sequence[Cell],
    packets: Sequence[Packet],
    views: Mapping[str, View],
    addresses: Mapping[str, Collection[str]],
    absent: Mapping[str, str],
) -> tuple[Cause, ...]:
    """The cells of a report -> their causes; of each kind of verdict, the cause of most cells comes first.

    ``packets``: that were sent for wrong cells. ``views``: host -> what it saw of them. ``addresses``: host -> its
    addresses in the inventory. ``absent``: host that gave no usable answer -> the sentence that says so.
    """
    found = [*_of_packets(cells, packets, views, addresses), *_outside(cells), *_absent(cells, absent)]
    found.sort(key=lambda cause: (_rank(cause), -len(cause.cells)))
    return tuple(cause._replace(id=number) for number, cause in enumerate(found, 1))


def _rank(cause: Cause) -> int:
    """Wrong cells first, and of these the ones whose cause is known."""
    return 2 if cause.kind == ABSENT else int(cause.kind in (stops.PASSES_NOW, stops.UNSEEN))


def _of_packets(
    cells: Sequence[Cell],
    packets: Sequence[Packet],
    views: Mapping[str, View],
    addresses: Mapping[str, Collection[str]],
) -> list[Cause]:
    keys = {packet.number: _key(packet, stops.find(packet, views), addresses) for packet in packets} if views else {}
    by_cell = packets_of(cells, packets) if views else {}
    groups: dict[_Key, _Group] = {}
    for place, sent in by_cell.items():
        for packet in sent:
            group = groups.setdefault(keys[packet.number], _Group([], {}))
            group.packets.append(packet)
            group.cells[place] = None
    return [_cause(key, group) for key, group in groups.items()]


def _key(packet: Packet, stop: stops.Stop, addresses: Mapping[str, Collection[str]]) -> _Key:
    unnamed = ""
    if stop.seen_from and stop.seen_from not in addresses.get(packet.source, ()) and stops.is_ours(stop.place):
        unnamed = stop.seen_from
    between = stop.kind in (stops.NETWORK, stops.NO_ROUTE, stops.OTHER_HOST) or bool(unnamed)
    ends = (packet.source, packet.destination) if between else ("", "")
    return _Key(stop._replace(seen_from=""), ends, unnamed)


def _cause(key: _Key, group: _Group) -> Cause:
    words = cause_words.describe(key.stop, group.packets, key.unnamed)
    where, rule = cause_words.where(key.stop.place)
    return Cause(0, key.stop.kind, words.sentence, key.stop.host, where, rule, words.remedy, tuple(group.cells))


def _outside(cells: Sequence[Cell]) -> list[Cause]:
    """The wrong checks of services outside, by what failed at which step, at which end, and through which proxy."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for place, cell in enumerate(cells):
        if cell.verdict == WRONG and cell.via is not None:
            # If a host or its proxy is to blame, it is one cause for all services; otherwise one for each service.
            end = cell.source if cell.blame == cause_words.HOST else cell.via or cell.destination
            key = (cell.requirement, cell.observed, cell.step or "", cell.blame or "", end)
            groups.setdefault(key, []).append(place)
    return [_of_outside([cells[place] for place in places], places) for places in groups.values()]


def _of_outside(same: Sequence[Cell], places: Sequence[int]) -> Cause:
    words = cause_words.describe_outside(same)
    host = same[0].source if same[0].blame == cause_words.HOST else ""
    return Cause(0, OUTSIDE, words.sentence, host, "", "", words.remedy, tuple(places))


def _absent(cells: Sequence[Cell], absent: Mapping[str, str]) -> Iterable[Cause]:
    """One cause for each host that gave no answer, with its checks. A check of two such hosts counts for both."""
    for host, sentence in absent.items():
        places = tuple(
            place
            for place, cell in enumerate(cells)
            if cell.verdict == ERROR and cell.via is None and host in (cell.source, cell.destination)
        )
        if places:
            yield Cause(0, ABSENT, sentence, host, "", "", cause_words.ABSENT_REMEDY, places)
