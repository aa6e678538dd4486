"""Marked packets between hosts that watch: where each of them stops, and which rule stops it.

        source ---- router ---- inner        source ---- bare (a host without nft)

One run of the module ``trace`` sends all packets of CASES in both families. Each test looks at what the hosts saw of
one of them.
"""

from __future__ import annotations

import contextlib
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from ._firewall_host import Host, link
from ._tracing import remaining

FAMILIES = ["ipv4", "ipv6"]
TAG = 0x4D2
ADDRESSES = {
    "source": {"ipv4": "192.0.2.1", "ipv6": "2001:db8:1::1"},
    "router": {"ipv4": "192.0.2.2", "ipv6": "2001:db8:1::2"},
    "inner": {"ipv4": "198.51.100.2", "ipv6": "2001:db8:2::2"},
    "bare": {"ipv4": "203.0.113.2", "ipv6": "2001:db8:3::2"},
    "nowhere": {"ipv4": "192.0.2.129", "ipv6": "2001:db8:4::1"},
    # An address of the source to which the router has a blackhole.
    "lost": {"ipv4": "192.0.2.193", "ipv6": "2001:db8:5::1"},
    "link-local": {"ipv4": "169.254.7.2", "ipv6": "fe80::2%eth0"},
}
# name -> (destination, protocol, port)
CASES = {
    "service": ("router", "tcp", 1734),
    "closed": ("router", "tcp", 1735),
    "dropped answer": ("router", "tcp", 1736),
    "INPUT": ("router", "tcp", 80),
    "legacy": ("router", "tcp", 81),
    "nft rule": ("router", "tcp", 82),
    "reject": ("router", "tcp", 83),
    "tcp reset": ("router", "tcp", 84),
    "raw": ("router", "tcp", 85),
    "ingress": ("router", "tcp", 86),
    "OUTPUT": ("router", "tcp", 87),
    "blackhole": ("nowhere", "tcp", 88),
    "blackhole of answers": ("router", "tcp", 1734),
    "wrong source": ("router", "tcp", 1734),
    "udp service": ("router", "udp", 53),
    "udp closed": ("router", "udp", 54),
    "udp dropped": ("router", "udp", 55),
    "echo": ("router", "icmp", 0),
    "dnat": ("router", "tcp", 8080),
    "nft policy": ("inner", "tcp", 1738),
    "bare": ("bare", "tcp", 1739),
    "link-local": ("link-local", "tcp", 1734),
    "link-local udp": ("link-local", "udp", 53),
    "link-local echo": ("link-local", "icmp", 0),
    "itself": ("source", "tcp", 1740),
}
SOURCES = {"blackhole of answers": ADDRESSES["lost"], "wrong source": {"ipv4": "192.0.2.99", "ipv6": "2001:db8:1::99"}}
NUMBERS = {(name, family): 2 * place + v6 for place, name in enumerate(CASES) for v6, family in enumerate(FAMILIES)}

# Prints who has connected, as accept(2) tells it. Arguments: family, port.
ACCEPTING = """
import socket, sys
sock = socket.socket(socket.AF_INET if sys.argv[1] == "ipv4" else socket.AF_INET6)
if sys.argv[1] == "ipv6":
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
sock.bind(("", int(sys.argv[2])))
sock.listen(64)
print("ready", flush=True)
while True:
    peer = sock.accept()
    print(peer[1][1], flush=True)
"""
CONNECTING = """
import socket, sys
print(socket.create_connection((sys.argv[1], int(sys.argv[2])), 5).getsockname()[1])
"""

ROUTER_RULES = """
for iptables in iptables-nft ip6tables-nft; do
    $iptables -A INPUT -p tcp --dport 80 -j DROP
    $iptables -A INPUT -p tcp --dport 83 -j REJECT
    $iptables -A INPUT -p tcp --dport 84 -j REJECT --reject-with tcp-reset
    $iptables -t raw -A PREROUTING -p tcp --dport 85 -j DROP
done
for iptables in iptables-legacy ip6tables-legacy; do
    $iptables -A INPUT -p tcp --dport 81 -j DROP
done
iptables-nft -t nat -A PREROUTING -p tcp --dport 8080 -j DNAT --to-destination 198.51.100.2:1737
ip6tables-nft -t nat -A PREROUTING -p tcp --dport 8080 -j DNAT --to-destination '[2001:db8:2::2]:1737'
nft -f - <<END
table inet other {
    chain in {
        type filter hook input priority 10
        tcp dport 82 counter drop
        meta l4proto udp jump datagrams
    }
    chain datagrams {
        udp dport 55 drop comment "no names # handle 9"
    }
}
END
tc qdisc add dev eth0 clsact
# Two bytes behind the start of the TCP header is the destination's port. 2: TC_ACT_SHOT, -1: TC_ACT_UNSPEC.
tc filter add dev eth0 ingress protocol ip bpf da bytecode '4,40 0 0 36,21 0 1 86,6 0 0 2,6 0 0 4294967295'
tc filter add dev eth0 ingress protocol ipv6 bpf da bytecode '4,40 0 0 56,21 0 1 86,6 0 0 2,6 0 0 4294967295'
ip route add blackhole 192.0.2.193/32
ip -6 route add blackhole 2001:db8:5::/64
sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
"""
SOURCE_RULES = """
for iptables in iptables-nft ip6tables-nft; do
    $iptables -A OUTPUT -p tcp --dport 87 -j DROP
    $iptables -A INPUT -p tcp --sport 1736 -j DROP
done
ip address add 192.0.2.193/32 dev lo
ip address add 2001:db8:5::1/128 dev lo
ip route add 198.51.100.0/24 via 192.0.2.2
ip -6 route add 2001:db8:2::/64 via 2001:db8:1::2
ip route add blackhole 192.0.2.129/32
ip -6 route add blackhole 2001:db8:4::/64
"""
INNER_RULES = """
nft -f - <<END
table inet strict {
    chain in {
        type filter hook input priority 0; policy drop;
        tcp dport 1737 accept
        icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
    }
}
END
ip route add default via 198.51.100.1
ip -6 route add default via 2001:db8:2::1
"""


class Run:
    """Four hosts, and what they say of one run."""

    def __init__(self, hosts: dict[str, Host]) -> None:
        self.hosts = hosts
        self.accepting = {}
        for family in FAMILIES:
            child = hosts["router"].start(sys.executable, "-c", ACCEPTING, family, "1734")
            assert child.stdout.readline() == "ready\n"
            self.accepting[family] = child
            hosts["router"].listen(family[-1], "tcp", 1736)
            hosts["router"].listen(family[-1], "udp", 53)
            hosts["inner"].listen(family[-1], "tcp", 1737)
        self.started = self.each(state="started", tag=TAG)
        packets = [
            {
                "number": NUMBERS[name, family],
                "protocol": protocol,
                "address": ADDRESSES[destination][family],
                "port": port,
                "source": SOURCES.get(name, {}).get(family, ""),
            }
            for name, (destination, protocol, port) in CASES.items()
            for family in FAMILIES
        ]
        self.sent = hosts["source"].module("trace", state="sent", token="run", tag=TAG, packets=packets)["sent"]
        self.ended = self.each(state="ended")

    def each(self, **arguments) -> dict[str, dict]:
        with ThreadPoolExecutor() as pool:
            answers = pool.map(lambda host: host.module("trace", token="run", **arguments), self.hosts.values())
            return dict(zip(self.hosts, answers, strict=True))

    def sending(self, name: str, family: str) -> dict:
        (found,) = [sent for sent in self.sent if sent["number"] == NUMBERS[name, family]]
        return found

    def sightings(self, host: str, name: str, family: str) -> list[dict]:
        return [seen for seen in self.ended[host]["sightings"] if seen["number"] == NUMBERS[name, family]]

    def parts(self, host: str, name: str, family: str) -> set[tuple[str, str]]:
        return {(seen["part"], seen["way"]) for seen in self.sightings(host, name, family)}

    def events(self, host: str, name: str, family: str) -> list[dict]:
        return [event for event in self.ended[host]["events"] if event["number"] == NUMBERS[name, family]]

    def hooks(self, host: str, name: str, family: str) -> set[tuple[str, str]]:
        """(part, hook) where the table of the trace met the packet."""
        return {
            (event["part"], event["chain"])
            for event in self.events(host, name, family)
            if event["table"] == "determined_trace_run"
        }

    def dropping(self, host: str, name: str, family: str) -> list[tuple[str, str]]:
        """(part, text of the rule) for each rule or policy that dropped the packet."""
        found = []
        for event in self.events(host, name, family):
            if event["verdict"] == "drop":
                place = {key: event[key] for key in ("family", "table", "chain", "handle")}
                (text,) = [rule["text"] for rule in self.ended[host]["rules"] if place.items() <= rule.items()]
                found.append((event["part"], text))
        return found


@pytest.fixture(scope="module")
def hosts():
    with contextlib.ExitStack() as stack:
        made = {name: stack.enter_context(Host()) for name in ("source", "router", "inner", "bare")}
        cables = [("source", "router", "eth0", 1), ("router", "inner", "eth1", 2), ("source", "bare", "eth2", 3)]
        networks = {1: ("192.0.2.{}/25", 25), 2: ("198.51.100.{}/24", 24), 3: ("203.0.113.{}/24", 24)}
        for left, right, name, number in cables:
            addresses = [[networks[number][0].format(end), f"2001:db8:{number}::{end}/64"] for end in (1, 2)]
            link(made[left], addresses[0], made[right], addresses[1], name)
        for name, end in (("source", 1), ("router", 2)):
            made[name].shell(
                f"ip address add 169.254.7.{end}/24 dev eth0; ip address add fe80::{end}/64 dev eth0 nodad"
            )
        made["router"].shell(ROUTER_RULES)
        made["source"].shell(SOURCE_RULES)
        made["inner"].shell(INNER_RULES)
        made["bare"].shell("mount --bind /dev/null /usr/sbin/nft")
        yield made


@pytest.fixture(scope="module")
def run(hosts):
    return Run(hosts)


# --- what becomes of packets ------------------------------------------------------------------------

both_families = pytest.mark.parametrize("family", FAMILIES)


@both_families
def test_a_service_answers(run, family):
    assert run.parts("source", "service", family) == {("syn", "out"), ("syn_ack", "in")}
    assert run.parts("router", "service", family) == {("syn", "in"), ("syn_ack", "out")}
    assert run.hooks("router", "service", family) == {("syn", "prerouting"), ("syn_ack", "output")}
    assert run.hooks("source", "service", family) == {("syn", "output"), ("syn_ack", "prerouting")}
    assert run.dropping("router", "service", family) == run.dropping("source", "service", family) == []
    assert run.sending("service", family)["error"] == ""
    (arrived,) = [seen for seen in run.sightings("router", "service", family) if seen["part"] == "syn"]
    assert arrived["times"] == 3 and arrived["interface"] == "eth0" and arrived["hop_limit"] == 64
    assert (arrived["source"], arrived["source_port"]) == (
        ADDRESSES["source"][family],
        run.sending("service", family)["source_port"],
    )
    assert (arrived["destination"], arrived["destination_port"]) == (ADDRESSES["router"][family], 1734)


@both_families
def test_accept_never_returns_for_a_traced_port(run, family):
    assert ("syn_ack", "out") in run.parts("router", "service", family)
    # Connections are accepted in their order, so one of the trace would have come before this one.
    own = run.hosts["source"].run(sys.executable, "-c", CONNECTING, ADDRESSES["router"][family], "1734").strip()
    assert run.accepting[family].stdout.readline().strip() == own


@both_families
def test_a_closed_port_resets(run, family):
    assert run.parts("router", "closed", family) == {("syn", "in"), ("reset", "out")}
    assert run.parts("source", "closed", family) == {("syn", "out"), ("reset", "in")}
    assert run.dropping("router", "closed", family) == []


@both_families
def test_a_rule_of_iptables_in_input(run, family):
    assert run.parts("router", "INPUT", family) == {("syn", "in")}
    assert run.dropping("router", "INPUT", family) == [("syn", "-A INPUT -p tcp -m tcp --dport 80 -j DROP")]


@both_families
def test_a_rule_of_iptables_in_output(run, family):
    assert run.sending("OUTPUT", family)["error"] == "Operation not permitted"
    assert run.parts("source", "OUTPUT", family) == run.parts("router", "OUTPUT", family) == set()
    assert run.hooks("source", "OUTPUT", family) == {("syn", "output")}
    assert run.dropping("source", "OUTPUT", family) == [("syn", "-A OUTPUT -p tcp -m tcp --dport 87 -j DROP")]


@both_families
def test_a_rule_of_iptables_legacy(run, family):
    assert run.parts("router", "legacy", family) == {("syn", "in")}
    assert run.hooks("router", "legacy", family) == {("syn", "prerouting")}
    assert run.dropping("router", "legacy", family) == []
    grown = [one for one in run.ended["router"]["legacy"] if one["family"] == {"ipv4": "ip", "ipv6": "ip6"}[family]]
    assert [(one["chain"], one["position"], one["rule"], one["packets"]) for one in grown] == [
        ("INPUT", 1, "-A INPUT -p tcp -m tcp --dport 81 -j DROP", 3)
    ]
    assert run.ended["source"]["legacy"] == run.ended["inner"]["legacy"] == []


@both_families
def test_a_rule_of_nft_in_a_table_of_both_families(run, family):
    assert run.parts("router", "nft rule", family) == {("syn", "in")}
    assert run.dropping("router", "nft rule", family) == [("syn", "tcp dport 82 counter drop")]


@both_families
def test_a_policy_of_nft(run, family):
    assert run.parts("router", "nft policy", family) == {("syn", "in"), ("syn", "out")}
    assert run.parts("inner", "nft policy", family) == {("syn", "in")}
    assert run.dropping("inner", "nft policy", family) == [
        ("syn", "type filter hook input priority filter; policy drop;")
    ]
    (dropped,) = [event for event in run.events("inner", "nft policy", family) if event["verdict"] == "drop"]
    assert (dropped["what"], dropped["handle"], dropped["table"]) == ("policy", 0, "strict")


@both_families
def test_a_rule_that_rejects_with_an_icmp_error(run, family):
    about = {"ipv4": [3, 3], "ipv6": [1, 4]}[family]
    assert run.parts("router", "reject", family) == {("syn", "in"), ("icmp_error", "out")}
    assert run.parts("source", "reject", family) == {("syn", "out"), ("icmp_error", "in")}
    assert {tuple(seen["about"]) for seen in run.sightings("source", "reject", family)} == {(0, 0), tuple(about)}
    ((part, text),) = run.dropping("router", "reject", family)
    assert part == "syn" and text.startswith("-A INPUT -p tcp -m tcp --dport 83 -j REJECT")


@both_families
def test_a_rule_that_resets(run, family):
    assert run.parts("router", "tcp reset", family) == {("syn", "in"), ("reset", "out")}
    assert run.dropping("router", "tcp reset", family) == [
        ("syn", "-A INPUT -p tcp -m tcp --dport 84 -j REJECT --reject-with tcp-reset")
    ]


@both_families
def test_a_rule_before_routing(run, family):
    assert run.parts("router", "raw", family) == {("syn", "in")}
    assert run.dropping("router", "raw", family) == [("syn", "-A PREROUTING -p tcp -m tcp --dport 85 -j DROP")]


@both_families
def test_what_drops_before_any_rule_is_seen_on_the_wire_only(run, family):
    assert run.parts("router", "ingress", family) == {("syn", "in")}
    assert run.events("router", "ingress", family) == []


@both_families
def test_an_answer_that_the_source_drops(run, family):
    assert run.parts("router", "dropped answer", family) == {("syn", "in"), ("syn_ack", "out")}
    assert run.parts("source", "dropped answer", family) == {("syn", "out"), ("syn_ack", "in")}
    # The router repeats it, and each time the same rule drops it.
    assert run.dropping("source", "dropped answer", family) == [
        ("syn_ack", "-A INPUT -p tcp -m tcp --sport 1736 -j DROP")
    ]


@both_families
def test_no_route(run, family):
    sent = run.sending("blackhole", family)
    assert (sent["source"], sent["error"]) == ("", "this host has no route to it")
    assert run.parts("source", "blackhole", family) == set()


@both_families
def test_no_route_for_the_answer(run, family):
    assert run.sending("blackhole of answers", family) == {
        "number": NUMBERS["blackhole of answers", family],
        "source": ADDRESSES["lost"][family],
        "source_port": run.sending("blackhole of answers", family)["source_port"],
        "error": "",
    }
    assert run.parts("router", "blackhole of answers", family) == {("syn", "in")}
    assert run.dropping("router", "blackhole of answers", family) == []


@both_families
def test_a_source_that_this_host_does_not_have(run, family):
    address = SOURCES["wrong source"][family]
    sent = run.sending("wrong source", family)
    assert sent["error"] == f"this host cannot send from {address}: Cannot assign requested address"
    assert run.parts("source", "wrong source", family) == set()


@both_families
def test_datagrams(run, family):
    assert run.parts("router", "udp service", family) == {("datagram", "in")}
    assert run.hooks("router", "udp service", family) == {("datagram", "prerouting")}
    assert run.dropping("router", "udp service", family) == []
    assert run.parts("router", "udp closed", family) == {("datagram", "in"), ("icmp_error", "out")}
    assert run.parts("source", "udp closed", family) == {("datagram", "out"), ("icmp_error", "in")}
    assert run.parts("router", "udp dropped", family) == {("datagram", "in")}
    assert run.dropping("router", "udp dropped", family) == [
        ("datagram", 'udp dport 55 drop comment "no names # handle 9"')
    ]


@both_families
def test_echo(run, family):
    assert run.parts("source", "echo", family) == {("echo", "out"), ("echo_reply", "in")}
    assert run.parts("router", "echo", family) == {("echo", "in"), ("echo_reply", "out")}
    assert run.hooks("router", "echo", family) == {("echo", "prerouting"), ("echo_reply", "output")}


@both_families
def test_link_local_addresses(run, family):
    sent = run.sending("link-local", family)
    assert (sent["source"], sent["error"]) == ({"ipv4": "169.254.7.1", "ipv6": "fe80::1"}[family], "")
    assert run.parts("source", "link-local", family) == {("syn", "out"), ("syn_ack", "in")}
    assert run.parts("router", "link-local udp", family) == {("datagram", "in")}
    assert run.parts("source", "link-local echo", family) == {("echo", "out"), ("echo_reply", "in")}


@both_families
def test_a_packet_to_the_host_itself_is_seen_once_on_loopback(run, family):
    seen = run.sightings("source", "itself", family)
    assert {(one["part"], one["way"], one["interface"], one["times"]) for one in seen} == {
        ("syn", "in", "lo", 3),
        ("reset", "in", "lo", 3),
    }


@both_families
def test_translated_addresses_have_the_same_number(run, family):
    before = [seen for seen in run.sightings("router", "dnat", family) if seen["interface"] == "eth0"]
    behind = [seen for seen in run.sightings("inner", "dnat", family) if seen["part"] == "syn"]
    assert {(seen["destination"], seen["destination_port"]) for seen in before if seen["part"] == "syn"} == {
        (ADDRESSES["router"][family], 8080)
    }
    assert [(seen["destination"], seen["destination_port"], seen["hop_limit"]) for seen in behind] == [
        (ADDRESSES["inner"][family], 1737, 63)
    ]
    assert ("syn_ack", "in") in run.parts("source", "dnat", family)


@both_families
def test_a_host_without_nft_still_captures(run, family):
    assert run.started["bare"]["problem"] == "nft is not installed"
    assert run.parts("bare", "bare", family) == {("syn", "in"), ("reset", "out")}
    assert run.ended["bare"]["events"] == run.ended["bare"]["rules"] == []


def test_the_run_is_complete_and_nothing_remains(run):
    assert {name: started["problem"] for name, started in run.started.items() if name != "bare"} == {
        "source": "",
        "router": "",
        "inner": "",
    }
    for name, ended in run.ended.items():
        assert ended["watched"] and ended["lost_packets"] == ended["lost_events"] == 0, name
        assert ended["counters"]["OutRsts"] >= (name in ("router", "bare", "source"))
        assert remaining(run.hosts[name]) == ([], [], [])
    assert "table inet other" in run.hosts["router"].run("nft", "list", "tables")
