# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The two arms meet here, and only here: the checks, derived from flows, against what the rendered iptables
rules of every host do with a packet, in both directions and for all 65,535 ports."""

import json
from functools import reduce
from operator import and_

import pytest
from ansible_collections.determined.network.plugins.module_utils import _ports
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.iptables.backend import Iptables
from ansible_collections.determined.network.plugins.module_utils._host import commands
from ansible_collections.determined.network.plugins.module_utils._policy import FAMILIES, HostPolicy
from ansible_collections.determined.network.plugins.plugin_utils import _flows, _host_policy
from ansible_collections.determined.network.plugins.plugin_utils._verification import checks
from hypothesis import HealthCheck, given, settings

from tests.unit.plugins.plugin_utils.clusters import build
from tests.unit.plugins.plugin_utils.inventories import CHECKED, right_hosts, right_options
from tests.unit.plugins.plugin_utils.policy_evaluator import EVERY_PORT, port_bits
from tests.unit.plugins.plugin_utils.ruleset_evaluator import Ruleset

INPUT, OUTPUT, PREROUTING = "DETERMINED-INPUT", "DETERMINED-OUTPUT", "DETERMINED-PREROUTING"
JUMPS = {
    "permit": [("INPUT", INPUT), ("OUTPUT", OUTPUT)],
    "restrict": [
        # Only packets with an address of the host itself meet this chain, and no host of the cluster sends such.
        ("PREROUTING", "DETERMINED-FORGED"),
        ("FORWARD", "DETERMINED-FORWARD"),
        ("PREROUTING", PREROUTING),
        ("PREROUTING", "DETERMINED-ROUTED"),
        ("INPUT", INPUT),
        ("OUTPUT", OUTPUT),
    ],
}


def answer(question):
    """A host with the tools and without any rule."""
    if isinstance(question, commands.FindTool):
        return f"/usr/sbin/{question.name}" if "legacy" not in question.name else None
    if isinstance(question, commands.ReadFile):
        return "0\n"
    return commands.Output(0, "iptables v1.8.9 (nf_tables)\n" if "--version" in question.argv else "", "")


def ask(generator):
    try:
        question = next(generator)
        while True:
            question = generator.send(answer(question))
    except StopIteration as end:
        return end.value


def rulesets_of(policy):
    """A policy -> family -> Ruleset, from what the host's tools would be given."""
    backend = Iptables(container_interfaces=("docker0", "br-+"))
    reading = ask(backend.read())
    texts = {}
    for command in backend.transactions(reading, backend.render(policy, reading)):
        texts[command.argv[0].rsplit("/", 1)[1].split("-")[0]] = command.stdin
    assert set(texts) <= {"ipset", "iptables", "ip6tables"}
    tools = {"ipv4": "iptables", "ipv6": "ip6tables"}
    return {family: Ruleset(texts[tools[family]], texts.get("ipset", "")) for family in FAMILIES}


def compare(cluster):
    policies = _host_policy.derive_policies(cluster)
    rulesets = {}
    for host in policies.by_host:
        rulesets[host] = rulesets_of(HostPolicy.from_dict(json.loads(json.dumps(policies.of(host).to_dict()))))
        for ruleset in rulesets[host].values():
            assert ruleset.jumps == JUMPS[policies.of(host).mode]
    hosts = {host.name: host for host in cluster.hosts}
    rows = {row.id: row for row in _flows.requirements_of(cluster)}
    promised = {"open": {}, "blocked": {}, "sent": {}}
    for check in checks.derive_checks(cluster, checks.Scope(frozenset(hosts))).checks:
        key = (check.source, check.destination, check.address, check.protocol)
        bits = port_bits(_ports.format_ports(check.ports))
        promised[check.expected][key] = promised[check.expected].get(key, 0) | bits
        # A host that only lies in a row's networks is let in; what it may send is its own affair.
        if check.expected == "open" and rows[check.requirement].source in hosts[check.source].roles:
            promised["sent"][key] = promised["sent"].get(key, 0) | bits
    for source in hosts.values():
        for destination in hosts.values():
            if source is destination:
                continue
            for family in FAMILIES:
                for address in destination.addresses[family]:
                    for protocol in ("tcp", "udp"):
                        key = (source.name, destination.name, address, protocol)
                        bits = [promised[kind].get(key, 0) for kind in ("sent", "open", "blocked")]
                        _compare_pair(rulesets, source, destination, family, address, protocol, *bits)


def _compare_pair(rulesets, source, destination, family, address, protocol, sent, opened, closed):
    mine = source.addresses[family]
    if not mine:
        assert not opened and not closed
        return
    place = f"{source.name} -> {destination.name} {address} {protocol}"
    if source.name in rulesets:
        for own in mine:
            out = rulesets[source.name][family].fate(OUTPUT, own, address, protocol)
            assert not sent & ~out.accepted, f"{place}: OUTPUT does not let pass what must be open"
            assert not out.dropped, f"{place}: OUTPUT drops"
    if destination.name not in rulesets:
        assert not opened and not closed
        return
    fates = [rulesets[destination.name][family].fate(INPUT, own, address, protocol) for own in mine]
    for fate in fates:
        assert fate.accepted | fate.returned | fate.dropped | fate.left == EVERY_PORT
    # Whichever address the source uses: what is checked as open is exactly what is accepted, and what is
    # checked as blocked is exactly what is dropped. (Negative checks are made for TCP.)
    assert opened == reduce(and_, [fate.accepted for fate in fates]), f"{place}: accepted"
    if PREROUTING in rulesets[destination.name][family].chains:
        # A port that a container publishes meets this chain alone, so it must say what INPUT says.
        for own, fate in zip(mine, fates, strict=True):
            before = rulesets[destination.name][family].fate(PREROUTING, own, address, protocol)
            assert before.dropped == fate.dropped, f"{place}: published ports"
            assert not before.accepted and before.returned == fate.accepted | fate.returned
    if protocol == "tcp":
        assert closed == reduce(and_, [fate.dropped for fate in fates]), f"{place}: dropped"


@settings(max_examples=40, **CHECKED, suppress_health_check=list(HealthCheck))
@given(right_hosts(), right_options)
def test_checks_agree_with_rendered_rules(hosts, options):
    compare(build(hosts, **options))


@settings(max_examples=30, **CHECKED, suppress_health_check=list(HealthCheck))
@given(right_hosts(), right_options)
def test_checks_agree_with_rules_for_hosts_partly_inside_a_network(hosts, options):
    more = {
        name: (roles, [*addresses, f"203.0.113.{number}", f"2001:db9::{number}"])
        for number, (name, (roles, addresses)) in enumerate(hosts.items(), 1)
    }
    compare(build(more, **{**options, "mode": "restrict"}))


@pytest.mark.parametrize("mode", ["permit", "restrict"])
@pytest.mark.parametrize("agent_ports", ["all", "documented"])
def test_checks_agree_with_the_demos_rules(mode, agent_ports):
    compare(build(mode=mode, agent_ports=agent_ports))


def test_the_evaluator_itself():
    tables = "\n".join(
        [
            "*filter",
            ":DETERMINED-INPUT - [0:0]",
            "-A DETERMINED-INPUT -p tcp -m set --match-set s src -m multiport --dports 22,80:90"
            ' -m comment --comment "x y" -j ACCEPT',
            "-A DETERMINED-INPUT -i lo -j ACCEPT",
            "-A DETERMINED-INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
            "-A DETERMINED-INPUT -p tcp -m tcp --tcp-flags SYN,RST,ACK ACK -j ACCEPT",
            "-A DETERMINED-INPUT -p icmp -j ACCEPT",
            "-A DETERMINED-INPUT -p tcp -m tcp --dport 443 -j RETURN",
            "-A DETERMINED-INPUT -j DROP",
            "COMMIT",
        ]
    )
    ruleset = Ruleset(tables, "create s hash:net family inet\nadd s 192.0.2.0/24\n")
    inside = ruleset.fate(INPUT, "192.0.2.7", "198.51.100.1", "tcp")
    assert inside.accepted == port_bits("22,80-90")
    assert inside.returned == port_bits("443")
    assert inside.dropped == EVERY_PORT & ~port_bits("22,80-90,443")
    outside = ruleset.fate(INPUT, "203.0.113.7", "198.51.100.1", "tcp")
    assert outside.accepted == 0 and outside.returned == port_bits("443")
    assert ruleset.fate(INPUT, "192.0.2.7", "198.51.100.1", "udp").dropped == EVERY_PORT
    for line in ("-A DETERMINED-INPUT -j LOG", "-A DETERMINED-INPUT ! -i eth0 -j DROP", "-F INPUT"):
        with pytest.raises((AssertionError, KeyError)):
            Ruleset(tables.replace("COMMIT", f"{line}\nCOMMIT"), "create s hash:net\n").fate(
                INPUT, "192.0.2.7", "198.51.100.1", "tcp"
            )
