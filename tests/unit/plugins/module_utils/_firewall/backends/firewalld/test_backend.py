"""The backend as its users see it: states, warnings, what is missing, boot scripts and facts."""

import os

import pytest
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld import files, nft_table
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld.backend import Firewalld
from ansible_collections.determined.network.plugins.module_utils._host import commands

SETS = "/etc/firewalld/ipsets"
GOLDEN = os.path.join(os.path.dirname(__file__), "golden")

CHAINS = ["forged", "forward", "inbound", "input", "prerouting", "raw", "routed"]
BACKEND = Firewalld(("docker0", "br-+"))


@pytest.mark.parametrize("mode", ["permit", "restrict"])
def test_golden(host, policy, mode):
    state = BACKEND.render(policy(mode), host.read())
    with open(os.path.join(GOLDEN, f"firewalld-agent-{mode}.txt"), encoding="utf-8") as handle:
        assert BACKEND.describe(state) == handle.read()


@pytest.mark.parametrize(
    "name", ["policies/determined.xml", "policies/determined-out.xml", "ipsets/determined-agents-v4.xml"]
)
def test_golden_files(host, policy, name):
    state = BACKEND.render(policy(), host.read())
    with open(os.path.join(GOLDEN, "firewalld-" + name.replace("/", "-")), encoding="utf-8") as handle:
        assert files.files(state)["/etc/firewalld/" + name] == handle.read()


def test_golden_fallback(policy):
    text = nft_table.text(nft_table.fallback(policy("restrict"), ("ipv4", "ipv6"), ("docker0",)))
    with open(os.path.join(GOLDEN, "firewalld-fallback.txt"), encoding="utf-8") as handle:
        assert text == handle.read()


@pytest.mark.parametrize(
    "properties, words",
    [
        ({"tools": ("nft",)}, ["firewall-cmd is not installed", "package firewalld"]),
        ({"tools": ("firewall-cmd",)}, ["busctl is not installed"]),
        ({"running": False}, ["does not run", "systemctl enable --now firewalld"]),
        ({"version": "0.6.3"}, ["firewalld 0.6.3 is too old", "0.9"]),
    ],
)
def test_what_is_missing_is_named_and_removal_still_works(fake_firewalld, policy, properties, words):
    reading = fake_firewalld(**properties).read()
    with pytest.raises(commands.HostError) as caught:
        BACKEND.render(policy(), reading)
    assert all(word in str(caught.value) for word in words + ["Nothing was changed"])
    assert BACKEND.transactions(reading, BACKEND.render(None, reading)) == []


def test_a_firewalld_that_has_failed(host):
    host.status = "FAILED"
    assert "--check-config" in host.read().missing[0]


def test_only_restrict_needs_nft(fake_firewalld, policy):
    host = fake_firewalld(tools=("firewall-cmd", "busctl"))
    reading = host.read()
    BACKEND.render(policy("permit"), reading)
    with pytest.raises(commands.HostError) as caught:
        BACKEND.render(policy("restrict"), reading)
    assert "nft is not installed" in str(caught.value)


def test_before_1_0_no_rules_for_outgoing_traffic_are_written(fake_firewalld, policy):
    reading = fake_firewalld("0.9.11").read()
    assert sorted(BACKEND.render(policy(), reading).policies) == ["determined"]
    assert any("cannot use an ipset as a destination" in text for text in reading.warnings)


def test_a_kernel_without_ipv6(host, policy):
    host.ipv6 = None
    text = BACKEND.describe(BACKEND.render(policy("restrict"), host.read()))
    assert "v6" not in text and "IPv4 is handled" in host.read().warnings[0]


@pytest.mark.parametrize(
    "said, meaning",
    [
        ("Call failed: ACCESS_DENIED: lockdown is enabled", "--add-lockdown-whitelist-uid=0"),
        ("/bin/sh: cannot create x: Read-only file system", "/etc is read-only"),
        ("cat: write error: No space left on device", "is full"),
        ("Call failed: INVALID_ZONE: x.xml", "firewall-cmd --check-config"),
        ("Failed to connect to bus: No such file or directory", "systemctl status dbus"),
        ("netlink: Error: Operation not permitted", "CAP_NET_ADMIN"),
        ("something new", "said: something new"),
    ],
)
def test_failures_are_explained(said, meaning):
    command = commands.Command(("/bin/sh", "-s"), purpose="reload firewalld")
    text = BACKEND.explain(command, commands.Output(1, "", said + "\n"))
    assert text.startswith("Could not reload firewalld") and meaning in text and said in text


def test_stored(host, policy):
    reading = host.read()
    assert BACKEND.stored(None, BACKEND.render(None, reading), reading) is None
    permit = BACKEND.stored(policy(), BACKEND.render(policy(), reading), reading)
    assert permit.load == "" and permit.fallback == "" and len(permit.files) == 6
    restrict = BACKEND.stored(policy("restrict"), BACKEND.render(policy("restrict"), reading), reading)
    assert restrict.load.startswith("/bin/nft -f - <<'END OF TABLE'\ntable inet determined\n")
    assert "203.0.113.0/24" in restrict.fallback and "@" not in restrict.fallback
    assert restrict.files == permit.files
    assert [line.split()[5] for line in restrict.holds.splitlines()] == CHAINS
    ours = "<ipset><description>Written by determined.network.firewall</description></ipset>"
    host.files[SETS + "/determined-gone-v4.xml"] = ours
    host.files[SETS + "/determined-gone-v4.xml.old"] = ours  # firewall-cmd --runtime-to-permanent leaves this
    host.files[SETS + "/determined-gone-v4.xml.new"] = "<ips"  # a change that was killed leaves this
    host.files[SETS + "/others.xml"] = "<ipset/>"
    host.files[SETS + "/determined-gone-v4.xml.bak"] = "<ipset/>"
    reading = host.read()
    files = dict(BACKEND.stored(policy(), BACKEND.render(policy(), reading), reading).files)
    assert [files[SETS + "/determined-gone-v4.xml" + more] for more in ("", ".old", ".new")] == [None] * 3
    assert SETS + "/others.xml" not in files and SETS + "/determined-gone-v4.xml.bak" not in files


def test_facts(host, policy):
    host.change(policy())
    host.policies["first"] = {"priority": -32768, "rich_rules": ["rule drop"], "ingress_zones": ["ANY"]}
    reading, facts = host.read(BACKEND.inspect())
    assert reading.variant == "nftables"
    assert {row["chain"] for row in facts["rules"]} == {"policy determined", "policy determined-out"}
    assert [row["rule"] for row in facts["foreign_before"]] == ["rule drop"]
    assert {row["name"]: row["entries"] for row in facts["sets"]}["determined-agents-v4"] == 3
