# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a packet of a trace stopped, from what all hosts saw of it. Pure.

Four sightings decide: the packet left its source, it arrived at its destination, an answer left the destination, the
answer arrived at the source. Where one is missing, the host before it has stopped the packet, or the network between.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from ansible_collections.determined.network.plugins.plugin_utils._verification import legacy_rules
from ansible_collections.determined.network.plugins.plugin_utils._verification.results_traces import (
    DATAGRAM,
    ECHO,
    ECHO_REPLY,
    ICMP_ERROR,
    IN,
    OUT,
    RESET,
    SYN,
    SYN_ACK,
    Event,
    Sighting,
    View,
)
from ansible_collections.determined.network.plugins.plugin_utils._verification.traces import Packet

# Kinds of causes, in the order of the documentation.
HOST_DROPS = "host_drops"  # a rule of a host drops or rejects the packet or the answer
HOST_SILENT = "host_silent"  # every rule lets it pass, and nothing answers
HOST_LOSES = "host_loses"  # the host gives it up without a rule
NO_ROUTE = "no_route"  # the source has no route
NETWORK = "network"  # it left one host and never arrived at the other
OTHER_HOST = "other_host"  # it arrived at another host than the destination
LET_IN = "let_in"  # it was permitted, and must be blocked
PASSES_NOW = "passes_now"  # this time it was as it should be
UNSEEN = "unseen"  # the hosts that would know did not watch, or could not keep all that they saw

INCOMPLETE = "incomplete"  # why something is unseen

_QUESTION = {"tcp": SYN, "udp": DATAGRAM, "icmp": ECHO}
_ANSWERS = (SYN_ACK, RESET, ECHO_REPLY, ICMP_ERROR)
_DROP, _ACCEPT = "drop", "accept"
_OWN_TRACE = "determined_trace_"

# How a kernel gives up packets without a rule: counter -> what it is, by the order in which a packet meets them.
CONNTRACK_FULL, REVERSE_PATH, NO_ROUTE_IN = "conntrack_full", "reverse_path", "no_route_in"
NO_ROUTE_BACK, BACKLOG = "no_route_back", "backlog"
BEFORE_FILTER = "before_filter"  # it never came to the packet filter
_LOSSES = (
    (CONNTRACK_FULL, ("conntrack_drop",)),
    (REVERSE_PATH, ("IPReversePathFilter",)),
    (NO_ROUTE_IN, ("InNoRoutes", "InAddrErrors")),
    (NO_ROUTE_BACK, ("OutNoRoutes",)),
    (BACKLOG, ("ListenOverflows", "ListenDrops", "TCPReqQFullDrop")),
)


class Place(NamedTuple):
    """A rule, or the policy of a chain.

    ``program``: that shows it. ``position``: in its chain, from 1; 0 for the policy. ``concluded``: whether this
    follows from counters, because this backend cannot be traced.
    """

    program: str
    family: str
    table: str
    chain: str
    position: int
    text: str
    concluded: bool = False


class Stop(NamedTuple):
    """Where a packet of a trace stopped.

    ``kind``: one of the kinds above. ``host``: which host stopped it, "" for the network. ``place``: the rule, if there
    is one. ``loss``: for HOST_LOSES. ``back``: whether it was the answer. ``seen_from``: the address from which the
    packet arrived at its destination, "" if it was not seen. ``set_up``: whether rules of this collection are on the
    host; None if that is not known. ``error``: why the source could not send it.
    """

    kind: str
    host: str = ""
    place: Place | None = None
    loss: str = ""
    back: bool = False
    seen_from: str = ""
    set_up: bool | None = None
    error: str = ""


def is_ours(place: Place | None) -> bool:
    """Whether a place is in a chain or table of this collection."""
    return place is not None and "determined" in f"{place.table} {place.chain}".lower()


def find(packet: Packet, views: Mapping[str, View]) -> Stop:
    """A packet and what the hosts saw (host -> view) -> where it stopped."""
    source, destination = views.get(packet.source), views.get(packet.destination)
    question = _QUESTION[packet.protocol]
    if destination is None:
        return Stop(UNSEEN, packet.destination)
    arrived = [one for one in destination.sightings if _is(one, packet, question, IN)]
    if not arrived:
        return _stopped_on_the_way(packet, question, source, views)
    return _after_arrival(packet, question, source, destination)._replace(seen_from=arrived[0].source)


def _after_arrival(packet: Packet, question: str, source: View | None, destination: View) -> Stop:
    host = packet.destination
    dropped = _dropped(host, destination, packet, (question,), legacy_rules.ARRIVING)
    if packet.expected == "blocked":
        return Stop(PASSES_NOW) if dropped else _let_in(packet, destination, question)
    if dropped or packet.protocol == "udp":
        return dropped or Stop(PASSES_NOW)
    if any(_is(one, packet, part, OUT) for one in destination.sightings for part in _ANSWERS):
        return _answered(packet, source)
    dropped = _dropped(host, destination, packet, _ANSWERS, legacy_rules.LEAVING)
    return dropped._replace(back=True) if dropped else _lost(host, destination, packet, question)


def _is(one: Sighting, packet: Packet, part: str, way: str) -> bool:
    return (one.number, one.part, one.way) == (packet.number, part, way)


def _stopped_on_the_way(packet: Packet, question: str, source: View | None, views: Mapping[str, View]) -> Stop:
    """The packet never arrived at its destination."""
    for name, view in views.items():
        if name in (packet.source, packet.destination) or not any(
            _is(one, packet, question, IN) for one in view.sightings
        ):
            continue
        if not any(_is(one, packet, question, OUT) for one in view.sightings):
            return _dropped(name, view, packet, (question,), legacy_rules.ARRIVING) or Stop(OTHER_HOST, name)
    if source is None:
        return Stop(UNSEEN, packet.source)
    if any(_is(one, packet, question, OUT) for one in source.sightings):
        return Stop(NETWORK)
    dropped = _dropped(packet.source, source, packet, (question,), legacy_rules.LEAVING)
    error = source.errors.get(packet.number, "")
    return dropped or (Stop(NO_ROUTE, packet.source, error=error) if error else Stop(HOST_LOSES, packet.source))


def _answered(packet: Packet, source: View | None) -> Stop:
    """An answer left the destination: did the source get it?"""
    if source is None:
        return Stop(UNSEEN, packet.source)
    if not any(_is(one, packet, part, IN) for one in source.sightings for part in _ANSWERS):
        return Stop(NETWORK, back=True)
    dropped = _dropped(packet.source, source, packet, _ANSWERS, legacy_rules.ARRIVING)
    return dropped._replace(back=True) if dropped else Stop(PASSES_NOW)


def _let_in(packet: Packet, view: View, question: str) -> Stop:
    accepts = [event for event in _path(view, packet, (question,)) if event.verdict == _ACCEPT]
    # A rule says more than the policies that the packet also met; of several rules the last one decided.
    rules = [event for event in accepts if event.what == "rule"]
    chosen = (rules or accepts)[-1:]
    place = _place(view, chosen[0]) if chosen else None
    return Stop(LET_IN, packet.destination, place, set_up=view.set_up)


def _path(view: View, packet: Packet, parts: Collection[str]) -> list[Event]:
    """What a packet met in nf_tables, in order, without the table of the trace."""
    return [
        event
        for event in view.events
        if event.number == packet.number and event.part in parts and not event.table.startswith(_OWN_TRACE)
    ]


def _dropped(host: str, view: View, packet: Packet, parts: Collection[str], chains: Collection[str]) -> Stop | None:
    """The rule of a host that drops some parts; None if there is none. ``chains``: where iptables-legacy may do so."""
    for event in _path(view, packet, parts):
        if event.verdict == _DROP:
            return Stop(HOST_DROPS, host, _place(view, event), set_up=view.set_up)
    legacy = _legacy(view, packet, chains, answer=not set(parts).isdisjoint(_ANSWERS))
    return Stop(HOST_DROPS, host, legacy, set_up=view.set_up) if legacy else None


def _lost(host: str, view: View, packet: Packet, question: str) -> Stop:
    """What a host did to a packet that no rule stops, and that it does not answer."""
    came = any((event.number, event.part) == (packet.number, question) for event in view.events)
    if view.traced and view.complete and not came:
        return Stop(HOST_LOSES, host, loss=BEFORE_FILTER)
    if view.traced and not view.complete:
        return Stop(UNSEEN, host, error=INCOMPLETE)
    for loss, names in _LOSSES:
        if any(view.counters.get(name, 0) > 0 for name in names):
            return Stop(HOST_LOSES, host, loss=loss)
    return Stop(HOST_SILENT, host)


def _place(view: View, event: Event) -> Place:
    key = (event.family, event.table, event.chain, event.handle if event.what == "rule" else 0)
    for rule in view.rules:
        if (rule.family, rule.table, rule.chain, rule.handle) == key:
            text = rule.text if event.what == "rule" else f"policy {event.verdict} ({rule.text})"
            return Place(rule.program, rule.table_family, rule.table, rule.chain, rule.position, text)
    # The rule is not there any more, or nft does not show it.
    return Place("nft", event.family, event.table, event.chain, 0, "")


def _legacy(view: View, packet: Packet, chains: Collection[str], answer: bool) -> Place | None:
    """The rule of iptables-legacy that counted the packets, as far as counters tell."""
    is_ipv6 = ":" in packet.address
    header = legacy_rules.Header(packet.protocol, "", 0, packet.address, packet.port)
    if answer:
        header = legacy_rules.Header(packet.protocol, packet.address, packet.port, "", 0)
    fitting = [
        rule
        for rule in view.legacy
        if rule.family == ("ip6" if is_ipv6 else "ip")
        # A chain of somebody may be reached from any chain of the kernel.
        and (rule.chain in chains or rule.chain not in legacy_rules.ARRIVING + legacy_rules.LEAVING)
        and legacy_rules.may_match(rule.rule, header)
    ]
    if not fitting:
        return None
    # A rule that names the port is the likelier one, and a policy the least likely.
    chosen = max(fitting, key=lambda rule: (str(packet.port) in rule.rule, rule.position > 0, -rule.packets))
    program = "ip6tables-legacy" if is_ipv6 else "iptables-legacy"
    return Place(program, chosen.family, chosen.table, chosen.chain, chosen.position, chosen.rule, concluded=True)
