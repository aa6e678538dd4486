# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets are built as the documents say, and whatever comes from a link is read without an error."""

import ipaddress
import random
import struct

import pytest
from ansible_collections.determined.network.plugins.module_utils._sockets import checksum
from ansible_collections.determined.network.plugins.module_utils._wire import packets

OWN = {4: "192.0.2.66", 6: "2001:db8::66"}
OTHER = {4: "192.0.2.21", 6: "2001:db8::21"}
HARDWARE = b"\x02\x00\x00\x00\x00\x07"


def flow(version):
    return packets.Flow(packets.End(OWN[version], 41000), packets.End(OTHER[version], 61234))


def checked(packet):
    """A packet -> its protocol, its hop limit and its body, if its checksums are right (they are 0 over all that they
    cover)."""
    if packet[0] >> 4 == 4:
        assert checksum.of(packet[:20]) == 0
        assert struct.unpack_from("!H", packet, 2)[0] == len(packet)
        protocol, limit, ends, body = packet[9], packet[8], packet[12:20], packet[20:]
        pseudo = ends + struct.pack("!BBH", 0, protocol, len(body)) if protocol != 1 else b""
    else:
        assert struct.unpack_from("!H", packet, 4)[0] == len(packet) - 40
        protocol, limit, ends, body = packet[6], packet[7], packet[8:40], packet[40:]
        pseudo = ends + struct.pack("!II", len(body), protocol)
    assert checksum.of(pseudo + body) == 0
    return protocol, limit, body


@pytest.mark.parametrize("version", [4, 6])
def test_a_segment_is_read_as_it_was_built(version):
    packet = packets.tcp(flow(version), packets.ACK, 7, 2**32 - 1, packets.MD5_OPTION, 64)
    protocol, limit, body = checked(packet)
    assert (protocol, limit) == (6, packets.ROUTED)
    assert 4 * (body[12] >> 4) == len(body) == 40
    assert body[20:24] == bytes((1, 1, 19, 18))  # RFC 2385: kind 19, 18 bytes
    read = packets.read_segment(packets.kind_of(OWN[version]), packet)
    assert read == packets.Segment(flow(version), packets.ACK, 7, 2**32 - 1, packets.ROUTED)
    assert read.flow.back().back() == flow(version)


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("payload", [b"", b"odd", b"even"])
def test_no_router_passes_on_a_datagram(version, payload):
    protocol, limit, body = checked(packets.udp(flow(version), payload))
    assert (protocol, limit) == (17, 1)
    assert struct.unpack_from("!HHH", body) == (41000, 61234, 8 + len(payload)) and body[8:] == payload


@pytest.mark.parametrize("version, request_kind, reply_kind", [(4, 8, 0), (6, 128, 129)])
def test_an_echo_request_is_built_and_its_reply_is_read(version, request_kind, reply_kind):
    packet = packets.echo_request(OWN[version], OTHER[version], 5, b"cookie")
    _protocol, limit, body = checked(packet)
    assert limit == 1 and body[0] == request_kind and body[8:] == b"cookie"
    kind = packets.kind_of(OWN[version])
    assert packets.read_echo_reply(kind, packet) is None
    head = 20 if version == 4 else 40
    reply = packet[:head] + bytes((reply_kind,)) + packet[head + 1 :]
    assert packets.read_echo_reply(kind, reply) == packets.EchoReply(OWN[version], b"cookie", 1)


@pytest.mark.parametrize("version, kind, exceeded", [(4, 1, 11), (6, 58, 3)])
def test_a_routers_error_names_the_echo_request_that_it_dropped(version, kind, exceeded):
    request = packets.echo_request(OWN[version], OTHER[version], 0x1234, b"cookie")
    assert packets.read_exceeded(packets.kind_of(OWN[version]), request) is None
    body = struct.pack("!BBHI", exceeded, 0, 0, 0) + request
    if version == 4:
        packet = struct.pack("!BBHIBBH", 0x45, 0, 20 + len(body), 0, 64, kind, 0) + request[12:20] + body
    else:
        packet = struct.pack("!IHBB", 6 << 28, len(body), kind, 64) + request[8:40] + body
    read = packets.read_exceeded(packets.kind_of(OWN[version]), packet)
    assert read == packets.Echo(OTHER[version], 0x1234)


def test_who_has_an_ipv4_address_is_asked_and_the_answer_is_read():
    question = packets.arp_request(OWN[4], HARDWARE, OTHER[4])
    assert len(question) == 28 and packets.read_neighbour(packets.ARP, question) is None
    answer = question[:7] + b"\x02" + b"\x06" * 6 + question[24:28] + question[8:18]
    assert packets.read_neighbour(packets.ARP, answer) == packets.Neighbour(OTHER[4], b"\x06" * 6)


def test_who_has_an_ipv6_address_is_asked_and_the_answer_is_read():
    question = packets.solicitation(OWN[6], HARDWARE, OTHER[6])
    protocol, limit, body = checked(question)
    assert (protocol, limit, body[0]) == (58, 255, 135)
    assert body[8:24] == ipaddress.ip_address(OTHER[6]).packed and body[24:] == b"\x01\x01" + HARDWARE
    assert question[24:40] == ipaddress.ip_address("ff02::1:ff00:21").packed
    assert packets.solicited_hardware(OTHER[6]) == b"\x33\x33\xff\x00\x00\x21"
    assert packets.read_neighbour(packets.IPV6, question) is None
    answer = question[:40] + b"\x88" + question[41:64] + b"\x02\x01" + b"\x06" * 6
    assert packets.read_neighbour(packets.IPV6, answer) == packets.Neighbour(OTHER[6], b"\x06" * 6)


@pytest.mark.parametrize("kind", [packets.IPV4, packets.ARP, packets.IPV6])
def test_whatever_comes_from_a_link_is_read(kind):
    generator = random.Random(1)
    built = [
        packets.tcp(flow(4), packets.SYN, 1),
        packets.tcp(flow(6), packets.SYN, 1),
        packets.echo_request(OWN[4], OTHER[4], 5, b"cookie"),
        packets.solicitation(OWN[6], HARDWARE, OTHER[6]),
        packets.arp_request(OWN[4], HARDWARE, OTHER[4]),
        packets.echo_request(
            OWN[4], OTHER[4], 5, b"\x0b\0\0\0\0\0\0\0" + packets.echo_request(OWN[4], OTHER[4], 5, b"")
        ),
    ]
    for _unused in range(4000):
        packet = bytearray(generator.choice(built))
        for _unused in range(generator.randrange(4)):
            packet[generator.randrange(len(packet))] = generator.randrange(256)
        data = bytes(packet[: generator.randrange(len(packet) + 1)])
        for read in (packets.read_segment, packets.read_echo_reply, packets.read_exceeded, packets.read_neighbour):
            read(kind, data)
