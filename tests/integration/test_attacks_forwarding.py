"""What other hosts reach through a managed host, with the host as their router, and what must go on.

Each attack is first made without our rules, where it has to work: otherwise it would prove nothing.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld import (
    nft_listing,
    nft_table,
)

from ._firewall_host import COLLECTIONS, Host, link, policy, rule

# How rules are written: by the two variants of iptables, or as the table beside firewalld.
WAYS = ["nft", "legacy", "table"]
SERVICE, PUBLISHED = 80, 2600
OUTSIDER = {"4": "192.0.2.2", "6": "2001:db8::2"}
MANAGED = {"4": "192.0.2.1", "6": "2001:db8::1"}
MASTER = {"4": "198.51.100.2", "6": "2001:db8:1::2"}
# The networks behind the host and the address of a service, which is no host's own.
NETWORK = {"4": "203.0.113.{}", "6": "2001:db8:f00::{}"}
SERVICE_ADDRESS = {"4": "203.0.113.250", "6": "2001:db8:5e::1"}
LATER = {"4": "203.0.113.1{}", "6": "2001:db8:f01::1{}"}
FORWARD = [
    {"from": ["192.0.2.0/24", "2001:db8::/64"], "to": ["203.0.113.0/24", "2001:db8:f00::/56", "2001:db8:5e::/64"]}
]

# The table as the backend firewalld writes it, for the interfaces of the host on which this runs.
TABLE = """
import json, sys
from ansible_collections.determined.network.plugins.module_utils import _policy
from ansible_collections.determined.network.plugins.module_utils._firewall import (
    container_interfaces, outer_interfaces, permitted_forwarding)
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld import nft_table
from ansible_collections.determined.network.plugins.module_utils._host.runner import Runner
asked = json.load(sys.stdin)
patterns = container_interfaces.DEFAULT
found = Runner().drive(outer_interfaces.find(patterns, permitted_forwarding.read(asked["forward"])))
policy = _policy.HostPolicy.from_dict(asked["policy"])
print(nft_table.replacing(nft_table.render(policy, ("ipv4", "ipv6"), patterns, found.forwarding)))
"""


class World:
    """A managed host that routes between an outsider, the master, and a container on a bridge."""

    def __init__(self, way: str, hosts: dict[str, Host]):
        self.way, self.hosts = way, hosts
        self.managed, self.outsider = hosts["managed"], hosts["outsider"]
        self.variant = "legacy" if way == "legacy" else "nft"
        for family in "46":
            self.translate("POSTROUTING -o eth1 -j MASQUERADE", family)

    def translate(self, words: str, family: str) -> None:
        """Add a rule to table nat."""
        tool = {"4": "iptables", "6": "ip6tables"}[family]
        self.managed.run(f"{tool}-{self.variant}", "-t", "nat", "-A", *words.split())

    def apply(self, forward=()) -> dict:
        """Put restrict in place -> the module's result, or {} of the table alone."""
        peers = {"agents": {"ipv4": ["192.0.2.2"], "ipv6": ["2001:db8::2"]}}
        ports = [rule("tcp", str(PUBLISHED), "agents"), rule("udp", "4789", "agents")]
        wanted = policy("restrict", peers, ports)
        if self.way != "table":
            result = self.managed.apply(wanted, forward=list(forward))
            assert not result.get("failed"), result
            assert result["variant"] == self.variant
            assert not self.managed.apply(wanted, forward=list(forward))["changed"]
            info = self.managed.module("firewall_info", policy=wanted, forward=list(forward))
            assert info["drift"] == "" and info["foreign_before"] == []
            return result
        asked = json.dumps({"policy": wanted, "forward": list(forward)})
        text = self.managed.run("env", f"PYTHONPATH={COLLECTIONS}", sys.executable, "-c", TABLE, stdin=asked)
        self.managed.run("nft", "-f", "-", stdin=text)
        listed, _counters = nft_listing.parse(self.managed.run("nft", "-j", "list", "table", "inet", "determined"))
        assert nft_table.replacing(listed) == text.rstrip("\n") + "\n"
        return {}

    def network(self, bridge: str, host: str, addresses: dict[str, str]) -> None:
        """A bridge on the managed host, with one container or virtual machine behind it."""
        self.managed.shell(f"ip link add {bridge} type bridge; ip link set {bridge} up")
        link(self.managed, [], self.hosts[host], [self.of(addresses, "4", 2) + "/25"], f"v{bridge}")
        self.managed.run("ip", "link", "set", f"v{bridge}", "master", bridge)
        self.managed.run("ip", "address", "add", self.of(addresses, "4", 1) + "/29", "dev", bridge)
        self.managed.run("ip", "address", "add", self.of(addresses, "6", 1) + "/64", "dev", bridge, "nodad")
        inside = self.hosts[host]
        inside.run("ip", "address", "add", self.of(addresses, "6", 2) + "/64", "dev", f"v{bridge}", "nodad")
        for family in "46":
            inside.run("ip", f"-{family}", "route", "replace", "default", "via", self.of(addresses, family, 1))

    @staticmethod
    def of(addresses: dict[str, str], family: str, number: int) -> str:
        return addresses[family].format(number)

    def reached(self, addresses: dict[str, str]) -> dict[str, set[str]]:
        """What is reached -> the families in which it is."""
        targets = {
            "direct": lambda family: (self.of(addresses, family, 2), SERVICE),
            "service": lambda family: (SERVICE_ADDRESS[family], SERVICE),
            "relay": lambda family: (MASTER[family], SERVICE),
            "published": lambda family: (MANAGED[family], PUBLISHED),
        }
        asked = {
            (name, family): (self.outsider, *target(family)) for name, target in targets.items() for family in "46"
        }
        asked.update({("outbound", family): (self.hosts["inner"], OUTSIDER[family], 8080) for family in "46"})
        with ThreadPoolExecutor(len(asked)) as pool:
            answers = pool.map(lambda ask: ask[0].connect(ask[1], ask[2], timeout=1.5), asked.values())
            opened = {key for key, answer in zip(asked, answers, strict=True) if answer == "open"}
        return {name: {family for family in "46" if (name, family) in opened} for name in [*targets, "outbound"]}


BOTH = {"4", "6"}
OPEN = {"direct": BOTH, "service": BOTH, "relay": BOTH, "published": BOTH, "outbound": BOTH}
CLOSED = {**OPEN, "direct": set(), "service": set(), "relay": set()}


@pytest.fixture
def hosts():
    with Host() as managed, Host() as outsider, Host() as master, Host() as inner, Host() as later:
        for host in (managed, outsider, master, inner, later):
            host.run("sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0")  # no address is tentative at first
        link(managed, ["192.0.2.1/24", "2001:db8::1/64"], outsider, ["192.0.2.2/24", "2001:db8::2/64"], "eth0")
        link(managed, ["198.51.100.1/24", "2001:db8:1::1/64"], master, ["198.51.100.2/24", "2001:db8:1::2/64"], "eth1")
        managed.shell("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")
        for family in "46":
            outsider.run("ip", f"-{family}", "route", "add", "default", "via", MANAGED[family])
            outsider.listen(family, "tcp", 8080)
            for host in (master, inner, later):
                host.listen(family, "tcp", SERVICE)
        yield {"managed": managed, "outsider": outsider, "master": master, "inner": inner, "later": later}


@pytest.mark.parametrize(
    "way, bridge", [("nft", "foo0"), ("nft", "docker0"), ("legacy", "virbr0"), ("table", "foo0"), ("table", "docker0")]
)
def test_other_hosts_reach_only_what_is_published(hosts, way, bridge):
    world = World(way, hosts)
    world.network(bridge, "inner", NETWORK)
    for family in "46":
        inside = world.of(NETWORK, family, 2)
        target = f"[{inside}]:{SERVICE}" if family == "6" else f"{inside}:{SERVICE}"
        for address, port in ((SERVICE_ADDRESS[family], SERVICE), (MANAGED[family], PUBLISHED)):
            words = f"PREROUTING -d {address} -p tcp --dport {port} -j DNAT --to-destination {target}"
            world.translate(words, family)
    assert world.reached(NETWORK) == OPEN
    result = world.apply()
    assert world.reached(NETWORK) == CLOSED
    if result:
        (warning,) = [text for text in map(str, result["warnings"]) if "forwards packets" in text]
        assert "eth0, eth1" in warning and "determined_firewall_forward" in warning
    world.apply(FORWARD)
    assert world.reached(NETWORK) == {**OPEN, "relay": set()}


@pytest.mark.parametrize("way", WAYS)
def test_a_network_that_is_made_later_is_closed_and_reaches_the_outside(hosts, way):
    world = World(way, hosts)
    world.network("foo0", "inner", NETWORK)
    world.apply()
    world.network("research", "later", LATER)
    for family in "46":
        inside = world.of(LATER, family, 2)
        assert world.managed.connect(inside, SERVICE) == "open"
        assert world.outsider.connect(inside, SERVICE, timeout=0.4) == "filtered"
        assert hosts["later"].connect(OUTSIDER[family], 8080) == "open"
    # The control: without our rules the same way is open.
    if way == "table":
        world.managed.run("nft", "delete", "table", "inet", "determined")
    else:
        world.managed.apply(None)
    for family in "46":
        assert world.outsider.connect(world.of(LATER, family, 2), SERVICE) == "open"


@pytest.mark.parametrize("way", WAYS)
def test_a_bridge_to_other_hosts_is_no_container_network_and_its_frames_pass(hosts, way):
    """A bridge named like Docker's, with a tunnel to the outsider as its port, and a virtual machine of the LAN."""
    world = World(way, hosts)
    managed, outsider = world.managed, world.outsider
    for host, far in ((managed, "192.0.2.2"), (outsider, "192.0.2.1")):
        host.shell(f"ip link add lan type vxlan id 7 dstport 4789 remote {far}; ip link set lan up")
    world.network("br-storage", "inner", NETWORK)
    managed.run("ip", "link", "set", "lan", "master", "br-storage")
    managed.shell("sysctl -qw net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=1")
    outsider.run("ip", "address", "add", world.of(NETWORK, "4", 3) + "/25", "dev", "lan")
    outsider.run("ip", "address", "add", world.of(NETWORK, "6", 3) + "/64", "dev", "lan", "nodad")
    for family in "46":
        managed.listen(family, "tcp", 9999)
        outsider.run("ip", f"-{family}", "route", "replace", "default", "via", world.of(NETWORK, family, 1))
        tool = {"4": "iptables", "6": "ip6tables"}[family] + f"-{world.variant}"
        # The control: the kernel shows frames within the bridge to iptables.
        managed.run(tool, "-I", "FORWARD", "-i", "br-storage", "-j", "DROP")
        assert outsider.connect(world.of(NETWORK, family, 2), SERVICE, timeout=0.4) == "filtered"
        managed.run(tool, "-D", "FORWARD", "-i", "br-storage", "-j", "DROP")
        assert outsider.connect(world.of(NETWORK, family, 1), 9999) == "open"
        assert outsider.connect(MASTER[family], SERVICE) == "open"
    result = world.apply()
    for family in "46":
        assert outsider.connect(world.of(NETWORK, family, 2), SERVICE) == "open"
        assert hosts["inner"].connect(world.of(NETWORK, family, 3), 8080) == "open"
        assert outsider.connect(world.of(NETWORK, family, 1), 9999, timeout=0.4) == "filtered"
        assert outsider.connect(MASTER[family], SERVICE, timeout=0.4) == "filtered"
    if result:
        assert "br-storage has the name of a container network, but its port lan" in str(result["warnings"])


def test_containers_that_the_firewall_does_not_see_are_named(hosts):
    """A macvlan on the host's card, in the network namespace of a container."""
    managed, container = hosts["managed"], hosts["inner"]
    managed.shell(f"ip link add own link eth0 netns {container.pid} type macvlan mode bridge")
    container.run("ip", "address", "add", "192.0.2.9/24", "dev", "own")
    container.run("ip", "link", "set", "own", "up")
    wanted = policy("restrict")
    for result in (managed.module("firewall", policy=wanted, _ansible_check_mode=True), managed.apply(wanted)):
        assert result["changed"] and "(macvlan, ipvlan) do not pass this host's firewall" in str(result["warnings"])
    # What the warning says is true.
    assert hosts["outsider"].connect("192.0.2.9", SERVICE) == "open"
