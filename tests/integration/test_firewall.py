"""The module on real kernels' firewalls: what stays, what changes, what packets then do.

Every test runs in namespaces of its own; the variants nft and legacy are both real here.
"""

from __future__ import annotations

import json
import time

import pytest

from ._firewall_host import Host, link, policy, rule

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


@pytest.fixture
def neighbours():
    """The managed host, an agent that its policy names, and an outsider; all on real links."""
    with Host() as managed, Host() as agent, Host() as outsider:
        link(managed, ["192.0.2.1/24", "2001:db8::1/64"], agent, ["192.0.2.2/24", "2001:db8::2/64"], "eth0")
        link(
            managed,
            ["203.0.113.1/24", "2001:db8:ffff::1/64"],
            outsider,
            ["203.0.113.2/24", "2001:db8:ffff::2/64"],
            "eth1",
        )
        yield managed, agent, outsider


def shims(host: Host, folder, names=("iptables", "ip6tables")) -> tuple[dict, object]:
    """Programs that note their call and then run the real one -> environment, reader of the notes."""
    folder.mkdir()
    log = folder / "log"
    log.write_text("")
    tools = ["ipset"] + [
        f"{n}-{v}-{w}" for n in names for v in ("nft", "legacy") for w in ("save", "restore")
    ]
    for tool in tools:
        shim = folder / tool
        shim.write_text(f'#!/bin/sh\necho "{tool} $*" >> {log}\nexec /usr/sbin/{tool} "$@"\n')
        shim.chmod(0o755)
    return {"PATH": f"{folder}:/usr/sbin:/usr/bin:/bin"}, lambda: log.read_text().splitlines()


def writing(calls: list[str]) -> list[str]:
    return [
        call
        for call in calls
        if "-restore" in call or call.split()[:2] in (["ipset", "restore"], ["ipset", "destroy"])
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
    assert (result["variant"], result["reason"]) == ("legacy", "the host's own rules are there")
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


@pytest.mark.parametrize("variant", ["nft", "legacy"])
def test_permit_lets_through_what_a_closed_host_refuses_and_drops_nothing(neighbours, variant):
    managed, agent, outsider = neighbours
    managed.shell(
        f"for t in iptables-{variant} ip6tables-{variant}; do $t -P INPUT DROP; $t -P OUTPUT DROP;"
        "$t -A INPUT -i eth1 -p tcp --dport 99 -j ACCEPT; $t -A OUTPUT -p tcp --sport 99 -j ACCEPT; done\n"
        f"ip6tables-{variant} -A INPUT -i eth1 -p ipv6-icmp -j ACCEPT\n"
        f"ip6tables-{variant} -A OUTPUT -o eth1 -p ipv6-icmp -j ACCEPT\n"
    )
    for family in "46":
        for port in (99, 1734, 1800):
            managed.listen(family, "tcp", port)
        managed.listen(family, "udp", 5000)
        agent.listen(family, "tcp", 8080)
    wanted = policy(
        "permit",
        {"agents": AGENTS},
        [rule("tcp", "1734,2600-2900", "agents"), rule("udp", "5000", "agents")],
        [rule("tcp", "8080", "agents")],
    )
    assert agent.connect("192.0.2.1", 1734) == "filtered"
    managed.apply(wanted)
    for address, outside, other in (
        ("192.0.2.1", "203.0.113.1", "192.0.2.2"),
        ("2001:db8::1", "2001:db8:ffff::1", "2001:db8::2"),
    ):
        assert agent.connect(address, 1734) == "open"
        assert agent.connect(address, 2600) == "refused"
        assert agent.connect(address, 5000, "udp") == "open"
        assert managed.connect(other, 8080) == "open"
        assert agent.connect(address, 1800) == "filtered"  # the host's own policy
        assert outsider.connect(outside, 99) == "open"  # and its own exceptions
        assert outsider.connect(outside, 1734) == "filtered"
    assert not managed.apply(wanted)["changed"]


@pytest.mark.parametrize("variant", ["nft", "legacy"])
def test_restrict_drops_everything_new_but_what_the_cluster_and_the_host_need(neighbours, variant):
    managed, agent, outsider = neighbours
    managed.shell(f"iptables-{variant} -A INPUT -s 203.0.113.200 -j DROP")
    for family in "46":
        for port in (22, 23, 80, 1734, 1800):
            managed.listen(family, "tcp", port)
        managed.listen(family, "udp", 5000)
        managed.listen(family, "udp", 5001)
        outsider.listen(family, "tcp", 443)
        outsider.listen(family, "udp", 53)
    managed.apply(
        policy(
            "restrict",
            {"agents": AGENTS, "anybody": ANYBODY},
            [rule("tcp", "80,1734-1750", "agents"), rule("udp", "5000", "agents")],
            [],
            [SSH],
        )
    )
    for address, outside, other in (
        ("192.0.2.1", "203.0.113.1", "203.0.113.2"),
        ("2001:db8::1", "2001:db8:ffff::1", "2001:db8:ffff::2"),
    ):
        assert agent.connect(address, 80) == "open"
        assert agent.connect(address, 1734) == "open"
        assert agent.connect(address, 1735) == "refused"
        assert agent.connect(address, 5000, "udp") == "open"
        assert agent.connect(address, 5001, "udp", 0.3) == "filtered"
        assert agent.connect(address, 1800, timeout=0.3) == "filtered"
        assert outsider.connect(outside, 22) == "open"
        for port in (23, 80, 1734):
            assert outsider.connect(outside, port, timeout=0.3) == "filtered"
        assert outsider.connect(outside, 5000, "udp", 0.3) == "filtered"
        assert managed.connect(other, 443) == "open"  # replies to what the host itself began
        assert managed.connect(other, 53, "udp") == "open"
        loopback = "127.0.0.1" if "." in address else "::1"
        assert managed.connect(loopback, 23) == "open"
        outsider.run("ping", "-c", "1", "-W", "2", outside)
    # The host's own rules keep their say about what is only let back to them.
    managed.shell(f"iptables-{variant} -A INPUT -p tcp --dport 22 -s 203.0.113.2 -j DROP")
    assert outsider.connect("203.0.113.1", 22, timeout=0.3) == "filtered"


@pytest.mark.parametrize("address", ["203.0.113.1", "2001:db8:ffff::1"])
def test_sessions_that_are_older_than_the_change_survive_it(neighbours, tmp_path, address):
    """The kernel tracks no connection here before the change: the hardest case for a session."""
    managed, _agent, outsider = neighbours
    family = "6" if ":" in address else "4"
    managed.listen(family, "tcp", 4000)
    go = tmp_path / "go"
    program = (
        "import os, socket, sys, time\n"
        f"s = socket.create_connection(({address!r}, 4000), 5)\n"
        "s.send(b'ping'); assert s.recv(10) == b'pong'; print('ready', flush=True)\n"
        f"while not os.path.exists({str(go)!r}): time.sleep(0.02)\n"
        "s.settimeout(3); s.send(b'ping'); print(s.recv(10).decode(), flush=True)\n"
    )
    session = outsider.start("python3", "-c", program)
    assert session.stdout.readline() == "ready\n"
    managed.apply(policy("restrict", {"agents": AGENTS}, [rule("tcp", "80", "agents")]))
    go.write_text("")
    assert session.stdout.readline() == "pong\n"
    assert outsider.connect(address, 4000, timeout=0.3) == "filtered"


def test_without_ipv6_in_the_kernel_only_ipv4_is_handled(host):
    host.shell("mount -t tmpfs tmpfs /proc/sys/net/ipv6")
    result = host.apply(policy("restrict", {"agents": AGENTS}, [rule("tcp", "80", "agents")]))
    assert result["families"] == ["ipv4"]
    assert "no IPv6" in str(result["warnings"])
    assert "DETERMINED" not in host.run("ip6tables-nft-save")


def test_a_held_lock_is_waited_for_and_then_an_error(host):
    host.shell("iptables-legacy -A INPUT -s 203.0.113.7 -j DROP")
    before = host.rules()
    wanted = policy("permit", {"agents": AGENTS}, [rule("tcp", "80", "agents")])
    holder = host.start("flock", "-F", "/run/xtables.lock", "sh", "-c", "echo held; exec sleep 100")
    assert holder.stdout.readline() == "held\n"
    began = time.monotonic()
    result = host.module("firewall", policy=wanted, lock_timeout=1)
    assert result["failed"] and time.monotonic() - began > 1
    assert "xtables lock" in result["msg"] and "fuser" in result["msg"]
    assert "as it was before" in result["msg"]
    assert host.rules() == before and not host.left_in_run()
    holder.kill()
    holder.wait()
    short = host.start("flock", "-F", "/run/xtables.lock", "sh", "-c", "echo held; exec sleep 1")
    assert short.stdout.readline() == "held\n"
    assert host.apply(wanted, lock_timeout=10)["changed"]
    # A lock held during an unchanged run is no reason to believe that the chains are gone.
    holder = host.start("flock", "-F", "/run/xtables.lock", "sh", "-c", "echo held; exec sleep 100")
    assert holder.stdout.readline() == "held\n"
    assert not host.apply(wanted, lock_timeout=1)["changed"]


def private_sbin(host: Host, remove=(), replace=None) -> None:
    """Give the host its own /usr/sbin, lacking some programs, with others replaced by scripts."""
    host.shell("mkdir /run/sbin && cp -a /usr/sbin/. /run/sbin/ && mount --bind /run/sbin /usr/sbin")
    for name in remove:
        host.shell(f"rm /usr/sbin/{name}")
    for name, script in (replace or {}).items():
        host.run(
            "sh",
            "-c",
            f"rm /usr/sbin/{name}; cat > /usr/sbin/{name}; chmod 755 /usr/sbin/{name}",
            stdin=script,
        )


@pytest.mark.parametrize(
    "remove, words",
    [
        (["ipset"], ["ipset is not installed", "package ipset"]),
        (
            ["ip6tables", "ip6tables-nft-save", "ip6tables-legacy-save", "ip6tables-save"],
            ["ip6tables", "iptables-nft"],
        ),
        (
            [
                f"{six}{rest}"
                for six in ("iptables", "ip6tables")
                for rest in ("", "-nft-save", "-legacy-save", "-save", "-nft-restore", "-legacy-restore")
            ],
            ["iptables is not installed", "Debian", "Enterprise Linux"],
        ),
    ],
)
def test_missing_programs_are_named_with_their_packages(host, remove, words):
    private_sbin(host, remove)
    result = host.module(
        "firewall", policy=policy("permit", {"agents": AGENTS}, [rule("tcp", "80", "agents")])
    )
    assert result["failed"]
    for word in [*words, "Nothing was changed"]:
        assert word in result["msg"]
    assert not host.left_in_run()
    absent = host.module("firewall", state="absent")
    assert not absent.get("failed") and not absent["changed"] and absent["warnings"]


@pytest.mark.parametrize(
    "tool, said, code, words",
    [
        ("ip6tables-nft-restore", "Couldn't load match `set':No such file or directory", 2, ["libxt_set.so"]),
        (
            "ip6tables-nft-restore",
            "line 9: RULE_APPEND failed (No such file or directory): rule in chain X",
            4,
            ["kernel"],
        ),
        (
            "ip6tables-nft-restore",
            "Warning: Extension conntrack revision 0 not supported, missing kernel module?",
            4,
            ["'conntrack'", "nf_conntrack", "kernel-modules"],
        ),
        ("ipset", "Cannot open session to kernel.", 1, ["kernel lacks"]),
    ],
)
def test_a_kernel_without_a_part_leaves_nothing_behind(host, tool, said, code, words):
    before = host.rules()
    private_sbin(host, replace={tool: f'#!/bin/sh\necho "{said}" >&2\nexit {code}\n'.replace("`", "\\`")})
    result = host.module(
        "firewall", policy=policy("permit", {"agents": AGENTS}, [rule("tcp", "80", "agents")])
    )
    assert result["failed"]
    for word in words:
        assert word in result["msg"], result["msg"]
    host.shell("umount /usr/sbin")
    assert without_tables(host.rules()) == without_tables(before)
    assert "determined" not in host.run("ipset", "list", "-n") and not host.left_in_run()


def without_tables(rules: str) -> str:
    """Without the empty table that iptables-nft makes with its first rule and never removes."""
    return "\n".join(
        line
        for line in rules.splitlines()
        if line not in ("*filter", "COMMIT", ":INPUT ACCEPT", ":FORWARD ACCEPT", ":OUTPUT ACCEPT")
    )


def test_only_root(host):
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    result = host.module("firewall", before=nobody, policy=policy("permit"))
    assert result["failed"] and "become" in result["msg"] and "Nothing was changed" in result["msg"]


def test_a_bad_policy_is_refused_with_all_its_problems(host):
    wanted = policy(
        "permissive", {"Agents!": {}, "a": {"ipv4": ["192.0.2.300"]}}, [rule("sctp", "0", "nobody")]
    )
    result = host.module("firewall", policy=wanted)
    assert result["failed"]
    for word in ("permissive", "Agents!", "192.0.2.300", "sctp", "nobody", "ports", "Nothing was changed"):
        assert word in result["msg"]
    assert "policy is missing" in host.module("firewall")["msg"]
    assert "at least 1 second" in host.module("firewall", policy=policy(), confirm_timeout=0)["msg"]


def test_info_counts_packets_and_sees_drift(neighbours):
    managed, agent, _outsider = neighbours
    wanted = policy("restrict", {"agents": AGENTS}, [rule("tcp", "80", "agents", "documented")])
    empty = managed.module("firewall_info", policy=wanted)
    assert not empty["managed"] and empty["rules"] == [] and "+create determined_agents_v4" in empty["drift"]
    managed.apply(wanted)
    agent.connect("192.0.2.1", 80)
    agent.connect("192.0.2.1", 81, timeout=0.2)
    info = managed.module("firewall_info", policy=wanted)
    assert info["managed"] and info["drift"] == "" and not info["changed"]
    assert info["foreign_before"] == [] and info["foreign_variants"]["nft"] == 0
    counted = {item["rule"]: item["packets"] for item in info["rules"] if item["family"] == "ipv4"}
    assert [packets for text, packets in counted.items() if "--dport 80" in text] == [1]
    assert [packets for text, packets in counted.items() if "-j DROP" in text] == [1]
    assert {item["name"]: item["entries"] for item in info["sets"]} == {
        "determined_agents_v4": 2,
        "determined_agents_v6": 2,
    }
    managed.shell(
        "iptables-nft -A DETERMINED-INPUT -s 203.0.113.5 -j ACCEPT; ipset del determined_agents_v4 192.0.2.2"
    )
    drift = managed.module("firewall_info", policy=wanted)["drift"]
    assert "--A DETERMINED-INPUT -s 203.0.113.5/32 -j ACCEPT" in drift
    assert "+add determined_agents_v4 192.0.2.2" in drift
    assert managed.apply(wanted)["changed"]
    assert managed.module("firewall_info", policy=wanted)["drift"] == ""
