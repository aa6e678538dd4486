# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters: plain values in, plain values out, and their documentation."""

import importlib
import json
import pkgutil

import ansible_collections.determined.network.plugins.filter as filters
import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.determined.network.plugins.module_utils._policy import HostPolicy
from ansible_collections.determined.network.plugins.plugin_utils._cluster import cluster as clusters

MODULES = [name for _unused, name, _unused in pkgutil.iter_modules(filters.__path__)]
ADDRESSES = {"master": "192.0.2.10", "agent1": "192.0.2.21", "agent2": "192.0.2.22"}
RUN = {"hosts": list(ADDRESSES), "sweep": "full", "seed": "1", "sample_size": "64", "max_peers": "0"}


def load(name):
    return importlib.import_module(f"{filters.__name__}.{name}")


def call(name, *arguments):
    result = load(name).FilterModule().filters()[name](*json.loads(json.dumps(arguments)))
    return json.loads(json.dumps(result))


@pytest.fixture
def cluster():
    roles = {name: ("master",) if name == "master" else ("agents",) for name in ADDRESSES}
    variables = {name: {"determined_address": address} for name, address in ADDRESSES.items()}
    return clusters.build_cluster(roles, variables, {"mode": "restrict"}, lambda names: {}).to_dict()


def test_all_filters_are_tested():
    assert sorted(MODULES) == [
        "host_policies",
        "proxy_ways",
        "verification_again",
        "verification_attacks",
        "verification_internet",
        "verification_listeners",
        "verification_targets",
        "verification_traces",
    ]


@pytest.mark.parametrize("name", MODULES)
def test_a_filter_is_documented(name):
    module = load(name)
    assert list(module.FilterModule().filters()) == [name]
    assert yaml.safe_load(module.DOCUMENTATION)["name"] == name
    assert yaml.safe_load(module.EXAMPLES)
    assert yaml.safe_load(module.RETURN)["_value"]


def test_host_policies(cluster):
    found = call("host_policies", cluster)
    assert found["by_host"] == {"master": "master", "agent1": "agents", "agent2": "agents"}
    for policy in found["policies"].values():
        assert HostPolicy.from_dict(policy).to_dict() == policy
        assert policy["host"] == ""


def test_proxy_ways():
    assert call("proxy_ways", {"https": "http://proxy.example.com:3128", "http": None}) == [
        {"serves": "https", "scheme": "http", "host": "proxy.example.com", "port": 3128}
    ]
    with pytest.raises(
        AnsibleFilterError, match="The proxy cannot be used: determined_proxy_https: the URL has no scheme"
    ):
        call("proxy_ways", {"https": "proxy.example.com:3128"})


def test_verification_internet(cluster):
    found = call("verification_internet", cluster, RUN)
    assert set(found["hosts"]) == set(ADDRESSES)
    assert {one["port"] for one in found["targets"]} == {443}
    assert {one["address"] for one in found["cluster"]} == set(ADDRESSES.values())


def test_a_verification_from_the_first_listener_to_what_is_asked_again(cluster):
    listeners = call("verification_listeners", cluster, RUN)
    assert listeners["master"] == [{"address": "192.0.2.10", "protocol": "tcp", "ports": "8080"}]
    counters = {"tcp_resets_sent": 0}
    known = {"held": [], "listening_services": {"tcp": ""}, "counters": counters}
    started = {host: {**known, "listening": listeners[host]} for host in listeners}
    targets = call("verification_targets", cluster, RUN, started)
    assert {item["destination"] for item in targets["agent1"]} == {"master", "agent2"}
    nothing = dict.fromkeys(("open", "refused", "rejected", "no_route", "error"), "")
    nothing |= {"answers": {}, "rejections": {}, "errors": {}, "connect_milliseconds": None}
    nothing |= dict.fromkeys(("resets_sent", "resets_received", "refused_repeatedly"), 0)
    asked = ("address", "protocol")
    rounds = {
        host: [
            {
                "answer": host,
                "started": started[host],
                "read": {"alive": True, "counters": counters},
                "targets": targets[host],
                # Nothing at all came back.
                "probe": {
                    "observations": [
                        {**nothing, **{name: item[name] for name in asked}, "filtered": item["ports"]}
                        for item in targets[host]
                    ]
                },
            }
        ]
        for host in ADDRESSES
    }
    again = call("verification_again", cluster, RUN, rounds)
    assert set(again) == {"listeners", "targets"}
    (to_master,) = [item for item in again["targets"]["agent1"] if item["destination"] == "master"]
    assert to_master["ports"] == to_master["identify"] == "8080"
    traces = call("verification_traces", cluster, RUN, rounds)
    assert traces["watching"] == sorted(ADDRESSES)
    assert [item["port"] for item in traces["packets"]["agent1"] if item["address"] == ADDRESSES["master"]] == [8080]


def test_verification_attacks():
    groups = {"master": ("master",), "agent1": ("agents",), "stranger": ("outsiders",)}
    addresses = {"master": "192.0.2.10", "agent1": "192.0.2.21", "stranger": "192.0.2.66"}
    variables = {name: {"determined_address": address} for name, address in addresses.items()}
    built = clusters.build_cluster(groups, variables, {"mode": "restrict"}, lambda names: {}).to_dict()
    run = {**RUN, "hosts": list(addresses), "token": "t", "attack": "True"}
    found = call("verification_attacks", built, run)
    assert found["hosts"] == ["master", "agent1"]
    assert set(found["targets"]) == {"stranger"}
    assert call("verification_attacks", built, {**run, "attack": "False"}) == {
        **found,
        "hosts": [],
        "targets": {},
    }
