"""The backend firewalld on booted hosts: what packets then do, what stays as it was, and what costs a reload.

The agent carries the policy, the master is a peer that it names, the stranger is nobody. Both releases of firewalld
differ in what a reload flushes; with ``FirewallBackend=iptables`` firewalld writes into iptables instead of nft.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from ._firewall_host import policy, rule
from ._ssh_session import Session
from .systemd_lab import SystemdLab

HOSTS = {"master": "determined_master", "agent": "determined_agents", "stranger": "determined_outsiders"}
ANYBODY = {"ipv4": ["0.0.0.0/0"], "ipv6": ["::/0"]}
MODULE = "determined.network.firewall"
REQUIRED, ZONE, CLOSED = 12350, 6000, 6001  # required by the policy; opened by the host's own zone; by nobody
# What an administrator has set up: in firewalld's files, in force alike; and a table that is nobody's business.
FOREIGN = f"""
firewall-cmd --quiet --permanent --add-port={ZONE}/tcp --zone=public
firewall-cmd --quiet --permanent --new-zone=lab
firewall-cmd --quiet --permanent --zone=lab --add-source=203.0.113.250
firewall-cmd --quiet --permanent --zone=public --add-rich-rule='rule family=ipv4 source address=203.0.113.251 drop'
firewall-cmd --quiet --permanent --new-ipset=others --type=hash:ip
firewall-cmd --quiet --permanent --ipset=others --add-entry=203.0.113.9
firewall-cmd --quiet --permanent --direct --add-rule ipv4 filter INPUT 0 -s 203.0.113.252 -j DROP
firewall-cmd --quiet --reload
nft 'add table inet others; add set inet others s {{ type ipv4_addr; }}; add element inet others s {{ 203.0.113.8 }}'
nft 'add chain inet others c {{ type filter hook input priority 5; }}; add rule inet others c ip saddr @s drop'
"""
FILES = "cd /etc/firewalld && find . -type f ! -name 'determined*' | sort | xargs sha256sum"


@pytest.fixture(
    scope="module",
    params=[("bookworm", "nftables"), ("trixie", "nftables"), ("bookworm", "iptables")],
    ids="-".join,
)
def lab(request):
    release, backend = request.param
    with SystemdLab(HOSTS, release=release) as hosts:
        hosts.shell("agent", f"sed -i 's/^FirewallBackend=.*/FirewallBackend={backend}/' /etc/firewalld/firewalld.conf")
        hosts.shell("agent", "systemctl enable --quiet --now firewalld")
        for host, port in (("agent", REQUIRED), ("agent", ZONE), ("agent", CLOSED), ("master", 8080)):
            hosts.serve(host, port)
        hosts.variant = backend
        yield hosts


def peers(lab, *names):
    four, six = zip(*(lab.addresses[name] for name in names), strict=True)
    return {"ipv4": list(four), "ipv6": list(six)}


def wanted(lab, mode, *names, management="22"):
    return policy(
        mode,
        {"friends": peers(lab, *(names or ("master",))), "anybody": ANYBODY},
        [rule("tcp", f"{REQUIRED},2600", "friends")],
        [rule("tcp", "8080", "friends")],
        [rule("tcp", management, "anybody")] if management else [],
    )


def task(lab, *arguments, fails=False, **options):
    result = lab.task("agent", MODULE, *arguments, **options)
    assert result.get("failed", False) is fails, json.dumps(result.get("msg", result))
    return result


def apply(lab, mode, *names, **options):
    return task(lab, policy=wanted(lab, mode, *names), **options)


# Tries all addresses and ports at once -> a JSON list of those that were connected.
CONNECT = """
import concurrent.futures, json, socket, sys
def works(pair):
    try:
        socket.create_connection(pair, 2).close()
    except OSError:
        return False
    return True
pairs = [(address, int(port)) for address in sys.argv[1].split(",") for port in sys.argv[2].split(",")]
with concurrent.futures.ThreadPoolExecutor(len(pairs)) as pool:
    print(json.dumps([pair for pair, good in zip(pairs, pool.map(works, pairs)) if good]))
"""


def reachable(lab, source, *ports):
    """The ports of the agent that a host reaches, by IPv4 and by IPv6 alike."""
    addresses = lab.addresses["agent"]
    ports = ports or (22, REQUIRED, ZONE, CLOSED)
    done = lab.run(source, "python3", "-c", CONNECT, ",".join(addresses), ",".join(map(str, ports)))
    assert done.returncode == 0, done.stderr
    found = [{port for address, port in json.loads(done.stdout) if address == wanted} for wanted in addresses]
    assert found[0] == found[1], (source, found)
    return found[0]


def foreign(lab):
    table = json.loads(lab.shell("agent", "nft -j list table inet others"))["nftables"]
    return lab.shell("agent", FILES), [item for item in table if "metainfo" not in item]


def ours(lab):
    """The names of all that is ours on the agent."""
    script = (
        "for w in policies ipsets; do firewall-cmd --get-$w; firewall-cmd --permanent --get-$w; done | tr ' ' '\n';"
        "nft list tables; ls /etc/firewalld/policies /etc/firewalld/ipsets /etc/systemd/system /etc;"
        "iptables-save; ip6tables-save; ipset list -n"
    )
    return sorted({line for line in lab.shell("agent", script).split("\n") if "etermined" in line.lower()})


def runtime_ports(lab):
    return lab.shell("agent", "firewall-cmd --zone=public --list-ports").split()


def test_packets_and_whatever_is_foreign(lab):
    """Check, apply, again, other members, a reload and a reboot by others, removal."""
    lab.shell("agent", FOREIGN)
    before, nothing = foreign(lab), ours(lab)
    refused = task(lab, fails=True, policy=wanted(lab, "permit"), backend="nft")
    assert "nft" in refused["msg"] and "auto, iptables, firewalld" in refused["msg"] and ours(lab) == nothing
    assert reachable(lab, "master") == reachable(lab, "stranger") == {22, ZONE}

    predicted = task(lab, "--check", "--diff", policy=wanted(lab, "permit"))
    assert predicted["changed"] and ours(lab) == nothing
    result = task(lab, "--diff", policy=wanted(lab, "permit"))
    assert result["changed"] and result["confirmed"] and result["diff"] == predicted["diff"]
    assert (result["backend"], result["variant"]) == ("firewalld", lab.variant)
    assert result["reason"].startswith("firewalld runs")
    assert reachable(lab, "master") == {22, ZONE, REQUIRED}
    assert reachable(lab, "stranger") == {22, ZONE}
    assert not apply(lab, "permit")["changed"]
    assert not task(lab, "--check", policy=wanted(lab, "permit"))["changed"]

    # From here on a reload would be noticed: it would lose what is in force only.
    lab.shell("agent", "firewall-cmd --quiet --zone=public --add-port=7777/tcp")
    predicted = task(lab, "--check", "--diff", policy=wanted(lab, "restrict"))
    result = task(lab, "--diff", policy=wanted(lab, "restrict"))
    assert result["changed"] and result["diff"] == predicted["diff"]
    seen = lab.task("agent", "determined.network.firewall_info", policy=wanted(lab, "restrict"))
    assert (seen["backend"], seen["managed"], seen["drift"]) == ("firewalld", True, "")
    assert [row["chain"] for row in seen["foreign_before"]] == ["INPUT"]  # the direct rule
    assert reachable(lab, "master") == {22, REQUIRED}
    assert reachable(lab, "stranger") == {22}
    assert apply(lab, "restrict", "master", "stranger")["changed"]
    assert reachable(lab, "stranger") == {22, REQUIRED}
    assert apply(lab, "restrict")["changed"]
    assert reachable(lab, "stranger") == {22}
    more = wanted(lab, "restrict")
    more["inbound"].append(rule("tcp", str(CLOSED), "friends"))
    assert task(lab, policy=more)["changed"]
    assert reachable(lab, "master") == {22, REQUIRED, CLOSED}
    assert apply(lab, "restrict")["changed"]
    assert not apply(lab, "restrict")["changed"]
    assert "7777/tcp" in runtime_ports(lab)

    # Management is left to the host's zones: whom they refuse stays refused.
    banned = f"rule family=ipv4 source address={lab.addresses['stranger'][0]} port port=22 protocol=tcp reject"
    lab.shell("agent", f"firewall-cmd --quiet --zone=public --add-rich-rule='{banned}'")
    assert not lab.connects("stranger", lab.addresses["agent"][0], 22, 1)
    assert lab.connects("stranger", lab.addresses["agent"][1], 22, 1)

    # This removes what was in force only, and keeps what is ours.
    lab.shell("agent", "firewall-cmd --quiet --reload")
    assert "7777/tcp" not in runtime_ports(lab)
    assert reachable(lab, "master") == {22, REQUIRED} and reachable(lab, "stranger") == {22}
    assert not apply(lab, "restrict")["changed"]
    assert foreign(lab) == before

    result = task(lab, state="absent")
    assert result["changed"] and ours(lab) == nothing and foreign(lab) == before
    assert reachable(lab, "master") == reachable(lab, "stranger") == {22, ZONE}
    assert not task(lab, state="absent")["changed"]


def test_a_reboot_brings_both_parts_back(lab):
    apply(lab, "restrict")
    lab.restart("agent")
    for port in (REQUIRED, ZONE, CLOSED):
        lab.serve("agent", port)
    assert reachable(lab, "master") == {22, REQUIRED} and reachable(lab, "stranger") == {22}
    assert not apply(lab, "restrict")["changed"]
    assert task(lab, state="absent")["changed"]


def test_a_reload_that_others_would_lose_by_is_refused(lab):
    nothing = ours(lab)
    lab.shell("agent", "firewall-cmd --quiet --zone=public --add-port=7777/tcp")
    for check in ((), ("--check",)):
        result = task(lab, *check, fails=True, policy=wanted(lab, "restrict"))
        assert "7777 tcp" in result["msg"] and "--runtime-to-permanent" in result["msg"], result
    assert "7777/tcp" in runtime_ports(lab) and ours(lab) == nothing
    lab.shell("agent", "firewall-cmd --quiet --reload")
    assert apply(lab, "restrict")["changed"]

    # Removing never loses anything either: the objects are emptied, and go with the next reload.
    lab.shell("agent", "firewall-cmd --quiet --zone=public --add-port=7777/tcp")
    result = task(lab, state="absent")
    assert result["changed"] and "7777/tcp" in runtime_ports(lab)
    assert reachable(lab, "master", 22, REQUIRED) == {22}
    again = task(lab, state="absent")
    assert not again["changed"] and "7777" in " ".join(again["warnings"])
    lab.shell("agent", "firewall-cmd --quiet --reload")
    assert ours(lab) == nothing


def test_rules_that_a_reload_flushes_are_not_lost(lab):
    """What fail2ban writes into iptables: releases before 2.0, direct rules and FirewallBackend=iptables flush it."""
    nothing = ours(lab)
    version = lab.shell("agent", "firewall-cmd --version")
    lab.shell(
        "agent", "iptables -N f2b-sshd; iptables -A f2b-sshd -s 203.0.113.7 -j DROP; iptables -I INPUT -j f2b-sshd"
    )
    direct = lab.shell("agent", "firewall-cmd --direct --get-all-rules").strip()
    try:
        flushed = version.startswith("1.") or lab.variant == "iptables" or bool(direct)
        result = task(lab, fails=flushed, policy=wanted(lab, "restrict"))
        assert "203.0.113.7" in lab.shell("agent", "iptables-save")
        assert not flushed or "f2b-sshd" in result["msg"]
        assert not flushed or ours(lab) == nothing
    finally:
        lab.shell("agent", "iptables -D INPUT -j f2b-sshd; iptables -F f2b-sshd; iptables -X f2b-sshd")
        task(lab, state="absent")
    assert ours(lab) == nothing


def test_a_lockout_is_undone_by_the_host(lab):
    nothing = ours(lab)
    shut = wanted(lab, "restrict", management="")
    refused = task(lab, fails=True, policy=shut)
    assert "would cut the SSH connection" in refused["msg"] and ours(lab) == nothing
    session = Session(lab, "agent")
    try:
        assert session.lives()
        result = task(lab, fails=True, policy=shut, allow_lockout=True, confirm_timeout=8)
        assert result.get("restored") is True, json.dumps(result)
        assert session.lives(), "it is older than the change, and outlives it and its undoing"
    finally:
        session.close()
    assert ours(lab) == nothing and reachable(lab, "stranger") == {22, ZONE}


# Once the change has taken a set away, somebody opens a port until the next reload.
MEANWHILE = f"""
for _ in $(seq 300); do
    firewall-cmd --get-ipsets | grep -q determined-friends || break
    sleep 0.1
done
firewall-cmd --quiet --zone=public --add-port={CLOSED}/tcp
"""


def test_a_lockout_is_undone_whatever_others_would_lose(lab):
    apply(lab, "restrict")
    before = ours(lab)
    row = [rule("tcp", str(REQUIRED), "others")]
    shut = policy("restrict", {"others": {"ipv4": ["203.0.113.77"], "ipv6": ["2001:db8:77::7"]}}, row)
    lab.run("agent", "systemd-run", "--quiet", "--unit=test-meanwhile", "sh", "-c", MEANWHILE)
    try:
        result = task(lab, fails=True, policy=shut, allow_lockout=True, confirm_timeout=8)
        assert result.get("restored") is True, json.dumps(result)
        assert "others have lost by that" in result["msg"] and f"has {CLOSED} tcp" in result["msg"]
        lab.wait_until(lambda: lab.run("agent", "systemctl", "is-active", "test-meanwhile").returncode != 0)
        assert ours(lab) == before
        assert reachable(lab, "master") == {22, REQUIRED} and reachable(lab, "stranger") == {22}
    finally:
        task(lab, state="absent")


def test_the_backend_follows_what_runs(lab):
    """Stopped, masked, asked for; and each move leaves nothing of the other backend."""
    lab.shell("agent", "systemctl stop firewalld")
    result = apply(lab, "restrict")
    assert result["backend"] == "iptables" and "does not run" in result["reason"]
    assert "systemctl start firewalld" in " ".join(result["warnings"])
    assert reachable(lab, "master") == {22, REQUIRED} and reachable(lab, "stranger") == {22}
    failed = apply(lab, "restrict", backend="firewalld", fails=True)
    assert "does not run" in failed["msg"]
    lab.shell("agent", "systemctl disable --quiet firewalld; systemctl mask --quiet firewalld")
    result = apply(lab, "restrict")
    assert (result["changed"], result["backend"]) == (False, "iptables") and "masked" in result["reason"]

    lab.shell("agent", "systemctl unmask --quiet firewalld; systemctl enable --quiet --now firewalld")
    result = apply(lab, "restrict")
    assert result["changed"] and result["backend"] == "firewalld"
    assert not [name for name in ours(lab) if "DETERMINED-" in name]
    assert reachable(lab, "master") == {22, REQUIRED} and reachable(lab, "stranger") == {22}
    assert not apply(lab, "restrict")["changed"]

    result = apply(lab, "restrict", backend="iptables")
    assert result["changed"] and "firewalld runs" in " ".join(result["warnings"])
    left = [name for name in ours(lab) if name.startswith(("determined-out", "table inet determined"))]
    assert not left and any("DETERMINED-INPUT" in name for name in ours(lab))
    assert reachable(lab, "stranger") == {22}
    assert not apply(lab, "restrict", backend="iptables")["changed"]
    task(lab, state="absent")
    assert not [name for name in ours(lab) if "DETERMINED-" in name or name.startswith("determined")]


def published(lab, source):
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda address: lab.fetch(source, address, 2600), lab.addresses["agent"]))


def test_published_ports_obey_the_policy(lab):
    """Docker is started after us, restarted, and outlives a reload of firewalld."""
    answer, nobody = ["agent:2600"] * 2, [None] * 2
    apply(lab, "restrict")
    extra = {"fixed-cidr-v6": "2001:db8:d0c::/64", "experimental": True, "ip6tables": True}
    lab.start_docker("agent", ipv6=True, **extra)
    name = lab.publish("agent", 2600)
    lab.shell("agent", "docker run --detach --name=idle --stop-signal=KILL busybox:test sleep 100000")
    inside = lab.shell("agent", "docker inspect --format '{{.NetworkSettings.IPAddress}}' " + name).strip()
    lab.shell("stranger", f"ip route add 172.17.0.0/16 via {lab.addresses['agent'][0]}")

    def holds(moment):
        lab.wait_until(lambda: published(lab, "master") == answer, 20, f"{moment}: the master does not get through")
        with ThreadPoolExecutor(2) as pool:
            refused = pool.submit(published, lab, "stranger"), pool.submit(lab.fetch, "stranger", inside, 80)
            assert [found.result() for found in refused] == [nobody, None], moment
        for address in (f"http://{lab.addresses['master'][0]}:8080/", f"http://{inside}:80/"):
            # The host's own curl in the container's network: busybox's wget crashes.
            line = (
                f"nsenter --target=$(docker inspect --format '{{{{.State.Pid}}}}' idle) --net curl -sf -m 5 {address}"
            )
            assert lab.run("agent", "sh", "-c", line).returncode == 0, (moment, address)

    try:
        holds("Docker started after us")
        lab.shell("agent", "systemctl restart docker && docker start idle")
        holds("restart of Docker")
        lab.shell("agent", "firewall-cmd --quiet --reload")
        holds("reload of firewalld")
        assert not apply(lab, "restrict")["changed"]
        # With Docker there already, a first application reloads and Docker puts its part back.
        task(lab, state="absent")
        apply(lab, "restrict")
        holds("applied after Docker")
        apply(lab, "permit")
        lab.wait_until(lambda: published(lab, "stranger") == answer, 20, "permit drops what Docker publishes")
    finally:
        lab.shell(
            "agent", "docker rm --force idle web-2600; systemctl disable --quiet --now docker.service docker.socket"
        )
        task(lab, state="absent")
