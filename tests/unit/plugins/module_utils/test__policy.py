# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host policy as a value: what a host accepts, and that it names every problem of the rest at once."""

import copy
import json

import pytest
from ansible_collections.determined.network.plugins.module_utils import _policy

GOOD = {
    "host": "agent1",
    "mode": "restrict",
    "peers": {
        "agents": {"ipv4": ["192.0.2.21", "192.0.2.22"], "ipv6": ["2001:db8::21"]},
        "anywhere": {"ipv4": ["0.0.0.0/0"], "ipv6": ["::/0"]},
    },
    "inbound": [{"protocol": "tcp", "ports": "1024-65535", "peers": "agents", "requirements": ["agents_from_agents"]}],
    "outbound": [{"protocol": "udp", "ports": "53,123", "peers": "anywhere", "requirements": ["a", "b"]}],
    "management": [{"protocol": "tcp", "ports": "22", "peers": "anywhere", "requirements": ["management"]}],
}


def test_a_policy_travels_as_json():
    policy = _policy.HostPolicy.from_dict(GOOD)
    assert policy.to_dict() == GOOD
    assert _policy.HostPolicy.from_dict(json.loads(json.dumps(policy.to_dict()))) == policy
    assert policy.inbound == (_policy.Rule("tcp", ((1024, 65535),), "agents", ("agents_from_agents",)),)
    assert policy.peers["agents"]["ipv4"] == ("192.0.2.21", "192.0.2.22")


def test_equal_peers_compare_equal_however_they_are_written():
    other = copy.deepcopy(GOOD)
    other["peers"]["agents"] = {
        "ipv6": ["2001:DB8:0::21/128"],
        "ipv4": ["192.0.2.22", "192.0.2.21/32", "192.0.2.22"],
    }
    other["inbound"][0]["ports"] = ["2000-65535", "1024-1999"]
    assert _policy.HostPolicy.from_dict(other) == _policy.HostPolicy.from_dict(GOOD)


def test_a_family_may_be_left_out():
    other = copy.deepcopy(GOOD)
    other["peers"]["agents"] = {"ipv4": ["192.0.2.1"]}
    assert _policy.HostPolicy.from_dict(other).peers["agents"]["ipv6"] == ()


def put(data, path, value):
    """Set one place of a nested structure; None removes it."""
    for key in path[:-1]:
        data = data[key]
    if value is None:
        del data[path[-1]]
    else:
        data[path[-1]] = value


MISTAKES = [
    (["mode"], "open", "mode is 'open', not one of permit, restrict"),
    (["mode"], None, "mode is missing"),
    (["host"], None, "host is missing"),
    (["colour"], "red", "colour is unknown"),
    (["peers"], [], "peers is not a dictionary of names"),
    (["peers", "agents"], ["192.0.2.1"], "peers.agents is not a dictionary of ipv4 and ipv6"),
    (["peers", "agents", "ipv5"], [], "peers.agents is not a dictionary of ipv4 and ipv6"),
    (["peers", "agents", "ipv4"], "192.0.2.1", "peers.agents.ipv4 is not a list"),
    (["peers", "agents", "ipv4"], 5, "peers.agents.ipv4 is not a list"),
    (["peers", "agents", "ipv4"], ["192.0.2.1/24"], "peers.agents.ipv4: 192.0.2.1/24 has host bits set"),
    (["peers", "agents", "ipv4"], ["2001:db8::1"], "peers.agents.ipv4: "),
    (["peers", "agents", "ipv6"], ["192.0.2.1"], "peers.agents.ipv6: "),
    (["peers", "agents", "ipv4"], ["host"], "peers.agents.ipv4: "),
    (["peers", "agents", "ipv4"], [16909060], "peers.agents.ipv4: 16909060 is not a text"),
    (["peers", "agents", "ipv4"], [None], "peers.agents.ipv4: None is not a text"),
    (["peers", "Agents"], {}, "peers.Agents: a name is at most 16 of a-z, 0-9 and _"),
    (["peers", "a" * 17], {}, "a name is at most 16"),
    (["peers", "a b"], {}, "a name is at most 16"),
    (["inbound"], "all", "inbound is not a list"),
    (["inbound"], {}, "inbound is not a list"),
    (
        ["inbound", 0],
        "tcp",
        "inbound[0] does not have exactly the fields protocol, ports, peers, requirements",
    ),
    (["inbound", 0, "protocol"], "icmp", "inbound[0].protocol is 'icmp', not one of tcp, udp"),
    (["inbound", 0, "protocol"], None, "inbound[0] does not have exactly the fields"),
    (["inbound", 0, "ports"], "0", "inbound[0].ports: '0' in ports '0'"),
    (["inbound", 0, "ports"], "", "inbound[0].ports is empty"),
    (["inbound", 0, "peers"], "nobody", "inbound[0].peers is 'nobody', which peers does not define"),
    (["inbound", 0, "peers"], ["agents"], "inbound[0].peers is ['agents'], which peers does not define"),
    (["inbound", 0, "requirements"], "abc", "inbound[0].requirements is not a list"),
    (["inbound", 0, "requirements"], 7, "inbound[0].requirements is not a list"),
    (["inbound", 0, "requirements"], ['x" -j ACCEPT'], "inbound[0].requirements: "),
    (["outbound", 0, "ports"], "x", "outbound[0].ports: 'x' in ports 'x': not a number"),
    (["management", 0, "protocol"], [], "management[0].protocol is [], not one of tcp, udp"),
]


@pytest.mark.parametrize("path, value, told", MISTAKES)
def test_a_mistake_is_named(path, value, told):
    data = copy.deepcopy(GOOD)
    put(data, path, value)
    with pytest.raises(ValueError) as caught:
        _policy.HostPolicy.from_dict(data)
    assert told in str(caught.value)


@pytest.mark.parametrize("data", [None, [], "policy", 5])
def test_something_else_is_no_policy(data):
    with pytest.raises(ValueError, match="a policy is a dictionary"):
        _policy.HostPolicy.from_dict(data)


def test_all_problems_are_named_at_once():
    data = copy.deepcopy(GOOD)
    put(data, ["mode"], "x")
    put(data, ["peers", "agents", "ipv4"], ["y"])
    put(data, ["inbound", 0, "ports"], "z")
    put(data, ["outbound", 0, "peers"], "w")
    with pytest.raises(ValueError) as caught:
        _policy.HostPolicy.from_dict(data)
    assert str(caught.value).count("; ") == 3
