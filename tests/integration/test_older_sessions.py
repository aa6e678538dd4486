"""Sessions that are older than connection tracking go on when ``restrict`` is applied, and nobody else gets in by that.

The kernel tracks no connection in a new network namespace before the first rule asks for it. ``tcp_loose=0`` is the
setting of hosts that never take a packet for the middle of a connection that they have not seen from its beginning.
"""

from __future__ import annotations

import os
import sys

import pytest

from ._firewall_host import COLLECTIONS, Host, link, policy, rule

PORT = 4000
ADDRESSES = {"4": ("192.0.2.1", "192.0.2.2"), "6": ("2001:db8::1", "2001:db8::2")}
RESTRICT = policy("restrict", {"nobody": {"ipv4": ["198.51.100.9"]}}, [rule("tcp", "80", "nobody")])

# One end of a session; the other end is like it. It says what it receives, and sends what it reads.
PEER = """
import socket, sys, threading
if sys.argv[1] == "serve":
    server = socket.create_server(("::", int(sys.argv[2])), family=socket.AF_INET6, dualstack_ipv6=True)
    print("ready", flush=True)
    sock = server.accept()[0]
else:
    sock = socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)
    sock.settimeout(None)
def say():
    for line in iter(lambda: sock.recv(100).decode(), ""):
        print(line.strip(), flush=True)
threading.Thread(target=say, daemon=True).start()
print("connected", flush=True)
for line in sys.stdin:
    sock.sendall(line.encode())
"""


class Session:
    """A TCP connection between two hosts; each end is a process."""

    def __init__(self, server: Host, client: Host, address: str):
        self.server = server.start(sys.executable, "-c", PEER, "serve", str(PORT), stdin=-1)
        assert self.server.stdout.readline() == "ready\n"
        self.client = client.start(sys.executable, "-c", PEER, address, str(PORT), stdin=-1)
        assert self.client.stdout.readline() == self.server.stdout.readline() == "connected\n"

    def goes_on(self) -> None:
        """The client speaks first, and then the server."""
        for number, (left, right) in enumerate([(self.client, self.server), (self.server, self.client)]):
            left.stdin.write(f"word {number}\n")
            left.stdin.flush()
            assert right.stdout.readline() == f"word {number}\n"


@pytest.fixture
def two():
    with Host() as managed, Host() as other:
        link(managed, ["192.0.2.1/24", "2001:db8::1/64"], other, ["192.0.2.2/24", "2001:db8::2/64"], "eth0")
        yield managed, other


def received_by_rest(managed: Host) -> int:
    """The packets that the last rules of our chains have dropped."""
    info = managed.module("firewall_info", policy=RESTRICT)
    return sum(item["packets"] for item in info["rules"] if "nothing else" in item["rule"])


@pytest.mark.parametrize("loose", ["1", "0"])
@pytest.mark.parametrize("variant", ["nft", "legacy"])
@pytest.mark.parametrize("family", ["4", "6"])
def test_a_session_goes_on_whichever_end_opened_it(two, family, variant, loose):
    managed, other = two
    own, others = ADDRESSES[family]
    if variant == "legacy":
        managed.shell("for t in iptables ip6tables; do $t-legacy -A OUTPUT -p sctp -j ACCEPT; done")
    into, out = Session(managed, other, own), Session(other, managed, others)
    managed.run("sysctl", "-qw", f"net.netfilter.nf_conntrack_tcp_loose={loose}")
    result = managed.apply(RESTRICT)
    assert (
        result["changed"] and result["variant"] == variant and not any("older" in text for text in result["warnings"])
    )
    into.goes_on()
    out.goes_on()
    assert not managed.apply(RESTRICT)["changed"] and managed.module("firewall_info", policy=RESTRICT)["drift"] == ""
    # The rules let nobody else in: neither a new connection, nor the middle of one.
    assert other.connect(own, PORT, timeout=0.3) == "filtered"
    assert "sessions" not in managed.rules()


@pytest.mark.parametrize("family", ["4", "6"])
def test_without_an_entry_a_session_hangs(two, family):
    """The control: the same rules, and connection tracking that has forgotten the session."""
    managed, other = two
    session = Session(managed, other, ADDRESSES[family][0])
    managed.apply(RESTRICT)
    managed.run("conntrack", "-F")
    before = received_by_rest(managed)
    session.client.stdin.write("word\n")
    session.client.stdin.flush()
    managed.wait_until(lambda: received_by_rest(managed) > before)


_REMEMBER = """
from ansible_collections.determined.network.plugins.module_utils._firewall import older_sessions
print(older_sessions.remember())
"""


def test_what_the_kernel_refuses_is_a_warning_with_the_reason(two):
    managed, other = two
    session = Session(managed, other, ADDRESSES["4"][0])
    remember = (sys.executable, "-c", _REMEMBER)
    environment = {**os.environ, "PYTHONPATH": str(COLLECTIONS)}
    said = managed.run("setpriv", "--bounding-set=-net_admin", *remember, env=environment)
    assert "Operation not permitted" in said and "modprobe nf_conntrack_netlink" in said
    assert managed.run(*remember, env=environment) == "[]\n"
    assert len(managed.run("conntrack", "-L").splitlines()) == 1
    session.goes_on()
