# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts answered in a trace -> data of known shape. Pure.

As in ``results``, an answer is data of that host alone, and a malformed answer is not used at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ansible_collections.determined.network.plugins.plugin_utils._verification.fields import Fields, Malformed
from ansible_collections.determined.network.plugins.plugin_utils._verification.results import has_answered, sentence
from ansible_collections.determined.network.plugins.plugin_utils._verification.traces import Packet

SYN, SYN_ACK, RESET, DATAGRAM, ECHO, ECHO_REPLY, ICMP_ERROR = PARTS = (
    "syn",
    "syn_ack",
    "reset",
    "datagram",
    "echo",
    "echo_reply",
    "icmp_error",
)
IN, OUT = "in", "out"
MOST_SIGHTINGS, MOST_EVENTS, MOST_RULES, MOST_LEGACY = 8192, 65536, 4096, 4096
_WHATS = ("rule", "policy", "return")
_LARGEST = (1 << 64) - 1
_MOST_PORT = 65535


class Sighting(NamedTuple):
    """As in the host's module ``trace``."""

    number: int
    part: str
    way: str
    interface: str
    source: str
    destination: str
    about: tuple[int, int]
    milliseconds: float
    times: int


class Event(NamedTuple):
    """As in the host's module ``trace``."""

    number: int
    part: str
    family: str
    table: str
    chain: str
    what: str
    handle: int
    verdict: str
    target: str


class Rule(NamedTuple):
    """As in the host's module ``trace``."""

    family: str
    table_family: str
    table: str
    chain: str
    handle: int
    position: int
    program: str
    text: str


class LegacyRule(NamedTuple):
    """As in the host's module ``trace``."""

    family: str
    table: str
    chain: str
    position: int
    rule: str
    packets: int


class View(NamedTuple):
    """What one host saw. ``traced``: whether it could trace the rules of nf_tables. ``errors``: number of a packet that
    it could not send -> why. ``complete``: whether it kept everything that it saw. ``set_up``: whether rules of this
    collection are there; None if the host cannot tell."""

    traced: bool
    errors: dict[int, str]
    sightings: tuple[Sighting, ...]
    events: tuple[Event, ...]
    rules: tuple[Rule, ...]
    legacy: tuple[LegacyRule, ...]
    counters: dict[str, int]
    complete: bool
    set_up: bool | None


class Views(NamedTuple):
    """``views``: host -> what it saw, for the hosts that watched to the end. ``refused``: host -> the sentence that
    says why its answer is not used."""

    views: dict[str, View]
    refused: dict[str, str]


def read(answers: Mapping[str, Mapping[str, Any]], packets: Iterable[Packet]) -> Views:
    """Host -> what ``trace`` returned there, by state: {"started": ..., "sent": ..., "ended": ...} -> Views."""
    views: dict[str, View] = {}
    refused: dict[str, str] = {}
    known = {packet.number for packet in packets}
    for host, answer in answers.items():
        ended = answer.get("ended")
        if not has_answered(answer.get("started")) or not has_answered(ended):
            continue
        try:
            if Fields("trace", ended).flag("watched"):
                views[host] = _view(answer, known)
        except Malformed as problem:
            refused[host] = sentence(host, problem)
    return Views(views, refused)


def _view(answer: Mapping[str, Any], known: set[int]) -> View:
    fields = Fields("trace", answer["ended"])
    sent = answer.get("sent")
    errors = {}
    if has_answered(sent):
        for one in Fields("sent", sent).items("sent", len(known)):
            errors[one.whole("number", _MOST_PORT)] = one.text("error")
    return View(
        traced=Fields("started", answer["started"]).text("problem") == "",
        errors={number: text for number, text in errors.items() if text},
        sightings=tuple(
            one for one in map(_sighting, fields.items("sightings", MOST_SIGHTINGS)) if one.number in known
        ),
        events=tuple(one for one in map(_event, fields.items("events", MOST_EVENTS)) if one.number in known),
        rules=tuple(map(_rule, fields.items("rules", MOST_RULES))),
        legacy=tuple(map(_legacy, fields.items("legacy", MOST_LEGACY))),
        counters=_counters(fields.fields("counters")),
        set_up=fields.flag_or_none("set_up"),
        complete=not fields.whole("lost_packets", _LARGEST) and not fields.whole("lost_events", _LARGEST),
    )


def _sighting(one: Fields) -> Sighting:
    about = one.get("about")
    if not isinstance(about, (list, tuple)) or len(about) != 2 or not all(map(_is_whole, about)):
        raise one.wrong("about", "is not a list of two numbers")
    return Sighting(
        number=one.whole("number", _MOST_PORT),
        part=one.choice("part", PARTS),
        way=one.choice("way", (IN, OUT)),
        interface=one.text("interface"),
        source=one.text("source"),
        destination=one.text("destination"),
        about=(about[0], about[1]),
        milliseconds=one.number_or_none("milliseconds", 1e9) or 0.0,
        times=one.whole("times", _LARGEST),
    )


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _event(one: Fields) -> Event:
    return Event(
        number=one.whole("number", _MOST_PORT),
        part=one.choice("part", PARTS),
        what=one.choice("what", _WHATS),
        handle=one.whole("handle", _LARGEST),
        **{name: one.text(name) for name in ("family", "table", "chain", "verdict", "target")},
    )


def _rule(one: Fields) -> Rule:
    texts = {name: one.text(name) for name in ("family", "table_family", "table", "chain", "program", "text")}
    return Rule(handle=one.whole("handle", _LARGEST), position=one.whole("position", _LARGEST), **texts)


def _legacy(one: Fields) -> LegacyRule:
    texts = {name: one.text(name) for name in ("family", "table", "chain", "rule")}
    return LegacyRule(position=one.whole("position", _LARGEST), packets=one.whole("packets", _LARGEST), **texts)


_COUNTERS = (
    "IPReversePathFilter",
    "ListenOverflows",
    "ListenDrops",
    "TCPReqQFullDrop",
    "InNoRoutes",
    "InAddrErrors",
    "OutNoRoutes",
    "conntrack_drop",
    "conntrack_early_drop",
    "conntrack_count",
    "conntrack_max",
)


def _counters(fields: Fields) -> dict[str, int]:
    # A kernel without connection tracking has none of these.
    return {name: fields.whole(name, _LARGEST) for name in _COUNTERS if fields.get(name) is not None}
