"""Packets from outside that bear an address of the host itself, and packets that only look like them."""

from __future__ import annotations

import sys

import pytest
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld import nft_table
from ansible_collections.determined.network.plugins.module_utils._policy import HostPolicy

from ._firewall_host import Host, link, policy, rule
from ._forger import CHECKSUM

PORT = 5353
TABLES = ["iptables-nft", "iptables-legacy", "nft"]
# The peers of a policy hold all hosts of a role, and so the host itself.
AGENTS = {"ipv4": ["192.0.2.1", "192.0.2.3"], "ipv6": ["2001:db8::1", "fe80::/10"]}
RESTRICT = policy("restrict", {"agents": AGENTS}, [rule("udp", str(PORT), "agents")])

# Arguments: group or "" (then any address), seconds. Says what it receives, and from whom.
RECEIVER = """
import socket, struct, sys
group, port = sys.argv[1], int(sys.argv[2])
sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
if "." in group:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, struct.pack(
        "=4s4si", socket.inet_aton(group), b"\\0" * 4, socket.if_nametoindex("eth0")))
elif group:
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, socket.inet_pton(socket.AF_INET6, group)
        + struct.pack("=I", socket.if_nametoindex("eth0")))
sock.bind(("", port))
print("ready", flush=True)
while True:
    print(sock.recv(100).decode(), flush=True)
"""
SENDER = """
import socket, sys
to, port = sys.argv[1], int(sys.argv[2])
sock = socket.socket(socket.AF_INET6 if ":" in to else socket.AF_INET, socket.SOCK_DGRAM)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
sock.sendto(sys.argv[3].encode(), (to, port))
"""
# A datagram with any source, as a frame. Arguments: MAC of the victim, source, destination, port, data.
FORGED_DATAGRAM = (
    CHECKSUM
    + """
import socket, sys
source, to, port, data = sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5].encode()
ends = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, to)
def udp(value):
    return struct.pack("!HHHH", 4000, port, 8 + len(data), value) + data
body = udp(checksum(ends + struct.pack("!II", len(udp(0)), 17) + udp(0)))
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind(("eth0", 0))
victim = bytes.fromhex(sys.argv[1].replace(":", ""))
head = struct.pack("!IHBB", 6 << 28, len(body), 17, 64)
wire.send(victim + wire.getsockname()[4] + struct.pack("!H", 0x86DD) + head + ends + body)
"""
)


class Two:
    """A managed host and an outsider on its link."""

    def __init__(self, managed: Host, outsider: Host, tables: str):
        self.managed, self.outsider, self.tables = managed, outsider, tables

    def restrict(self) -> None:
        if self.tables == "nft":
            table = nft_table.render(HostPolicy.from_dict(RESTRICT), ("ipv4", "ipv6"), ())
            self.managed.run("nft", "-f", "-", stdin=nft_table.replacing(table))
            return
        variant = self.tables.partition("-")[2]
        self.managed.shell(f"for t in iptables ip6tables; do $t-{variant} -A OUTPUT -p sctp -j ACCEPT; done")
        assert self.managed.apply(RESTRICT)["variant"] == variant

    def receiver(self, group: str = ""):
        receiver = self.managed.start(sys.executable, "-c", RECEIVER, group, str(PORT))
        assert receiver.stdout.readline() == "ready\n"
        return receiver

    def forge(self, source: str, to: str, data: str) -> None:
        hardware = self.managed.run("ip", "-br", "link", "show", "dev", "eth0").split()[2]
        self.outsider.run(sys.executable, "-c", FORGED_DATAGRAM, hardware, source, to, str(PORT), data)


@pytest.fixture(params=TABLES)
def two(request):
    with Host() as managed, Host() as outsider:
        link(managed, ["192.0.2.1/24", "2001:db8::1/64"], outsider, ["192.0.2.2/24", "2001:db8::2/64"], "eth0")
        yield Two(managed, outsider, request.param)


def link_local(host: Host) -> str:
    """The address that the kernel gave to eth0 on its link, once it is sure that nobody else has it."""
    host.wait_until(lambda: "tentative" not in host.run("ip", "-6", "address", "show", "dev", "eth0"))
    (line,) = host.run("ip", "-6", "-br", "address", "show", "dev", "eth0", "scope", "link").splitlines()
    return line.split()[2].partition("/")[0]


def test_whoever_bears_the_hosts_own_address_is_no_agent(two):
    """In IPv6 the kernel delivers such a packet, and the rule for the hosts of a role permits it."""
    own = link_local(two.managed)
    link_local(two.outsider)  # before it has one, an honest datagram has another source, which no rule permits
    receiver = two.receiver()
    for address in ("2001:db8::1", own):
        two.forge(address, address, "the control")
        assert receiver.stdout.readline() == "the control\n"
    two.restrict()
    two.forge("2001:db8::1", "2001:db8::1", "forged")
    two.forge(own, own, "forged")
    two.forge("2001:db8::1", own, "forged")
    # An honest datagram comes later than they would.
    two.outsider.run(sys.executable, "-c", SENDER, f"{own}%eth0", str(PORT), "honest")
    assert receiver.stdout.readline() == "honest\n"


@pytest.mark.parametrize("group", ["224.0.0.251", "ff02::fb", "192.0.2.255"])
def test_a_host_hears_its_own_multicasts_and_broadcasts(two, group):
    """The kernel passes a copy back to the host as if it had arrived on eth0."""
    two.managed.shell("ip route add 224.0.0.0/4 dev eth0")
    receiver = two.receiver("" if group.endswith("255") else group)
    two.restrict()
    two.managed.run(sys.executable, "-c", SENDER, group, str(PORT), "to all")
    assert receiver.stdout.readline() == "to all\n"


def test_a_router_may_have_an_address_that_the_host_has_on_another_link(two):
    """fe80::1 is often a router's, and Docker gives it to its bridge."""
    two.managed.shell(
        "ip link add bridge9 type veth peer name port9; ip link set bridge9 up; ip link set port9 up;"
        "ip addr add fe80::1/64 dev bridge9 nodad"
    )
    two.outsider.shell("ip addr add fe80::1/64 dev eth0 nodad; ip addr add 2001:db8:5::1/128 dev lo")
    two.managed.shell("ip -6 route add default via fe80::1 dev eth0")
    two.restrict()
    two.managed.run("ping", "-c1", "-W3", "2001:db8:5::1")
    # The control: the same rule without the exception for the link.
    two.managed.shell(
        "ip -6 neigh flush dev eth0; ip6tables -t raw -I PREROUTING -i eth0 -m addrtype --src-type LOCAL -j DROP"
    )
    assert "100% packet loss" in two.managed.run("ping", "-c1", "-W1", "2001:db8:5::1", check=False)
