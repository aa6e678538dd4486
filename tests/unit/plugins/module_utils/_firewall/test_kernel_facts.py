"""What the kernel tells over netlink: answers that kernel 6.1 gave, and questions to this machine's own."""

import base64
import socket

from ansible_collections.determined.network.plugins.module_utils._firewall import kernel_facts
from ansible_collections.determined.network.plugins.module_utils._firewall.tunnels import (
    IpsecPolicy,
    IpsecState,
    WireguardPeer,
)
from ansible_collections.determined.network.plugins.module_utils._sockets import netlink

# wg set wg0 listen-port 51820 peer ... endpoint 192.0.2.100:4444 allowed-ips 10.8.0.2/32,fd00::2/128
# (with zeros for the private key)
WIREGUARD = base64.b64decode(
    "BgAGAGzKAAAIAAcAAAAAAAgAAQANAAAACAACAHdnMAAkAAMAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAkAAQApf8s"
    "RHN/CzwfGmciLqk0bIr6CusRTaJbX6XJ5r65EDnoAAiA5AAAgCQAAQAq0lEN57GKdbDQBFGziC1WnkeGH9ormJ50Pblx92KaSCQA"
    "AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABQABgAAAAAAAAAAAAAAAAAAAAAABgAFAAAAAAAMAAgAAAAAAAAAAAAM"
    "AAcAAAAAAAAAAAAIAAoAAQAAABQABAACABFcwAACZAAAAAAAAAAASAAJgBwAAIAFAAMAIAAAAAYAAQACAAAACAACAAoIAAIoAACA"
    "BQADAIAAAAAGAAEACgAAABQAAgD9AAAAAAAAAAAAAAAAAAAC"
)
# ip xfrm policy add src 192.0.2.100/32 dst 192.0.2.1/32 dir in priority 5 tmpl proto esp reqid 11 mode transport
POLICY = base64.b64decode(
    "wAACAQAAAAAAAAAAAAAAAMAAAmQAAAAAAAAAAAAAAAAAAAAAAAAAAAIAICAAAAAAAAAAAAAAAAD/////////////////////////"
    "/////////////////wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAANrpCWsAAAAAAAAAAAAA"
    "AAAFAAAAGAAAAAAAAAAAAAAARAAFAAAAAAAAAAAAAAAAAAAAAAAAAAAAMgAAAAIAAAAAAAAAAAAAAAAAAAAAAAAACwAAAAAAAAD/"
    "//////////////8KABAAAAAAAAAAAAA="
)
# ip xfrm state add src 192.0.2.107 dst 192.0.2.1 proto esp spi 2 reqid 8 mode tunnel encap espinudp 4501 4500 ...
# (without the algorithms)
STATE_IN_UDP = base64.b64decode(
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAIAAAAAAAAAAAAAAAAAAADAAAIBAAAAAAAAAAAAAAAAAAAA"
    "AjIAAADAAAJrAAAAAAAAAAAAAAAA//////////////////////////////////////////8AAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAADW6QlrAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAgAAAACAAEAAAAAAAAAAAAc"
    "AAQAAgARlRGUAAAAAAAAAAAAAAAAAAAAAAAA"
)
# ip xfrm state add src 192.0.2.108 dst 192.0.2.1 proto esp spi 3 reqid 9 mode tunnel if_id 42 ... (likewise)
STATE_OF_DEVICE = base64.b64decode(
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAIAAAAAAAAAAAAAAAAAAADAAAIBAAAAAAAAAAAAAAAAAAAA"
    "AzIAAADAAAJsAAAAAAAAAAAAAAAA//////////////////////////////////////////8AAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAADY6QlrAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAkAAAACAAEAAAAAAAAAAAAI"
    "AB8AKgAAAA=="
)


def test_a_wireguard_device():
    port, peers = kernel_facts.read_wireguard([WIREGUARD])
    assert port == 51820
    assert peers == [WireguardPeer("192.0.2.100", ("10.8.0.2/32", "fd00::2/128"))]


def test_a_wireguard_peer_that_is_spread_over_several_messages():
    """The kernel repeats only its key, and adds the networks that had no room."""
    key, more = bytes(range(32)), bytes([192, 0, 2, 0])
    network = netlink.attribute(1, b"\2\0") + netlink.attribute(2, more) + netlink.attribute(3, b"\x18")
    networks = netlink.attribute(9, netlink.attribute(0, network))
    endpoint = netlink.attribute(4, b"\2\0" + b"\x11\x5c" + bytes([203, 0, 113, 5]) + bytes(8))
    answers = [
        netlink.attribute(6, b"\x6c\xca")
        + netlink.attribute(8, netlink.attribute(0, netlink.attribute(1, key) + endpoint + networks)),
        netlink.attribute(8, netlink.attribute(0, netlink.attribute(1, key) + networks)),
    ]
    (peer,) = kernel_facts.read_wireguard(answers)[1]
    assert peer == WireguardPeer("203.0.113.5", ("192.0.2.0/24", "192.0.2.0/24"))


def test_an_ipsec_policy():
    expected = IpsecPolicy("192.0.2.100/32", "192.0.2.1/32", 5, 0, (("", 50, 11),))
    assert kernel_facts.read_ipsec_policy(POLICY) == expected
    outgoing = POLICY[:160] + b"\1" + POLICY[161:]
    assert kernel_facts.read_ipsec_policy(outgoing) is None


def test_ipsec_states():
    in_udp, of_device = (kernel_facts.read_ipsec_state(one) for one in (STATE_IN_UDP, STATE_OF_DEVICE))
    assert in_udp == IpsecState("192.0.2.107", "192.0.2.1", 50, 8, 0, 4500)
    assert of_device == IpsecState("192.0.2.108", "192.0.2.1", 50, 9, 42, 0)


def test_the_loopback_of_this_machine():
    (loopback,) = [device for device in kernel_facts.devices().values() if device.name == "lo"]
    assert loopback.is_plain and loopback.kind == "" and loopback.number == socket.if_nametoindex("lo")
    assert loopback.number in kernel_facts.addresses()["127.0.0.1"]
    assert kernel_facts.route("127.0.0.1", "127.0.0.1").device == loopback.number


def test_an_address_without_route_and_an_address_that_is_not_local():
    assert kernel_facts.route("127.0.0.1", "203.0.113.77") is None
    assert kernel_facts.neighbour_devices("203.0.113.77") == set()
