# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two arms of one trunk: the checks, derived from flows, against an independent evaluation of the policies."""

import json
from functools import reduce
from operator import and_

from ansible_collections.determined.network.plugins.module_utils import _ports
from ansible_collections.determined.network.plugins.plugin_utils import _flows, _host_policy
from ansible_collections.determined.network.plugins.plugin_utils._verification import checks
from hypothesis import HealthCheck, given, settings

from tests.unit.plugins.plugin_utils.clusters import build
from tests.unit.plugins.plugin_utils.inventories import CHECKED, right_hosts, right_options
from tests.unit.plugins.plugin_utils.policy_evaluator import EVERY_PORT, Evaluator, port_bits


def evaluators(cluster):
    policies = _host_policy.derive_policies(cluster)
    return {host: Evaluator(json.loads(json.dumps(policies.of(host).to_dict()))) for host in policies.by_host}


def compare(cluster):
    """Every check must agree with the policies at both its ends, and no closed port may go unchecked."""
    names = frozenset(host.name for host in cluster.hosts)
    addresses = {host.name: host.addresses for host in cluster.hosts}
    roles = {host.name: host.roles for host in cluster.hosts}
    rows = {row.id: row for row in _flows.requirements_of(cluster)}
    found = evaluators(cluster)
    open_ports, closed_ports = {}, {}
    for check in checks.derive_checks(cluster, checks.Scope(names)).checks:
        bits = port_bits(_ports.format_ports(check.ports))
        pair = (check.source, check.address, check.protocol)
        mine = addresses[check.source][check.family]
        assert check.address in addresses[check.destination][check.family]
        if check.expected == "open":
            open_ports[pair] = open_ports.get(pair, 0) | bits
            for source in mine:
                assert not bits & ~found[check.destination].inbound(source, check.protocol), (check, source)
            # A host that only lies in a row's networks is let in; what it may send is its own affair.
            if rows[check.requirement].source in roles[check.source] and check.source in found:
                assert not bits & ~found[check.source].outbound(check.address, check.protocol), check
        else:
            closed_ports[pair] = closed_ports.get(pair, 0) | bits
            for source in mine:
                assert not bits & ~found[check.destination].dropped(source, check.protocol), (check, source)
    for destination, evaluator in found.items():
        for source in cluster.hosts:
            for family, mine in source.addresses.items():
                if source.name == destination or not mine:
                    continue
                permitted = [evaluator.inbound(address, "tcp") for address in mine]
                dropped = [evaluator.dropped(address, "tcp") for address in mine]
                for address in addresses[destination][family]:
                    pair = (source.name, address, "tcp")
                    # Whichever address the source uses, these pass; and those never do.
                    assert open_ports.get(pair, 0) == reduce(and_, permitted), pair
                    assert closed_ports.get(pair, 0) == reduce(and_, dropped), pair


@settings(max_examples=60, **CHECKED, suppress_health_check=list(HealthCheck))
@given(right_hosts(), right_options)
def test_checks_and_policies_agree(hosts, options):
    compare(build(hosts, **options))


def test_checks_and_policies_agree_on_the_demo():
    for mode in ("permit", "restrict"):
        for agent_ports in ("all", "documented"):
            compare(build(mode=mode, agent_ports=agent_ports))


def test_the_evaluator_knows_closed_from_open():
    found = evaluators(build(mode="restrict"))
    assert found["master"].inbound("192.0.2.21", "tcp") == port_bits("8080")
    assert found["master"].inbound("2001:db8:4::40", "tcp") == port_bits("8080")
    assert found["master"].inbound("203.0.113.66", "tcp") == 0
    assert found["master"].dropped("203.0.113.66", "tcp") == EVERY_PORT & ~port_bits("22")
    assert found["agent1"].inbound("192.0.2.22", "udp") == 0
    assert found["agent1"].outbound("192.0.2.10", "tcp") == port_bits("8080")
    assert evaluators(build(mode="permit"))["agent1"].dropped("203.0.113.66", "tcp") == 0


@settings(max_examples=40, **CHECKED, suppress_health_check=list(HealthCheck))
@given(right_hosts(), right_options)
def test_checks_and_policies_agree_on_hosts_that_are_partly_inside_a_network(hosts, options):
    # Every host gets one more address, which lies in none of the networks that are drawn.
    more = {
        name: (roles, [*addresses, f"203.0.113.{number}", f"2001:db9::{number}"])
        for number, (name, (roles, addresses)) in enumerate(hosts.items(), 1)
    }
    compare(build(more, **{**options, "mode": "restrict"}))
