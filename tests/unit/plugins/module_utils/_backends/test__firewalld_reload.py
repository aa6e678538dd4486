"""What a reload would lose of others, and what it would not."""

import pytest
from ansible_collections.determined.network.plugins.module_utils._backends import _firewalld_reload

PUBLIC = {"short": "Public", "services": ["ssh", "dhcpv6-client"], "target": "default", "masquerade": False}


@pytest.mark.parametrize(
    "runtime, permanent, expected",
    [
        (PUBLIC, PUBLIC, []),
        (dict(PUBLIC, services=["dhcpv6-client", "ssh"], short="Other"), PUBLIC, []),
        (dict(PUBLIC, ports=[]), PUBLIC, []),
        (dict(PUBLIC, ports=[("7777", "tcp")]), PUBLIC, ["zone public: ports (has 7777 tcp)"]),
        (dict(PUBLIC, services=["ssh"]), PUBLIC, ["zone public: services (lacks dhcpv6-client)"]),
        (dict(PUBLIC, masquerade=True), PUBLIC, ["zone public: masquerade is True, and None in its file"]),
        (dict(PUBLIC, interfaces=["eth1"]), PUBLIC, ["zone public: interfaces (has eth1)"]),
        (PUBLIC, None, ["zone public is in none of firewalld's files"]),
    ],
)
def test_what_is_in_force_only(runtime, permanent, expected):
    assert _firewalld_reload.runtime_only("zone", "public", runtime, permanent) == expected


@pytest.mark.parametrize(
    "name, manager, flush_all, kept",
    [
        ("public", False, True, ()),
        ("docker", False, True, ("interfaces",)),
        ("libvirt-routed", False, True, ("interfaces",)),
        ("public", True, True, ("interfaces",)),
        ("public", False, False, ("interfaces",)),
    ],
)
def test_interfaces_that_somebody_puts_back(name, manager, flush_all, kept):
    assert _firewalld_reload.zone_keeps(name, manager, flush_all) == kept


@pytest.mark.parametrize(
    "version, backend, direct, flushes",
    [
        ((1, 3), "nftables", False, True),
        ((2, 0), "nftables", False, False),
        ((2, 3), "nftables", True, True),
        ((2, 3), "iptables", False, True),
    ],
)
def test_when_a_reload_flushes_iptables(version, backend, direct, flushes):
    assert _firewalld_reload.flushes_iptables(version, backend, direct) is flushes


# As iptables-save printed them on hosts with firewalld 1.3 and 2.3 (FirewallBackend=iptables), and Docker 20 and 26.
RESTORED = """\
*filter
:INPUT ACCEPT [0:0]
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED,DNAT -j ACCEPT
-A INPUT -i lo -j ACCEPT
-A INPUT -m conntrack --ctstate INVALID -j DROP
-A INPUT -j INPUT_direct
-A INPUT -j INPUT_ZONES
-A INPUT -j REJECT --reject-with icmp-host-prohibited
-A FORWARD -j RFC3964_IPv4
-A OUTPUT -o lo -j ACCEPT
-A OUTPUT -j OUTPUT_POLICIES_pre
-A IN_public -j INPUT_POLICIES_pre
-A INPUT -j DETERMINED-INPUT
-A DETERMINED-INPUT -i lo -j RETURN
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-ISOLATION-STAGE-1
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A FORWARD -i br-0123456789ab -o br-0123456789ab -j ACCEPT
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER-USER -j RETURN
COMMIT
*nat
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT -d 127.0.0.11/32 -j DOCKER_OUTPUT
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A POSTROUTING -s 172.17.0.2/32 -d 172.17.0.2/32 -p tcp -m tcp --dport 80 -j MASQUERADE
-A PREROUTING -p ipv6-icmp -m icmp6 --icmpv6-type 134 -j ACCEPT
-A PREROUTING -m rpfilter --validmark --invert -j DROP
COMMIT
"""
LOST = [
    "-A INPUT -j f2b-sshd",
    "-A f2b-sshd -s 203.0.113.7/32 -j REJECT --reject-with icmp-port-unreachable",
    "-A INPUT -s 203.0.113.8/32 -j DROP",
    "-A DOCKER-USER -s 203.0.113.9/32 -j DROP",
    "-A POSTROUTING -s 203.0.113.0/24 -o eth0 -j MASQUERADE",
    "-A KUBE-FORWARD -j ACCEPT",
]


def test_rules_that_nobody_writes_again():
    assert _firewalld_reload.foreign_rules(RESTORED) == []
    assert _firewalld_reload.foreign_rules("\n".join(LOST)) == LOST


def test_the_refusal_counts_what_it_does_not_show():
    text = _firewalld_reload.refusal([f"zone z{number}" for number in range(30)])
    assert "zone z19; and 10 more" in text and "zone z20" not in text
    assert text.startswith("Refused, nothing was changed") and "firewall-cmd --runtime-to-permanent" in text


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
    assert _firewalld_reload.foreign_rules(saved, [given]) == []
    assert _firewalld_reload.foreign_rules(saved, [given + ["-i", "x"]]) == [saved]
    assert _firewalld_reload.foreign_rules(saved) == [saved]


def test_what_iptables_was_given_for_the_direct_configuration():
    configuration = {
        "chains": [],
        "rules": [("ipv4", "filter", "INPUT", 0, ["-j", "DROP"])],
        "passthroughs": [("ipv6", ["-A", "OUTPUT", "-j", "ACCEPT"])],
    }
    assert _firewalld_reload.direct_rules(configuration) == [
        ["-A", "INPUT", "-j", "DROP"],
        ["-A", "OUTPUT", "-j", "ACCEPT"],
    ]
