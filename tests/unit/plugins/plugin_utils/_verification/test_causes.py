# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From wrong cells to the packets of a trace, and from where these stopped to causes."""

from __future__ import annotations

import pytest
from ansible_collections.determined.network.plugins.plugin_utils._verification import causes, stops, traces
from ansible_collections.determined.network.plugins.plugin_utils._verification.cells import Cell

from .trace_views import ADDRESS, SOURCE, came, event, rule, sighting, view

CELL = Cell(
    "trial_sync", "agent1", "agent2", ADDRESS, "ipv4", "tcp", "1734,1750", "open", "filtered", "wrong", (), "1734"
)
ADDRESSES = {"agent1": {SOURCE}, "agent3": {"192.0.2.23"}, "agent2": {ADDRESS}}


def find(cells, views=None, absent=None):
    packets = traces.plan(cells)
    return causes.find(cells, packets, views or {}, ADDRESSES, absent or {})


def test_only_wrong_cells_between_hosts_are_traced():
    others = [
        CELL._replace(verdict="correct", wrong_ports=""),
        CELL._replace(verdict="error", wrong_ports=""),
        CELL._replace(via="", destination="registry"),
    ]
    assert traces.plan([*others, CELL]) == (traces.Packet(0, "agent1", "agent2", ADDRESS, "tcp", 1734, "open"),)
    assert traces.to_plan((), ["a"]) == {"packets": {}, "watching": [], "plan": []}


def test_cells_with_the_same_wrong_port_share_a_packet():
    cells = [CELL, CELL._replace(requirement="gloo_ephemeral", wrong_ports="1734,40000")]
    packets = traces.plan(cells)
    assert [packet.port for packet in packets] == [1734, 40000]
    assert traces.packets_of(cells, packets) == {0: [packets[0]], 1: [*packets]}
    plan = traces.to_plan(packets, ["agent2", "agent1"])
    assert plan["watching"] == ["agent1", "agent2"]
    assert traces.from_plan(plan["plan"]) == packets
    assert traces.from_plan([[str(one) for one in packet] for packet in plan["plan"]]) == packets
    first = {"number": 0, "protocol": "tcp", "address": ADDRESS, "port": 1734}
    assert plan["packets"] == {"agent1": [first, {**first, "number": 1, "port": 40000}]}


def test_every_cell_gets_a_packet_before_any_gets_two_and_no_host_gets_too_many():
    wide = [CELL._replace(requirement=f"row{port}", wrong_ports=f"{port}-{port + 1}") for port in range(2, 1200, 4)]
    packets = traces.plan(wide)
    assert len(packets) == traces.MOST_OF_A_HOST
    assert {cell.wrong_ports.partition("-")[0] for cell in wide} <= {str(packet.port) for packet in packets}
    many = [CELL._replace(source=f"a{number}", destination=f"b{number}") for number in range(9000)]
    assert len(traces.plan(many)) == traces.MOST_PACKETS


@pytest.mark.parametrize(
    "wrong, ports",
    [
        ("9", [9]),
        ("5-8", [5, 6, 7, 8]),
        ("1-100,200", [1, 100, 200]),
        (",".join(map(str, range(1, 999, 2))), None),
    ],
)
def test_which_of_many_wrong_ports_are_traced(wrong, ports):
    traced = [packet.port for packet in traces.plan([CELL._replace(wrong_ports=wrong)])]
    assert traced == ports if ports else (len(traced), traced[0], traced[-1]) == (traces.MOST_OF_A_CELL, 1, 997)


def test_one_rule_explains_all_cells_whose_packets_it_stops():
    other = CELL._replace(requirement="trial_ssh", source="agent3", wrong_ports="12350")
    seen = view(
        *(one for number in (0, 1) for one in (sighting(number=number), came(number=number), event(number=number))),
        rules=[rule()],
    )
    (cause,) = find([CELL, CELL._replace(verdict="correct"), other], {"agent2": seen})
    assert (cause.id, cause.kind, cause.host, cause.cells) == (1, stops.HOST_DROPS, "agent2", (0, 2))
    assert cause.sentence == "agent2 stops TCP 1734 and 12350 from agent1 and agent3 to agent2, by this rule."
    assert cause.place == "iptables-nft, family ip, table filter, chain INPUT, rule 3"
    assert cause.rule == "-A INPUT -j DROP"
    assert cause.to_dict()["cells"] == [0, 2]


def test_the_cause_of_most_cells_comes_first_and_an_unknown_one_after_the_known():
    lone = CELL._replace(source="agent3", destination="agent9")
    cells = [CELL, lone, lone._replace(requirement="trial_ssh")]
    known, unknown = find(cells, {"agent1": view(sighting(way="out")), "agent2": view()})
    assert (known.kind, known.cells) == (stops.NETWORK, (0,))
    assert (unknown.kind, unknown.host, unknown.cells) == (stops.UNSEEN, "agent9", (1, 2))
    assert (known.id, unknown.id) == (1, 2)


@pytest.mark.parametrize(
    "options, words, remedy",
    [
        ({"chain": "DOCKER-ISOLATION-STAGE-2"}, "by this rule of Docker", "docker run -p"),
        ({"chain": "f2b-sshd"}, "by this rule of fail2ban", "fail2ban-client unban"),
        ({"chain": "ufw-user-input"}, "by this rule of ufw", "ufw status"),
        ({"chain": "filter_INPUT", "table": "firewalld"}, "by this rule of firewalld", "firewall-cmd"),
        ({"chain": "ts-input"}, "by this rule of Tailscale", "tailscale"),
        ({"chain": "KUBE-FIREWALL"}, "by this rule of kube-proxy", "Kubernetes"),
    ],
)
def test_who_made_a_rule_and_how_to_change_it(options, words, remedy):
    (cause,) = find([CELL], {"agent2": view(sighting(), came(), event(**options), rules=[rule(**options)])})
    assert words in cause.sentence and remedy in cause.remedy


def test_how_to_remove_a_rule_of_nobody():
    (cause,) = find([CELL], {"agent2": view(sighting(), came(), event(), rules=[rule()])})
    assert cause.remedy.endswith("remove it on agent2: iptables -w -t filter -D INPUT -j DROP")


def test_a_host_whose_firewall_is_not_set_up():
    (cause,) = find([CELL], {"agent2": view(sighting(), came(), event(), rules=[rule()], set_up=False)})
    assert cause.sentence.endswith("The firewall of agent2 is not set up by this collection.")
    assert cause.remedy == "Run: ansible-playbook determined.network.site"


def test_a_rule_of_ours_stops_a_source_that_speaks_from_an_unnamed_address():
    seen = view(sighting(source="198.51.100.7"), came(), event("DETERMINED-INPUT"), rules=[rule("DETERMINED-INPUT")])
    (cause,) = find([CELL], {"agent2": seen})
    assert "because agent1 speaks from 198.51.100.7, which the inventory does not name" in cause.sentence
    assert "Add 198.51.100.7 to determined_address of agent1" in cause.remedy


def test_a_rule_of_ours_that_is_older_than_the_inventory():
    seen = view(sighting(), came(), event("DETERMINED-INPUT"), rules=[rule("DETERMINED-INPUT")])
    (cause,) = find([CELL], {"agent2": seen})
    assert "older than the inventory" in cause.sentence and "determined.network.site" in cause.remedy


def test_the_network_gets_a_line_to_hand_on():
    (cause,) = find([CELL], {"agent1": view(sighting(way="out")), "agent2": view()})
    assert cause.sentence == (
        "TCP 1734 from agent1 to agent2 leaves agent1 and never arrives at agent2: the network between them stops it."
    )
    assert f"(to the address {ADDRESS}) leaves agent1 and does not arrive at agent2" in cause.remedy


def test_what_must_be_blocked_and_is_let_in():
    cell = CELL._replace(requirement="restrict", expected="blocked", observed="open", wrong_ports="6379")
    path = (came(), event(verdict="accept"), sighting("syn_ack", "out"))
    (cause,) = find([cell], {"agent2": view(sighting(), *path, rules=[rule(text="-A INPUT -j ACCEPT")])})
    assert cause.kind == stops.LET_IN and "which must be blocked" in cause.sentence
    assert cause.rule == "-A INPUT -j ACCEPT"


def test_a_host_that_gave_no_answer_is_one_cause_for_all_of_its_checks():
    cells = [CELL._replace(verdict="error", wrong_ports="", source=name) for name in ("agent3", "agent4", "agent5")]
    cells += [CELL._replace(verdict="error", wrong_ports="", source="agent5", destination="agent3")]
    (cause,) = find(cells, absent={"agent3": "agent3 did not take part.", "agent9": "agent9 did not take part."})
    assert (cause.kind, cause.host, cause.cells) == (causes.ABSENT, "agent3", (0, 3))


def test_services_outside_are_grouped_by_what_failed_and_by_who_has_to_act():
    outside = CELL._replace(via="http://proxy:3128", step="proxy", blame="proxy", observed="proxy_credentials")
    outside = outside._replace(requirement="registry_access", evidence=("the proxy wants a password",))
    cells = [outside._replace(source=source, destination=name) for source in ("agent1", "agent3") for name in "ab"]
    cells.append(outside._replace(via="", step="connect", blame="target", observed="refused", destination="c"))
    one, other = find(cells)
    assert one.cells == (0, 1, 2, 3) and one.sentence == "agent1 and agent3 to a and b: the proxy wants a password."
    assert (other.kind, other.cells) == (causes.OUTSIDE, (4,))


def test_without_any_view_nothing_is_said_about_packets():
    assert find([CELL]) == ()
