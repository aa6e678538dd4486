"""Whose a chain or a set is, when its name is one of ours."""

import os
import re

import pytest
from ansible_collections.determined.network.plugins.module_utils import _policy
from ansible_collections.determined.network.plugins.module_utils._firewall.backends import chain_ownership
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.iptables.backend import Iptables
from ansible_collections.determined.network.plugins.module_utils._firewall.container_interfaces import DEFAULT
from ansible_collections.determined.network.plugins.module_utils._host import commands

# What the versions before the mark wrote, as Iptables.describe told it.
VERSIONS = os.path.join(os.path.dirname(__file__), "golden", "versions")
BACKEND = Iptables(container_interfaces=DEFAULT)
FOREIGN_RULE = "-p tcp -m tcp --dport 80 -m comment --comment web -j ACCEPT"


def policy(mode):
    return _policy.HostPolicy.from_dict(
        {
            "host": "agent1",
            "mode": mode,
            "peers": {"agents": {"ipv4": ["192.0.2.11"], "ipv6": ["2001:db8::11"]}},
            "inbound": [{"protocol": "tcp", "ports": "80", "peers": "agents", "requirements": ["x"]}],
            "outbound": [],
            "management": [],
        }
    )


def apply(kernel, wanted):
    reading = kernel.drive(BACKEND.read())
    for command in BACKEND.transactions(reading, BACKEND.render(wanted, reading)):
        output = kernel.run(command)
        assert output.code == 0, (command, output)


def install(kernel, text):
    """Put into the kernel what ``describe`` told."""
    for part in text.split("\n\n"):
        head, *lines = part.strip().splitlines() or [""]
        table = re.match(r"# iptables-nft, IPv(4|6), table (\w+)", head)
        if table:
            chains = kernel.chains("nft", {"4": "iptables", "6": "ip6tables"}[table.group(1)], table.group(2))
            for line in lines:
                if line.startswith(":"):
                    chains[line[1:]] = []
                elif line.startswith("-A"):
                    chains[line.split()[1]].append(line.split(" ", 2)[2])
                else:
                    chains[line.split()[1]].insert(0, line.split(" ", 3)[3])
        elif head:
            for line in lines:
                kernel.ipset_line(line.split())


@pytest.mark.parametrize("name", sorted(os.listdir(VERSIONS)))
def test_what_older_versions_wrote_is_ours(kernel, name):
    with open(os.path.join(VERSIONS, name), encoding="utf-8") as handle:
        text = handle.read()
    install(kernel, text)
    reading = kernel.drive(BACKEND.read())
    assert BACKEND.describe(reading.state) == text and reading.warnings == ()
    apply(kernel, policy("restrict"))
    # And back, as the dead man's switch goes.
    changed = kernel.drive(BACKEND.read())
    for command in BACKEND.transactions(changed, reading.state):
        assert kernel.run(command).code == 0
    assert BACKEND.describe(kernel.drive(BACKEND.read()).state) == text
    apply(kernel, None)
    assert kernel.sets == {} and not any("DETERMINED" in name for chains in kernel.tables.values() for name in chains)


@pytest.mark.parametrize("name", [name for name in sorted(os.listdir(VERSIONS)) if "empty" not in name])
def test_one_foreign_rule_makes_a_chain_without_a_mark_foreign(kernel, name):
    with open(os.path.join(VERSIONS, name), encoding="utf-8") as handle:
        install(kernel, handle.read())
    chain = kernel.tables["nft", "iptables"]["DETERMINED-INPUT"]
    assert chain_ownership.is_ours(chain, False)
    for position in range(len(chain) + 1):
        changed = chain[:position] + ["-s 192.0.2.9/32 -j DROP"] + chain[position:]
        assert not chain_ownership.is_ours(changed, False)
        assert chain_ownership.is_ours([chain_ownership.MARK_RULE, *changed], False)


@pytest.mark.parametrize("mode", ["permit", "restrict"])
def test_a_foreign_chain_with_a_name_of_ours_is_refused_by_name(kernel, mode):
    chains = kernel.chains("nft", "ip6tables")
    chains["DETERMINED-INPUT"] = [FOREIGN_RULE]
    chains["INPUT"] = ["-j DETERMINED-INPUT"]
    reading = kernel.drive(BACKEND.read())
    assert reading.state.tables == {}
    assert "the chain DETERMINED-INPUT" in reading.warnings[0]
    with pytest.raises(commands.HostError) as caught:
        BACKEND.render(policy(mode), reading)
    for word in (
        "nothing was changed",
        "chain DETERMINED-INPUT in table filter of ip6tables-nft",
        "ip6tables-nft -w -t filter -E DETERMINED-INPUT NEW-NAME",
    ):
        assert word in str(caught.value)
    before = {key: dict(value) for key, value in kernel.tables.items()}
    apply(kernel, None)
    assert kernel.tables == before


def test_a_foreign_chain_in_the_other_variant_or_unneeded_stays(kernel):
    kernel.chains("legacy", "iptables")["DETERMINED-INPUT"] = [FOREIGN_RULE]
    kernel.chains("nft", "iptables", "mangle")["DETERMINED-PREROUTING"] = [FOREIGN_RULE]
    apply(kernel, policy("permit"))
    apply(kernel, None)
    assert kernel.chains("legacy", "iptables")["DETERMINED-INPUT"] == [FOREIGN_RULE]
    assert kernel.chains("nft", "iptables", "mangle")["DETERMINED-PREROUTING"] == [FOREIGN_RULE]


def test_an_emptied_chain_of_ours_is_filled_again(kernel):
    """After ``iptables -F``, which takes the mark away as well."""
    apply(kernel, policy("restrict"))
    for chains in kernel.tables.values():
        for rules in chains.values():
            rules.clear()
    apply(kernel, policy("restrict"))
    assert kernel.tables["nft", "iptables"]["INPUT"] == ["-j DETERMINED-INPUT"]


def test_an_empty_chain_that_somebody_elses_rule_uses_is_theirs(kernel):
    chains = kernel.chains("nft", "iptables")
    chains["DETERMINED-INPUT"] = []
    chains["INPUT"] = ["-s 203.0.113.0/24 -j DETERMINED-INPUT"]
    with pytest.raises(commands.HostError):
        apply(kernel, policy("permit"))
    apply(kernel, None)
    assert chains["INPUT"] == ["-s 203.0.113.0/24 -j DETERMINED-INPUT"]


@pytest.mark.parametrize("name", ["determined_agents_v4", "determined_agents_t6"])
def test_a_foreign_set_with_a_name_of_ours_is_refused_by_name(kernel, name):
    family = {"4": "inet", "6": "inet6"}[name[-1]]
    kernel.ipset_line(f"create {name} hash:net family {family} maxelem 65536".split())
    before = {key: (value, set(members)) for key, (value, members) in kernel.sets.items()}
    with pytest.raises(commands.HostError) as caught:
        apply(kernel, policy("permit"))
    assert f"the ipset {name}" in str(caught.value) and f"ipset rename {name} NEW_NAME" in str(caught.value)
    apply(kernel, None)
    assert kernel.sets == before


def test_a_foreign_set_whose_name_no_policy_needs_stays_and_is_said(kernel):
    kernel.ipset_line(["create", "determined_backup_v4", "hash:net", "family", "inet", "maxelem", "65536"])
    kernel.ipset_line(["add", "determined_backup_v4", "203.0.113.5"])
    apply(kernel, policy("restrict"))
    apply(kernel, None)
    assert list(kernel.sets) == ["determined_backup_v4"]
    (warning,) = kernel.drive(BACKEND.read()).warnings
    assert "ipset determined_backup_v4" in warning and "stays as it is" in warning
