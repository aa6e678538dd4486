# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts see of the packets of a trace, for the tests of stops and causes."""

from __future__ import annotations

from ansible_collections.determined.network.plugins.plugin_utils._verification.results_traces import (
    Event,
    LegacyRule,
    Rule,
    Sighting,
    View,
)
from ansible_collections.determined.network.plugins.plugin_utils._verification.traces import Packet

ADDRESS, SOURCE = "192.0.2.22", "192.0.2.21"


def packet(number=0, source="agent1", destination="agent2", port=1734, protocol="tcp", expected="open") -> Packet:
    return Packet(number, source, destination, ADDRESS, protocol, port, expected)


def sighting(part="syn", way="in", number=0, source=SOURCE, about=(0, 0)) -> Sighting:
    return Sighting(number, part, way, "eth0", source, ADDRESS, about, 1.0, 3)


def event(chain="INPUT", verdict="drop", part="syn", handle=7, what="rule", target="", table="filter", number=0):
    return Event(number, part, "ip", table, chain, what, handle if what == "rule" else 0, verdict, target)


def came(part="syn", number=0) -> Event:
    """The packet came to the packet filter, as the table of the trace tells."""
    return event("prerouting", "continue", part, 0, table="determined_trace_run", number=number)


def rule(chain="INPUT", handle=7, text="-A INPUT -j DROP", program="iptables-nft", table="filter") -> Rule:
    return Rule("ip", "ip", table, chain, handle, 3 if handle else 0, program, text)


def view(*seen, rules=(), legacy=(), counters=None, errors=None, traced=True, complete=True, set_up=True):
    """A host's view; ``seen``: sightings and events in any order."""
    return View(
        traced=traced,
        errors=errors or {},
        sightings=tuple(one for one in seen if isinstance(one, Sighting)),
        events=tuple(one for one in seen if isinstance(one, Event)),
        rules=tuple(rules),
        legacy=tuple(legacy),
        counters=counters or {},
        complete=complete,
        set_up=set_up,
    )


def legacy_rule(text="-A INPUT -p tcp --dport 1734 -j DROP", packets=3, position=1, family="ip") -> LegacyRule:
    return LegacyRule(family, "filter", "INPUT", position, text, packets)
