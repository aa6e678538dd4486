"""What carries a tunnel, and whether a policy permits it."""

import struct

import pytest
from ansible_collections.determined.network.plugins.module_utils import _policy
from ansible_collections.determined.network.plugins.module_utils._firewall import tunnels
from ansible_collections.determined.network.plugins.module_utils._firewall.tunnels import Device, OuterFlow, Tunnel

REMOTE, REMOTE6 = bytes([203, 0, 113, 5]), bytes.fromhex("20010db8000000000000000000000007")
PEERS = {
    "office": {"ipv4": ["203.0.113.0/24"], "ipv6": ["2001:db8::/64"]},
    "anybody": {"ipv4": ["0.0.0.0/0"], "ipv6": ["::/0"]},
}


def policy(*inbound, management=()):
    def rule(protocol, ports, peers):
        return {"protocol": protocol, "ports": ports, "peers": peers, "requirements": ["x"]}

    return _policy.HostPolicy.from_dict(
        {
            "host": "agent1",
            "mode": "restrict",
            "peers": PEERS,
            "inbound": [rule(*one) for one in inbound],
            "outbound": [],
            "management": [rule(*one) for one in management],
        }
    )


def flows(kind, data, destinations=()):
    return tunnels.of_kind(Device(5, "t0", kind, data=data), destinations).flows


def port(number):
    return struct.pack(">H", number)


@pytest.mark.parametrize(
    "kind, data, expected",
    [
        ("vxlan", {15: port(4789), 2: REMOTE}, [("udp", 4789, "203.0.113.5")]),
        ("vxlan", {15: port(8472), 16: REMOTE6}, [("udp", 8472, "2001:db8::7")]),
        ("vxlan", {15: port(4789), 2: bytes([239, 1, 1, 1])}, [("udp", 4789, "0.0.0.0/0"), ("udp", 4789, "::/0")]),
        ("vxlan", {15: port(4789)}, [("udp", 4789, "0.0.0.0/0"), ("udp", 4789, "::/0")]),
        ("geneve", {5: port(6081), 2: REMOTE}, [("udp", 6081, "203.0.113.5")]),
        ("geneve", {5: port(6081), 7: REMOTE6}, [("udp", 6081, "2001:db8::7")]),
        ("gretap", {7: REMOTE, 14: bytes(2)}, [("GRE, IP protocol 47", 0, "203.0.113.5")]),
        ("ip6gre", {7: REMOTE6}, [("GRE, IP protocol 47", 0, "2001:db8::7")]),
        ("ipip", {3: REMOTE}, [("IPIP, IP protocol 4", 0, "203.0.113.5")]),
        ("sit", {3: REMOTE}, [("IPv6, IP protocol 41", 0, "203.0.113.5")]),
    ],
)
def test_the_outer_flow_of_a_device(kind, data, expected):
    assert list(flows(kind, data)) == [OuterFlow(*one) for one in expected]


def test_every_destination_of_a_vxlan_counts():
    found = flows("vxlan", {15: port(4789), 2: REMOTE}, ["203.0.113.9", "203.0.113.5", "0.0.0.0"])
    assert [flow.peer for flow in found] == ["203.0.113.5", "203.0.113.9"]


def test_a_tunnel_inside_of_udp_is_unknown():
    found = tunnels.of_kind(Device(5, "t0", "gre", data={7: REMOTE, 14: b"\1\0"}), [])
    assert not found.flows and "FOU" in found.unknown


DEVICES = {
    device.number: device
    for device in (
        Device(1, "lo", ""),
        Device(2, "eth0", ""),
        Device(3, "vx0", "vxlan", master=9),
        Device(4, "tap0", "tun", master=9),
        Device(5, "eth1", "", master=9),
        Device(6, "bond0.5", "vlan", lower=7),
        Device(7, "bond0", "bond"),
        Device(8, "eth2", "", master=7),
        Device(9, "br0", "bridge"),
        Device(10, "ovs-system", "openvswitch"),
        Device(11, "br-ex", "openvswitch"),
        Device(12, "gre_sys", "gretap", master=10),
        Device(13, "macvlan0", "macvlan", lower=0),
        Device(14, "macvlan1", "macvlan", lower=9),
    )
}


@pytest.mark.parametrize(
    "index, at, expected",
    [
        (2, 0, ["eth0"]),
        (9, 0, ["vx0", "tap0", "eth1"]),
        (9, 5, ["eth1"]),
        (9, 3, ["vx0"]),
        (9, 2, ["vx0", "tap0", "eth1"]),  # not a port of it
        (14, 5, ["eth1"]),
        (6, 0, ["eth2"]),
        (11, 0, ["gre_sys"]),
        (13, 0, []),  # it lies on a device of another network namespace
    ],
)
def test_what_a_device_lies_on(index, at, expected):
    assert [device.name for device in tunnels.devices_below(DEVICES, index, at)] == expected


@pytest.mark.parametrize(
    "kind, hardware, found",
    [
        ("", True, False),
        ("", False, True),
        ("veth", True, False),
        ("dummy", False, False),
        ("bridge", True, False),
        ("vxlan", True, True),
        ("ovpn", True, True),
    ],
)
def test_a_device_of_an_unknown_kind_may_be_a_tunnel(kind, hardware, found):
    assert tunnels.is_tunnel(Device(5, "t0", kind, is_plain=hardware)) is found


@pytest.mark.parametrize(
    "asked, flow, permitted",
    [
        (policy(("udp", "51820", "office")), ("udp", 51820, "203.0.113.5"), True),
        (policy(("udp", "51820", "office")), ("udp", 51820, "2001:db8::5"), True),
        (policy(("udp", "51820", "office")), ("udp", 51820, "198.51.100.5"), False),
        (policy(("udp", "51821", "office")), ("udp", 51820, "203.0.113.5"), False),
        (policy(("tcp", "51820", "office")), ("udp", 51820, "203.0.113.5"), False),
        (policy(("udp", "51820", "office")), ("udp", 51820, "0.0.0.0/0"), False),
        (policy(("udp", "51820", "anybody")), ("udp", 51820, "::/0"), True),
        (policy(management=[("tcp", "443", "office")]), ("tcp", 443, "203.0.113.5"), True),
        (policy(("udp", "1-65535", "anybody")), ("GRE, IP protocol 47", 0, "203.0.113.5"), False),
    ],
)
def test_permits(asked, flow, permitted):
    assert tunnels.permits(asked, OuterFlow(*flow)) is permitted


def objection(asked, tunnel):
    return tunnels.objection(asked, tunnel, ["192.0.2.1"], "10.8.0.2", "agent1")


def test_an_objection_names_device_flow_host_and_variable():
    tunnel = Tunnel("wg0", "WireGuard", (OuterFlow("udp", 51820, "203.0.113.5"),))
    text = objection(policy(), tunnel)
    for word in ("wg0 (WireGuard)", "10.8.0.2", "agent1", "UDP port 51820 from 203.0.113.5", "allow_lockout"):
        assert word in text
    assert "protocol: udp, ports: '51820', networks: ['203.0.113.5']" in text
    assert objection(policy(("udp", "51820", "office")), tunnel) is None


def test_one_flow_that_is_not_permitted_is_enough():
    tunnel = Tunnel("tun0", "TUN", (OuterFlow("udp", 1194, "203.0.113.5"), OuterFlow("udp", 1194, "198.51.100.7")))
    text = objection(policy(("udp", "1194", "office")), tunnel)
    assert "198.51.100.7" in text and "203.0.113.5" not in text


def test_no_variable_permits_a_protocol_without_ports():
    text = objection(policy(("udp", "1-65535", "anybody")), Tunnel("g0", "GRE", flows("gre", {7: REMOTE})))
    assert "GRE, IP protocol 47 from 203.0.113.5" in text and "mode permit" in text
    assert "determined_extra_requirements" not in text


@pytest.mark.parametrize(
    "tunnel, word",
    [
        (Tunnel("ovpn0", "ovpn", unknown="nobody tells"), "nobody tells"),
        (Tunnel("tun0", "TUN"), "no outer flow of it was found"),
        (Tunnel("vx0", "VXLAN", (OuterFlow("udp", 4789, "127.0.0.1"),)), "this host itself"),
        (Tunnel("vx0", "VXLAN", (OuterFlow("udp", 4789, "192.0.2.1"),)), "this host itself"),
        (tunnels.of_program("tun0", False, True, [], False), "another network namespace"),
        (tunnels.of_program("tun0", False, False, [], False), "no program holds it"),
        (tunnels.ipsec("", [], []), "through IPsec"),
    ],
)
def test_what_cannot_be_determined_is_an_objection(tunnel, word):
    text = objection(policy(("udp", "1-65535", "anybody")), tunnel)
    assert "cannot be determined" in text and word in text


def test_a_tunnel_inside_of_a_connection_that_the_host_opened_is_fine():
    assert objection(policy(), tunnels.of_program("tun0", True, False, [], True)) is None


WIREGUARD = [
    tunnels.WireguardPeer("203.0.113.5", ("10.8.0.0/16",)),
    tunnels.WireguardPeer("203.0.113.6", ("10.8.0.2/32", "fd00::/64")),
    tunnels.WireguardPeer("", ("10.9.0.0/16",)),
]


@pytest.mark.parametrize(
    "client, peers",
    [
        ("10.8.0.2", ["203.0.113.6"]),
        ("10.8.0.3", ["203.0.113.5"]),
        ("fd00::9", ["203.0.113.6"]),
        ("10.9.0.1", list(tunnels.ANYBODY)),
        ("192.0.2.9", list(tunnels.ANYBODY)),
    ],
)
def test_the_peer_of_a_wireguard_device_is_found_by_its_networks(client, peers):
    found = tunnels.wireguard("wg0", 51820, WIREGUARD, client)
    assert found.flows == tuple(OuterFlow("udp", 51820, peer) for peer in peers)


def ipsec_policy(source, priority, *templates, interface=0):
    return tunnels.IpsecPolicy(source, "192.0.2.0/24", priority, interface, templates)


def test_the_first_ipsec_policy_decides():
    tunnelled = ipsec_policy("10.0.0.0/8", 20, ("203.0.113.5", 50, 1))
    bypass = ipsec_policy("10.1.0.0/16", 10)
    device = ipsec_policy("0.0.0.0/0", 1, ("203.0.113.6", 50, 2), interface=42)
    policies = [device, tunnelled, bypass]
    assert tunnels.ipsec_policy(policies, "10.2.0.1", ["192.0.2.1"]) == tunnelled
    assert tunnels.ipsec_policy(policies, "10.1.0.1", ["192.0.2.1"]) is None
    assert tunnels.ipsec_policy(policies, "10.2.0.1", ["198.51.100.1"]) is None


def test_ipsec_counts_esp_or_its_udp_port_and_the_ports_of_keys():
    def state(port):
        return tunnels.IpsecState("203.0.113.5", "192.0.2.1", 50, 1, 0, port)

    assert tunnels.ipsec("", [state(0)], []).flows == (OuterFlow("ESP, IP protocol 50", 0, "203.0.113.5"),)
    inside_udp = tunnels.ipsec("", [state(4500)], [500, 4500])
    assert inside_udp.flows == (OuterFlow("udp", 500, "203.0.113.5"), OuterFlow("udp", 4500, "203.0.113.5"))
    assert objection(policy(("udp", "500,4500", "office")), inside_udp) is None
    assert "UDP port 500" in objection(policy(("udp", "4500", "office")), inside_udp)
