"""What a host may lack: IPv6, the lock, programs, parts of the kernel, root, a sound policy."""

from __future__ import annotations

import time

import pytest

from ._firewall_host import Host, policy, rule

ANYBODY = {"ipv4": ["0.0.0.0/0"], "ipv6": ["::/0"]}
AGENTS = {"ipv4": ["192.0.2.2", "198.51.100.0/24"], "ipv6": ["2001:db8::2", "2001:db8:1::/48"]}
MASTER = {"ipv4": ["192.0.2.3"], "ipv6": ["2001:db8::3"]}
SSH = rule("tcp", "22", "anybody", "management")


@pytest.fixture
def host():
    with Host() as made:
        yield made


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
    # A lock held during an unchanged run is no reason to believe that the chains were removed.
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
    result = host.module("firewall", policy=policy("permit", {"agents": AGENTS}, [rule("tcp", "80", "agents")]))
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
    result = host.module("firewall", policy=policy("permit", {"agents": AGENTS}, [rule("tcp", "80", "agents")]))
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
        if line not in ("*filter", "*mangle", "*raw", "COMMIT")
        and line not in [f":{chain} ACCEPT" for chain in ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")]
    )


def test_only_root(host):
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    result = host.module("firewall", before=nobody, policy=policy("permit"))
    assert result["failed"] and "become" in result["msg"] and "Nothing was changed" in result["msg"]


def test_a_bad_policy_is_refused_with_all_its_problems(host):
    wanted = policy("permissive", {"Agents!": {}, "a": {"ipv4": ["192.0.2.300"]}}, [rule("sctp", "0", "nobody")])
    result = host.module("firewall", policy=wanted)
    assert result["failed"]
    for word in ("permissive", "Agents!", "192.0.2.300", "sctp", "nobody", "ports", "Nothing was changed"):
        assert word in result["msg"]
    assert "policy is missing" in host.module("firewall")["msg"]
    assert "at least 1 second" in host.module("firewall", policy=policy(), confirm_timeout=0)["msg"]
