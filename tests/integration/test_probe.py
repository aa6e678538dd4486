# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes between two hosts with real kernels' firewalls: every state, told rightly."""

from __future__ import annotations

import socket
import time

import pytest
from ansible_collections.determined.network.plugins.module_utils import _ports

from tests.integration._probe_hosts import DISTANCE, SERVICE, two_hosts

STATES = ("open", "refused", "rejected", "filtered", "no_route", "error")
FAMILIES = ("ipv4", "ipv6")
HOLES = "1024,1734,2600,5000,12355,20000,33333,44444,60000,65535"


@pytest.fixture
def hosts():
    with two_hosts() as pair:
        yield pair


def check(observation: dict, asked: str, **expected: str) -> None:
    """The states are the expected ones, all others are empty, and together they are what was asked."""
    found = {state: observation[state] for state in STATES if observation[state]}
    assert found == expected, observation
    together = _ports.union(*(_ports.parse_ports(observation[state]) for state in STATES))
    assert together == _ports.parse_ports(asked)


@pytest.mark.parametrize("family", FAMILIES)
def test_open_refused_and_who_answered(hosts, family):
    source, destination = hosts
    address = destination.address(family)
    destination.listen({"address": address, "ports": "1734,12355"})
    (seen,) = source.probe({"address": address, "ports": "1733-1735,12355", "identify": "1734,12355"}, echo=True)
    check(seen, "1733-1735,12355", open="1734,12355", refused="1733,1735")
    assert seen["answers"] == {f"determined.network t {destination.name}": "1734,12355"}
    assert seen["resets_sent"] == seen["resets_received"] == 0
    assert seen["sent"] == 4
    assert 0 < seen["connect_milliseconds"] < 1000
    assert seen["echo"]["answered"] is True
    assert 0 < seen["echo"]["milliseconds"] < 1000


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "manner, answer, resets_sent, resets_received",
    [
        ("banner", "SSH-2.0-OpenSSH_9.9", 0, 0),
        ("polite", "", 0, 0),
        ("deaf", "", 1, 0),
        ("reset", "", 0, 1),
    ],
)
def test_a_real_service_instead_of_a_listener(hosts, family, manner, answer, resets_sent, resets_received):
    source, destination = hosts
    address = destination.address(family)
    destination.play(SERVICE, address, "1734", manner)
    before = [host.ask("counters")["tcp_resets_sent"] for host in hosts]
    (seen,) = source.probe({"address": address, "ports": "1733-1734", "identify": "1734"}, timeout=1.0)
    after = [host.ask("counters")["tcp_resets_sent"] for host in hosts]
    check(seen, "1733-1734", open="1734", refused="1733")
    assert seen["answers"] == {answer and f"unproven: {answer}": "1734"}
    assert (seen["resets_sent"], seen["resets_received"]) == (resets_sent, resets_received)
    # What the probe says is exactly what the two kernels counted.
    assert after[0] - before[0] == resets_sent
    assert after[1] - before[1] == resets_received + 1


def test_attestation_tells_a_stacks_resets_from_a_firewalls(hosts):
    source, destination = hosts
    for family in FAMILIES:
        reject = ["-j", "REJECT", "--reject-with", "tcp-reset"]
        destination.rule(family, "-A", "INPUT", "-p", "tcp", "--dport", "3000:3099", *reject)
    before = destination.ask("counters")
    targets = [{"address": destination.address(family), "ports": "2900-3199"} for family in FAMILIES]
    seen = source.probe(*targets)
    after = destination.ask("counters")
    for observation in seen:
        check(observation, "2900-3199", refused="2900-3199")
        assert observation["resets_sent"] == 0
    assert after["tcp_resets_sent"] - before["tcp_resets_sent"] == 2 * 200  # and not 2 * 300
    for family in FAMILIES:
        name = f"{family}_packets_received"
        assert after[name] - before[name] >= 300


@pytest.mark.parametrize(
    "family, kind, words",
    [
        ("ipv4", "icmp-port-unreachable", "icmp 3/3 port unreachable"),
        ("ipv4", "icmp-admin-prohibited", "icmp 3/13 communication administratively prohibited"),
        ("ipv4", "icmp-host-prohibited", "icmp 3/10 host administratively prohibited"),
        ("ipv4", "icmp-net-prohibited", "icmp 3/9 network administratively prohibited"),
        ("ipv4", "icmp-host-unreachable", "icmp 3/1 host unreachable"),
        ("ipv4", "icmp-net-unreachable", "icmp 3/0 network unreachable"),
        ("ipv6", "icmp6-no-route", "icmp6 1/0 no route to destination"),
        ("ipv6", "icmp6-adm-prohibited", "icmp6 1/1 communication administratively prohibited"),
        ("ipv6", "icmp6-addr-unreachable", "icmp6 1/3 address unreachable"),
        ("ipv6", "icmp6-port-unreachable", "icmp6 1/4 port unreachable"),
        ("ipv6", "icmp6-policy-fail", "icmp6 1/5 source address failed ingress or egress policy"),
        ("ipv6", "icmp6-reject-route", "icmp6 1/6 route to destination rejected"),
    ],
)
@pytest.mark.parametrize("hop", ["destination", "source"])
def test_icmp_is_told_from_a_reset_and_names_its_sender(hosts, family, kind, words, hop):
    source, destination = hosts
    address = destination.address(family)
    rejecting, chain = (destination, "INPUT") if hop == "destination" else (source, "OUTPUT")
    rejecting.rule(family, "-A", chain, "-p", "tcp", "--dport", "1734", "-j", "REJECT", "--reject-with", kind)
    (seen,) = source.probe({"address": address, "ports": "1733-1735"})
    check(seen, "1733-1735", rejected="1734", refused="1733,1735")
    ((reason, ports),) = seen["rejections"].items()
    assert reason.startswith(f"{words} from {rejecting.address(family)}")
    assert ports == "1734"
    assert ("this host's own firewall" in reason) is (hop == "source")


@pytest.mark.parametrize("family", FAMILIES)
def test_dropped_at_the_destination(hosts, family):
    source, destination = hosts
    destination.rule(family, "-A", "INPUT", "-p", "tcp", "--dport", "1734", "-j", "DROP")
    (seen,) = source.probe({"address": destination.address(family), "ports": "1733-1735"}, timeout=1.5)
    check(seen, "1733-1735", filtered="1734", refused="1733,1735")


@pytest.mark.parametrize("family", FAMILIES)
def test_dropped_by_the_sources_own_firewall(hosts, family):
    source, destination = hosts
    source.rule(family, "-A", "OUTPUT", "-p", "tcp", "--dport", "1734:1740", "-j", "DROP")
    (seen,) = source.probe({"address": destination.address(family), "ports": "1733-1741"}, timeout=1.5)
    check(seen, "1733-1741", rejected="1734-1740", refused="1733,1741")
    ((reason, ports),) = seen["rejections"].items()
    assert reason.startswith("this host's own firewall")
    assert ports == "1734-1740"


def test_drops_here_and_there_are_told_apart(hosts):
    source, destination = hosts
    source.rule("ipv4", "-A", "OUTPUT", "-p", "tcp", "--dport", "1734", "-j", "DROP")
    destination.rule("ipv4", "-A", "INPUT", "-p", "tcp", "--dport", "1750", "-j", "DROP")
    (seen,) = source.probe({"address": destination.ipv4, "ports": "1734,1740,1750"}, timeout=1.5)
    check(seen, "1734,1740,1750", rejected="1734", filtered="1750", refused="1740")


@pytest.mark.parametrize("address", ["198.51.100.1", "2001:db8:ffff::1"])
def test_no_route(hosts, address):
    (seen,) = hosts[0].probe({"address": address, "ports": "1-3000"}, timeout=1.0)
    check(seen, "1-3000", no_route="1-3000")
    assert "ENETUNREACH" in next(iter(seen["errors"]))


@pytest.mark.parametrize("kind, name", [("unreachable", "EHOSTUNREACH"), ("blackhole", "EINVAL")])
def test_routes_that_lead_nowhere(hosts, kind, name):
    hosts[0].run("ip", "route", "add", kind, "198.51.100.0/24")
    (seen,) = hosts[0].probe({"address": "198.51.100.1", "ports": "1-3"}, timeout=1.0)
    check(seen, "1-3", no_route="1-3")
    assert name in next(iter(seen["errors"]))


def test_a_prohibiting_route_is_this_hosts_own_doing(hosts):
    hosts[0].run("ip", "route", "add", "prohibit", "198.51.100.0/24")
    (seen,) = hosts[0].probe({"address": "198.51.100.1", "ports": "1-3"}, timeout=1.0)
    check(seen, "1-3", rejected="1-3")


@pytest.mark.parametrize("address", ["192.0.2.77", "2001:db8::77"])
@pytest.mark.parametrize("ports", ["22", "1-2000"])
def test_an_address_that_nobody_has(hosts, address, ports):
    (seen,) = hosts[0].probe({"address": address, "ports": ports}, timeout=4.0)
    check(seen, ports, no_route=ports)
    assert all("neighbour does not answer" in reason for reason in seen["errors"])


@pytest.mark.parametrize("family", FAMILIES)
def test_udp(hosts, family):
    source, destination = hosts
    address = destination.address(family)
    destination.listen({"address": address, "protocol": "udp", "ports": "1734"})
    for port, target in (("1750", "DROP"), ("1751", "REJECT")):
        destination.rule(family, "-A", "INPUT", "-p", "udp", "--dport", port, "-j", target)
    source.rule(family, "-A", "OUTPUT", "-p", "udp", "--dport", "1752", "-j", "DROP")
    asked = "1734,1750-1752"
    (seen,) = source.probe({"address": address, "protocol": "udp", "ports": asked, "identify": "1734"}, timeout=1)
    check(seen, asked, open="1734", filtered="1750", rejected="1751-1752")
    assert seen["answers"] == {f"determined.network t {destination.name}": "1734"}
    reasons = {ports: reason for reason, ports in seen["rejections"].items()}
    assert reasons["1751"].endswith(f"port unreachable from {address}")
    assert reasons["1752"].startswith("this host's own firewall (EPERM")


def test_ten_holes_among_all_ephemeral_ports(hosts):
    source, destination = hosts
    for family in FAMILIES:
        ports = ["-p", "tcp", "-m", "multiport", "--dports", HOLES]
        destination.rule(family, "-A", "INPUT", *ports, "-j", "DROP")
    before = destination.ask("counters")["tcp_resets_sent"]
    targets = [{"address": destination.address(family), "ports": "1024-65535"} for family in FAMILIES]
    seen = source.probe(*targets, timeout=1.2)
    after = destination.ask("counters")["tcp_resets_sent"]
    closed = _ports.format_ports(_ports.subtract(((1024, 65535),), _ports.parse_ports(HOLES)))
    for observation in seen:
        check(observation, "1024-65535", filtered=HOLES, refused=closed)
    assert after - before == 2 * (64512 - 10)


def test_one_open_port_among_dropped_ones(hosts):
    source, destination = hosts
    destination.listen({"address": destination.ipv4, "ports": "22000"})
    destination.rule("ipv4", "-A", "INPUT", "-p", "tcp", "!", "--dport", "22000", "-j", "DROP")
    (seen,) = source.probe({"address": destination.ipv4, "ports": "1-65535", "identify": "22000"}, timeout=1.0)
    check(seen, "1-65535", open="22000", filtered="1-21999,22001-65535")


def test_a_path_that_loses_packets_filters_nothing(hosts):
    source, destination = hosts
    lose = ["-m", "statistic", "--mode", "random", "--probability", "0.05", "-j", "DROP"]
    destination.rule("ipv4", "-A", "INPUT", "-p", "tcp", *lose)
    (seen,) = source.probe({"address": destination.ipv4, "ports": "1024-65535"}, timeout=1.2)
    check(seen, "1024-65535", refused="1024-65535")


def distance(source, delay: float) -> None:
    source.play(
        DISTANCE,
        str(delay),
        "203.0.113.9",
        "2001:db8:99::9",
        "ip link set far0 up",
        "ip address add 198.51.100.1/24 dev far0",
        "ip address add 2001:db8:51::1/64 dev far0 nodad",
        "ip route add default dev far0",
        "ip -6 route add default dev far0",
    )


@pytest.mark.parametrize("address", ["198.51.100.2", "2001:db8:51::2"])
def test_a_distant_host_answers_late(hosts, address):
    source, _destination = hosts
    distance(source, 0.12)
    started = time.monotonic()
    (seen,) = source.probe({"address": address, "ports": "1000-3999"})
    check(seen, "1000-3999", refused="1000-3999")
    assert 120 <= seen["connect_milliseconds"] < 1000
    assert time.monotonic() - started < 10


def test_icmp_of_a_router_on_the_way(hosts):
    source, _destination = hosts
    distance(source, 0.02)
    seen = source.probe(
        {"address": "198.51.100.2", "ports": "60000-60001,60009-60010,60013"},
        {"address": "2001:db8:51::2", "ports": "60000-60001,60003-60006"},
    )
    check(seen[0], "60000-60001,60009-60010,60013", rejected="60000-60001,60009-60010,60013")
    check(seen[1], "60000-60001,60003-60006", rejected="60000-60001,60003-60006")
    assert {ports: reason.split()[1] for reason, ports in seen[0]["rejections"].items()} == {
        f"{60000 + code}": f"3/{code}" for code in (0, 1, 9, 10, 13)
    }
    assert {ports: reason.split()[1] for reason, ports in seen[1]["rejections"].items()} == {
        f"{60000 + code}": f"1/{code}" for code in (0, 1, 3, 4, 5, 6)
    }
    assert all(reason.endswith(" from 203.0.113.9") for reason in seen[0]["rejections"])
    assert all(reason.endswith(" from 2001:db8:99::9") for reason in seen[1]["rejections"])


def test_a_host_that_probes_itself_meets_no_ghosts(hosts):
    source, _destination = hosts
    source.listen({"address": source.ipv4, "ports": "40000"})
    before = source.ask("counters")["tcp_resets_sent"]
    (seen,) = source.probe({"address": source.ipv4, "ports": "30000-62000", "identify": "40000"})
    after = source.ask("counters")["tcp_resets_sent"]
    check(seen, "30000-62000", open="40000", refused="30000-39999,40001-62000")
    assert after - before == 32000 + seen["resets_sent"]


def test_source_address(hosts):
    source, destination = hosts
    source.run("ip", "address", "add", "192.0.2.101/24", "dev", "wire")
    destination.rule("ipv4", "-A", "INPUT", "-s", "192.0.2.101", "-p", "tcp", "-j", "REJECT")
    target = {"address": destination.ipv4, "ports": "1734"}
    seen = source.probe(
        target,
        dict(target, source="192.0.2.101"),
        dict(target, source="192.0.2.1"),
        dict(target, source="192.0.2.99"),
        echo=True,
    )
    check(seen[0], "1734", refused="1734")
    check(seen[1], "1734", rejected="1734")
    check(seen[2], "1734", refused="1734")
    check(seen[3], "1734", error="1734")
    assert seen[3]["errors"] == {"no interface of this host has the source address 192.0.2.99": "1734"}
    assert seen[3]["echo"]["answered"] is None
    assert "192.0.2.99" in seen[3]["echo"]["reason"]


def test_few_files_make_it_slow_but_not_wrong(hosts):
    source, destination = hosts
    destination.rule("ipv4", "-A", "INPUT", "-p", "tcp", "--dport", "2000:2999", "-j", "DROP")
    destination.listen({"address": destination.ipv4, "ports": "1734"}, files=256)
    targets = [
        {"address": destination.ipv4, "ports": "1024-9999", "identify": "1734"},
        {"address": destination.ipv6, "ports": "1024-9999"},
    ]
    seen = source.probe(*targets, timeout=0.5, window=4096, files=256)
    check(seen[0], "1024-9999", open="1734", filtered="2000-2999", refused="1024-1733,1735-1999,3000-9999")
    check(seen[1], "1024-9999", refused="1024-9999")


def test_no_local_port_left_is_an_error(hosts):
    source, destination = hosts
    source.run("sysctl", "-qw", "net.ipv4.ip_local_port_range=40000 40001")
    destination.play(SERVICE, destination.ipv4, "1734", "deaf")
    holder = (
        "import socket, time\n"
        "kept = [socket.create_connection(('192.0.2.2', 1734)) for _ in range(2)]\n"
        "print('ready', flush=True)\n"
        "time.sleep(100)\n"
    )
    source.play(holder)
    (seen,) = source.probe({"address": destination.ipv4, "ports": "1734-1736"}, timeout=1.0)
    check(seen, "1734-1736", error="1734", refused="1735-1736")
    assert seen["errors"] == {"EADDRNOTAVAIL: Cannot assign requested address": "1734"}


def test_echo_without_an_answer(hosts):
    source, destination = hosts
    destination.rule("ipv4", "-A", "INPUT", "-p", "icmp", "-j", "DROP")
    source.rule("ipv6", "-A", "OUTPUT", "-p", "icmpv6", "--icmpv6-type", "echo-request", "-j", "DROP")
    seen = source.probe(
        {"address": destination.ipv4, "ports": "1734"},
        {"address": destination.ipv6, "ports": "1734"},
        echo=True,
    )
    assert seen[0]["echo"] == {
        "answered": False,
        "milliseconds": None,
        "reason": "no answer to 3 echo requests",
    }
    assert seen[1]["echo"]["answered"] is False
    assert "this host's own firewall" in seen[1]["echo"]["reason"]


def test_an_echo_reply_with_an_invented_number_does_no_harm(hosts):
    source, destination = hosts
    destination.run("sysctl", "-qw", "net.ipv4.icmp_echo_ignore_all=1")
    responder = (
        "import socket\n"
        "import struct\n"
        "raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)\n"
        "print('ready', flush=True)\n"
        "while True:\n"
        "    packet, (address, _port) = raw.recvfrom(2048)\n"
        "    echo = packet[4 * (packet[0] & 15):]\n"
        "    if echo[0] == 8:\n"
        "        for payload in (echo[8:16] + b'\\xff\\xff', echo[8:16] + b'\\0\\0', echo[8:]):\n"
        "            reply = b'\\0\\0\\0\\0' + echo[4:8] + payload\n"
        "            total = sum(struct.unpack('!%dH' % (len(reply) // 2), reply))\n"
        "            total = (total >> 16) + (total & 0xffff)\n"
        "            total = ~((total >> 16) + total) & 0xffff\n"
        "            raw.sendto(reply[:2] + struct.pack('!H', total) + reply[4:], (address, 0))\n"
    )
    destination.play(responder)
    (seen,) = source.probe({"address": destination.ipv4, "ports": "1734"}, echo=True)
    assert seen["echo"]["answered"] is True


def test_an_ordinary_user_probes_as_well_as_root(hosts):
    source, destination = hosts
    destination.listen({"address": destination.ipv4, "ports": "1734"})
    destination.rule("ipv4", "-A", "INPUT", "-p", "tcp", "--dport", "1735", "-j", "REJECT")
    source.run("sysctl", "-qw", "net.ipv4.ping_group_range=1 0")
    source.python, source.user = (
        "/usr/bin/python3",
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"],
    )
    target = {"address": destination.ipv4, "ports": "1733-1735", "identify": "1734"}
    (seen,) = source.probe(target, echo=True)
    check(seen, "1733-1735", open="1734", rejected="1735", refused="1733")
    assert seen["echo"]["answered"] is None
    assert "net.ipv4.ping_group_range" in seen["echo"]["reason"]
    source.run("sysctl", "-qw", "net.ipv4.ping_group_range=0 70000")
    (seen,) = source.probe(target, echo=True)
    assert seen["echo"]["answered"] is True


def test_a_banner_that_never_ends_is_cut(hosts):
    source, destination = hosts
    chatter = (
        "import socket\n"
        "server = socket.socket()\n"
        "server.bind(('192.0.2.2', 1734)); server.listen(5)\n"
        "print('ready', flush=True)\n"
        "while True:\n"
        "    client = server.accept()[0]\n"
        "    try:\n"
        "        while True: client.send(b'x' * 1000)\n"
        "    except OSError: pass\n"
    )
    destination.play(chatter)
    (seen,) = source.probe({"address": destination.ipv4, "ports": "1734", "identify": "1734"}, timeout=1.0)
    check(seen, "1734", open="1734")
    assert seen["answers"] == {"unproven: " + "x" * 200: "1734"}
    assert socket.inet_aton(seen["address"])
