"""The changes from one state to another, and the reloads that are refused."""

import pytest
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld.backend import Firewalld
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld.change import ONE_BY_ONE
from ansible_collections.determined.network.plugins.module_utils._host import commands
from ansible_collections.determined.network.plugins.module_utils._policy import HostPolicy

BACKEND = Firewalld(("docker0", "br-+"))


def rule(protocol, ports, peers, *requirements):
    return {"protocol": protocol, "ports": ports, "peers": peers, "requirements": list(requirements)}


def members(*addresses):
    return {"agents": {"ipv4": list(addresses), "ipv6": []}}


def without(name, policy):
    """A policy without these peers and without the rules that name them."""
    data = policy.to_dict()
    for key in ("inbound", "outbound"):
        data[key] = [row for row in data[key] if row["peers"] != name]
    del data["peers"][name]
    return HostPolicy.from_dict(data)


@pytest.mark.parametrize("mode", ["permit", "restrict"])
def test_first_change_reloads_once_and_removal_leaves_nothing(host, policy, mode):
    assert host.change(policy(mode)) == (["nft"] if mode == "restrict" else []) + ["reload"]
    assert sorted(path.split("/")[-1] for path in host.files) == [
        "determined-agents-v4.xml",
        "determined-agents-v6.xml",
        "determined-master-v4.xml",
        "determined-master-v6.xml",
        "determined-out.xml",
        "determined.xml",
    ]
    assert host.change(policy(mode)) == []
    host.change(None)
    assert (host.files, host.policies, host.sets, host.table, host.reloads) == ({}, {}, {}, None, 2)


def test_files_exist_only_after_the_change_is_confirmed(host, policy):
    reading = host.read()
    for command in BACKEND.transactions(reading, BACKEND.render(policy(), reading)):
        host.run(command)
    assert host.files == {} and sorted(host.policies) == ["determined", "determined-out"]


@pytest.mark.parametrize(
    "wanted, expected",
    [
        (
            lambda policy: policy(peers=members("192.0.2.11", "192.0.2.12", "198.51.100.0/24", "192.0.2.13")),
            ["addEntry"],
        ),
        (lambda policy: policy(peers=members("192.0.2.11", "198.51.100.0/24")), ["removeEntry"]),
        (
            lambda policy: policy(peers=members("192.0.2.11", "198.51.100.0/24", "192.0.2.9")),
            ["addEntry", "removeEntry"],
        ),
        # An ipset cannot hold members that overlap.
        (lambda policy: policy(peers=members("192.0.2.0/28", "198.51.100.0/24")), ["setEntries"]),
        (
            lambda policy: policy(
                peers={"agents": {"ipv4": ["192.0.2.11", "192.0.2.12", "198.51.100.0/24"], "ipv6": ["2001:db8::5"]}}
            ),
            ["addEntry"],
        ),
        (
            lambda policy: policy(inbound=policy().to_dict()["inbound"] + [rule("tcp", "12350", "master", "ssh")]),
            ["setPolicySettings"],
        ),
        (lambda policy: policy(outbound=[rule("tcp", "8080", "master", "m")]), ["setPolicySettings"]),
        (lambda policy: policy("restrict"), ["nft"]),
    ],
)
def test_these_changes_need_no_reload(host, policy, wanted, expected):
    host.change(policy())
    reloads = host.reloads
    # A reload would lose a setting that is in none of firewalld's files.
    host.zones["public"]["ports"] = ["x"]
    assert host.change(wanted(policy)) == expected
    assert host.reloads == reloads and host.zones["public"]["ports"] == ["x"]


def test_many_members_are_replaced_at_once(host, policy):
    host.change(policy())
    many = [f"203.0.113.{number}" for number in range(ONE_BY_ONE + 1)]
    assert host.change(policy(peers=members(*many))) == ["setEntries"]


def test_additions_run_before_removals(host, policy):
    host.change(policy())
    host.change(policy(inbound=[rule("tcp", "5000", "agents", "x")], peers=members("192.0.2.99")))
    ran = host.change(policy(inbound=[rule("tcp", "5001", "agents", "x")], peers=members("192.0.2.98")))
    assert ran == ["addEntry", "setPolicySettings", "removeEntry", "setPolicySettings"]


@pytest.mark.parametrize("step", [0, 1])
def test_rollback_of_a_change_that_was_killed(host, policy, step):
    old = host.read().state
    reading = host.read()
    for command in BACKEND.transactions(reading, BACKEND.render(policy("restrict"), reading))[: step + 1]:
        host.run(command)
    for command in BACKEND.transactions(host.read(), old):
        host.run(command)
    assert host.read().state == old and host.files == {}


def test_tampering_is_undone(host, policy):
    host.change(policy())
    host.policies["determined"]["rich_rules"].pop()
    host.sets["determined-master-v4"][2].append("203.0.113.66")
    assert host.change(policy()) == ["setPolicySettings", "removeEntry"]
    host.policies["determined"]["masquerade"] = True
    assert host.change(policy()) == ["reload"]


def test_a_reload_that_loses_foreign_settings_is_refused(host, policy):
    host.zones = {"public": dict(host.zones["public"], ports=["7777"])}
    reading = host.read()
    with pytest.raises(commands.HostError) as caught:
        BACKEND.transactions(reading, BACKEND.render(policy("restrict"), reading))
    assert "zone public: ports (has 7777)" in str(caught.value)


@pytest.mark.parametrize(
    "wanted", [lambda policy: without("agents", policy), lambda policy: None], ids=["without_peers", "absent"]
)
@pytest.mark.parametrize("stored", [False, True], ids=["nothing_stored", "stored"])
def test_a_rollback_is_never_refused_and_says_what_is_lost(host, policy, wanted, stored):
    host.change(policy("restrict"))
    if not stored:
        host.files = {}
    files, reading = dict(host.files), host.read()
    old = reading.state
    for command in BACKEND.transactions(reading, BACKEND.render(wanted(policy("restrict")), reading)):
        assert host.run(command).code == 0 and command.loses == ()
    host.zones = {"public": dict(host.zones["public"], rich_rules=["rule drop"])}
    reading = host.read()
    with pytest.raises(commands.HostError):
        BACKEND.transactions(reading, old)
    forced = BACKEND.transactions(BACKEND.force(reading), old)
    assert [lost for command in forced for lost in command.loses] == ["zone public: rich rules (has rule drop)"]
    for command in forced:
        assert host.run(command).code == 0
    assert host.read().state == old and host.files == files


def test_a_rollback_without_new_objects_loses_nothing_foreign(host, policy):
    old = host.read().state
    host.change(policy("restrict"))
    host.zones = {"public": dict(host.zones["public"], rich_rules=["rule drop"])}
    for command in BACKEND.transactions(BACKEND.force(host.read()), old):
        assert host.run(command).code == 0 and command.loses == ()
    assert host.reloads == 1 and host.table is None and "rich_rules" in host.zones["public"]
    assert not any(settings["rich_rules"] for settings in host.policies.values())


def test_removal_without_a_reload_empties_the_policy_objects(host, policy):
    host.change(policy("restrict"))
    host.zones = {"public": dict(host.zones["public"], ports=["7777"])}
    for command in BACKEND.transactions(host.read(), BACKEND.render(None, host.read())):
        host.run(command)
    assert host.reloads == 1 and host.table is None
    assert not any(settings["rich_rules"] for settings in host.policies.values())
    reading = host.read()
    assert BACKEND.transactions(reading, BACKEND.render(None, reading)) == []
    assert "7777" in reading.warnings[-1]
