"""What an outsider on the same link can send to a host, and what must not get through.

Each attack is first made against a host without our rules, where it has to work: otherwise it would prove nothing.
"""

from __future__ import annotations

import sys

import pytest
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld import nft_table
from ansible_collections.determined.network.plugins.module_utils._policy import HostPolicy

from ._firewall_host import Host, link, policy, rule

PORT, SOURCE_PORT = 8000, 41000
ADDRESSES = {"4": ("192.0.2.1", "192.0.2.2"), "6": ("2001:db8::1", "2001:db8::2")}
SSH = rule("tcp", "22", "management", "management")
ANYBODY = {"ipv4": ["0.0.0.0/0"], "ipv6": ["::/0"]}

# Sends TCP segments with any source, as frames. Arguments: interface, MAC of the victim, and for each segment source
# address, source port, destination address, destination port, flags (S, A), and "md5" for an option TCP-MD5.
FORGER = """
import socket, struct, sys

def checksum(data):
    data += b"\\0" * (len(data) % 2)
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF

def segment(source, sport, destination, dport, flags, md5):
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    ends = socket.inet_pton(family, source) + socket.inet_pton(family, destination)
    options = b"\\x01\\x01\\x13\\x12" + b"\\0" * 16 if md5 else b""  # RFC 2385
    bits = sum({"S": 2, "A": 16}[flag] for flag in flags)
    head = (20 + len(options)) // 4 << 4
    def tcp(value):
        return struct.pack("!HHIIBBHHH", sport, dport, 1000, 2000, head, bits, 65535, value, 0) + options
    if family == socket.AF_INET6:
        body = tcp(checksum(ends + struct.pack("!II", len(tcp(0)), 6) + tcp(0)))
        return struct.pack("!H", 0x86DD), struct.pack("!IHBB", 6 << 28, len(body), 6, 64) + ends + body
    body = tcp(checksum(ends + struct.pack("!BBH", 0, 6, len(tcp(0))) + tcp(0)))
    def ip(value):
        return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 1, 0, 64, 6, value) + ends
    return struct.pack("!H", 0x0800), ip(checksum(ip(0))) + body

interface, victim = sys.argv[1], bytes.fromhex(sys.argv[2].replace(":", ""))
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind((interface, 0))
own = wire.getsockname()[4]
for text in sys.argv[3:]:
    source, sport, destination, dport, flags, md5 = text.split(",")
    kind, packet = segment(source, int(sport), destination, int(dport), flags, md5 == "md5")
    wire.send(victim + own + kind + packet)
"""


CLIENT = """
import socket, struct, sys
address, port, source = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
sock.settimeout(0.8)
try:
    sock.bind(("", source))
    sock.connect((address, port))
    sock.send(b"ping")
    print("open" if sock.recv(10) == b"pong" else "odd")
except socket.timeout:
    print("filtered")
except OSError as problem:
    print(problem)
"""


@pytest.fixture
def link_of_two():
    """A managed host with a service, and an outsider on the same link."""
    with Host() as managed, Host() as outsider:
        link(managed, ["192.0.2.1/24", "2001:db8::1/64"], outsider, ["192.0.2.2/24", "2001:db8::2/64"], "eth0")
        for family in "46":
            managed.listen(family, "tcp", PORT)
        yield managed, outsider


def forge(managed: Host, outsider: Host, *segments: str) -> None:
    # /sys shows the interfaces of the namespace in which it was mounted.
    hardware = managed.run("ip", "-br", "link", "show", "dev", "eth0").split()[2]
    outsider.run(sys.executable, "-c", FORGER, "eth0", hardware, *segments)


def connect(outsider: Host, address: str, source_port: int) -> str:
    """A connection from this source port, ended by a reset -> "open" if the service answered, or what went wrong."""
    return outsider.run(sys.executable, "-c", CLIENT, address, str(PORT), str(source_port)).strip()


def crafted_sequence(managed: Host, outsider: Host, family: str, source_port: int) -> str:
    """Make connection tracking believe that a connection stands, and open one on its tuple -> what the SYN found.

    A segment with TCP-MD5 is dropped by a stack that has no key, without a reset, so its entry stays. A forged
    reply with the victim's own source is seen by connection tracking before routing drops it.
    """
    victim, own = ADDRESSES[family]
    forge(
        managed,
        outsider,
        f"{own},{source_port},{victim},{PORT},A,md5",
        f"{victim},{PORT},{own},{source_port},A,",
    )
    return connect(outsider, victim, source_port)


@pytest.mark.parametrize("variant", ["nft", "legacy"])
@pytest.mark.parametrize("family", ["4", "6"])
def test_a_connection_that_only_conntrack_believes_in_opens_nothing(link_of_two, family, variant):
    managed, outsider = link_of_two
    tool = {"4": "iptables", "6": "ip6tables"}[family] + f"-{variant}"
    # The control: rules that let back what conntrack calls established, and what looks like the middle of it.
    for words in (
        "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "-p tcp -m conntrack --ctstate NEW -m tcp --tcp-flags SYN,RST,ACK ACK -j ACCEPT",
        f"-p tcp --dport {PORT} -j DROP",
    ):
        managed.run(tool, "-A", "INPUT", *words.split())
    assert connect(outsider, ADDRESSES[family][0], SOURCE_PORT) == "filtered"
    assert crafted_sequence(managed, outsider, family, SOURCE_PORT + 1) == "open"
    managed.run(tool, "-F", "INPUT")

    restrict = policy("restrict", {"management": ANYBODY}, management=[SSH])
    assert managed.apply(restrict)["changed"]
    for attempt in range(3):
        assert crafted_sequence(managed, outsider, family, SOURCE_PORT + 10 + attempt) == "filtered"
    assert not managed.apply(restrict)["changed"]


@pytest.mark.parametrize("family", ["4", "6"])
def test_in_permit_a_reply_rule_accepts_no_new_connection(link_of_two, family):
    """The host's own rules close the port; our rule for replies from a service must not open it."""
    managed, outsider = link_of_two
    victim, own = ADDRESSES[family]
    tool = {"4": "iptables", "6": "ip6tables"}[family]
    managed.run(tool, "-A", "INPUT", "-p", "tcp", "--dport", str(PORT), "--syn", "-j", "DROP")
    control = f"-I INPUT 1 -p tcp --sport {SOURCE_PORT} -m conntrack --ctstate ESTABLISHED -j ACCEPT"
    managed.run(tool, *control.split())
    assert crafted_sequence(managed, outsider, family, SOURCE_PORT) == "open"
    managed.run(tool, *control.replace("-I INPUT 1", "-D INPUT").split())
    peers = {"services": {"ipv4": ["192.0.2.2"], "ipv6": ["2001:db8::2"]}}
    managed.apply(policy("permit", peers, outbound=[rule("tcp", str(SOURCE_PORT + 1), "services")]))
    assert crafted_sequence(managed, outsider, family, SOURCE_PORT + 1) == "filtered"


def test_the_table_beside_firewalld_judges_a_syn_as_new(link_of_two):
    """The table alone, without firewalld, which accepts what conntrack calls established."""
    managed, outsider = link_of_two
    described = HostPolicy.from_dict(policy("restrict", {"management": ANYBODY}, management=[SSH]))
    table = nft_table.text(nft_table.render(described, ("ipv4", "ipv6"), ()))
    naive = table.replace(
        "tcp flags & (syn | ack) != syn ct state established,related return", "ct state established,related return"
    )
    assert naive != table
    for family in "46":
        managed.run("nft", "-f", "-", stdin=f"flush ruleset\n{naive}")
        assert connect(outsider, ADDRESSES[family][0], SOURCE_PORT) == "filtered"
        assert crafted_sequence(managed, outsider, family, SOURCE_PORT + 1) == "open"
        managed.run("nft", "-f", "-", stdin=f"flush ruleset\n{table}")
        assert crafted_sequence(managed, outsider, family, SOURCE_PORT + 2) == "filtered"
