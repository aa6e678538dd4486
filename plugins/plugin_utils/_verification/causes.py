# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The causes of a report: what explains wrong cells, with the host, the rule and the remedy. Pure.

Packets that stopped at the same place have one cause, whatever their ports and pairs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.determined.network.plugins.plugin_utils._verification import stops
from ansible_collections.determined.network.plugins.plugin_utils._verification.cells import Cell
from ansible_collections.determined.network.plugins.plugin_utils._verification.results_traces import View
from ansible_collections.determined.network.plugins.plugin_utils._verification.traces import Packet, packets_of

MOST_NAMES = 5  # of hosts in a sentence

# The start of a chain's or table's name -> who makes such ones.
_OWNERS = (
    ("DOCKER", "Docker"),
    ("FIREWALLD", "firewalld"),
    ("F2B-", "fail2ban"),
    ("UFW", "ufw"),
    ("KUBE-", "kube-proxy"),
    ("TS-", "Tailscale"),
    ("CALI-", "Calico"),
    ("CILIUM", "Cilium"),
    ("LIBVIRT", "libvirt"),
)
_OURS = "DETERMINED"
_SITE = "ansible-playbook determined.network.site"


class Cause(NamedTuple):
    """What explains some wrong cells.

    ``kind``: one of the kinds of ``stops``. ``sentence``: what happens. ``host``: which host does it, "" for the network.
    ``place``: backend, family, table, chain and position, or "". ``rule``: verbatim, or "". ``remedy``: what to do.
    ``cells``: the places of the cells in the report.
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
    kind: str
    host: str
    place: stops.Place | None
    loss: str
    back: bool
    ends: tuple[str, str]  # of the network's causes
    unnamed: str  # the address from which a source speaks, if the inventory does not name it
    ours: bool | None
    error: str


class _Group(NamedTuple):
    packets: list[Packet]
    cells: dict[int, None]


def find(
    cells: Sequence[Cell],
    packets: Sequence[Packet],
    views: Mapping[str, View],
    addresses: Mapping[str, Collection[str]],
) -> tuple[Cause, ...]:
    """The cells of a report, the packets that were sent for them, what the hosts saw, and host -> its addresses.

    The cause that explains most cells comes first.
    """
    found = {packet.number: _key(packet, stops.find(packet, views), addresses) for packet in packets}
    groups: dict[_Key, _Group] = {}
    for place, cell in enumerate(cells):
        for packet in packets_of(cell, packets):
            group = groups.setdefault(found[packet.number], _Group([], {}))
            group.packets.append(packet)
            group.cells[place] = None
    ordered = sorted(groups.items(), key=lambda item: (item[0].kind in _NOT_FOUND, -len(item[1].cells)))
    return tuple(_cause(number + 1, key, group) for number, (key, group) in enumerate(ordered))


_NOT_FOUND = (stops.PASSES_NOW, stops.UNSEEN)


def _key(packet: Packet, stop: stops.Stop, addresses: Mapping[str, Collection[str]]) -> _Key:
    unnamed = ""
    if stop.seen_from and stop.seen_from not in addresses.get(packet.source, ()) and _is_ours(stop.place):
        unnamed = stop.seen_from
    ends = (packet.source, packet.destination)
    return _Key(
        kind=stop.kind,
        host=stop.host,
        place=stop.place,
        loss=stop.loss,
        back=stop.back,
        ends=ends if stop.kind in (stops.NETWORK, stops.NO_ROUTE, stops.OTHER_HOST) or unnamed else ("", ""),
        unnamed=unnamed,
        ours=stop.ours,
        error=stop.error,
    )


def _is_ours(place: stops.Place | None) -> bool:
    return place is not None and _OURS in f"{place.table} {place.chain}".upper()


def _cause(number: int, key: _Key, group: _Group) -> Cause:
    sentence, remedy = _WORDS[key.kind](key, group.packets)
    where, rule = ("", "") if key.place is None else (_where(key.place), key.place.text)
    return Cause(number, key.kind, sentence, key.host, where, rule, remedy, tuple(group.cells))


def _where(place: stops.Place) -> str:
    parts = [place.program, f"family {place.family}", f"table {place.table}", f"chain {place.chain}"]
    if place.position:
        parts.append(f"rule {place.position}")
    return ", ".join(parts)


def _owner(place: stops.Place) -> str:
    name = next((owner for start, owner in _OWNERS for text in (place.chain, place.table) if _begins(text, start)), "")
    return f" It was made by {name}." if name else ""


def _begins(text: str, start: str) -> bool:
    return text.upper().startswith(start)


def _what(packets: Sequence[Packet]) -> str:
    """ "TCP 1734 and 1750 from agent1 and agent2 to agent3"."""
    protocols = dict.fromkeys(packet.protocol.upper() for packet in packets)
    ports = [str(port) for port in sorted({packet.port for packet in packets if packet.port})]
    return f"{'/'.join(protocols)} {_names(ports)} from {_sources(packets)} to {_destinations(packets)}"


def _names(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMES
    shown = list(names[:MOST_NAMES]) + ([f"{more} more"] if more > 0 else [])
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def _sources(packets: Sequence[Packet]) -> str:
    return _names(list(dict.fromkeys(packet.source for packet in packets)))


def _destinations(packets: Sequence[Packet]) -> str:
    return _names(list(dict.fromkeys(packet.destination for packet in packets)))


def _host_drops(key: _Key, packets: Sequence[Packet]) -> tuple[str, str]:
    assert key.place is not None
    what = f"the answer to {_what(packets)}" if key.back else _what(packets)
    verb = "The counters of its rules say that it" if key.place.concluded else "It"
    sentence = f"{key.host} stops {what}. {verb} was stopped by the rule below.{_owner(key.place)}"
    if key.unnamed:
        source = key.ends[0]
        return (
            f"{sentence} This rule is ours, and it stops {source} because {source} speaks from {key.unnamed}, which "
            "the inventory does not name.",
            f"Add {key.unnamed} to determined_address of {source} and run: {_SITE}. Or let {source} speak from the "
            "address that the inventory names (ip route get ...).",
        )
    if _is_ours(key.place):
        return (
            f"{sentence} This rule is ours: the firewall of {key.host} does not permit what the inventory requires now.",
            f"Run: {_SITE}",
        )
    if key.ours is False:
        return (
            f"{sentence} No rule of ours was met on {key.host}: its firewall is not set up.",
            f"Run: {_SITE}",
        )
    return sentence, f"Remove or change this rule on {key.host}, or ask its owner to."


_LOSS_WORDS = {
    stops.BEFORE_FILTER: (
        "The packet arrives at the interface and never comes to the packet filter. A program of traffic control or XDP "
        "takes it.",
        "Look at the interface: tc filter show dev INTERFACE ingress; ip link show (xdp).",
    ),
    stops.CONNTRACK_FULL: (
        "The table of connections is full.",
        "Raise net.netfilter.nf_conntrack_max, and look for what fills it: conntrack -C.",
    ),
    stops.REVERSE_PATH: (
        "The reverse path filter drops the packet, because the host would answer by another interface.",
        "Correct the routes, or set net.ipv4.conf.*.rp_filter to 2 on this interface.",
    ),
    stops.NO_ROUTE_IN: (
        "The host has no route for the packet, or a blackhole route takes it.",
        "Look at the routes: ip route show table all.",
    ),
    stops.NO_ROUTE_BACK: (
        "The host has no route back to the source.",
        "Look at the routes: ip route show table all.",
    ),
    stops.BACKLOG: (
        "The queue of the program that listens there is full.",
        "Find out why the program does not accept connections: ss -ltn (Recv-Q).",
    ),
    "": (
        "No rule that can be seen stops it.",
        "Look for what else filters packets there: nft list ruleset; iptables-legacy-save; tc filter show; bpftool net.",
    ),
}


def _host_loses(key: _Key, packets: Sequence[Packet]) -> tuple[str, str]:
    why, remedy = _LOSS_WORDS[key.loss]
    return f"{key.host} loses {_what(packets)}. {why}", f"On {key.host}: {remedy}"


def _host_silent(key: _Key, packets: Sequence[Packet]) -> tuple[str, str]:
    return (
        f"{_what(packets)} arrives at {key.host} and passes its rules, but nothing answers.",
        f"Find out which program should answer on {key.host}, and whether it hangs: ss -ltnp.",
    )


def _no_route(key: _Key, packets: Sequence[Packet]) -> tuple[str, str]:
    return (
        f"{key.host} cannot send {_what(packets)}: {key.error}.",
        f"Correct the routes of {key.host}: ip route get {packets[0].address}",
    )


def _network(key: _Key, packets: Sequence[Packet]) -> tuple[str, str]:
    first, last = (key.ends[1], key.ends[0]) if key.back else key.ends
    what = f"The answer to {_what(packets)}" if key.back else _what(packets)
    return (
        f"{what} leaves {first} and never arrives at {last}. The network between them stops it.",
        f"Give this to the team of the network or the cloud: {what[0].lower() + what[1:] if key.back else what} "
        f"(address {packets[0].address}) leaves {first} and does not arrive at {last}.",
    )


def _other_host(key: _Key, packets: Sequence[Packet]) -> tuple[str, str]:
    return (
        f"{_what(packets)} arrives at {key.host}, which is another host.",
        f"Find out who has the address {packets[0].address}: {key.ends[1]} or {key.host}. Correct determined_address, "
        "or the network.",
    )


def _let_in_words(key: _Key, packets: Sequence[Packet]) -> tuple[str, str]:
    sentence = f"{key.host} permits {_what(packets)}, which must be blocked."
    if key.ours is False:
        return f"{sentence} No rule of ours was met on {key.host}: its firewall is not set up.", f"Run: {_SITE}"
    return sentence, f"Look at the rule below on {key.host}, and run: {_SITE}"


def _passes_now(key: _Key, packets: Sequence[Packet]) -> tuple[str, str]:
    return (
        f"When it was sent again, {_what(packets)} was as the requirements ask.",
        "Verify again. If the result changes again, something changes in the network while it is verified.",
    )


def _unseen(key: _Key, packets: Sequence[Packet]) -> tuple[str, str]:
    return (
        f"It is not known where {_what(packets)} stops, because {key.host} did not watch.",
        f"Let Ansible become root on {key.host}. Otherwise look for a rule in OUTPUT of the source, between the hosts, "
        "and in INPUT of the destination.",
    )


_WORDS = {
    stops.HOST_DROPS: _host_drops,
    stops.HOST_LOSES: _host_loses,
    stops.HOST_SILENT: _host_silent,
    stops.NO_ROUTE: _no_route,
    stops.NETWORK: _network,
    stops.OTHER_HOST: _other_host,
    stops.LET_IN: _let_in_words,
    stops.PASSES_NOW: _passes_now,
    stops.UNSEEN: _unseen,
}
