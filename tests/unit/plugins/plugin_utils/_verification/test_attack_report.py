# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attacks x what was seen -> verdicts: what got through is wrong, what was not made or not proven is never a pass."""

import pytest
from ansible_collections.determined.network.plugins.plugin_utils._verification import attack_report
from ansible_collections.determined.network.plugins.plugin_utils._verification.attack_checks import Attack
from ansible_collections.determined.network.plugins.plugin_utils._verification.checks import Pair
from ansible_collections.determined.network.plugins.plugin_utils._verification.observations import Knowledge
from ansible_collections.determined.network.plugins.plugin_utils._verification.results_attacks import Attacks

ATTACK = Attack(
    "stranger", "agent1", "192.0.2.21", "ipv4", 61234, {4801: "a" * 16}, {61234: "b" * 16}, ("172.30.0.2",), 61234
)
OUTCOME = {
    "address": "192.0.2.21",
    "link": "same",
    "reason": "",
    "control": True,
    "connected": False,
    "open": False,
    "containers": [],
    "datagram_problem": "",
    "lost": 0,
}
FOUND = {"networks": [{"interface": "br-1", "network": "172.30.0.0/16", "containers": ["172.30.0.2"]}]}
READ = {"alive": True, "received": []}
KNOWN = {Pair("stranger", "agent1", "192.0.2.21", "tcp"): Knowledge(answered=True)}


def report(outcome=None, read=None, attack=ATTACK, made=None, refused=(), **changed):
    """The cells of one attack. ``changed``: "found" and "known", if they are others than FOUND and KNOWN."""
    made = {"attempts": [{**OUTCOME, **(outcome or {})}]} if made is None else made
    read = {**READ, **(read or {})}
    answers = Attacks({"agent1": changed.get("found", FOUND)}, {"stranger": made}, {"agent1": read}, {})
    return attack_report.attack_cells([attack], answers, changed.get("known", KNOWN), dict(refused))


def verdicts(cells):
    return {cell.requirement.replace("attack_", ""): cell.verdict for cell in cells}


RIGHT = dict.fromkeys(("connection", "container", "source", "udp"), "correct")
ON_WIRE = ("connection", "container", "source")


def test_what_nothing_came_of_is_correct_and_told_in_plain_words():
    cells = report()
    assert verdicts(cells) == RIGHT
    assert {(cell.expected, cell.observed, cell.wrong_ports) for cell in cells} == {("blocked", "filtered", "")}
    assert cells[0].evidence[0] == "an outsider sent the middle of a connection, a forged reply and a SYN"
    told = {cell.requirement: any("not known" in text for text in cell.evidence) for cell in cells}
    assert told == {"attack_connection": True, "attack_container": True, "attack_source": True, "attack_udp": False}
    assert [cell.address for cell in cells] == ["192.0.2.21", "172.30.0.2", "192.0.2.21", "192.0.2.21"]


@pytest.mark.parametrize(
    "attack, seen",
    [
        ("connection", {"outcome": {"connected": True}}),
        ("container", {"outcome": {"containers": ["172.30.0.2"]}}),
        ("source", {"read": {"received": ["a" * 16]}}),
        ("udp", {"read": {"received": ["b" * 16, "c" * 16]}}),
    ],
)
def test_what_got_through_is_wrong_and_nothing_else_is(attack, seen):
    cells = report(**seen)
    assert verdicts(cells) == {**RIGHT, attack: "wrong"}
    (wrong,) = [cell for cell in cells if cell.verdict == "wrong"]
    assert wrong.observed == "open" and wrong.wrong_ports
    assert "run the role determined.network.firewall again" in wrong.evidence[-1]
    # It stays wrong, whatever else is missing.
    weak = {"control": False, "lost": 3, **seen.get("outcome", {})}
    again = report(outcome=weak, read={"alive": False, **seen.get("read", {})}, known={})
    assert verdicts(again)[attack] == "wrong"


def test_a_port_that_is_open_anyway_is_not_blamed_on_connection_tracking():
    (wrong,) = [cell for cell in report({"connected": True, "open": True}) if cell.verdict == "wrong"]
    assert "agent1 accepted a SYN alone, too" in wrong.evidence[1]
    assert "accepts new connections to this port" in wrong.evidence[2]


def test_networks_without_a_container_are_one_advice():
    hosts = [f"agent{number}" for number in range(1, 9)]
    attacks = [ATTACK._replace(destination=host, containers=()) for host in hosts]
    silent = {"networks": [{**FOUND["networks"][0], "containers": []}]}
    answers = Attacks(dict.fromkeys(hosts, silent), {"stranger": {}}, dict.fromkeys(hosts, READ), {})
    cells = attack_report.attack_cells(attacks, answers, {}, {})
    (advice,) = [cell for cell in cells if cell.requirement == "attack_container" and cell.verdict == "advice"]
    assert "(br-1 of agent1), " in advice.evidence[0] and "and 3 more no container" in advice.evidence[0]


@pytest.mark.parametrize(
    "seen, errors, text",
    [
        ({"outcome": {"control": False}}, ON_WIRE, "without a positive control"),
        ({"outcome": {"lost": 2}}, ON_WIRE, "run again"),
        ({"outcome": {"link": "unknown", "reason": "no answer"}}, ON_WIRE, "could not send frames to 192.0.2.21"),
        ({"read": {"alive": False}}, ("connection", "source", "udp"), "ended early"),
        ({"known": {}}, ("udp",), "without a positive control"),
        ({"outcome": {"datagram_problem": "no route"}}, ("udp",), "could not send the datagrams: no route"),
        ({"made": {}}, tuple(RIGHT), "stranger gave no answer"),
        ({"made": {"msg": "no Python"}}, tuple(RIGHT), "stranger could not attack: no Python"),
        ({"made": {"attempts": []}}, tuple(RIGHT), "stranger gave no answer"),
    ],
)
def test_what_was_not_proven_is_an_error(seen, errors, text):
    cells = report(**seen)
    assert verdicts(cells) == {**RIGHT, **dict.fromkeys(errors, "error")}
    assert all(text in cell.evidence[0] for cell in cells if cell.verdict == "error")


@pytest.mark.parametrize("link, text", [("other", "not on the same link"), ("not_permitted", "as root")])
def test_an_outsider_that_cannot_send_frames_is_named_in_advice(link, text):
    cells = report({"link": link, "reason": "whatever", "control": False})
    assert verdicts(cells) == {**dict.fromkeys(ON_WIRE, "advice"), "udp": "correct"}
    advice = [cell for cell in cells if cell.verdict == "advice"]
    assert all(cell.source == "stranger" and "NOT" in cell.evidence[0] for cell in advice)
    assert all("agent1" in cell.evidence[0] and text in cell.evidence[0] for cell in advice)


def test_an_attack_without_a_port_or_a_container_is_advice():
    attack = ATTACK._replace(tcp_port=0, datagrams={}, forged={}, containers=())
    silent = {"networks": [{**FOUND["networks"][0], "containers": []}]}
    cells = report(attack=attack, found=silent)
    assert verdicts(cells) == dict.fromkeys(("connection", "container", "udp"), "advice")
    assert any("in 172.30.0.0/16 (br-1 of agent1) no container" in cell.evidence[0] for cell in cells)


def test_a_host_that_does_not_tell_its_containers_is_an_error():
    cells = report(attack=ATTACK._replace(containers=()), found={"msg": "no Python"})
    assert verdicts(cells) == {**RIGHT, "container": "error"}
    (error,) = [cell for cell in cells if cell.verdict == "error"]
    assert error.evidence == ("agent1 did not tell which containers it has: no Python",)


@pytest.mark.parametrize("host", ["stranger", "agent1"])
def test_a_malformed_answer_makes_errors_of_the_attacks_of_that_host(host):
    other = ATTACK._replace(destination="agent2", address="192.0.2.22")
    answers = Attacks(
        {"agent1": FOUND, "agent2": FOUND},
        {"stranger": {"attempts": [OUTCOME, OUTCOME]}},
        {"agent1": READ, "agent2": READ},
        {},
    )
    known = {**KNOWN, Pair("stranger", "agent2", "192.0.2.22", "tcp"): Knowledge(answered=True)}
    cells = attack_report.attack_cells([ATTACK, other], answers, known, {host: f"{host} lies"})
    refused = [cell for cell in cells if host in (cell.source, cell.destination)]
    assert len(refused) == (4 if host == "agent1" else 8)
    assert {(cell.verdict, cell.evidence) for cell in refused} == {("error", (f"{host} lies",))}
    assert {cell.verdict for cell in cells if cell not in refused} == ({"correct"} if host == "agent1" else set())
