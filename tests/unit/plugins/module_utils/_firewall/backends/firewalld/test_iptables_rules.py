"""The rules of iptables that somebody restores after a reload, and those that would be lost.

The folder saved/ holds what iptables-save prints: firewalld 1.3 and 2.3 with FirewallBackend=iptables, with our rules
and libvirt's; Docker 20.10 (Debian 12) with two networks beside docker0, one of them internal, and published ports;
Docker 26, IPv4 with Swarm and without its userland proxy, on a host where firewalld uses nftables; Docker 26 with IPv6;
Docker 28; and Docker's rules within a container.
"""

from pathlib import Path

import pytest
from ansible_collections.determined.network.plugins.module_utils._firewall.backends import (
    chain_ownership,
    iptables_chains,
)
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld import iptables_rules


def saved_rules(name):
    return (Path(__file__).parent / "saved" / (name + ".txt")).read_text(encoding="utf-8")


FIREWALLD = saved_rules("firewalld")
DOCKER_20 = saved_rules("docker-20")
DOCKER_26 = saved_rules("docker-26")
DOCKER_26_IPV6 = saved_rules("docker-26-ipv6")
DOCKER_28 = saved_rules("docker-28")
WITHIN_A_CONTAINER = saved_rules("within-a-container")
RESTORED = [FIREWALLD, DOCKER_20, DOCKER_26, DOCKER_26_IPV6, DOCKER_28, WITHIN_A_CONTAINER, FIREWALLD + DOCKER_20]
LOST = [
    ("filter", "-A INPUT -j f2b-sshd"),
    ("filter", "-A f2b-sshd -s 203.0.113.7/32 -j REJECT --reject-with icmp-port-unreachable"),
    ("filter", "-A INPUT -s 203.0.113.8/32 -j DROP"),
    ("filter", "-A KUBE-FORWARD -j ACCEPT"),
    # They name bridges of Docker, but Docker writes none of them.
    ("filter", "-A INPUT -i docker0 -p tcp -m tcp --dport 5432 -j ACCEPT"),
    ("filter", "-A FORWARD ! -s 10.0.0.0/8 -o docker0 -j DROP"),
    ("filter", "-A FORWARD -i eth0 -o docker0 -j DROP"),
    ("filter", "-A FORWARD -i docker0 -j ACCEPT"),
    ("filter", "-A FORWARD -i docker0 ! -o br-0123456789ab -j ACCEPT"),
    ("filter", "-A FORWARD -i docker0 -o br-0123456789ab -j ACCEPT"),
    ("filter", "-A FORWARD -i docker0 ! -o docker0 -j DROP"),
    ("filter", "-A FORWARD -i br-office -o br-office -j ACCEPT"),
    ("filter", "-A OUTPUT -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"),
    ("nat", "-A PREROUTING -i docker0 -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 3128"),
    ("nat", "-A POSTROUTING -s 10.9.0.0/24 -j MASQUERADE"),
    ("nat", "-A POSTROUTING -s 203.0.113.0/24 -o eth0 -j MASQUERADE"),
    ("nat", "-A POSTROUTING -s 10.9.0.0/24 ! -o eth0 -j MASQUERADE"),
    ("nat", "-A POSTROUTING -s 10.9.0.1/32 -d 10.9.0.2/32 -p tcp -m tcp --dport 80 -j MASQUERADE"),
    ("nat", "-A POSTROUTING -s 10.9.0.0/24 -d 10.9.0.0/24 -p tcp -m tcp --dport 80 -j MASQUERADE"),
    ("raw", "-A PREROUTING -d 172.17.0.2/32 ! -i eth0 -j DROP"),
    ("raw", "-A PREROUTING -d 172.17.0.2/32 -i eth1 -j ACCEPT"),
    # They name chains of Docker, but Docker writes none of them.
    ("filter", "-A DOCKER-USER -s 203.0.113.9/32 -j DROP"),
    ("filter", "-A DOCKER-USER -i eth0 -j RETURN"),
    ("filter", "-A INPUT -j DOCKER-USER"),
    ("filter", "-A INPUT -i eth0 -j DOCKER-USER"),
    ("filter", "-A FORWARD -i eth0 -j DOCKER-USER"),
    ("filter", "-A FORWARD -i eth0 -j DOCKER"),
    ("filter", "-A office -j DOCKER-USER"),
    ("filter", "-A FORWARD -j DOCKER-OFFICE"),
    ("filter", "-A DOCKER-OFFICE -s 203.0.113.9/32 -j DROP"),
    ("mangle", "-A DOCKER -j MARK --set-xmark 0x7/0xffffffff"),
    ("nat", "-A PREROUTING -d 192.0.2.9/32 -j DOCKER"),
    ("filter", "-A INPUT -s 203.0.113.9/32 -j LIBVIRT_INP"),
    ("filter", "-A LIBVIRT_OFFICE -j ACCEPT"),
]
# With FirewallBackend=nftables, these rules are foreign.
LIKE_FIREWALLDS = [
    "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    "-A INPUT -i lo -j ACCEPT",
    "-A INPUT -m conntrack --ctstate INVALID -j DROP",
    "-A INPUT -j REJECT --reject-with icmp-host-prohibited",
    "-A IN_office -s 203.0.113.9/32 -j DROP",
    "-A OUT_office -d 203.0.113.9/32 -j DROP",
]


@pytest.mark.parametrize("saved", RESTORED)
def test_rules_that_somebody_restores(saved):
    assert iptables_rules.foreign(saved) == []


@pytest.mark.parametrize("around", ["", *RESTORED])
@pytest.mark.parametrize("table, rule", LOST)
def test_rules_that_nobody_restores(table, rule, around):
    assert iptables_rules.foreign(f"{around}*{table}\n{rule}\nCOMMIT\n") == [rule]


@pytest.mark.parametrize("around", ["", DOCKER_20, DOCKER_28])
def test_foreign_rules_that_look_like_firewallds(around):
    saved = "\n".join([around + "*filter", *LIKE_FIREWALLDS, "-A INPUT -s 203.0.113.252/32 -j DROP", "COMMIT"])
    direct = [["-A", "INPUT", "-s", "203.0.113.252", "-j", "DROP"]]
    assert iptables_rules.foreign(saved, direct) == LIKE_FIREWALLDS
    assert iptables_rules.foreign(FIREWALLD + saved, direct) == []


@pytest.mark.parametrize(
    "rule",
    [
        "-A INPUT -s 203.0.113.9/32 -j IN_office",
        "-A INPUT -j IN_office",
        "-A INPUT -i eth1 -j INPUT_ZONES",
        "-A INPUT -j REJECT --reject-with icmp-port-unreachable",
        '-A INPUT -j LOG --log-prefix "office: "',
        "-A OUTPUT -i lo -j ACCEPT",
    ],
)
def test_foreign_rules_among_firewallds(rule):
    assert iptables_rules.foreign(f"{FIREWALLD}*filter\n{rule}\nCOMMIT\n") == [rule]


# As iptables-save prints what firewalld was given for direct rules and passthroughs.
@pytest.mark.parametrize(
    "given, saved",
    [
        (["-A", "INPUT", "-s", "203.0.113.252", "-j", "DROP"], "-A INPUT -s 203.0.113.252/32 -j DROP"),
        (
            ["-A", "INPUT", "-p", "tcp", "--dport", "99", "-j", "ACCEPT"],
            "-A INPUT -p tcp -m tcp --dport 99 -j ACCEPT",
        ),
        (
            ["-t", "filter", "-I", "INPUT", "1", "--protocol", "udp", "--jump", "DROP"],
            "-A INPUT -p udp -j DROP",
        ),
    ],
)
def test_direct_rules_are_firewallds_own(given, saved):
    assert iptables_rules.foreign(saved, [given]) == []
    assert iptables_rules.foreign(saved, [given + ["-i", "x"]]) == [saved]
    assert iptables_rules.foreign(saved) == [saved]


def test_what_iptables_was_given_for_the_direct_configuration():
    configuration = {
        "chains": [],
        "rules": [("ipv4", "filter", "INPUT", 0, ["-j", "DROP"])],
        "passthroughs": [("ipv6", ["-A", "OUTPUT", "-j", "ACCEPT"])],
    }
    assert iptables_rules.direct(configuration) == [
        ["-A", "INPUT", "-j", "DROP"],
        ["-A", "OUTPUT", "-j", "ACCEPT"],
    ]


def test_a_foreign_chain_with_a_name_of_ours_is_lost():
    own = ["-A INPUT -j DETERMINED-INPUT", "-A DETERMINED-INPUT -s 203.0.113.9/32 -j DROP"]
    saved = "*filter\n:DETERMINED-INPUT - [0:0]\n" + "\n".join(own) + "\nCOMMIT\n"
    assert iptables_rules.foreign(saved) == own
    empty = "*filter\n:DETERMINED-INPUT - [0:0]\n-A INPUT -j DETERMINED-INPUT\nCOMMIT\n"
    assert iptables_rules.foreign(empty) == []


@pytest.mark.parametrize("base", iptables_chains.BASES, ids=lambda base: base.ours)
def test_every_jump_of_ours_is_restored_and_that_of_a_foreign_chain_is_lost(base):
    jump = f"-A {base.chain} {base.jump}"
    lines = [f"*{base.table}", f":{base.ours} - [0:0]", jump, f"-A {base.ours} {chain_ownership.MARK_RULE}", "COMMIT"]
    assert iptables_rules.foreign("\n".join(lines)) == []
    lines[3] = f"-A {base.ours} -s 203.0.113.9/32 -j DROP"
    assert jump in iptables_rules.foreign("\n".join(lines))
