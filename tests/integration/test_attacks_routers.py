"""Messages with which somebody on the same link claims to be a router, and the host's own rules against them.

Router advertisements (RFC 4861 4.2) and redirects (RFC 792, RFC 4861 4.5) decide where a host sends its packets.
Whether a host believes them is its administrator's decision: our rules must not accept them before the host's own
rules, and they must not drop them, because a host may depend on them for its default route.
"""

from __future__ import annotations

import sys

import pytest

from ._firewall_host import Host, link, policy, rule
from ._forger import CHECKSUM
from .systemd_lab import SystemdLab

ANYBODY = {"ipv4": ["0.0.0.0/0"], "ipv6": ["::/0"]}
PEERS = {"anybody": ANYBODY, "friends": {"ipv4": ["192.0.2.7"], "ipv6": ["2001:db8::7"]}}
SSH = rule("tcp", "22", "anybody", "management")
ROUTER = "fe80::bad"

# Sends one message as a frame. Arguments: interface, MAC of the victim, then "advertisement SOURCE LIFETIME",
# "redirect4 GATEWAY VICTIM NEW DESTINATION" or "redirect6 GATEWAY VICTIM NEW DESTINATION".
FORGER = (
    CHECKSUM
    + """
import socket, sys

def packed(data):
    return struct.pack("!H", checksum(data))

def six(text):
    return socket.inet_pton(socket.AF_INET6, text)

def ipv4(source, destination, body):
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 1, 0, 64, 1, 0)
    head += socket.inet_aton(source) + socket.inet_aton(destination)
    return head[:10] + packed(head) + head[12:] + body

def icmp4(body):
    return body[:2] + packed(body) + body[4:]

def ipv6(source, destination, body):
    ends = six(source) + six(destination)
    body = body[:2] + packed(ends + struct.pack("!II", len(body), 58) + body) + body[4:]
    return struct.pack("!IHBB", 6 << 28, len(body), 58, 255) + ends + body

interface, victim, kind = sys.argv[1:4]
victim = bytes.fromhex(victim.replace(":", ""))
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind((interface, 0))
own = wire.getsockname()[4]
if kind == "advertisement":
    body = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, int(sys.argv[5]), 0, 0) + b"\\x01\\x01" + own
    packet = ipv6(sys.argv[4], "ff02::1", body)
elif kind == "redirect4":
    gateway, source, new, destination = sys.argv[4:]
    # An echo reply: the kernel looks for a socket only with other packets.
    sent = ipv4(source, destination, icmp4(struct.pack("!BBHHH", 0, 0, 0, 1, 1)))
    packet = ipv4(gateway, source, icmp4(struct.pack("!BBH", 5, 1, 0) + socket.inet_aton(new) + sent))
else:
    gateway, source, new, destination = sys.argv[4:]
    body = struct.pack("!BBHI", 137, 0, 0, 0) + six(new) + six(destination) + b"\\x02\\x01" + own
    packet = ipv6(gateway, source, body)
wire.send(victim + own + (b"\\x08\\x00" if kind == "redirect4" else b"\\x86\\xdd") + packet)
"""
)


@pytest.fixture
def link_of_two():
    """A managed host that believes what routers say, and an outsider on the same link."""
    with Host() as managed, Host() as outsider:
        link(managed, ["192.0.2.1/24", "2001:db8::1/64"], outsider, ["192.0.2.2/24", "2001:db8::2/64"], "eth0")
        outsider.shell(f"ip address add {ROUTER}/64 dev eth0 nodad; ip address add 192.0.2.3/24 dev eth0")
        outsider.shell("ip address add fe80::3/64 dev eth0 nodad")
        managed.shell(
            "sysctl -qw net.ipv6.conf.eth0.accept_ra=2 net.ipv6.conf.eth0.accept_redirects=1 "
            "net.ipv4.conf.all.accept_redirects=1 net.ipv4.conf.eth0.accept_redirects=1"
        )
        managed.shell("ip route add 203.0.113.0/24 via 192.0.2.2")
        managed.shell(f"ip -6 route add 2001:db8:9::/48 via {ROUTER} dev eth0")
        yield managed, outsider


def forge(managed: Host, outsider: Host, *message: str) -> None:
    """Send the message, and return when the managed host has certainly judged it."""
    hardware = managed.run("ip", "-br", "link", "show", "dev", "eth0").split()[2]
    outsider.run(sys.executable, "-c", FORGER, "eth0", hardware, *message)
    # The link keeps the order of packets.
    for address in ("192.0.2.1", "2001:db8::1"):
        outsider.run("ping", "-c", "1", "-W", "5", address)


def takes_advertisement(managed: Host, outsider: Host) -> bool:
    """Whether a router advertisement gives the managed host a default route. Takes the route away again."""
    forge(managed, outsider, "advertisement", ROUTER, "1800")
    found = managed.run("ip", "-6", "route", "show", "default", "proto", "ra")
    assert found == "" or ROUTER in found
    managed.run("ip", "-6", "route", "flush", "default", "proto", "ra")
    return found != ""


def takes_redirect(managed: Host, outsider: Host, family: str) -> bool:
    """Whether a redirect changes the managed host's next hop. Forgets the change again."""
    gateway, victim, new, destination = {
        "4": ("192.0.2.2", "192.0.2.1", "192.0.2.3", "203.0.113.9"),
        "6": (ROUTER, "2001:db8::1", "fe80::3", "2001:db8:9::1"),
    }[family]
    managed.run("ping", "-c", "1", "-W", "5", "-I", "eth0", new)  # the kernel wants to know the new router
    forge(managed, outsider, f"redirect{family}", gateway, victim, new, destination)
    route = managed.run("ip", f"-{family}", "route", "get", destination).split()
    found = route[route.index("via") + 1]
    assert found in (gateway, new)
    managed.run("ip", f"-{family}", "route", "flush", "cache")
    return found == new


MESSAGES = {
    "advertisement": ("ip6tables", "ipv6-icmp --icmpv6-type 134", takes_advertisement),
    "redirect4": ("iptables", "icmp --icmp-type 5", lambda *hosts: takes_redirect(*hosts, "4")),
    "redirect6": ("ip6tables", "ipv6-icmp --icmpv6-type 137", lambda *hosts: takes_redirect(*hosts, "6")),
}


@pytest.mark.parametrize("variant", ["nft", "legacy"])
@pytest.mark.parametrize("message", MESSAGES)
def test_the_hosts_own_rule_decides_about_routers(link_of_two, message, variant):
    managed, outsider = link_of_two
    tool, match, takes = MESSAGES[message]
    drop = f"INPUT -p {match} -j DROP".split()
    assert takes(managed, outsider)  # the control: without any rule
    managed.run(f"{tool}-{variant}", "-A", *drop)
    assert not takes(managed, outsider)
    for mode in ("permit", "restrict"):
        wanted = policy(mode, PEERS, [rule("tcp", "8000", "friends")], [rule("tcp", "443", "anybody")], [SSH])
        assert managed.apply(wanted)["variant"] == variant
        assert not takes(managed, outsider)
        managed.run(f"{tool}-{variant}", "-D", *drop)
        assert takes(managed, outsider)  # we accept nothing, and we drop nothing
        managed.run(f"{tool}-{variant}", "-A", *drop)


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def lab(request):
    hosts = {"agent": "determined_agents", "outsider": "determined_outsiders"}
    with SystemdLab(hosts, release=request.param) as booted:
        booted.shell("agent", "systemctl enable --quiet --now firewalld")
        booted.shell("agent", "sysctl -qw net.ipv6.conf.eth0.accept_ra=2")
        yield booted


def agent_takes_advertisement(lab: SystemdLab) -> bool:
    """As above, on booted hosts. The forged router keeps its own link-local address."""
    addresses = lab.shell("outsider", "ip -6 -br address show dev eth0 scope link").split()
    router = next(word.split("/")[0] for word in addresses if word.startswith("fe80"))
    hardware = lab.shell("agent", "cat /sys/class/net/eth0/address").strip()
    done = lab.run("outsider", "python3", "-c", FORGER, "eth0", hardware, "advertisement", router, "1800")
    assert done.returncode == 0, done.stderr
    assert lab.connects("outsider", lab.addresses["agent"][1], 22)  # the link keeps the order of packets
    found = lab.shell("agent", "ip -6 route show default proto ra")
    lab.shell("agent", "ip -6 route flush default proto ra")
    assert found == "" or router in found
    return found != ""


# The policy allow-host-ipv6 of firewalld accepts router advertisements, so a policy of the host is placed before it.
GUARD = """
firewall-cmd --quiet --permanent --new-policy=guard
firewall-cmd --quiet --permanent --policy=guard --set-priority=-20000
firewall-cmd --quiet --permanent --policy=guard --add-ingress-zone=ANY
firewall-cmd --quiet --permanent --policy=guard --add-egress-zone=HOST
firewall-cmd --quiet --permanent --policy=guard --add-rich-rule="$RULE"
firewall-cmd --quiet --reload
"""
DROP = "rule family=ipv6 icmp-type name=router-advertisement drop"


def test_a_policy_of_the_host_drops_router_advertisements_on_firewalld(lab):
    assert agent_takes_advertisement(lab)
    lab.shell("agent", f"RULE='{DROP}'\n{GUARD}")
    assert not agent_takes_advertisement(lab)
    for mode in ("permit", "restrict"):
        wanted = policy(mode, PEERS, [rule("tcp", "8000", "friends")], [rule("tcp", "443", "anybody")], [SSH])
        result = lab.task("agent", "determined.network.firewall", policy=wanted)
        assert result.get("confirmed"), result
        assert result["backend"] == "firewalld"
        assert not agent_takes_advertisement(lab)
        lab.shell("agent", f"firewall-cmd --quiet --policy=guard --remove-rich-rule='{DROP}'")
        assert agent_takes_advertisement(lab)  # we accept nothing, and we drop nothing
        lab.shell("agent", f"firewall-cmd --quiet --policy=guard --add-rich-rule='{DROP}'")
