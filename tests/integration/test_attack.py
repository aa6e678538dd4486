"""The module attack: what gets through without rules and with naive ones, what does not with ours, and what remains."""

from __future__ import annotations

import pytest

from ._firewall_host import Host, link, policy, rule

SECRET = "a-secret-of-these-two-hosts"
PORT, UDP_PORT = 61234, 61235
ADDRESS = {"4": "192.0.2.1", "6": "2001:db8::1"}
CONTAINER = {"4": "198.51.100.2", "6": "2001:db8:c::2"}
FORGED, OWN = "f" * 16, "0" * 15 + "1"
ANYBODY = {"ipv4": ["0.0.0.0/0"], "ipv6": ["::/0"]}
RESTRICT = policy("restrict", {"all": ANYBODY}, management=[rule("tcp", "22", "all", "management")])
# Rules that let back what connection tracking calls established, and what looks like the middle of a connection.
NAIVE = (
    "-A INPUT -p tcp -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    "-A INPUT -p tcp -m conntrack --ctstate NEW -m tcp --tcp-flags SYN,RST,ACK ACK -j ACCEPT",
    f"-A INPUT -p tcp --dport {PORT} -j DROP",
)


@pytest.fixture
def hosts():
    """A host with listeners and a container, and an outsider on its link."""
    with Host() as attacked, Host() as outsider, Host() as container:
        for host in (attacked, outsider, container):
            host.run("sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0")  # no address is tentative at first
        link(attacked, ["192.0.2.1/24", "2001:db8::1/64"], outsider, ["192.0.2.2/24", "2001:db8::2/64"], "eth0")
        attacked.shell("ip link add br-box type bridge; ip link set br-box up")
        link(attacked, [], container, ["198.51.100.2/24", "2001:db8:c::2/64"], "box")
        attacked.shell(
            "ip link set box master br-box; ip address add 198.51.100.1/24 dev br-box; "
            "ip address add 2001:db8:c::1/64 dev br-box nodad; "
            "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1"
        )
        container.shell("ip route add default via 198.51.100.1; ip route add default via 2001:db8:c::1")
        listen(attacked)
        yield attacked, outsider


def listen(host):
    listeners = [
        {"address": address, "protocol": protocol, "ports": str(port)}
        for address in ADDRESS.values()
        for protocol, port in (("tcp", PORT), ("udp", UDP_PORT))
    ]
    wanted = {"answer": "line", "secret": SECRET, "lifetime": 120, "listeners": listeners}
    assert host.module("listener", state="started", token="t", **wanted)["problems"] == []


def attack(attacked, outsider, family, **options):
    """Attack one address -> which attacks got through; "open": the port is open without any."""
    target = {
        "address": ADDRESS[family],
        "tcp_port": PORT,
        "forged": [{"port": UDP_PORT, "mark": FORGED}],
        "datagrams": [{"port": UDP_PORT, "mark": OWN}],
        "containers": [CONTAINER[family]],
        "container_port": PORT,
    }
    result = outsider.module("attack", targets=[target], secret=SECRET, **options)
    (attempt,) = result["attempts"]
    assert attempt["link"] == "same" and attempt["control"] and not attempt["lost"] and not attempt["reason"], attempt
    assert result["frames"] < 40 and not result["changed"]
    received = attacked.module("listener", state="read", token="t")["received"]
    names = {"connection": attempt["connected"], "open": attempt["open"], "container": bool(attempt["containers"])}
    return {name for name, through in names.items() if through} | {
        name for name, mark in (("source", FORGED), ("udp", OWN)) if mark in received
    }


@pytest.mark.parametrize("family", ["4", "6"])
def test_each_attack_works_without_rules_and_none_with_ours(hosts, family):
    attacked, outsider = hosts
    # IPv6 has no martians: nothing but a rule drops a packet with a forged local source.
    expected = {"connection", "open", "container", "udp"} | ({"source"} if family == "6" else set())
    assert attack(attacked, outsider, family) == expected
    if family == "4":
        attacked.shell("sysctl -qw net.ipv4.conf.all.accept_local=1 net.ipv4.conf.eth0.accept_local=1")
        assert attack(attacked, outsider, family) == expected | {"source"}
    tool = {"4": "iptables", "6": "ip6tables"}[family]
    for words in NAIVE:
        attacked.run(tool, *words.split())
    assert attacked.module("probe", targets=[{"address": ADDRESS[family], "ports": str(PORT)}])
    assert outsider.connect(ADDRESS[family], PORT) == "filtered"
    assert {"connection", "open"} & attack(attacked, outsider, family) == {"connection"}
    attacked.run(tool, "-F")
    listen(attacked)  # the marks are counted anew
    assert attacked.apply(RESTRICT)["changed"]
    assert attack(attacked, outsider, family) == set()


def test_neither_host_keeps_anything_of_an_attack(hosts):
    attacked, outsider = hosts
    for tool in ("iptables", "ip6tables"):
        for words in NAIVE:
            attacked.run(tool, *words.split())

    def kept():
        routes = outsider.shell("ip route; ip -6 route; ip address")
        return routes, outsider.shell("ss -Hant"), attacked.shell("ss -Hant state syn-recv; ss -Hant state established")

    before = kept()
    for family in "46":
        assert "connection" in attack(attacked, outsider, family)
    attacked.wait_until(lambda: kept() == before)
    for options in ((), ("-f", "ipv6")):
        entries = attacked.run("conntrack", "-L", "-p", "tcp", *options).splitlines()
        assert entries and not [line for line in entries if " ESTABLISHED " in line or " SYN_RECV " in line]


def test_who_may_send_no_frames_says_so_and_sends_its_own_datagrams(hosts):
    attacked, outsider = hosts
    before = ("setpriv", "--bounding-set=-net_raw", "--")
    target = {"address": ADDRESS["4"], "tcp_port": PORT, "datagrams": [{"port": UDP_PORT, "mark": OWN}]}
    (attempt,) = outsider.module("attack", before=before, targets=[target], secret=SECRET)["attempts"]
    assert attempt["link"] == "not_permitted" and "root" in attempt["reason"]
    assert attacked.module("listener", state="read", token="t")["received"] == [OWN]


def test_nobody_who_has_the_address_is_told_and_nothing_is_attacked(hosts):
    _attacked, outsider = hosts
    target = {"address": "192.0.2.77", "tcp_port": PORT}
    result = outsider.module("attack", targets=[target], secret=SECRET)
    (attempt,) = result["attempts"]
    assert (attempt["link"], attempt["control"]) == ("unknown", False)
    assert attempt["reason"] == "nobody on the link of eth0 answers for this address"
    assert result["frames"] == 3


@pytest.mark.parametrize("family", ["4", "6"])
def test_behind_a_router_that_answers_for_others_nobody_is_attacked(family):
    far, near = {"4": ("192.0.2.1", "192.0.2.2"), "6": ("2001:db8::1", "2001:db8::2")}[family]
    length = "32" if family == "4" else "128"
    with Host() as attacked, Host() as router, Host() as outsider:
        link(attacked, [f"{far}/{length}"], router, [], "far")
        link(outsider, [f"{near}/{length}"], router, [], "near")
        outsider.shell(f"ip route add {far} dev near")
        attacked.shell(f"ip route add {near} dev far")
        router.shell(
            "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv6.conf.all.proxy_ndp=1 "
            "net.ipv4.neigh.near.proxy_delay=0 net.ipv6.neigh.near.proxy_delay=0; "
            "ip address add 203.0.113.1/32 dev lo; ip address add 2001:db8:f::1/128 dev lo; "
            f"ip route add {far} dev far; ip route add {near} dev near; "
            f"ip neighbour add proxy {far} dev near; ip neighbour add proxy {near} dev far"
        )
        outsider.run("ping", "-c", "1", "-W", "5", far)
        result = outsider.module("attack", targets=[{"address": far, "tcp_port": PORT}], secret=SECRET)
    (attempt,) = result["attempts"]
    assert (attempt["link"], attempt["control"]) == ("other", False)
    assert attempt["reason"] == "a router answers for this address on the link of near"
    assert result["frames"] == 2


def test_in_check_mode_nothing_is_sent(hosts):
    attacked, outsider = hosts
    target = {"address": ADDRESS["4"], "datagrams": [{"port": UDP_PORT, "mark": OWN}]}
    result = outsider.module("attack", targets=[target], secret=SECRET, _ansible_check_mode=True)
    assert "attempts" not in result
    assert attacked.module("listener", state="read", token="t")["received"] == []


def test_containers_that_answer_their_own_host_are_found(hosts):
    attacked, _outsider = hosts
    found = attacked.module("attack", state="found", port=PORT)["networks"]
    assert {(one["interface"], one["network"]): one["containers"] for one in found} == {
        ("br-box", "198.51.100.0/24"): ["198.51.100.2"],
        ("br-box", "2001:db8:c::/64"): ["2001:db8:c::2"],
    }
    attacked.shell("ip link add lan type vxlan id 7 dstport 4789 remote 192.0.2.2; ip link set lan master br-box")
    assert attacked.module("attack", state="found", port=PORT)["networks"] == []
