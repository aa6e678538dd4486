# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Beside firewalls of others: apply, change and remove leave them as they are, to the last rule, handle and entry.

What the kernel decides is tried in namespaces, on both variants of iptables; fail2ban and ufw are the real ones.
"""

from __future__ import annotations

import json
import re

import pytest

from ._firewall_host import Host, link, policy, rule
from .systemd_lab import SystemdLab

ANYBODY = {"ipv4": ["0.0.0.0/0"], "ipv6": ["::/0"]}
AGENTS = {"ipv4": ["192.0.2.2", "198.51.100.0/24"], "ipv6": ["2001:db8::2", "2001:db8:1::/48"]}
MORE = {"ipv4": [*AGENTS["ipv4"], "192.0.2.77"], "ipv6": [*AGENTS["ipv6"], "2001:db8::77"]}
MASTER = {"ipv4": ["192.0.2.3"], "ipv6": ["2001:db8::3"]}
SSH = rule("tcp", "22", "anybody", "management")


def wanted(mode: str, agents: dict, ports: str = "1-65535") -> dict:
    return policy(
        mode,
        {"agents": agents, "master": MASTER, "anybody": ANYBODY},
        [rule("tcp", ports, "agents"), rule("tcp", "2600-2900", "master")],
        [rule("tcp", "8080", "master")],
        [SSH],
    )


CHANGES = [
    wanted("restrict", AGENTS),
    wanted("restrict", MORE),
    wanted("restrict", MORE, "1024-65535"),
    wanted("permit", MORE),
    wanted("restrict", AGENTS),
]

# T stands for iptables-VARIANT and for ip6tables-VARIANT, one after the other.
SCENARIOS = {
    "nothing": "",
    "fail2ban's chains": """
T -N f2b-sshd; T -A f2b-sshd -s ADDRESS -j REJECT; T -A f2b-sshd -j RETURN
T -I INPUT -p tcp -m multiport --dports 22 -j f2b-sshd
""",
    "INPUT ends in REJECT, as in Oracle's images": """
T -A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT
T -A INPUT -i lo -j ACCEPT
T -A INPUT -p tcp -m state --state NEW -m tcp --dport 22 -j ACCEPT
T -A INPUT -j REJECT
T -A FORWARD -j REJECT
T -N InstanceServices; T -A OUTPUT -d NETWORK -j InstanceServices
T -A InstanceServices -p tcp -m tcp --dport 80 -m comment --comment "See the Oracle-Provided Images section" -j ACCEPT
T -A InstanceServices -p udp -j REJECT
""",
    "policy DROP": """
T -P INPUT DROP; T -P FORWARD DROP; T -P OUTPUT DROP
T -A INPUT -i lo -j ACCEPT; T -A OUTPUT -o lo -j ACCEPT
T -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
T -t raw -A PREROUTING -p udp --dport 53 -j NOTRACK
T -t mangle -P POSTROUTING DROP; T -t mangle -A PREROUTING -i eth9 -j MARK --set-mark 7
T -t mangle -A FORWARD -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu
""",
    "kube-proxy's chains": """
for c in KUBE-SERVICES KUBE-EXTERNAL-SERVICES KUBE-FORWARD KUBE-FIREWALL KUBE-NODEPORTS; do T -N $c; done
T -A INPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-EXTERNAL-SERVICES
T -A INPUT -m comment --comment "kubernetes health check service ports" -j KUBE-NODEPORTS; T -A INPUT -j KUBE-FIREWALL
T -A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
T -A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
T -A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT
T -t mangle -N KUBE-KUBELET-CANARY; T -t mangle -N KUBE-IPTABLES-HINT
for c in KUBE-SERVICES KUBE-NODEPORTS KUBE-MARK-MASQ KUBE-POSTROUTING KUBE-SVC-A KUBE-SEP-A; do T -t nat -N $c; done
T -t nat -A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
T -t nat -A KUBE-MARK-MASQ -j MARK --or-mark 0x4000
T -t nat -A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
T -t nat -A KUBE-SVC-A -m statistic --mode random --probability 0.5 -j KUBE-SEP-A
T -t nat -A KUBE-POSTROUTING -m mark --mark 0x4000/0x4000 -j MASQUERADE
""",
    "foreign ipsets and native nftables": """
ipset -exist create f2b hash:ip timeout 86400; ipset -exist add f2b 203.0.113.9 timeout 0
ipset -exist create KUBE-CLUSTER-IP hash:ip,port; ipset -exist add KUBE-CLUSTER-IP 203.0.113.1,tcp:443
ipset -exist create determined hash:net family inet6; ipset -exist add determined 2001:db8:7::/48
ipset -exist create all list:set; ipset -exist add all f2b
T -A INPUT -m comment --comment "ours \\"too\\", -j DETERMINED-INPUT" -j ACCEPT
nft -f - <<END
table inet monitoring {
  set s {
    type ipv4_addr; flags interval
    elements = { 192.0.2.0/28 }
  }
  chain seen {
    type filter hook prerouting priority -150
    ip saddr @s counter
  }
  chain more {
    type filter hook input priority 5; policy drop
    ct state established accept
    accept
  }
}
table ip mine {
  chain c {
    type nat hook prerouting priority -100
    tcp dport 81 redirect to :82
  }
}
END
""",
    "rules in both variants": """
T -A INPUT -s ADDRESS -j DROP
OTHER -N elsewhere; OTHER -A elsewhere -j RETURN; OTHER -A INPUT -j elsewhere; OTHER -t mangle -A FORWARD -j RETURN
""",
}


def prepare(host: Host, scenario: str, variant: str) -> None:
    other = {"nft": "legacy", "legacy": "nft"}[variant]
    for command, address, network in (
        ("iptables", "203.0.113.9", "203.0.113.0/24"),
        ("ip6tables", "2001:db8:9::9", "2001:db8:9::/64"),
    ):
        script = scenario.replace("ADDRESS", address).replace("NETWORK", network)
        script = script.replace("OTHER ", f"{command}-{other} ")
        host.shell(re.sub(r"\bT -", f"{command}-{variant} -", script))
    if variant == "legacy":
        # Reading a legacy table creates it, so that later texts would differ by its empty self.
        host.shell("for t in mangle raw; do iptables-legacy -t $t -S; ip6tables-legacy -t $t -S; done >/dev/null")


def is_ours(text: str) -> bool:
    """Whether a rule or chain is one of ours; a quoted comment of others may name us."""
    return bool(re.search(r"DETERMINED-[A-Z]+", re.sub(r'"(\\.|[^"\\])*"', "", text)))


def is_empty_rest(line: str) -> bool:
    """What iptables-nft leaves of a table that it made and cannot remove: built-in chains that accept, no rule."""
    return bool(
        re.fullmatch(r":(PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING) ACCEPT|\*(filter|mangle|raw)|COMMIT", line)
    )


def saved(host: Host) -> list[str]:
    """iptables-save of both variants and families, and ipset save, without ours."""
    return [line for line in host.rules().splitlines() if not is_ours(line) and "determined_" not in line]


def nft_objects(host: Host) -> list[str]:
    """Every native object with its handle, without counters and without ours."""
    listed = json.loads(host.run("nft", "-j", "list", "ruleset"))["nftables"]
    texts = []
    for item in listed:
        text = json.dumps(item, sort_keys=True)
        if "metainfo" in item or is_ours(text.replace('"', " ")) and "ours" not in text:
            continue
        texts.append(re.sub(r'"(packets|bytes)": \d+', "", text))
    return texts


def is_empty_base(text: str) -> bool:
    item = json.loads(re.sub(r"{, }", "{}", text))
    table, chain = item.get("table"), item.get("chain")
    return bool(
        (table and table["name"] in ("filter", "mangle", "raw"))
        or (chain and chain.get("policy") == "accept" and "hook" in chain)
    )


def same(host: Host, before: tuple[list[str], list[str]]) -> None:
    """No foreign object was removed, changed or moved, and every new object is empty."""
    texts, objects = saved(host), nft_objects(host)
    if texts != before[0]:
        new = list(texts)
        for line in before[0]:
            assert line in new, line
            new.remove(line)
        assert all(is_empty_rest(line) for line in new), new
        assert [line for line in texts if not is_empty_rest(line)] == [
            line for line in before[0] if not is_empty_rest(line)
        ]
    assert [text for text in objects if text in before[1]] == before[1]
    assert all(is_empty_base(text) for text in objects if text not in before[1])


@pytest.fixture
def host():
    with Host() as made:
        yield made


@pytest.mark.parametrize("scenario", list(SCENARIOS))
@pytest.mark.parametrize("variant", ["nft", "legacy"])
def test_apply_change_and_remove(host, variant, scenario):
    prepare(host, SCENARIOS[scenario], variant)
    before = saved(host), nft_objects(host)
    assert scenario == "nothing" or len(before[0]) > 8
    for asked in CHANGES:
        result = host.apply(asked)
        assert result["changed"], result
        if "both" not in scenario and scenario != "nothing" and "ipsets" not in scenario:
            assert result["variant"] == variant, result["reason"]
        assert is_ours(host.rules())
        same(host, before)
        assert not host.apply(asked)["changed"]
    assert host.apply(None)["changed"]
    assert not is_ours(host.rules()) and "determined_" not in host.run("ipset", "list", "-n")
    same(host, before)
    assert host.left_in_run() == []


# --- Kubernetes on the same host ----------------------------------------------------------------------------------

# What kube-proxy writes for a service with a cluster address and a node port, and for the API server's.
KUBE = """
T -t nat -N KUBE-SERVICES; T -t nat -N KUBE-NODEPORTS
T -t nat -A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
T -t nat -A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
T -t nat -A KUBE-SERVICES -d CLUSTERIP -p tcp --dport 80 -j DNAT --to-destination [POD]:8000
T -t nat -A KUBE-SERVICES -d CLUSTERIP -p tcp --dport 443 -j DNAT --to-destination [NODE]:6443
T -t nat -A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
T -t nat -A KUBE-NODEPORTS -p tcp --dport 30080 -j DNAT --to-destination [POD]:8000
"""


@pytest.fixture
def node():
    """A node with two pods, an agent that its policy names, and an outsider -> the five hosts."""
    with Host() as node, Host() as pod, Host() as server, Host() as agent, Host() as outsider:
        node.shell("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")
        for host, number, name in ((pod, 1, "cni0"), (server, 2, "cni1"), (agent, 3, "eth0"), (outsider, 4, "eth1")):
            link(
                node,
                [f"192.0.2.{16 * number + 1}/28", f"2001:db8:{number}::1/64"],
                host,
                [f"192.0.2.{16 * number + 2}/28", f"2001:db8:{number}::2/64"],
                name,
            )
            host.shell(
                f"ip route add default via 192.0.2.{16 * number + 1}; ip -6 route add default via 2001:db8:{number}::1"
            )
        yield node, pod, server, agent, outsider


@pytest.mark.parametrize("variant", ["nft", "legacy"])
def test_pods_reach_services_and_outsiders_no_node_port(node, variant):
    node, pod, server, agent, outsider = node
    for family, command, here, there, service in (
        ("4", "iptables", "192.0.2.17", "192.0.2.34", "203.0.113.1"),
        ("6", "ip6tables", "2001:db8:1::1", "2001:db8:2::2", "2001:db8:99::1"),
    ):
        server.listen(family, "tcp", 8000)
        node.listen(family, "tcp", 6443)
        node.listen(family, "tcp", 7000)
        brackets = family == "6"
        script = KUBE.replace("[POD]", f"[{there}]" if brackets else there)
        script = script.replace("[NODE]", f"[{here}]" if brackets else here).replace("CLUSTERIP", service)
        node.shell(re.sub(r"\bT -", f"{command}-{variant} -", script))
    peers = {"agents": {"ipv4": ["192.0.2.50"], "ipv6": ["2001:db8:3::2"]}, "anybody": ANYBODY}
    asked = policy("restrict", peers, [rule("tcp", "1024-65535", "agents")], [], [SSH])
    places = [
        ("192.0.2.{}", ("17", "33", "49", "65"), "192.0.2.34", "203.0.113.1"),
        ("2001:db8:{}::1", ("1", "2", "3", "4"), "2001:db8:2::2", "2001:db8:99::1"),
    ]
    for pattern, numbers, there, service in places:
        assert outsider.connect(pattern.format(numbers[3]), 30080, timeout=4) == "open", "nothing is closed yet"
        assert outsider.connect(there, 8000, timeout=4) == "open"
        assert pod.connect(service, 80, timeout=4) == "open"
    assert node.apply(asked, container_interfaces=["cni+"])["changed"]
    for pattern, numbers, there, service in places:
        assert pod.connect(service, 80, timeout=4) == "open", "pod -> service -> pod"
        assert pod.connect(service, 443, timeout=4) == "open", "pod -> service -> the node's API server"
        assert pod.connect(there, 8000, timeout=4) == "open", "pod -> pod"
        assert pod.connect(pattern.format(numbers[0]), 30080, timeout=4) == "open", "pod -> node port of its own node"
        assert pod.connect(pattern.format(numbers[0]), 7000, timeout=4) == "open", "pod -> its node"
        assert agent.connect(pattern.format(numbers[2]), 30080, timeout=4) == "open", "the policy's row"
        for port in (30080, 7000):
            assert outsider.connect(pattern.format(numbers[3]), port, timeout=0.4) == "filtered"
        assert outsider.connect(there, 8000, timeout=0.4) == "filtered", "straight to the pod"
        assert agent.connect(there, 8000, timeout=0.4) == "filtered", "no row is about a pod's own address"


def test_a_pattern_that_matches_the_way_out_is_refused(node):
    node, _pod, _server, _agent, _outsider = node
    node.shell("ip route add default via 192.0.2.66 dev eth1")
    before = node.rules()
    for arguments in ({}, {"allow_lockout": True}, {"_ansible_check_mode": True}):
        asked = wanted("restrict", AGENTS)
        result = node.module("firewall", policy=asked, container_interfaces=["cni+", "eth+"], **arguments)
        assert result["failed"], result
        for word in (
            "eth1",
            "default route",
            "'eth+'",
            "determined_firewall_container_interfaces",
            "nothing was changed",
        ):
            assert word in result["msg"], result["msg"]
    assert node.rules() == before and node.left_in_run() == []
    assert node.apply(wanted("permit", AGENTS), container_interfaces=["eth+"])["changed"], "permit drops nothing"
    bad = node.module("firewall", policy=wanted("restrict", AGENTS), container_interfaces=["a b", "x" * 16])
    assert bad["failed"] and "container_interfaces[0]" in bad["msg"] and "container_interfaces[1]" in bad["msg"]


# --- the real programs --------------------------------------------------------------------------------------------


def without_counters(text: str) -> str:
    return "\n".join(
        re.sub(r" \[\d+:\d+\]$", "", line)
        for line in text.splitlines()
        if not line.startswith("#") and not is_ours(line) and "determined_" not in line
    )


def test_fail2ban_and_ufw_go_on_beside_us():
    hosts = {"master": "determined_master", "agent1": "determined_agents", "stranger": "determined_outsiders"}
    with SystemdLab(hosts) as lab:
        lab.inventory(determined_mode="restrict", determined_firewall_backend="iptables", determined_services=[])
        jail = "[sshd]\nenabled = true\nbackend = systemd\nbanaction = iptables-multiport\n"
        lab.write("agent1", "/etc/fail2ban/jail.local", jail)
        lab.shell("agent1", "systemctl start fail2ban; ufw allow 22/tcp; ufw allow 9090/tcp; ufw --force enable")
        lab.wait_until(lambda: lab.run("agent1", "fail2ban-client", "status", "sshd").returncode == 0)
        lab.shell("agent1", "fail2ban-client set sshd banip 203.0.113.9")

        def state() -> str:
            text = lab.shell("agent1", "iptables-save; ip6tables-save; ipset save; nft list tables; ls -R /etc/ufw")
            return without_counters(text)

        def configure(*arguments: str) -> None:
            done = lab.play("site", "--tags", "configure", *arguments)
            assert done.returncode == 0, done.stdout + done.stderr
            assert "ufw is active" in done.stdout + done.stderr, "who would undo us is named"

        # A table that iptables-nft had to make would differ by its empty self: so there is a rule in each.
        for own in (
            "-t mangle -A FORWARD -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu",
            "-t raw -A PREROUTING -p udp --dport 53 -j NOTRACK",
        ):
            lab.shell("agent1", f"iptables {own}; ip6tables {own}")
        before = state()
        assert "f2b-sshd" in before and "ufw-user-input" in before
        configure()
        assert state() == before
        lab.serve("agent1", 9090)
        address = lab.addresses["agent1"][0]
        assert lab.connects("master", address, 9090) and lab.connects("stranger", address, 22)
        assert not lab.connects("stranger", address, 9090), "ufw lets it in, the policy does not"
        # Both go on: a ban is set and lifted, a rule comes and goes, and what they reload leaves our jump in its place.
        lab.shell("agent1", f"fail2ban-client set sshd banip {lab.addresses['stranger'][0]}")
        assert not lab.connects("stranger", address, 22), "a ban counts for management, which is only handed back"
        lab.shell("agent1", f"fail2ban-client set sshd unbanip {lab.addresses['stranger'][0]}")
        assert lab.connects("stranger", address, 22)
        lab.shell("agent1", "ufw allow 9091/tcp; ufw delete allow 9091/tcp; ufw reload")
        assert lab.task("agent1", "determined.network.firewall_info")["foreign_before"] == []
        configure("-e", "determined_agent_ports=documented")
        assert state() == before
        done = lab.play("remove")
        assert done.returncode == 0, done.stdout + done.stderr
        assert state() == before
        assert "DETERMINED" not in lab.shell("agent1", "iptables-save; ip6tables-save; ipset list -n")
