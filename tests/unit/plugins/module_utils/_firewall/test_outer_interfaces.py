"""Which interfaces lead to other hosts, as ``ip -json -details address show`` and ``bridge -json fdb show`` say."""

import json

import pytest
from ansible_collections.determined.network.plugins.module_utils._firewall import outer_interfaces
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.forwarding import (
    OUTER_PATTERNS,
    Allowed,
    LanBridge,
)
from ansible_collections.determined.network.plugins.module_utils._firewall.container_interfaces import DEFAULT
from ansible_collections.determined.network.plugins.module_utils._host import commands

HEADER = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
ROUTES = HEADER + "%s\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"


def interface(name, kind=None, master=None, address=None, mac="02:00:00:00:00:01", tun=None):
    item = {"ifname": name, "link_type": "loopback" if name == "lo" else "ether", "address": mac, "addr_info": []}
    if kind:
        item["linkinfo"] = {"info_kind": kind, "info_data": {"type": tun} if tun else {}}
    if master:
        item["master"] = master
    for text in address or ():
        host, _slash, length = text.partition("/")
        family = "inet6" if ":" in host else "inet"
        scope = "link" if host.startswith("fe80") else "global"
        item["addr_info"].append({"family": family, "local": host, "prefixlen": int(length), "scope": scope})
    return item


class Machine:
    def __init__(self, *interfaces, default="eth0", bridge_filter=False, forwards="0", fdb=()):
        self.tools = {"ip": "/sbin/ip", "bridge": "/sbin/bridge"}
        self.outputs = {"ip": json.dumps([interface("lo"), {}, *interfaces]), "bridge": json.dumps(list(fdb))}
        self.default, self.bridge_filter, self.forwards = default, bridge_filter, forwards

    def answer(self, question):
        if isinstance(question, commands.FindTool):
            return self.tools.get(question.name)
        if isinstance(question, commands.Command):
            text = self.outputs[question.argv[0].rsplit("/", 1)[1]]
            return commands.Output(0, text, "") if text is not None else commands.Output(1, "", "no such option")
        if isinstance(question, commands.ListDirectory):
            return ("bridge-nf-call-iptables",) if self.bridge_filter else None
        if question.path == "/proc/net/route":
            return ROUTES % self.default
        return self.forwards + "\n" if "forward" in question.path else None

    def find(self, allowed=(), patterns=DEFAULT):
        conversation = outer_interfaces.find(patterns, allowed)
        try:
            question = next(conversation)
            while True:
                question = conversation.send(self.answer(question))
        except StopIteration as end:
            return end.value


def further(machine, **options):
    """The outer interfaces that no pattern covers."""
    outer = machine.find(**options).forwarding.outer
    assert outer[: len(OUTER_PATTERNS)] == OUTER_PATTERNS
    return outer[len(OUTER_PATTERNS) :]


@pytest.mark.parametrize(
    "outer, interfaces",
    [
        (["storage"], [interface("storage")]),
        (["lan.5"], [interface("lan.5", "vlan")]),
        (["vpn"], [interface("vpn", "wireguard")]),
        (["vpn"], [interface("vpn", "tun", tun="tun")]),
        (["strange"], [interface("strange", "a kind of next year")]),
        # In a container the uplink is one end of a pair.
        (["host0"], [interface("host0", "veth", address=["192.0.2.7/24"])]),
        ([], [interface("eth7", "veth", address=["192.0.2.7/24"])]),  # a pattern covers it
        # Containers, pods and virtual machines, in bridges with a name of their own and without a bridge.
        ([], [interface("foo0", "bridge", address=["192.0.2.1/24"]), interface("vethab", "veth", "foo0")]),
        ([], [interface("virbr0", "bridge"), interface("vnet3", "tun", "virbr0", tun="tap")]),
        (
            [],
            [interface("cali1", "veth", address=["fe80::1/64"]), interface("cali2", "veth", address=["192.0.2.9/32"])],
        ),
        ([], [interface("empty", "bridge"), interface("dummy0", "dummy", address=["192.0.2.1/24"])]),
        # The ports of a bond deliver nothing by themselves.
        (["lan"], [interface("lan", "bond"), interface("port1", None, "lan"), interface("port2", None, "lan")]),
    ],
)
def test_interfaces_to_other_hosts_are_found_by_their_kind(outer, interfaces):
    assert further(Machine(*interfaces)) == tuple(outer)
    assert Machine(*interfaces).find().forwarding.lan_bridges == ()


def test_an_interface_that_carries_the_default_route_is_outer():
    assert further(Machine(interface("up", "veth"), default="up")) == ("up",)
    bridges = Machine(interface("nested", "bridge", mac="02:00:00:00:00:0a"), default="nested").find()
    assert bridges.forwarding.lan_bridges == (LanBridge("nested", ("02:00:00:00:00:0a",)),)


def test_an_overlay_network_may_be_counted_among_the_containers():
    machine = Machine(interface("flannel.1", "vxlan"))
    assert further(machine) == ("flannel.1",)
    assert further(machine, patterns=("cni0", "flannel.1")) == ()


@pytest.mark.parametrize("port", [interface("card1", mac="02:00:00:00:00:03"), interface("eth1", "veth")])
def test_a_bridge_with_a_port_to_other_hosts_is_no_container_network(port):
    port = dict(port, master="br-storage", address="02:00:00:00:00:03")
    bridge = interface("br-storage", "bridge", mac="02:00:00:00:00:02")
    found = Machine(bridge, port, interface("vnet0", "tun", "br-storage", tun="tap"), bridge_filter=True).find()
    hardware = ("02:00:00:00:00:02", "02:00:00:00:00:03")
    assert found.forwarding.lan_bridges == (LanBridge("br-storage", hardware, True),)
    assert found.forwarding.outer == OUTER_PATTERNS and found.forwarding.bridge_filter
    (warning,) = found.warnings
    assert "br-storage" in warning and port["ifname"] in warning
    assert not Machine(dict(bridge, ifname="lan"), dict(port, master="lan")).find().warnings


def test_containers_that_the_firewall_does_not_see_are_named():
    entries = [
        {"mac": "02:00:00:00:00:77", "ifname": "eth0", "flags": ["self"], "state": "permanent"},
        {"mac": "33:33:00:00:00:01", "ifname": "eth0", "flags": ["self"], "state": "permanent"},
        {"mac": "02:00:00:00:00:01", "ifname": "eth0", "flags": ["self"], "state": "permanent"},
        {"mac": "02:00:00:00:00:78", "ifname": "docker0", "flags": [], "master": "docker0", "state": "permanent"},
    ]
    machine = Machine(interface("eth0"), interface("docker0", "bridge"), interface("mv1", "macvtap"), fdb=entries)
    (warning,) = machine.find().warnings
    assert "02:00:00:00:00:77 on eth0" in warning and "mv1 (macvtap)" in warning
    assert "33:33" not in warning and "docker0" not in warning and "00:01" not in warning
    machine = Machine(interface("eth0"), fdb=entries[1:])
    assert machine.find().warnings == ()


def test_the_remote_addresses_that_a_tunnel_knows_are_no_containers_of_this_host():
    entries = [
        {"mac": mac, "ifname": "vpn0", "dst": "192.0.2.2", "flags": ["self"], "state": state}
        for mac, state in (("00:00:00:00:00:00", "permanent"), ("02:00:00:00:00:99", ""))
    ]
    assert Machine(interface("eth0"), interface("vpn0", "vxlan"), fdb=entries).find().warnings == ()


@pytest.mark.parametrize(
    "interfaces, words",
    [
        ([interface("eth1", address=["198.51.100.1/24"])], "several interfaces to other hosts (eth0, eth1)"),
        ([interface("vpn", "wireguard", address=["198.51.100.1/32"])], "tunnels (vpn)"),
        ([interface(f"cali{number}", "veth") for number in range(9)], "pods (cali0, cali1, cali2"),
        ([interface("cni0", "bridge")], "pods (cni0)"),
        ([interface("docker0", "bridge", address=["198.51.100.1/24"]), interface("vethab", "veth", "docker0")], None),
        ([interface("eth1")], None),
    ],
)
def test_a_host_that_forwards_is_warned_unless_it_was_told_what(interfaces, words):
    uplink = interface("eth0", address=["192.0.2.1/24"])
    warnings = Machine(uplink, *interfaces, forwards="1").find().warnings
    assert len(warnings) == (words is not None)
    for warning in warnings:
        assert words in warning and "determined_firewall_forward" in warning and "IPv4 and IPv6" in warning
    assert Machine(uplink, *interfaces).find().warnings == ()
    allowed = (Allowed("ipv4", "192.0.2.0/24", "0.0.0.0/0"),)
    found = Machine(uplink, *interfaces, forwards="1").find(allowed)
    assert found.warnings == () and found.forwarding.allowed == allowed


def test_what_cannot_be_read_is_an_error_and_never_an_empty_host():
    machine = Machine()
    machine.tools.pop("ip")
    with pytest.raises(commands.HostError, match="Install iproute2"):
        machine.find()
    for text in (None, "not JSON"):
        machine = Machine()
        machine.outputs["ip"] = text
        with pytest.raises(commands.HostError, match="Nothing was changed"):
            machine.find()
    with pytest.raises(commands.HostError, match="Rename it"):
        Machine(interface('a"b')).find()


def test_without_the_program_bridge_the_rest_is_found():
    machine = Machine(interface("storage"))
    machine.tools.pop("bridge")
    assert further(machine) == ("storage",)
