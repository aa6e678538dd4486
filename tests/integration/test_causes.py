# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A verification names the culprit: the host, the place and the rule, of faults that the tests plant."""

from __future__ import annotations

import random
import subprocess
from typing import NamedTuple

import pytest
from ansible_collections.determined.network.plugins.module_utils import _ports
from ansible_collections.determined.network.plugins.module_utils._namespaces import state
from ansible_collections.determined.network.plugins.plugin_utils._verification import text_report

from .lab import configured_lab

HOSTS = {
    "master": ("determined_master", ["192.0.2.10", "2001:db8:1::10"]),
    "agent1": ("determined_agents", ["192.0.2.21", "2001:db8:1::21"]),
    "agent2": ("determined_agents", ["192.0.2.22", "2001:db8:1::22"]),
    "stranger": ("determined_outsiders", ["203.0.113.66", "2001:db8:6::66"]),
}
FAMILIES = {"ipv4": 0, "ipv6": 1}
TOOLS = {"ipv4": "iptables", "ipv6": "ip6tables"}


class Fault(NamedTuple):
    """What is planted on ``host`` (or in the network: "between"), and the cause that must be found for a TCP port.

    The check is from agent1 to agent2. In all texts, ``{port}`` stands for the port, ``{source}`` and ``{destination}``
    for the addresses, and ``{tool}`` for the iptables of the family.
    """

    name: str
    host: str
    plant: str
    family: str = "ipv4"
    kind: str = "host_drops"
    culprit: str = "agent2"
    place: str = ""
    rule: str = ""

    def fill(self, text: str, port: int) -> str:
        """One of the fault's texts for a port."""
        source, destination = (HOSTS[name][1][FAMILIES[self.family]] for name in ("agent1", "agent2"))
        return text.format(port=port, tool=TOOLS[self.family], source=source, destination=destination)


def nft(family: str, hook: str, priority: int, rule: str) -> str:
    """The commands that plant a rule in a table of its own."""
    table = f"{family} planted{{port}}"
    chain = f"'{{{{ type filter hook {hook} priority {priority}; policy accept; }}}}'"
    return f"nft add table {table}; nft add chain {table} c {chain}; nft add rule {table} c {rule}"


def chain(name: str) -> str:
    """The commands that plant a chain of the name that somebody gives to his chains."""
    jump = f"{{tool}} -w -I INPUT -p tcp --dport {{port}} -j {name}"
    return f"{{tool}} -w -N {name}; {jump}; {{tool}} -w -A {name} -j REJECT"


def both(name: str, host: str, plant: str, **more: str) -> list[Fault]:
    """The same fault in both families."""
    return [Fault(f"{name}, {family}", host, plant, family, **more) for family in FAMILIES]


FAULTS = [
    *both(
        "INPUT drops", "agent2", "{tool} -w -I INPUT -p tcp --dport {port} -j DROP", place="filter, chain INPUT, rule"
    ),
    *both("INPUT rejects", "agent2", "{tool} -w -I INPUT -p tcp --dport {port} -j REJECT", place="chain INPUT, rule"),
    *both("raw drops", "agent2", "{tool} -w -t raw -I PREROUTING -p tcp --dport {port} -j DROP", place="table raw"),
    *both("mangle drops", "agent2", "{tool} -w -t mangle -I INPUT -p tcp --dport {port} -j DROP", place="table mangle"),
    *both(
        "security drops",
        "agent2",
        "{tool} -w -t security -I INPUT -p tcp --dport {port} -j DROP",
        place="table security",
    ),
    *both(
        "iptables-legacy drops",
        "agent2",
        "{tool}-legacy -w -I INPUT -p tcp --dport {port} -j DROP",
        place="tables-legacy, family ip",
    ),
    *both(
        "iptables-legacy of the source drops",
        "agent1",
        "{tool}-legacy -w -I OUTPUT -d {destination} -p tcp --dport {port} -j DROP",
        culprit="agent1",
        place="chain OUTPUT",
    ),
    *both(
        "OUTPUT drops",
        "agent1",
        "{tool} -w -I OUTPUT -d {destination} -p tcp --dport {port} -j DROP",
        culprit="agent1",
        place="OUTPUT",
    ),
    *both(
        "OUTPUT rejects",
        "agent1",
        "{tool} -w -I OUTPUT -d {destination} -p tcp --dport {port} -j REJECT",
        culprit="agent1",
        place="OUTPUT",
    ),
    *both(
        "the source drops the answer",
        "agent1",
        "{tool} -w -I INPUT -s {destination} -p tcp --sport {port} -j DROP",
        culprit="agent1",
        place="chain INPUT",
        rule="--sport {port}",
    ),
    *both(
        "the destination drops its answer",
        "agent2",
        "{tool} -w -I OUTPUT -s {destination} -p tcp --sport {port} -j DROP",
        place="chain OUTPUT",
        rule="--sport {port}",
    ),
    Fault(
        "nft, inet",
        "agent2",
        nft("inet", "input", 10, "meta nfproto ipv4 tcp dport {port} drop"),
        place="family inet, table planted",
    ),
    Fault("nft, ip", "agent2", nft("ip", "input", 10, "tcp dport {port} reject"), place="family ip, table planted"),
    Fault(
        "nft, ip6",
        "agent2",
        nft("ip6", "input", -5, "tcp dport {port} drop"),
        "ipv6",
        place="family ip6, table planted",
    ),
    Fault(
        "nft at prerouting, IPv6",
        "agent2",
        nft("inet", "prerouting", -250, "meta nfproto ipv6 tcp dport {port} drop"),
        "ipv6",
        place="family inet, table planted",
    ),
    Fault(
        "nft, output",
        "agent1",
        nft("inet", "output", 10, "ip daddr {destination} tcp dport {port} drop"),
        culprit="agent1",
        place="table planted",
    ),
    Fault(
        "nft, postrouting",
        "agent1",
        nft("ip", "postrouting", 10, "ip daddr {destination} tcp dport {port} drop"),
        culprit="agent1",
        place="family ip, table planted",
    ),
    Fault(
        "nft, a chain that is jumped to",
        "agent2",
        nft("inet", "input", 10, "meta nfproto ipv4 tcp dport {port} jump d").replace(
            "; nft add rule", "; nft add chain inet planted{port} d; nft add rule"
        )
        + "; nft add rule inet planted{port} d counter drop",
        place="chain d, rule 1",
        rule="counter drop",
    ),
    *[
        Fault(f"a chain of {owner}", "agent2", chain(name), family, place=f"chain {name}, rule 1", rule="-j REJECT")
        for owner, name, family in (
            ("Docker", "DOCKER-PLANTED", "ipv4"),
            ("fail2ban", "f2b-planted", "ipv6"),
            ("ufw", "ufw-planted", "ipv4"),
            ("Tailscale", "ts-planted", "ipv6"),
            ("kube-proxy", "KUBE-PLANTED", "ipv4"),
        )
    ],
    Fault(
        "nft, before the packet filter",
        "agent2",
        "nft add table netdev planted{port}; "
        "nft add chain netdev planted{port} c '{{ type filter hook ingress device eth0 priority 0; policy accept; }}'; "
        "nft add rule netdev planted{port} c meta protocol ip tcp dport {port} drop",
        kind="host_loses",
    ),
    *both(
        "the network",
        "between",
        "{tool} -w -I FORWARD -s {source} -p tcp --dport {port} -j DROP",
        kind="network",
        culprit="",
    ),
    *both(
        "the network, back",
        "between",
        "{tool} -w -I FORWARD -d {source} -p tcp --sport {port} -j DROP",
        kind="network",
        culprit="",
    ),
]
NAMES = [fault.name for fault in FAULTS]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A configured cluster for FAULTS, which stay."""
    with configured_lab(tmp_path_factory.mktemp("causes"), "causes", HOSTS, determined_mode="restrict") as built:
        yield built


def run(lab, host: str, command: str) -> None:
    """Run a command on a host, or on the router between all hosts."""
    if host != "between":
        lab.shell(host, command)
        return
    enter = ["nsenter", f"--net=/proc/{state.read(lab.name)['keeper']['pid']}/ns/net", "--"]
    subprocess.run([*enter, "sh", "-ec", command], check=True)


@pytest.fixture(scope="module")
def found(lab):
    """Every fault at a port of its own, all at once; one verification finds them all. -> (fault -> port, report)."""
    seed = 20261128
    ports = random.Random(seed).sample(range(20000, 60000), len(FAULTS))
    planted = dict(zip(NAMES, ports, strict=True))
    for fault in FAULTS:
        run(lab, fault.host, fault.fill(fault.plant, planted[fault.name]))
    done = lab.play("verify", "--limit", "agent1,agent2", determined_verify_sweep="full", determined_verify_timeout=1.2)
    assert done.returncode == 2, done.stdout + done.stderr
    return planted, lab.report(), done.stdout


def test_no_other_port_is_wrong(found):
    planted, report, _output = found
    for family in FAMILIES:
        ports = [planted[fault.name] for fault in FAULTS if fault.family == family]
        wrong = {
            _ports.parse_ports(cell["wrong_ports"])
            for cell in report["checks"]
            if cell["verdict"] == "wrong" and cell["family"] == family
        }
        assert wrong == {_ports.from_numbers(ports)}
    assert report["summary"]["error"] == 0


@pytest.mark.parametrize("fault", FAULTS, ids=NAMES)
def test_the_culprit_is_named(found, fault):
    planted, report, output = found
    port = planted[fault.name]
    cells = [
        place
        for place, cell in enumerate(report["checks"])
        if cell["verdict"] == "wrong"
        and cell["family"] == fault.family
        and _ports.contains(_ports.parse_ports(cell["wrong_ports"]), port)
    ]
    causes = [
        cause for cause in report["causes"] if set(cells) & set(cause["cells"]) and f" {port} " in cause["sentence"]
    ]
    assert len(causes) == 1, causes
    (cause,) = causes
    assert (cause["kind"], cause["host"]) == (fault.kind, fault.culprit), cause
    assert fault.fill(fault.place, port) in cause["place"] and fault.fill(fault.rule, port) in cause["rule"], cause
    if fault.kind == "host_drops":
        assert cause["rule"] and str(port) in cause["rule"] or "chain" in fault.place, cause
    assert cause["sentence"] in output or cause["id"] > text_report.MOST_CAUSES


def verify(lab, *faults: tuple[str, str], **variables: object) -> tuple[dict, str]:
    """Plant something for one verification of all hosts: (host, how to plant), with "undo" behind "undo:"."""
    try:
        for host, plant in faults:
            run(lab, host, plant.partition(" undo: ")[0])
        done = lab.play("verify", determined_verify_seed=3, determined_verify_timeout=1.2, **variables)
    finally:
        for host, plant in faults:
            run(lab, host, plant.partition(" undo: ")[2])
    assert done.returncode == 2, done.stdout + done.stderr
    return lab.report(), done.stdout


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """A second cluster: what one test plants is removed at its end."""
    with configured_lab(tmp_path_factory.mktemp("clean"), "causes2", HOSTS, determined_mode="restrict") as built:
        yield built


def test_a_source_with_an_address_that_the_inventory_does_not_name(clean):
    # With the address, its route goes.
    plant = (
        "ip address add 192.0.2.99/32 dev lo; "
        "ip route add 192.0.2.22/32 via 169.254.1.1 dev eth0 onlink src 192.0.2.99 "
        "undo: ip address del 192.0.2.99/32 dev lo"
    )
    report, output = verify(clean, ("agent1", plant))
    causes = [cause for cause in report["causes"] if cause["kind"] == "host_drops"]
    assert {cause["host"] for cause in causes} == {"agent2"}, output
    assert all("because agent1 speaks from 192.0.2.99" in cause["sentence"] for cause in causes), causes
    assert "DETERMINED" in causes[0]["place"] and "192.0.2.99 to determined_address of agent1" in causes[0]["remedy"]


def test_a_host_whose_firewall_is_not_set_up(clean):
    closed = "nft add table inet site; nft add chain inet site c '{ type filter hook input priority 5; policy drop; }'"
    remove = clean.play("remove", "--limit", "agent2")
    assert remove.returncode == 0, remove.stdout
    try:
        report, output = verify(clean, ("agent2", f"{closed} undo: nft delete table inet site"))
    finally:
        done = clean.play("site", "--tags", "configure")
    assert done.returncode == 0, done.stdout
    # The policy drops what comes to agent2, and the answers to what agent2 asks.
    causes = [cause for cause in report["causes"] if cause["kind"] == "host_drops"]
    assert causes, output
    for cause in causes:
        assert cause["host"] == "agent2" and "is not set up by this collection" in cause["sentence"], output
        assert "policy drop" in cause["rule"] and "table site" in cause["place"] and "site" in cause["remedy"]


def test_a_port_too_many_names_the_rule_that_lets_it_in(clean):
    rule = "iptables -w -t {} -s 203.0.113.66 -p tcp --dport 6379 -j ACCEPT"
    places = ("mangle {} PREROUTING", "filter {} INPUT")
    plant, undo = ("; ".join(rule.format(place.format(what)) for place in places) for what in ("-I", "-D"))
    report, _output = verify(clean, ("agent1", f"{plant} undo: {undo}"), determined_verify_sweep="full")
    (cause,) = report["causes"]
    assert (cause["kind"], cause["host"]) == ("let_in", "agent1")
    assert "chain INPUT, rule 1" in cause["place"] and "--dport 6379 -j ACCEPT" in cause["rule"]


def test_a_firewall_that_imitates_closed_ports_is_named(clean):
    rule = "iptables -w {} INPUT -s 192.0.2.21 -p tcp --dport 29400 -j REJECT --reject-with tcp-reset"
    report, _output = verify(clean, ("agent2", f"{rule.format('-I')} undo: {rule.format('-D')}"))
    (cause,) = report["causes"]
    assert (cause["kind"], cause["host"]) == ("host_drops", "agent2") and "tcp-reset" in cause["rule"]


def test_routes_that_lead_nowhere(clean):
    there = "ip route {} blackhole 192.0.2.22/32"
    back = "ip -6 route {} blackhole 2001:db8:1::21/128"
    plants = (
        ("agent1", f"{there.format('add')} undo: {there.format('del')}"),
        ("agent2", f"{back.format('add')} undo: {back.format('del')}"),
    )
    report, output = verify(clean, *plants)
    kinds = {(cause["kind"], cause["host"]) for cause in report["causes"]}
    assert ("no_route", "agent1") in kinds and ("no_route", "agent2") in kinds, output


def test_a_host_that_takes_no_part_is_one_cause(clean):
    missing = "{{ '/nonexistent' if inventory_hostname == 'agent2' else ansible_playbook_python }}"
    report, output = verify(clean, ansible_python_interpreter=missing)
    (cause,) = report["causes"]
    assert (cause["kind"], cause["host"]) == ("absent", "agent2")
    assert len(cause["cells"]) == report["summary"]["error"] > 10
    assert output.count("agent2 did not take part") <= 3
