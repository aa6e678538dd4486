"""Which iptables is used, and what its failures mean."""

import pytest
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.iptables import errors
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.iptables import (
    variant as iptables_variant,
)
from ansible_collections.determined.network.plugins.module_utils._host import commands

BOTH = ("nft", "legacy")


@pytest.mark.parametrize(
    "available, ours, foreign, default, variant, word",
    [
        (BOTH, (), {}, "nft", "nft", "command iptables"),
        (BOTH, (), {}, "legacy", "legacy", "command iptables"),
        (BOTH, (), {"legacy": 3}, "nft", "legacy", "own rules"),
        (BOTH, ("nft",), {"legacy": 3}, "legacy", "nft", "our chains"),
        (BOTH, BOTH, {"legacy": 3}, "nft", "legacy", "in both, and the host's own rules"),
        (BOTH, BOTH, {}, "nft", "nft", "in both"),
        (BOTH, (), {"legacy": 3, "nft": 1}, "legacy", "legacy", "has rules in both"),
        (("legacy",), (), {}, "nft", "legacy", "first that is installed"),
        (("nft",), (), {}, None, "nft", "first that is installed"),
        ((), (), {}, None, None, "no iptables"),
    ],
)
def test_choose(available, ours, foreign, default, variant, word):
    chosen, reason, warnings = iptables_variant.choose(available, ours, foreign, default)
    assert chosen == variant and word in reason
    assert bool(warnings) is (len(foreign) == 2)


@pytest.mark.parametrize(
    "text, variant",
    [
        ("iptables v1.8.9 (nf_tables)", "nft"),
        ("iptables v1.8.9 (legacy)", "legacy"),
        ("iptables v1.6.1", "legacy"),
    ],
)
def test_of_version(text, variant):
    assert iptables_variant.of_version(text) == variant


@pytest.mark.parametrize(
    "said, words",
    [
        ("Another app is currently holding the xtables lock; waiting", ["fuser", "lock_timeout"]),
        ("Couldn't load match `set':No such file or directory", ["libxt_set.so", "iptables-libs"]),
        (
            "Warning: Extension multiport revision 0 not supported, missing kernel module?",
            ["xt_multiport", "kernel-modules"],
        ),
        ("Set determined_a_v4 doesn't exist.", ["determined_a_v4"]),
        ("Cannot open session to kernel.", ["kernel lacks", "linux-image"]),
        ("Could not fetch rule set generation id: Permission denied (you must be root)", ["CAP_NET_ADMIN"]),
        ("Set cannot be destroyed: it is in use by a kernel component", ["match-set"]),
        ("Hash is full, cannot add more elements", ["dmesg"]),
        ("CHAIN_ADD failed (Operation not supported): chain INPUT", ["native nftables"]),
        ("Error: meta sreg key not supported\nParsing nftables rule failed", ["native nftables", "nft list ruleset"]),
        ("iptables: No chain/target/match by that name.", ["kernel"]),
        ("", ["nothing"]),
    ],
)
def test_explain(said, words):
    command = commands.Command(("/usr/sbin/iptables-nft-restore",), purpose="write the rules")
    text = errors.explain(command, commands.Output(2, "", said))
    assert text.startswith("Could not write the rules") and "iptables-nft-restore (exit code 2)" in text
    for word in words:
        assert word in text


def test_explain_a_kill():
    command = commands.Command(("ipset", "restore"), purpose="write the ipsets", timeout=60)
    assert "signal 9" in errors.explain(command, commands.Output(-9, "", ""))
