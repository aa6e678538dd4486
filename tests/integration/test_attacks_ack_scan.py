"""A scan with ACKs, and what the resets that come back tell an outsider.

A stack resets an ACK of no connection, whether the port is open or closed. A published port is answered by a container:
its reset has passed one router more, so its time to live tells it from the host's own ports. And each reset of the host
counts where a verification counts resets of closed ports.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from ._firewall_host import Host, link
from ._forger import SEGMENTS
from .test_attacks import ADDRESSES, PORT, TABLES, Managed

PUBLISHED, CLOSED = 8080, 8001
CONTAINER = {"4": "203.0.113.2", "6": "2001:db8:c::2"}

# Sends an ACK to each port; on a line of input prints the time to live of the reset from each port. Arguments:
# interface, MAC of the victim, source address, address of the victim, ports.
SCANNER = (
    SEGMENTS
    + """
import json
import subprocess
interface, victim, source, destination = sys.argv[1:5]
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
wire.bind((interface, 0))
frame = bytes.fromhex(victim.replace(":", "")) + wire.getsockname()[4]
for port in sys.argv[5:]:
    wire.send(frame + b"".join(segment(source, 50000, destination, int(port), "A", False)))
print("sent", flush=True)
sys.stdin.readline()
wire.setblocking(False)
found = {}
try:
    while True:
        data = wire.recv(2000)
        start, life = {0x0800: (34, 22), 0x86DD: (54, 21)}.get(struct.unpack_from("!H", data, 12)[0], (0, 0))
        if start and len(data) >= start + 20:
            port, to, _number, _seen, _head, bits = struct.unpack_from("!HHIIBB", data, start)
            if to == 50000 and bits & 4:
                found[port] = data[life]
except BlockingIOError:
    print(json.dumps(found))
"""
)


@pytest.fixture
def managed(request):
    """A managed host, an outsider on its link, and a container with a published port behind it."""
    with Managed(request.param) as host, Host() as outsider, Host() as container:
        link(host, ["192.0.2.1/24", "2001:db8::1/64"], outsider, ["192.0.2.2/24", "2001:db8::2/64"], "eth0")
        link(host, ["203.0.113.1/24", "2001:db8:c::1/64"], container, ["203.0.113.2/24", "2001:db8:c::2/64"], "docker0")
        container.shell("ip route add default via 203.0.113.1; ip -6 route add default via 2001:db8:c::1")
        host.shell("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")
        variant = host.tables.partition("-")[2] or "legacy"
        for family, tool, end in (("4", "iptables", "203.0.113.2:80"), ("6", "ip6tables", "[2001:db8:c::2]:80")):
            container.listen(family, "tcp", 80)
            publish = f"-i eth0 -p tcp --dport {PUBLISHED} -j DNAT --to-destination {end}"
            host.run(f"{tool}-{variant}", "-t", "nat", "-A", "PREROUTING", *publish.split())
        host.outsider = outsider
        yield host


def scan(managed: Host, family: str) -> dict[str, int]:
    """Port -> time to live of the reset that came back from it."""
    victim, own = ADDRESSES[family]
    hardware = managed.run("ip", "-br", "link", "show", "dev", "eth0").split()[2]
    ports = [str(port) for port in (PORT, CLOSED, PUBLISHED)]
    command = managed.outsider.enter(sys.executable, "-c", SCANNER, "eth0", hardware, own, victim, *ports)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as scanner:
        assert scanner.stdout.readline() == "sent\n"
        # Every link keeps the order of packets, so a reset is there before these echoes.
        for address in (CONTAINER[family], own):
            managed.run("ping", "-c", "1", "-W", "5", address)
        return json.loads(scanner.communicate("\n")[0])


def resets(managed: Host) -> int:
    """The counter of resets of the host's own stack."""
    names, values = [line.split() for line in managed.run("cat", "/proc/net/snmp").splitlines() if line[:4] == "Tcp:"]
    return int(values[names.index("OutRsts")])


@pytest.mark.parametrize("managed", TABLES, indirect=True)
@pytest.mark.parametrize("family", ["4", "6"])
def test_an_ack_of_no_connection_gets_no_reset_that_tells_ports_apart(managed, family):
    # The control: every port answers, and the published one is told apart by its time to live.
    counted = resets(managed)
    assert scan(managed, family) == {str(PORT): 64, str(CLOSED): 64, str(PUBLISHED): 63}
    assert resets(managed) == counted + 2
    managed.restrict()
    counted = resets(managed)
    assert scan(managed, family) == {}
    assert resets(managed) == counted
