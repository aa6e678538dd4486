# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked about the Internet, what becomes of the answers, and what is advised."""

import json

import pytest
from ansible_collections.determined.network.plugins.plugin_utils import _proxy_ways
from ansible_collections.determined.network.plugins.plugin_utils._verification import advice as verification_advice
from ansible_collections.determined.network.plugins.plugin_utils._verification import (
    internet_checks,
    steps,
    text_report,
)
from ansible_collections.determined.network.plugins.plugin_utils._verification.checks import Pair
from ansible_collections.determined.network.plugins.plugin_utils._verification.observations import Knowledge

from tests.unit.plugins.plugin_utils.clusters import DEMO, SMALL, build

SERVICES = [
    {"host": "registry.example.com", "ports": 443, "purpose": "registry"},
    {"host": "packages.example.com", "ports": "80,443,9000"},
    {"host": "192.0.2.200", "ports": 22},
    {"host": "198.51.100.0/24", "ports": 443},
]
RUN = {"hosts": list(SMALL), "sweep": "full", "seed": 1, "sample_size": 64, "max_peers": 0}


def plan(services=None, hosts=None, scope=None):
    services = SERVICES if services is None else services
    hosts = SMALL if hosts is None else hosts
    return internet_checks.plan(build(hosts, services=services), frozenset(scope or hosts))


def test_the_plan():
    found = plan()
    assert [(one["host"], one["port"], one["scheme"], one["purpose"]) for one in found["targets"]] == [
        ("registry.example.com", 443, "https", "registry"),
        ("packages.example.com", 80, "http", "resource"),
        ("packages.example.com", 443, "https", "resource"),
        ("packages.example.com", 9000, "tcp", "resource"),
        ("192.0.2.200", 22, "tcp", "resource"),
    ]
    assert found["cluster"] == [
        {"name": "master", "group": "master", "address": "192.0.2.10", "port": 8080},
        {"name": "agent1", "group": "agents", "address": "192.0.2.21"},
        {"name": "agent2", "group": "agents", "address": "192.0.2.22"},
    ]
    assert found["hosts"] == {
        "master": {"reaches": ["agents"], "outside": False},
        "agent1": {"reaches": ["master", "agents"], "outside": True},
        "agent2": {"reaches": ["master", "agents"], "outside": True},
    }
    assert json.loads(json.dumps(found)) == found


def test_a_scheme_may_be_said():
    (target,) = plan([{"host": "a.example.com", "ports": 5000, "scheme": "https", "path": "/x"}])["targets"]
    assert (target["scheme"], target["path"]) == ("https", "/x")


def test_of_many_ports_some_are_tried():
    ports = [target["port"] for target in plan([{"host": "a.example.com", "ports": "1000-1999"}])["targets"]]
    assert len(ports) == internet_checks.MOST_PORTS and ports[0] == 1000 and ports[-1] == 1999


def test_hosts_outside_the_cluster_are_asked_nothing():
    assert set(plan(hosts=DEMO)["hosts"]) == {"master", "agent1", "agent2", "agent3"}
    assert set(plan(hosts=DEMO, scope=["agent1", "laptop"])["hosts"]) == {"agent1"}


def seen(state="open", **more):
    good = {"via": "", "state": state, "step": "http", "blame": "", "reason": "it answers 200 OK", "attempts": 1}
    return {**good, **more}


def answers(found, **by_port):
    """A host's answers for a plan: all is well, except at some ports."""
    targets = [
        {**seen(), "port": one["port"], "scheme": one["scheme"], **by_port.get(f"p{one['port']}", {})}
        for one in found["targets"]
    ]
    bypass = {"places": [], "findings": [], "problems": []}
    return {"targets": targets, "bypass": bypass, "cloud": cloud(provider="")}


def result(results, hosts=None, services=None, scope=None):
    services = SERVICES if services is None else services
    hosts = SMALL if hosts is None else hosts
    cluster = build(hosts, services=services)
    run = {**RUN, "hosts": list(scope or hosts), "internet": results}
    return steps.report(cluster.to_dict(), run, {})


def report(*arguments, **more):
    return json.loads(json.dumps(result(*arguments, **more).to_dict()))


def cells(found, requirement, source="agent1"):
    return [cell for cell in found["checks"] if (cell["requirement"], cell["source"]) == (requirement, source)]


def all_well(services=None):
    found = plan(services)
    return {name: answers(found if name != "master" else {"targets": []}) for name in SMALL}


def test_all_is_well():
    found = report(all_well())
    verdicts = {cell["verdict"] for cell in found["checks"] if "via" in cell}
    assert verdicts == {"correct"}
    (one,) = cells(found, "registry_access")
    assert one == {
        "requirement": "registry_access",
        "source": "agent1",
        "destination": "registry.example.com",
        "address": "",
        "family": "",
        "protocol": "tcp",
        "ports": "443",
        "expected": "open",
        "observed": "open",
        "verdict": "correct",
        "wrong_ports": "",
        "evidence": "directly: it answers 200 OK",
        "via": "",
        "step": "http",
        "blame": "",
    }
    assert [cell["destination"] for cell in cells(found, "agents_to_services")] == [
        "registry.example.com",
        "packages.example.com",
        "192.0.2.200",
    ]
    assert found["run"]["not_verified"] == []
    advice = [cell["evidence"] for cell in found["checks"] if cell["verdict"] == "advice"]
    text = "not checked: 198.51.100.0/24 is a network, and nothing says which of its addresses answers"
    assert advice.count(text) == 2


def test_wrong_ports_and_whose_fault_it_is():
    results = all_well()
    closed = seen("refused", step="connect", blame="target", reason="nothing listens there", attempts=3)
    results["agent1"] = answers(plan(), p9000=closed)
    (_address, cell) = sorted(cells(report(results), "resource_access"), key=lambda one: one["destination"])
    assert (cell["verdict"], cell["observed"], cell["wrong_ports"]) == ("wrong", "refused", "9000")
    assert cell["evidence"] == (
        "directly, connecting: nothing listens there, the service is to blame, "
        "check that the service runs, and on this port"
    )


SENTENCES = [
    (
        seen("proxy_credentials", via="p:1", step="proxy", blame="proxy", reason="it refuses the credentials (407)"),
        "through the proxy p:1, at the proxy: it refuses the credentials (407), the proxy is to blame, "
        "correct determined_proxy_username and determined_proxy_password",
    ),
    (
        seen("refused", via="p:1", step="connect", blame="proxy", reason="nothing listens there"),
        "through the proxy p:1, connecting to the proxy: nothing listens there, the proxy is to blame, "
        "check that determined_proxy_https and determined_proxy_http name a proxy that runs, and that this host may "
        "reach it",
    ),
    (
        seen("certificate_expired", via="p:1", step="tls", blame="proxy", reason="certificate has expired"),
        "through the proxy p:1, in the TLS handshake with the proxy: certificate has expired, the proxy is to blame, "
        "renew the certificate",
    ),
    (
        seen("certificate_expired", via="p:1", step="tls", blame="target", reason="certificate has expired"),
        "through the proxy p:1, in the TLS handshake with the target: certificate has expired, "
        "the service is to blame, renew the certificate",
    ),
    (
        seen("rejected", step="connect", blame="host", reason="this host's own firewall"),
        "directly, connecting: this host's own firewall, agent1 itself is to blame, find the firewall that rejects it",
    ),
    (
        seen("timeout", via="p:1", step="proxy", blame="proxy_or_target", reason="no answer within 10 seconds"),
        "through the proxy p:1, at the proxy: no answer within 10 seconds, "
        "the proxy or the service behind it is to blame",
    ),
]


@pytest.mark.parametrize("one, sentence", SENTENCES)
def test_sentences(one, sentence):
    results = all_well()
    results["agent1"] = answers(plan(), p443=one)
    (cell,) = cells(report(results), "registry_access")
    assert (cell["verdict"], cell["observed"], cell["evidence"]) == ("wrong", one["state"], sentence)
    assert (cell["via"], cell["step"], cell["blame"]) == (one["via"], one["step"], one["blame"])


def test_what_went_well_at_a_later_attempt_is_flaky():
    results = all_well()
    results["agent1"] = answers(plan(), p443=seen(attempts=2))
    (cell,) = cells(report(results), "registry_access")
    assert cell["verdict"] == "flaky"
    assert cell["evidence"].startswith("the first attempts failed, and attempt 2 succeeded")


@pytest.mark.parametrize(
    "result, words",
    [
        (None, "agent1 gave no answer: unreachable"),
        ({"failed": True, "msg": "no Python"}, "agent1 could not run the check: no Python"),
        ({"targets": [seen()]}, "agent1 returned a malformed answer"),
        ({"targets": "all well", "bypass": {}}, "agent1 returned a malformed answer"),
    ],
)
def test_a_host_that_did_not_answer_is_an_error_and_never_right(result, words):
    results = all_well()
    if result is None:
        del results["agent1"]
    else:
        results["agent1"] = result
    found = report(results)
    (cell,) = [one for one in cells(found, "resource_access") if one["destination"] == "packages.example.com"]
    assert (cell["verdict"], cell["observed"]) == ("error", "unknown") and words in cell["evidence"]
    assert {one["verdict"] for one in cells(found, "proxy_bypass")} == {"error"}


FINDING = {
    "place": "/etc/environment",
    "clients": ["urllib", "curl"],
    "group": "master",
    "hosts": ["192.0.2.10"],
    "count": 3,
    "variable": "no_proxy",
}


def test_cluster_traffic_through_a_proxy_is_wrong():
    results = all_well()
    results["agent1"]["bypass"] = {"places": ["/etc/environment"], "findings": [FINDING], "problems": []}
    found = {cell["destination"]: cell for cell in cells(report(results), "proxy_bypass")}
    assert {name: (cell["verdict"], cell["expected"], cell["observed"]) for name, cell in found.items()} == {
        "master": ("wrong", "direct", "proxy"),
        "agent2": ("correct", "direct", "direct"),
    }
    assert found["master"]["evidence"].startswith(
        "urllib, curl would go through the proxy: in /etc/environment, no_proxy does not cover 192.0.2.10 and 2 more; "
    )
    assert found["agent2"]["evidence"] == "no_proxy covers it in every place that sets a proxy: /etc/environment"


def test_a_file_that_cannot_be_read_is_an_error():
    results = all_well()
    results["agent1"]["bypass"]["problems"] = ["/etc/determined/agent.yaml: line 2: this way", "/etc/environment: no"]
    found = cells(report(results), "proxy_bypass")
    assert {cell["verdict"] for cell in found} == {"error"}
    assert found[0]["evidence"] == (
        "agent1 could not read /etc/determined/agent.yaml: line 2: this way; agent1 could not read /etc/environment: no"
    )


@pytest.mark.parametrize(
    "services, text",
    [
        ([], "not checked: determined_services names none"),
        (SERVICES[1:2], "not checked: determined_services names none with the purpose registry"),
    ],
)
def test_rows_without_a_service_are_told(services, text):
    found = report(all_well(services), services=services)
    assert (text, "registry_access") in {(one["evidence"].split(" with")[0] if not services else one["evidence"],
                                          one["requirement"]) for one in found["checks"]}  # fmt: skip


# --- advice -----------------------------------------------------------------------------------------


def cloud(provider="aws", external=(), known=True, egress=True, reason=""):
    return {
        "provider": provider,
        "external": list(external),
        "known": known,
        "reason": reason,
        "egress": egress,
        "egress_to": "registry.example.com:443" if egress else "",
    }


CLOUDS = [
    (cloud(external=["203.0.113.9"]), "open", "has a public IP address, and reaches registry.example.com:443 directly"),
    (
        cloud("gcp"),
        "open",
        "has no external IP address, and reaches registry.example.com:443 directly nevertheless, through some NAT",
    ),
    (
        cloud("gcp", egress=False),
        "no_route",
        "has no external IP address, and reaches no service outside directly: give the instance an external IP "
        "address, or configure a Cloud NAT for its VPC",
    ),
    (
        cloud(egress=False),
        "no_route",
        "has no public IP address, and reaches no service outside directly: give the instance a public IP address and "
        "configure an Internet Gateway for its VPC",
    ),
    (
        cloud(external=["203.0.113.9"], egress=False),
        "no_route",
        "has a public IP address, and reaches no service outside directly: configure an Internet Gateway for its VPC, "
        "and a route to it",
    ),
    (
        cloud(known=False, reason="its metadata service does not answer"),
        "open",
        "whether it has a public IP address is not known: its metadata service does not answer, and reaches "
        "registry.example.com:443 directly",
    ),
    (
        cloud(egress=None),
        "unknown",
        "has no public IP address; determined_services names no service outside that could be used to test its "
        "access to the Internet",
    ),
]


@pytest.mark.parametrize("instance, observed, text", CLOUDS)
def test_what_instances_are_advised(instance, observed, text):
    (cell,) = verification_advice.cloud_cells({"agent1": {"cloud": instance}})
    row = {"aws": "cloud_aws_egress", "gcp": "cloud_gcp_egress"}[instance["provider"]]
    assert (cell.requirement, cell.verdict, cell.observed) == (row, "advice", observed)
    assert cell.to_dict()["evidence"] == text
    assert cell.address == ", ".join(instance["external"])


def test_a_proxy_that_works_spares_the_way_out():
    result = {"cloud": cloud(egress=False), "targets": [seen(via="p:1")]}
    (cell,) = verification_advice.cloud_cells({"agent1": result})
    assert cell.evidence[1:] == ("the proxy works, so this is needed only for traffic without the proxy",)


@pytest.mark.parametrize("result", [{}, {"cloud": None}, {"cloud": {"provider": ""}}, {"skipped": True}])
def test_off_the_clouds_nothing_is_said(result):
    assert list(verification_advice.cloud_cells({"agent1": result})) == []


def test_the_same_advice_for_many_hosts_is_said_once():
    results = all_well()
    for name in ("agent1", "agent2"):
        results[name]["cloud"] = cloud(egress=False)
    lines = [line for line in text_report.render(result(results), "r.json") if "cloud_aws_egress" in line]
    assert len(lines) == 1 and "advice: agent1, agent2: has no public IP address" in lines[0]


def knows(*pairs):
    return {
        Pair(source, destination, address, "tcp"): Knowledge(milliseconds=time)
        for source, destination, address, time in pairs
    }


def test_agents_far_from_the_master_are_advised():
    known = knows(
        ("agent1", "master", "192.0.2.10", 31.4),
        ("master", "agent1", "192.0.2.21", 25.06),
        ("agent2", "master", "192.0.2.10", 40.0),  # one slow answer is no distance
        ("master", "agent2", "192.0.2.22", 0.4),
        ("agent1", "agent2", "192.0.2.22", 99.0),
    )
    (cell,) = verification_advice.distance_cells(build(SMALL), known)
    assert (cell.requirement, cell.source, cell.destination) == ("same_network", "agent1", "master")
    assert (cell.verdict, cell.observed) == ("advice", "25.1 ms")


# --- the variables of the proxy ---------------------------------------------------------------------


def test_the_ways_of_workloads():
    variables = {
        "http": "http://proxy.example.com:3128",
        "https": "https://u%40:p%3A@[2001:db8::1]",
        "username": None,
        "password": None,
    }
    assert _proxy_ways.proxy_ways(variables) == [
        {"serves": "http", "scheme": "http", "host": "proxy.example.com", "port": 3128},
        {"serves": "https", "scheme": "https", "host": "2001:db8::1", "port": 443, "authorization": "Basic dUA6cDo="},
    ]


def test_credentials_that_an_inventory_takes_for_numbers():
    (way,) = _proxy_ways.proxy_ways({"http": "http://proxy:3128", "username": 7, "password": 123})
    assert way["authorization"] == "Basic NzoxMjM="


@pytest.mark.parametrize("variables", [{}, {"http": "", "https": None}, {"username": "u", "password": "p"}])
def test_no_proxy_at_all(variables):
    assert _proxy_ways.proxy_ways(variables) == []


def test_every_problem_is_told_and_no_secret():
    variables = {"http": "proxy:3128", "https": "socks5://u:topsecret@p:1", "username": "u:v", "password": "topsecret"}
    with pytest.raises(ValueError) as told:
        _proxy_ways.proxy_ways(variables)
    assert "determined_proxy_http" in str(told.value) and "determined_proxy_https" in str(told.value)
    assert "topsecret" not in str(told.value)
