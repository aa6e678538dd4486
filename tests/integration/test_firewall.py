"""The module on real kernels' firewalls: what stays, what changes, what packets then do.

Every test runs in namespaces of its own; the variants nft and legacy are both real here.
"""

from __future__ import annotations

import json

import pytest

from ._firewall_host import Host, policy, rule

ANYBODY = {"ipv4": ["0.0.0.0/0"], "ipv6": ["::/0"]}
AGENTS = {"ipv4": ["192.0.2.2", "198.51.100.0/24"], "ipv6": ["2001:db8::2", "2001:db8:1::/48"]}
MASTER = {"ipv4": ["192.0.2.3"], "ipv6": ["2001:db8::3"]}
SSH = rule("tcp", "22", "anybody", "management")

# What other programs leave on hosts: fail2ban, cloud images, kubernetes, and native nftables.
FOREIGN = r"""
ipset create f2b-sshd hash:ip timeout 86400
ipset add f2b-sshd 203.0.113.9 timeout 0
ipset create KUBE-CLUSTER-IP hash:ip,port
ipset add KUBE-CLUSTER-IP 203.0.113.1,tcp:443
for t in iptables-VARIANT ip6tables-VARIANT; do
$t -N f2b-sshd
$t -A f2b-sshd -j RETURN
$t -A INPUT -p tcp -m multiport --dports 22 -j f2b-sshd
$t -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
$t -A INPUT -i lo -j ACCEPT
$t -A INPUT -p tcp --dport 22 -m comment --comment "it's \"mine\", not -j DETERMINED-INPUT" -j ACCEPT
$t -A INPUT -p udp --dport 2049 -j ACCEPT
$t -P FORWARD DROP
$t -N KUBE-FIREWALL
$t -A OUTPUT -j KUBE-FIREWALL
$t -t mangle -A PREROUTING -i eth9 -j MARK --set-mark 7
$t -t mangle -A FORWARD -i eth9 -j MARK --set-mark 7
$t -t raw -A PREROUTING -i eth9 -p udp -j DROP
$t -t nat -N KUBE-SERVICES
$t -t nat -A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
done
iptables-VARIANT -I f2b-sshd -m set --match-set f2b-sshd src -j REJECT --reject-with icmp-port-unreachable
iptables-VARIANT -A INPUT -p icmp -j ACCEPT
iptables-VARIANT -A INPUT -j REJECT --reject-with icmp-host-prohibited
ip6tables-VARIANT -A INPUT -p ipv6-icmp -j ACCEPT
ip6tables-VARIANT -P INPUT DROP
nft 'table inet monitoring { chain seen { type filter hook input priority -300; counter; }; }'
"""


def foreign_nft(host: Host) -> list:
    tables = json.loads(host.run("nft", "-j", "list", "table", "inet", "monitoring"))["nftables"]
    text = json.dumps(tables)
    assert "monitoring" in text
    return [item for item in tables if "rule" not in item]  # the rule counts packets


def without_ours(rules: str) -> str:
    quoted = "not -j DETERMINED-INPUT"
    return "".join(
        line
        for line in rules.splitlines(keepends=True)
        if "DETERMINED-" not in line.replace(quoted, "") and "determined_" not in line
    )


@pytest.fixture
def host():
    with Host() as made:
        yield made


def shims(host: Host, folder, names=("iptables", "ip6tables")) -> tuple[dict, object]:
    """Programs that note their call and then run the real one -> environment, reader of the notes."""
    folder.mkdir()
    log = folder / "log"
    log.write_text("")
    tools = ["ipset"] + [f"{n}-{v}-{w}" for n in names for v in ("nft", "legacy") for w in ("save", "restore")]
    for tool in tools:
        shim = folder / tool
        shim.write_text(f'#!/bin/sh\necho "{tool} $*" >> {log}\nexec /usr/sbin/{tool} "$@"\n')
        shim.chmod(0o755)
    return {"PATH": f"{folder}:/usr/sbin:/usr/bin:/bin"}, lambda: log.read_text().splitlines()


def writing(calls: list[str]) -> list[str]:
    return [
        call for call in calls if "-restore" in call or call.split()[:2] in (["ipset", "restore"], ["ipset", "destroy"])
    ]


@pytest.mark.parametrize("mode", ["permit", "restrict"])
@pytest.mark.parametrize("variant", ["nft", "legacy"])
def test_whole_life_beside_foreign_rules(host, tmp_path, variant, mode):
    host.shell(FOREIGN.replace("VARIANT", variant))
    before, before_nft = host.rules(), foreign_nft(host)
    wanted = policy(
        mode,
        {"agents": AGENTS, "master": MASTER, "anybody": ANYBODY},
        [rule("tcp", "1-65535", "agents", "agents_from_agents"), rule("udp", "5000", "anybody")],
        [rule("tcp", "8080", "master", "master_from_agents")],
        [SSH],
    )

    predicted = host.module("firewall", policy=wanted, _ansible_check_mode=True)
    assert predicted["changed"] and host.rules() == before and not host.left_in_run()

    result = host.apply(wanted)
    assert result["changed"] and result["variant"] == variant, result
    assert result["diff"] == predicted["diff"]
    assert result["families"] == ["ipv4", "ipv6"]
    assert without_ours(host.rules()) == before
    assert foreign_nft(host) == before_nft
    assert not host.left_in_run()
    for command in ("iptables", "ip6tables"):
        for chain in ("INPUT", "OUTPUT"):
            listed = host.run(f"{command}-{variant}", "-S", chain).splitlines()
            assert listed[1] == f"-A {chain} -j DETERMINED-{chain}"
        prerouting = [
            "-m addrtype --dst-type LOCAL -j DETERMINED-PREROUTING",
            "-m addrtype ! --dst-type LOCAL -j DETERMINED-ROUTED",
        ]
        for chain, jumps in (("PREROUTING", prerouting), ("FORWARD", ["-j DETERMINED-FORWARD"])):
            listed = host.run(f"{command}-{variant}", "-t", "mangle", "-S", chain).splitlines()
            ours = [f"-A {chain} {jump}" for jump in jumps if mode == "restrict"]
            assert listed[1:] == [*ours, f"-A {chain} -i eth9 -j MARK --set-xmark 0x7/0xffffffff"]
        jump = "-A PREROUTING ! -i lo -m addrtype --src-type LOCAL -j DETERMINED-FORGED"
        listed = host.run(f"{command}-{variant}", "-t", "raw", "-S", "PREROUTING").splitlines()
        assert listed[1:] == [jump] * (mode == "restrict") + ["-A PREROUTING -i eth9 -p udp -j DROP"]

    managed = host.rules()
    environment, calls = shims(host, tmp_path / "shims")
    again = host.module("firewall", environment=environment, policy=wanted)
    assert not again["changed"] and "diff" not in again
    assert len(calls()) > 2 and writing(calls()) == []
    assert host.rules() == managed

    assert host.apply(None)["changed"]
    assert host.rules() == before
    assert foreign_nft(host) == before_nft
    assert not host.left_in_run() and host.run("sh", "-c", "ls -d /run/determined-network || true") == ""
    assert not host.apply(None)["changed"]


@pytest.mark.parametrize("variant", ["nft", "legacy"])
def test_jump_returns_to_the_top_and_once(host, variant):
    host.shell(f"iptables-{variant} -A INPUT -s 203.0.113.7 -j DROP")
    wanted = policy("restrict", {"agents": AGENTS}, [rule("tcp", "80", "agents")], [], [])
    host.apply(wanted)
    good = host.rules()
    host.shell(
        f"iptables-{variant} -I INPUT -s 203.0.113.8 -j DROP\n"
        f"iptables-{variant} -A INPUT -j DETERMINED-INPUT\n"
        f"ip6tables-{variant} -A INPUT -i eth9 -j DETERMINED-INPUT\n"
        f"ip6tables-{variant} -D OUTPUT -j DETERMINED-OUTPUT\n"
    )
    info = host.module("firewall_info", policy=wanted)
    assert [found["rule"] for found in info["foreign_before"]] == ["-s 203.0.113.8/32 -j DROP"]
    assert "-I INPUT 1 -j DETERMINED-INPUT" in info["drift"]
    assert host.apply(wanted)["changed"]
    assert host.rules() == good.replace(
        "-A INPUT -s 203.0.113.7/32 -j DROP",
        "-A INPUT -s 203.0.113.8/32 -j DROP\n-A INPUT -s 203.0.113.7/32 -j DROP",
    )
    assert not host.apply(wanted)["changed"]


def test_new_agent_changes_a_set_and_no_rule(host, tmp_path):
    peers = {"agents": dict(AGENTS), "master": MASTER}
    wanted = policy("permit", peers, [rule("tcp", "80", "agents"), rule("tcp", "81", "master")])
    host.apply(wanted)
    peers["agents"]["ipv4"] = [*AGENTS["ipv4"], "192.0.2.77"]
    environment, calls = shims(host, tmp_path / "shims")
    result = host.apply(wanted, environment=environment)
    assert result["changed"]
    assert writing(calls()) == ["ipset restore"]
    difference = set(result["diff"]["after"].splitlines()) - set(result["diff"]["before"].splitlines())
    assert difference == {"add determined_agents_v4 192.0.2.77"}
    assert "192.0.2.77" in host.run("ipset", "save", "determined_agents_v4")
    assert not host.apply(wanted)["changed"]


def test_sets_without_use_vanish(host):
    peers = {"agents": AGENTS, "master": MASTER}
    host.apply(policy("permit", peers, [rule("tcp", "80", "agents"), rule("tcp", "81", "master")]))
    host.apply(policy("permit", peers, [rule("tcp", "80", "agents")]))
    assert host.run("ipset", "list", "-n").split() == ["determined_agents_v4", "determined_agents_v6"]


def test_chains_in_both_variants_are_moved_together(host):
    wanted = policy("restrict", {"agents": AGENTS}, [rule("tcp", "80", "agents")])
    host.apply(wanted)
    nft_only = host.rules()
    host.shell(
        "iptables-legacy -N DETERMINED-INPUT; iptables-legacy -A DETERMINED-INPUT -j DROP;"
        "iptables-legacy -I DETERMINED-INPUT -m comment --comment determined.network;"
        "iptables-legacy -I INPUT -j DETERMINED-INPUT"
    )
    result = host.apply(wanted)
    assert result["changed"] and result["variant"] == "nft" and "both" in result["reason"]
    assert host.rules().replace(host.rules().split("# iptables-legacy")[1].split("COMMIT")[0], "") != nft_only
    assert "DETERMINED" not in host.run("iptables-legacy-save")
    assert not host.apply(wanted)["changed"]


def test_rules_in_legacy_choose_legacy_and_reading_creates_no_table(host):
    wanted = policy("permit", {"agents": AGENTS}, [rule("tcp", "80", "agents")])
    host.module("firewall", policy=wanted, _ansible_check_mode=True)
    assert host.run("cat", "/proc/net/ip_tables_names", "/proc/net/ip6_tables_names") == ""
    assert host.run("nft", "list", "ruleset") == ""
    host.shell("iptables-legacy -A INPUT -s 203.0.113.7 -j DROP")
    result = host.apply(wanted)
    assert (result["variant"], result["reason"]) == (
        "legacy",
        "firewalld is not installed; the host's own rules are there",
    )
    assert "DETERMINED" not in host.run("nft", "list", "ruleset")


def test_native_rules_in_the_tables_of_iptables_stay(host):
    """iptables cannot print them whole, so they must never pass through it."""
    host.shell(
        "iptables-nft -A INPUT -s 203.0.113.7 -j DROP; nft add set ip filter odd '{ type ipv4_addr; }';"
        "nft add rule ip filter INPUT ip saddr @odd tcp dport vmap '{ 22 : accept, 23 : drop }'"
    )
    before = host.run("nft", "list", "table", "ip", "filter")
    host.apply(policy("restrict", {"a": AGENTS}, [rule("tcp", "80", "a")]))
    assert "ip saddr @odd tcp dport vmap" in host.run("nft", "list", "table", "ip", "filter")
    host.apply(None)
    text = host.run("nft", "list", "table", "ip", "filter")
    assert text.replace(
        "\n\tchain OUTPUT {\n\t\ttype filter hook output priority filter; policy accept;\n\t}\n", ""
    ) == (before)


def test_a_table_that_iptables_cannot_read_is_an_error(host):
    host.shell("nft 'table ip filter { chain INPUT { type filter hook input priority 10; }; }'")
    before = host.run("nft", "list", "ruleset")
    result = host.module("firewall", policy=policy("permit", {"a": AGENTS}, [rule("tcp", "80", "a")]))
    assert result["failed"] and "native nftables" in result["msg"]
    assert host.run("nft", "list", "ruleset") == before
