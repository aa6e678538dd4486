# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a packet stopped, from what the hosts saw."""

from __future__ import annotations

import pytest
from ansible_collections.determined.network.plugins.plugin_utils._verification import stops

from .trace_views import SOURCE, came, event, legacy_rule, packet, rule, sighting, view

LEFT = view(sighting(way="out"))
ARRIVED = sighting()


def find(source=LEFT, destination=None, sent=None, **others):
    views = {"agent1": source, "agent2": destination, **others}
    return stops.find(sent or packet(), {name: one for name, one in views.items() if one is not None})


def test_a_rule_of_the_destination_drops_it():
    stop = find(destination=view(ARRIVED, came(), event(), rules=[rule()]))
    assert (stop.kind, stop.host, stop.seen_from) == (stops.HOST_DROPS, "agent2", SOURCE)
    assert stop.place == stops.Place("iptables-nft", "ip", "filter", "INPUT", 3, "-A INPUT -j DROP")


def test_the_policy_of_a_chain_drops_it():
    shown = rule(handle=0, text="type filter hook input priority 0; policy drop;", program="nft")
    stop = find(destination=view(ARRIVED, came(), event(what="policy"), rules=[shown]))
    assert (
        stop.place.text == "policy drop (type filter hook input priority 0; policy drop;)" and stop.place.position == 0
    )


def test_a_rule_that_has_gone_in_the_meantime_still_names_its_chain():
    stop = find(destination=view(ARRIVED, came(), event()))
    assert stop.place == stops.Place("nft", "ip", "filter", "INPUT", 0, "")


@pytest.mark.parametrize("part", ["reset", "icmp_error"])
def test_a_firewall_that_answers_in_the_place_of_the_host_has_dropped_the_packet(part):
    destination = view(ARRIVED, came(), event(), sighting(part, "out"), rules=[rule()])
    stop = find(view(sighting(way="out"), sighting(part)), destination)
    assert (stop.kind, stop.host) == (stops.HOST_DROPS, "agent2") and stop.place.position == 3


def test_the_firewall_of_the_source_drops_it():
    source = view(event("OUTPUT"), rules=[rule("OUTPUT", text="-A OUTPUT -j DROP")], errors={0: "not permitted"})
    stop = find(source, view())
    assert (stop.kind, stop.host, stop.place.chain) == (stops.HOST_DROPS, "agent1", "OUTPUT")


def test_the_source_has_no_route():
    stop = find(view(errors={0: "Network is unreachable"}), view())
    assert (stop.kind, stop.host, stop.error) == (stops.NO_ROUTE, "agent1", "Network is unreachable")


def test_the_source_loses_it_in_some_other_way():
    assert find(view(), view())[:2] == (stops.HOST_LOSES, "agent1")


def test_the_network_stops_it():
    assert find(LEFT, view()) == stops.Stop(stops.NETWORK)


def test_the_network_stops_the_answer():
    stop = find(LEFT, view(ARRIVED, came(), sighting("syn_ack", "out")))
    assert (stop.kind, stop.back) == (stops.NETWORK, True)


def test_the_source_drops_the_answer():
    source = view(sighting(way="out"), sighting("syn_ack"), event(part="syn_ack"), rules=[rule()])
    stop = find(source, view(ARRIVED, came(), sighting("syn_ack", "out")))
    assert (stop.kind, stop.host, stop.back) == (stops.HOST_DROPS, "agent1", True)


def test_it_arrives_at_another_host():
    stop = find(LEFT, view(), agent3=view(ARRIVED))
    assert (stop.kind, stop.host) == (stops.OTHER_HOST, "agent3")


def test_a_router_of_the_cluster_passes_it_on():
    assert find(LEFT, view(), router=view(ARRIVED, sighting(way="out"))).kind == stops.NETWORK


def test_a_router_of_the_cluster_drops_it():
    stop = find(LEFT, view(), router=view(ARRIVED, came(), event("FORWARD"), rules=[rule("FORWARD")]))
    assert (stop.kind, stop.host, stop.place.chain) == (stops.HOST_DROPS, "router", "FORWARD")


def test_iptables_legacy_drops_it_as_its_counters_say():
    stop = find(destination=view(ARRIVED, came(), legacy=[legacy_rule()]))
    assert stop.place.program == "iptables-legacy" and stop.place.concluded


@pytest.mark.parametrize(
    "rules, chosen",
    [
        ([legacy_rule("-A INPUT -p udp -j DROP", 90), legacy_rule("-A INPUT -j DROP", 3, 2)], "-A INPUT -j DROP"),
        ([legacy_rule("-A INPUT -j DROP", 900), legacy_rule("-A INPUT --dport 1734 -j DROP")], "--dport 1734"),
        ([legacy_rule(":INPUT DROP", 9, 0)], ":INPUT DROP"),
    ],
)
def test_of_several_counters_the_one_of_the_port_is_meant(rules, chosen):
    assert chosen in find(destination=view(ARRIVED, came(), legacy=rules)).place.text


@pytest.mark.parametrize("other", [legacy_rule("-A INPUT -p udp -j DROP"), legacy_rule(family="ip6")])
def test_a_counter_of_another_protocol_or_family_explains_nothing(other):
    assert find(destination=view(ARRIVED, came(), legacy=[other])).kind == stops.HOST_SILENT


@pytest.mark.parametrize(
    "counters, loss",
    [
        ({"conntrack_drop": 3, "ListenDrops": 3}, stops.CONNTRACK_FULL),
        ({"IPReversePathFilter": 3}, stops.REVERSE_PATH),
        ({"InNoRoutes": 3}, stops.NO_ROUTE_IN),
        ({"OutNoRoutes": 3}, stops.NO_ROUTE_BACK),
        ({"TCPReqQFullDrop": 3}, stops.BACKLOG),
    ],
)
def test_the_kernel_of_the_destination_gives_it_up(counters, loss):
    stop = find(destination=view(ARRIVED, came(), counters=counters))
    assert (stop.kind, stop.host, stop.loss) == (stops.HOST_LOSES, "agent2", loss)


def test_it_arrives_on_the_wire_and_never_comes_to_the_packet_filter():
    stop = find(destination=view(ARRIVED))
    assert (stop.kind, stop.loss) == (stops.HOST_LOSES, stops.BEFORE_FILTER)


def test_without_a_trace_nothing_is_said_about_the_packet_filter():
    assert find(destination=view(ARRIVED, traced=False)).kind == stops.HOST_SILENT


def test_a_host_that_could_not_keep_all_that_it_saw_does_not_know():
    stop = find(destination=view(ARRIVED, event(verdict="accept"), complete=False))
    assert (stop.kind, stop.host, stop.error) == (stops.UNSEEN, "agent2", stops.INCOMPLETE)
    assert find(destination=view(ARRIVED, event(), complete=False, rules=[rule()])).kind == stops.HOST_DROPS


def test_nothing_answers():
    assert find(destination=view(ARRIVED, came(), event(verdict="accept"))).kind == stops.HOST_SILENT


@pytest.mark.parametrize("answer", ["syn_ack", "reset"])
def test_it_passes_now(answer):
    source = view(sighting(way="out"), sighting(answer), came(answer))
    assert find(source, view(ARRIVED, came(), sighting(answer, "out"))).kind == stops.PASSES_NOW


def test_a_datagram_needs_no_answer():
    seen = view(sighting("datagram"), came("datagram"))
    assert find(LEFT, seen, packet(protocol="udp")).kind == stops.PASSES_NOW


@pytest.mark.parametrize(
    "source, destination, unseen",
    [
        (LEFT, None, "agent2"),
        (None, view(), "agent1"),
        (None, view(ARRIVED, came(), sighting("reset", "out")), "agent1"),
    ],
)
def test_a_host_that_does_not_watch_is_named(source, destination, unseen):
    stop = find(source, destination)
    assert (stop.kind, stop.host) == (stops.UNSEEN, unseen)


def test_the_rule_that_lets_in_what_must_be_blocked():
    path = (came(), event(verdict="accept", handle=5), event("other", "accept", what="policy"))
    destination = view(ARRIVED, *path, sighting("syn_ack", "out"), rules=[rule(handle=5, text="-A INPUT -j ACCEPT")])
    stop = find(destination=destination, sent=packet(expected="blocked"))
    assert (stop.kind, stop.place.text) == (stops.LET_IN, "-A INPUT -j ACCEPT")


def test_a_policy_lets_it_in_where_no_rule_does():
    path = (came(), event(verdict="accept", what="policy"))
    stop = find(destination=view(ARRIVED, *path), sent=packet(expected="blocked"))
    assert (stop.kind, stop.place.chain) == (stops.LET_IN, "INPUT")


def test_what_must_be_blocked_and_is_dropped_now_passes():
    stop = find(destination=view(ARRIVED, came(), event()), sent=packet(expected="blocked"))
    assert stop.kind == stops.PASSES_NOW


def test_what_never_arrives_is_not_let_in():
    assert find(LEFT, view(), packet(expected="blocked")).kind == stops.NETWORK


@pytest.mark.parametrize("set_up", [True, False, None])
def test_whether_rules_of_this_collection_are_there(set_up):
    assert find(destination=view(ARRIVED, came(), event(), set_up=set_up)).set_up is set_up


def test_the_events_of_other_packets_do_not_count():
    destination = view(ARRIVED, came(), event(number=1), sighting(number=1), sighting("reset", "out"))
    source = view(sighting(way="out"), sighting("reset"), came("reset"))
    assert find(source, destination).kind == stops.PASSES_NOW
