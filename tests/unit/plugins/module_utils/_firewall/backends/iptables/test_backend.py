"""The backend against a firewall without a kernel, and rulesets that a person can read."""

import json
import os

import pytest
from ansible_collections.determined.network.plugins.module_utils import _policy
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.iptables.backend import Iptables
from ansible_collections.determined.network.plugins.module_utils._firewall.container_interfaces import DEFAULT
from ansible_collections.determined.network.plugins.module_utils._host import commands

GOLDEN = os.path.join(os.path.dirname(__file__), "golden")

AGENTS = {"ipv4": ["192.0.2.11", "192.0.2.12", "198.51.100.0/24"], "ipv6": ["2001:db8::11"]}
ANYBODY = {"ipv4": ["0.0.0.0/0"], "ipv6": ["::/0"]}


def rule(protocol, ports, peers, *requirements):
    return {"protocol": protocol, "ports": ports, "peers": peers, "requirements": list(requirements)}


def policy(mode, peers, inbound=(), outbound=(), management=()):
    return _policy.HostPolicy.from_dict(
        {
            "host": "agent1",
            "mode": mode,
            "peers": peers,
            "inbound": list(inbound),
            "outbound": list(outbound),
            "management": list(management),
        }
    )


AGENT = {
    "peers": {
        "master": {"ipv4": ["192.0.2.10"], "ipv6": ["2001:db8::10"]},
        "agents": AGENTS,
        "anybody": ANYBODY,
    },
    "inbound": [
        rule("tcp", "1-65535", "agents", "agents_from_agents"),
        rule("tcp", "2600-2900", "master", "tensorboard", "agents_from_master"),
        rule("udp", "4789", "agents", "extra"),
    ],
    "outbound": [
        rule("tcp", "8080", "master", "master_from_agents"),
        rule("tcp", "443", "anybody", "registry_access"),
    ],
    "management": [rule("tcp", "22", "anybody", "management")],
}
# More ports than one multiport holds, more ids than one comment holds, peers of one family only.
WIDE = {
    "peers": {"old": {"ipv4": ["203.0.113.7"]}, "new": {"ipv6": ["2001:db8:7::/48"]}},
    "inbound": [
        rule("tcp", ",".join(str(port) for port in range(2, 42, 2)), "old", "even_ports"),
        rule(
            "tcp",
            "1734,1750,2600-2900,4000-4010,5000-5010,6000-6010,7000-7010,8000-8010,9000-9010",
            "new",
            "ranges",
        ),
        rule("tcp", "12350", "old", *[f"requirement_number_{number:02}" for number in range(20)]),
    ],
}
CASES = {
    "agent-permit": policy("permit", **AGENT),
    "agent-restrict": policy("restrict", **AGENT),
    "wide-permit": policy("permit", **WIDE),
    "empty-permit": policy("permit", {}),
    "empty-restrict": policy("restrict", {}),
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_golden(kernel, name):
    """What is written for a policy. When it changes on purpose: read the difference, write the file anew."""
    backend = Iptables(container_interfaces=DEFAULT)
    text = backend.describe(backend.render(CASES[name], kernel.drive(backend.read())))
    with open(os.path.join(GOLDEN, name + ".txt"), encoding="utf-8") as handle:
        assert text == handle.read()


def apply(kernel, wanted):
    backend = Iptables(container_interfaces=DEFAULT)
    reading = kernel.drive(backend.read())
    commands = backend.transactions(reading, backend.render(wanted, reading))
    for command in commands:
        output = kernel.run(command)
        assert output.code == 0, (command, output)
    return commands


@pytest.mark.parametrize("name", sorted(CASES))
def test_what_was_written_is_read_back(kernel, name):
    backend = Iptables(container_interfaces=DEFAULT)
    assert apply(kernel, CASES[name])
    reading = kernel.drive(backend.read())
    assert reading.state == backend.render(CASES[name], reading)
    assert reading.reason == "our chains are there"
    assert apply(kernel, CASES[name]) == []


def test_state_survives_json(kernel):
    backend = Iptables(container_interfaces=DEFAULT)
    apply(kernel, CASES["agent-restrict"])
    state = kernel.drive(backend.read()).state
    assert backend.load(json.loads(json.dumps(backend.dump(state)))) == state


def test_one_transaction_per_family_sets_first_and_destroyed_last(kernel):
    apply(kernel, CASES["agent-permit"])
    commands = apply(kernel, policy("restrict", {"new": {"ipv4": ["192.0.2.1"]}}, [rule("tcp", "80", "new", "x")]))
    names = [command.argv[0].rsplit("/", 1)[-1] + " " + command.argv[1] for command in commands]
    assert (
        names
        == ["ipset restore", "iptables-nft-restore --noflush", "ip6tables-nft-restore --noflush"]
        + ["ipset destroy"] * 4
    )
    assert all("--wait=10" in command.argv for command in commands if "tables" in command.argv[0])


def test_a_changed_set_is_swapped_and_no_rule_is_touched(kernel):
    apply(kernel, CASES["agent-permit"])
    wider = dict(AGENT)
    wider["peers"] = dict(AGENT["peers"], agents={"ipv4": AGENTS["ipv4"] + ["192.0.2.13"], "ipv6": AGENTS["ipv6"]})
    (command,) = apply(kernel, policy("permit", **wider))
    assert command.stdin.splitlines() == [
        "create determined_agents_t4 hash:net family inet maxelem 65536 comment",
        'add determined_agents_t4 192.0.2.11 comment "determined.network"',
        'add determined_agents_t4 192.0.2.12 comment "determined.network"',
        'add determined_agents_t4 192.0.2.13 comment "determined.network"',
        'add determined_agents_t4 198.51.100.0/24 comment "determined.network"',
        "swap determined_agents_t4 determined_agents_v4",
        "destroy determined_agents_t4",
    ]


def test_leftovers_of_a_killed_run_are_cleared(kernel):
    apply(kernel, CASES["agent-permit"])
    kernel.ipset_line(["create", "determined_agents_t4", "hash:net", "family", "inet", "maxelem", "65536", "comment"])
    assert apply(kernel, CASES["agent-permit"])
    assert "determined_agents_t4" not in kernel.sets
    kernel.ipset_line(["create", "determined_agents_t4", "hash:net", "family", "inet", "maxelem", "65536", "comment"])
    kernel.sets["determined_agents_v4"][1].discard('192.0.2.11 comment "determined.network"')
    apply(kernel, CASES["agent-permit"])
    assert apply(kernel, CASES["agent-permit"]) == []


def test_foreign_objects_are_never_named(kernel):
    foreign = {
        "INPUT": ["-s 192.0.2.9/32 -j DROP", "-j f2b"],
        "FORWARD": [],
        "OUTPUT": [],
        "f2b": ["-j RETURN"],
    }
    for tool in ("iptables", "ip6tables"):
        kernel.tables["nft", tool] = {name: list(rules) for name, rules in foreign.items()}
        kernel.policies["nft", tool, "INPUT"] = "DROP"
    kernel.ipset_line(["create", "blocked", "hash:ip", "family", "inet"])
    apply(kernel, CASES["agent-restrict"])
    assert kernel.tables["nft", "iptables"]["INPUT"] == ["-j DETERMINED-INPUT"] + foreign["INPUT"]
    commands = apply(kernel, None)
    assert not any("f2b" in command.stdin or "blocked" in str(command) for command in commands)
    assert kernel.tables["nft", "iptables"] == foreign and kernel.tables["nft", "ip6tables"] == foreign
    assert list(kernel.sets) == ["blocked"]


def test_other_tables_are_touched_in_restrict_only_and_in_the_same_transaction(kernel):
    apply(kernel, CASES["agent-permit"])
    assert kernel.mangle == {} and kernel.raw == {}
    ipv4, ipv6 = apply(kernel, CASES["agent-restrict"])
    for command in (ipv4, ipv6):
        assert [line for line in command.stdin.splitlines() if line.startswith("*")] == ["*raw", "*mangle", "*filter"]
    assert kernel.mangle["nft", "iptables"]["PREROUTING"] == [
        "-m addrtype --dst-type LOCAL -j DETERMINED-PREROUTING",
        "-m addrtype ! --dst-type LOCAL -j DETERMINED-ROUTED",
    ]
    for tool in ("iptables", "ip6tables"):
        jump = "! -i lo -m addrtype --src-type LOCAL -j DETERMINED-FORGED"
        assert kernel.raw["nft", tool]["PREROUTING"] == [jump]
    apply(kernel, CASES["agent-permit"])
    for tables in (kernel.mangle, kernel.raw):
        assert not any(rules for chains in tables.values() for rules in chains.values())


def test_drift_in_mangle_is_seen_and_repaired(kernel):
    apply(kernel, CASES["agent-restrict"])
    chains = kernel.mangle["nft", "iptables"]
    chains["PREROUTING"].insert(0, "-i eth0 -j MARK --set-xmark 0x1/0xffffffff")
    chains["DETERMINED-PREROUTING"].remove("-i lo -j RETURN")
    chains["FORWARD"].clear()
    (command,) = apply(kernel, CASES["agent-restrict"])
    assert "*filter" not in command.stdin
    assert kernel.mangle["nft", "iptables"]["PREROUTING"] == [
        "-m addrtype --dst-type LOCAL -j DETERMINED-PREROUTING",
        "-m addrtype ! --dst-type LOCAL -j DETERMINED-ROUTED",
        "-i eth0 -j MARK --set-xmark 0x1/0xffffffff",
    ]
    assert kernel.mangle["nft", "iptables"]["FORWARD"] == ["-j DETERMINED-FORWARD"]
    assert apply(kernel, CASES["agent-restrict"]) == []


def test_interfaces_of_containers_are_a_setting(kernel):
    backend = Iptables(container_interfaces=("cni0",))
    reading = kernel.drive(backend.read())
    tables = backend.render(CASES["agent-restrict"], reading).tables
    forward = dict(tables["nft", "ipv6", "mangle"].chains)["DETERMINED-FORWARD"]
    assert [rule.split(" -m")[0] for rule in forward if "cni0" in rule] == ["-i cni0", "-o cni0"]
    assert not any("docker" in rule for rule in forward)
    # Without any, packets from outside are judged all the same.
    tables = Iptables().render(CASES["agent-restrict"], reading).tables
    forward = dict(tables["nft", "ipv4", "mangle"].chains)["DETERMINED-FORWARD"]
    assert any(rule.startswith("-i eth+ ") and rule.endswith("-j DROP") for rule in forward)


def unreadable(kernel, *tables):
    """iptables-nft-save says that tables hold what it cannot print."""
    printed = kernel.save
    said = "".join(f"# Table `{table}' is incompatible, use 'nft' tool.\n" for table in tables)
    kernel.save = lambda *arguments: said + printed(*arguments)


@pytest.mark.parametrize(
    "tables, held, wanted, word",
    [
        (("filter",), None, "agent-permit", "filter"),
        (("mangle",), None, "agent-restrict", "mangle"),
        (("mangle",), "agent-restrict", "agent-permit", "mangle"),  # ours may be in there
        (("mangle", "nat"), "agent-permit", "agent-permit", None),
        (("nat",), None, "agent-restrict", None),
    ],
)
def test_native_rules_in_a_table_of_ours_are_an_error_and_elsewhere_no_matter(kernel, tables, held, wanted, word):
    if held:
        apply(kernel, CASES[held])
    unreadable(kernel, *tables)
    if word is None:
        apply(kernel, CASES[wanted])
        return
    with pytest.raises(commands.HostError) as caught:
        apply(kernel, CASES[wanted])
    for part in (f"Table {word}", "native nftables", "Nothing was changed"):
        assert part in str(caught.value)


def test_the_jump_goes_back_to_where_it_was_when_restoring(kernel):
    backend = Iptables(container_interfaces=DEFAULT)
    apply(kernel, CASES["agent-permit"])
    kernel.chains("nft", "iptables")["INPUT"].insert(0, "-j A")
    kernel.chains("nft", "iptables")["INPUT"].insert(0, "-j B")
    old = kernel.drive(backend.read()).state
    apply(kernel, CASES["agent-restrict"])
    assert kernel.chains("nft", "iptables")["INPUT"] == ["-j DETERMINED-INPUT", "-j B", "-j A"]
    kernel.chains("nft", "iptables")["INPUT"].remove("-j B")  # by others, meanwhile
    reading = kernel.drive(backend.read())
    for command in backend.transactions(reading, old):
        assert kernel.run(command).code == 0
    assert kernel.chains("nft", "iptables")["INPUT"] == ["-j A", "-j DETERMINED-INPUT"]


def test_reading_runs_no_legacy_tool_where_no_legacy_table_is(kernel):
    kernel.drive(Iptables().read())
    assert not any("legacy" in command.argv[0] for command in kernel.commands)
    assert all("restore" not in " ".join(command.argv) for command in kernel.commands)


def test_without_ipv6(fake_kernel):
    kernel = fake_kernel(ipv6=False)
    reading = kernel.drive(Iptables().read())
    assert reading.families == ("ipv4",) and "no IPv6" in reading.warnings[0]
    apply(kernel, CASES["agent-restrict"])
    assert list(kernel.tables) == [("nft", "iptables")]
    assert sorted(kernel.sets) == ["determined_agents_v4", "determined_master_v4"]


def test_plain_tools_are_used_where_there_are_no_others(fake_kernel):
    kernel = fake_kernel(variants=(), default="nft")
    for tool in ("iptables", "ip6tables"):
        for word in ("save", "restore"):
            kernel.tools[f"{tool}-{word}"] = f"/sbin/{tool}-nft-{word}"
    apply(kernel, CASES["agent-permit"])
    assert sorted(kernel.tables) == [("nft", "ip6tables"), ("nft", "iptables")]


@pytest.mark.parametrize("gone, word", [("ipset", "ipset"), ("ip6tables-nft-save", "iptables-nft")])
def test_missing_tools_stop_a_policy_but_not_a_removal(fake_kernel, gone, word):
    kernel = fake_kernel(variants=("nft",))
    del kernel.tools[gone]
    backend = Iptables(container_interfaces=DEFAULT)
    reading = kernel.drive(backend.read())
    with pytest.raises(commands.HostError) as caught:
        backend.render(CASES["agent-permit"], reading)
    assert word in str(caught.value) and "Nothing was changed" in str(caught.value)
    assert backend.transactions(reading, backend.render(None, reading)) == []


def test_a_failed_read_is_never_an_empty_firewall(kernel):
    apply(kernel, CASES["agent-permit"])
    kernel.save = None  # any call raises

    class Locked(type(kernel)):
        def run(self, command):
            if command.argv[0].endswith("save"):
                return commands.Output(4, "", "Another app is currently holding the xtables lock.")
            return super().run(command)

    kernel.__class__ = Locked
    with pytest.raises(commands.HostError) as caught:
        kernel.drive(Iptables().read())
    assert "xtables lock" in str(caught.value)


def test_a_set_of_another_type_is_an_error_that_names_it(kernel):
    kernel.ipset_line(["create", "determined_agents_v4", "hash:ip", "family", "inet", "maxelem", "65536"])
    with pytest.raises(commands.HostError) as caught:
        apply(kernel, CASES["agent-permit"])
    assert "ipset destroy determined_agents_v4" in str(caught.value)


def test_inspect(kernel):
    apply(kernel, CASES["agent-restrict"])
    kernel.chains("nft", "iptables")["INPUT"].insert(0, "-s 192.0.2.9/32 -j DROP")
    kernel.mangle["nft", "ip6tables"]["PREROUTING"].insert(0, "-j TEE")
    kernel.chains("legacy", "iptables")["INPUT"].append("-j DROP")
    reading, facts = kernel.drive(Iptables().inspect())
    assert facts["foreign_before"] == [
        {"variant": "nft", "family": "ipv4", "chain": "INPUT", "rule": "-s 192.0.2.9/32 -j DROP"},
        {"variant": "nft", "family": "ipv6", "chain": "PREROUTING", "rule": "-j TEE"},
    ]
    assert facts["foreign_variants"] == {"nft": 2, "legacy": 1}
    assert {item["chain"] for item in facts["rules"]} == {
        "DETERMINED-FORGED",
        "DETERMINED-PREROUTING",
        "DETERMINED-ROUTED",
        "DETERMINED-FORWARD",
        "DETERMINED-INPUT",
        "DETERMINED-OUTPUT",
    }
    assert {item["name"]: item["entries"] for item in facts["sets"]}["determined_agents_v4"] == 3
    assert all((item["packets"], item["bytes"]) == (3, 180) for item in facts["rules"])
    assert reading.variant == "nft"
