"""What an outsider on the same link can send to a host, and what must not get through.

Each attack is first made against a host without our rules, where it has to work: otherwise it would prove nothing.
"""

from __future__ import annotations

import re
import sys

import pytest
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld import nft_table
from ansible_collections.determined.network.plugins.module_utils._policy import HostPolicy

from ._firewall_host import Host, link, policy, rule
from ._forger import CLIENT, FORGER, SERVICE, naive_table

PORT, SOURCE_PORT = 8000, 41000
ADDRESSES = {"4": ("192.0.2.1", "192.0.2.2"), "6": ("2001:db8::1", "2001:db8::2")}
SSH = rule("tcp", "22", "management", "management")
ANYBODY = {"ipv4": ["0.0.0.0/0"], "ipv6": ["::/0"]}
OFFICE = {"ipv4": ["198.51.100.0/24"], "ipv6": ["2001:db8:1::/48"]}
RESTRICT = policy("restrict", {"management": ANYBODY}, management=[SSH])
TABLES = ["iptables-nft", "iptables-legacy", "nft"]
# Rules as many write them: what conntrack knows, and what looks like the middle of a connection, comes back in.
NAIVE = (
    "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    "-p tcp -m conntrack --ctstate NEW -m tcp --tcp-flags SYN,RST,ACK ACK -j ACCEPT",
    f"! -i lo -p tcp --dport {PORT} -j DROP",
)


class Managed(Host):
    """A managed host on the same link as an outsider, with a service on PORT that writes down what it receives."""

    def __init__(self, tables: str = "iptables-nft"):
        super().__init__()
        self.tables = tables
        self.outsider: Host

    def __enter__(self) -> Managed:
        super().__enter__()
        self._service = self.start(sys.executable, "-c", SERVICE, str(PORT))
        assert self._service.stdout.readline() == "ready\n"
        return self

    def received(self) -> list[str]:
        """What the service has received since the last call. The line of the last call of this method ends it."""
        said = self.run(sys.executable, "-c", CLIENT, "127.0.0.1", str(PORT), "0", "3", "until-here")
        assert said == "open\n"
        return list(iter(lambda: self._service.stdout.readline().strip(), "until-here"))

    def naive(self) -> None:
        """Rules that fall for the attacks, in the place of ours."""
        if self.tables == "nft":
            self.run("nft", "-f", "-", stdin=NAIVE_TABLE)
        for tool in self.tools():
            for words in NAIVE:
                self.run(tool, "-A", "INPUT", *words.split())

    def restrict(self, wanted: dict | None = None) -> None:
        """Our rules instead of the naive ones, for RESTRICT or another policy."""
        wanted = wanted or RESTRICT
        if self.tables == "nft":
            # The table alone, without the firewalld beside it, which accepts what conntrack calls established.
            described = HostPolicy.from_dict(wanted)
            table = nft_table.replacing(nft_table.render(described, ("ipv4", "ipv6"), ()))
            self.run("nft", "-f", "-", stdin=f"flush ruleset\n{table}")
            return
        for tool in self.tools():
            self.run(tool, "-F", "INPUT")
            self.run(tool, "-A", "OUTPUT", "-p", "sctp", "-j", "ACCEPT")  # the host's own rules are of this variant
        result = self.apply(wanted)
        assert result["changed"] and result["variant"] == self.tables.partition("-")[2]

    def tools(self) -> list[str]:
        variant = self.tables.partition("-")[2]
        return [f"iptables-{variant}", f"ip6tables-{variant}"] if variant else []

    def forge(self, *segments: str) -> str:
        """The outsider sends segments as frames to this host."""
        # /sys shows the interfaces of the namespace in which it was mounted.
        hardware = self.run("ip", "-br", "link", "show", "dev", "eth0").split()[2]
        return self.outsider.run(sys.executable, "-c", FORGER, "eth0", hardware, *segments)

    def connected(self, address: str, source_port: int, *more: str) -> str:
        """A connection of the outsider from this source port, ended by a reset -> "open", or what went wrong."""
        return self.outsider.run(
            sys.executable, "-c", CLIENT, address, str(PORT), str(source_port), *more, check=False
        ).strip()

    def crafted(self, family: str, source_port: int) -> str:
        """Make conntrack believe that a connection stands, and open one on its tuple -> what the SYN found.

        A segment with TCP-MD5 is dropped by a stack that has no key, without a reset, so its entry stays. A forged
        reply with the victim's own source is seen by connection tracking before routing drops it.
        """
        victim, own = ADDRESSES[family]
        self.forge(f"{own},{source_port},{victim},{PORT},A,md5", f"{victim},{PORT},{own},{source_port},A,")
        return self.connected(victim, source_port)

    def entries(self) -> list[str]:
        """What connection tracking remembers of the outsider's connections to PORT."""
        text = self.run("conntrack", "-L")
        return [line for line in text.splitlines() if f"dport={PORT} " in line and "src=127.0.0.1" not in line]


NAIVE_TABLE = naive_table(PORT, 'iifname != "lo" ')


@pytest.fixture
def managed(request):
    """A managed host whose rules are in the tables that a test names, and its outsider."""
    with Managed(getattr(request, "param", "iptables-nft")) as host, Host() as outsider:
        link(host, ["192.0.2.1/24", "2001:db8::1/64"], outsider, ["192.0.2.2/24", "2001:db8::2/64"], "eth0")
        host.outsider = outsider
        yield host


@pytest.mark.parametrize("managed", TABLES, indirect=True)
@pytest.mark.parametrize("family", ["4", "6"])
def test_a_connection_that_only_conntrack_believes_in_opens_nothing(managed, family):
    managed.naive()
    assert managed.connected(ADDRESSES[family][0], SOURCE_PORT) == "filtered"
    assert managed.crafted(family, SOURCE_PORT + 1) == "open"
    managed.restrict()
    for attempt in range(3):
        assert managed.crafted(family, SOURCE_PORT + 10 + attempt) == "filtered"
    # Not even the entry of before lets a SYN in.
    assert managed.connected(ADDRESSES[family][0], SOURCE_PORT + 1) == "filtered"


@pytest.mark.parametrize("managed", TABLES, indirect=True)
@pytest.mark.parametrize("family", ["4", "6"])
def test_the_middle_of_no_connection_leaves_no_entry(managed, family):
    """Each entry costs memory, and a full table refuses the connections of everybody."""
    victim, own = ADDRESSES[family]
    middle = f"{own},count*3000,{victim},{PORT},A,md5"
    both = (middle, f"{victim},{PORT},{own},count*3000,A,", middle)
    managed.naive()
    managed.forge(*both)
    found = managed.entries()
    assert len(found) == 3000 and all("[ASSURED]" in line for line in found)
    managed.run("conntrack", "-F")
    managed.restrict()
    managed.forge(*both)
    assert managed.entries() == []


@pytest.mark.parametrize("managed", TABLES, indirect=True)
@pytest.mark.parametrize("family", ["4", "6"])
def test_on_a_permitted_port_a_forged_reply_makes_no_entry_last(managed, family):
    """A permitted host may send the middle of a connection: it gets a reset, and learns that the connection is gone."""
    victim, own = ADDRESSES[family]
    middle = f"{own},count*300,{victim},{PORT},A,md5"
    both = (middle, f"{victim},{PORT},{own},count*300,A,", middle)
    managed.naive()
    managed.forge(*both)
    assert sum("[ASSURED]" in line for line in managed.entries()) == 300
    managed.run("conntrack", "-F")
    managed.restrict(policy("restrict", {"all": ANYBODY}, [rule("tcp", str(PORT), "all")]))
    assert managed.connected(victim, SOURCE_PORT) == "open"
    managed.run("conntrack", "-F")
    managed.forge(*both)
    found = managed.entries()
    assert len(found) == 300 and all("[UNREPLIED]" in line for line in found)
    assert max(int(re.match(r"\S+ +6 (\d+)", line).group(1)) for line in found) <= 300


@pytest.mark.parametrize("managed", TABLES, indirect=True)
@pytest.mark.parametrize("family", ["4", "6"])
def test_a_session_that_the_host_has_reset_opens_no_new_one(managed, family):
    """Connection tracking remembers it for ten seconds, and takes a SYN on its ports for a part of it."""
    victim, _own = ADDRESSES[family]
    managed.naive()
    # Remembered for longer here, so that the test does not depend on the speed of this machine.
    managed.run("sysctl", "-qw", "net.netfilter.nf_conntrack_tcp_timeout_close=300")
    if managed.tables == "nft":
        lift, close = "insert rule inet naive input tcp dport 8000 return", "flush ruleset\n" + NAIVE_TABLE
        managed.run("nft", "-f", "-", stdin=lift)
    for tool in managed.tools():
        managed.run(tool, "-I", "INPUT", "-p", "tcp", "--dport", str(PORT), "-j", "ACCEPT")
    assert "reset by peer" in managed.connected(victim, SOURCE_PORT, "2", "reset")
    if managed.tables == "nft":
        managed.run("nft", "-f", "-", stdin=close)
    for tool in managed.tools():
        managed.run(tool, "-D", "INPUT", "-p", "tcp", "--dport", str(PORT), "-j", "ACCEPT")
    assert managed.connected(victim, SOURCE_PORT) == "open", "the control"
    assert managed.connected(victim, SOURCE_PORT + 1) == "filtered"

    managed.run("conntrack", "-F")
    managed.restrict(policy("restrict", {"all": ANYBODY}, [rule("tcp", str(PORT), "all")]))
    assert "reset by peer" in managed.connected(victim, SOURCE_PORT + 2, "2", "reset")
    if managed.tables == "nft":
        managed.restrict()
    else:
        assert managed.apply(RESTRICT)["changed"]
    assert any(f"sport={SOURCE_PORT + 2} " in line for line in managed.entries()), "it is still remembered"
    assert managed.connected(victim, SOURCE_PORT + 2) == "filtered"


@pytest.mark.parametrize("managed", TABLES, indirect=True)
@pytest.mark.parametrize("family", ["4", "6"])
def test_a_syn_cookie_from_before_delivers_nothing_afterwards(managed, family):
    """The ACK with a valid cookie opens a connection without any SYN that the rules could judge."""
    victim, own = ADDRESSES[family]
    managed.run("sysctl", "-qw", "net.ipv4.tcp_syncookies=2")
    managed.outsider.shell("for t in iptables ip6tables; do $t -A OUTPUT -p tcp --tcp-flags RST RST -j DROP; done")

    def cookie(port: int) -> str:
        return managed.forge(f"?{own},{port},{victim},{PORT},S,").strip()

    def deliver(port: int, number: str) -> list[str]:
        managed.forge(f"{own},{port},{victim},{PORT},A,,{number},stolen")
        return managed.received()

    first, second, third = (cookie(SOURCE_PORT + number) for number in range(3))
    assert deliver(SOURCE_PORT, first) == ["stolen"], "the control, without any rules"
    managed.naive()
    assert deliver(SOURCE_PORT + 1, second) == ["stolen"], "the control, with rules that let the middle through"
    managed.restrict()
    assert deliver(SOURCE_PORT + 2, third) == []


@pytest.mark.parametrize("family", ["4", "6"])
def test_in_permit_a_reply_rule_accepts_no_new_connection(managed, family):
    """The host's own rules close the port; our rule for replies from a service must not open it."""
    tool = {"4": "iptables", "6": "ip6tables"}[family]
    managed.run(tool, "-A", "INPUT", "-p", "tcp", "--dport", str(PORT), "--syn", "-j", "DROP")
    control = f"-I INPUT 1 -p tcp --sport {SOURCE_PORT} -m conntrack --ctstate ESTABLISHED -j ACCEPT"
    managed.run(tool, *control.split())
    assert managed.crafted(family, SOURCE_PORT) == "open"
    managed.run(tool, *control.replace("-I INPUT 1", "-D INPUT").split())
    peers = {"services": {"ipv4": ["192.0.2.2"], "ipv6": ["2001:db8::2"]}}
    managed.apply(policy("permit", peers, outbound=[rule("tcp", str(SOURCE_PORT + 1), "services")]))
    assert managed.crafted(family, SOURCE_PORT + 1) == "filtered"
