# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets as bytes, with any source address: built and read. Pure.

Sources: RFC 791 (IPv4), RFC 8200 (IPv6), RFC 9293 (TCP), RFC 2385 (TCP-MD5), RFC 768 (UDP), RFC 792 and RFC 4443
(echo), RFC 826 (ARP), RFC 4861 4.3, 4.4 and 4.6.1 (neighbour discovery).
"""

import ipaddress
import struct
from typing import Mapping, NamedTuple, Optional

from ansible_collections.determined.network.plugins.module_utils._sockets import checksum

# Kinds of packets on a link (linux/if_ether.h).
IPV4, ARP, IPV6 = 0x0800, 0x0806, 0x86DD
ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58
SYN, RST, ACK = 2, 4, 16

# A router lowers the hop limit of a packet, and drops a packet whose limit is used up.
ON_LINK = 1
ROUTED = 64
_NEIGHBOUR_LIMIT = 255  # RFC 4861 7.1: a neighbour message with any other limit has passed a router

# Two no-operations, and a digest that is wrong. A stack without a key for the sender drops such a segment, and sends no
# reset (Linux: tcp_inbound_md5_hash).
MD5_OPTION = b"\x01\x01\x13\x12" + b"\0" * 16

_FRAGMENT_OFFSET = 0x1FFF
_ETHERNET = 1  # the kind of hardware in ARP
_ARP_REQUEST, _ARP_REPLY = 1, 2
_SOLICITATION, _ADVERTISEMENT = 135, 136
_SOURCE_LINK_ADDRESS, _TARGET_LINK_ADDRESS = 1, 2
_ECHO_REQUEST = {4: 8, 6: 128}
_ECHO_REPLY = {4: 0, 6: 129}
_TIME_EXCEEDED = {4: 11, 6: 3}
_UNSPECIFIED_HARDWARE = b"\0" * 6
BROADCAST = b"\xff" * 6


class End(NamedTuple):
    """One end of a connection."""

    address: str
    port: int


class Flow(NamedTuple):
    """Who sends to whom."""

    source: End
    destination: End

    def back(self) -> "Flow":
        """The flow of the answers."""
        return Flow(self.destination, self.source)


class Segment(NamedTuple):
    """A TCP segment that was received."""

    flow: Flow
    flags: int
    sequence: int
    acknowledgement: int
    hop_limit: int


class EchoReply(NamedTuple):
    """An answer to an echo request that was received."""

    source: str
    payload: bytes
    hop_limit: int


class Echo(NamedTuple):
    """An echo request that was sent."""

    destination: str
    identifier: int


class Neighbour(NamedTuple):
    """An answer of ARP or of neighbour discovery: who has an address on the link."""

    address: str
    hardware: bytes


def kind_of(address: str) -> int:
    """An address -> the kind of its packets on a link."""
    return IPV6 if ":" in address else IPV4


def tcp(
    flow: Flow,
    flags: int,
    sequence: int,
    acknowledgement: int = 0,
    options: bytes = b"",
    hop_limit: int = ON_LINK,
) -> bytes:
    """A TCP segment without data, in a packet. ``options``: a multiple of four bytes."""
    body = segment(flow, flags, sequence, acknowledgement, options)
    return _packet(flow.source.address, flow.destination.address, TCP, body, hop_limit)


def segment(
    flow: Flow, flags: int, sequence: int, acknowledgement: int = 0, options: bytes = b"", window: int = 65535
) -> bytes:
    """A TCP segment without data, for a packet that the kernel builds. ``options``: a multiple of four bytes."""
    offset = (20 + len(options)) // 4 << 4
    ports = struct.pack("!HH", flow.source.port, flow.destination.port)
    head = ports + struct.pack("!IIBBH", sequence, acknowledgement, offset, flags, window)
    total = _pseudo_sum(flow, TCP, head + b"\0\0\0\0" + options)
    return head + _pack(total) + b"\0\0" + options


def udp(flow: Flow, payload: bytes) -> bytes:
    """A datagram in a packet that no router passes on."""
    head = struct.pack("!HHH", flow.source.port, flow.destination.port, 8 + len(payload))
    total = _pseudo_sum(flow, UDP, head + b"\0\0" + payload) or 0xFFFF  # RFC 768: 0 means that there is none
    return _packet(flow.source.address, flow.destination.address, UDP, head + _pack(total) + payload, ON_LINK)


def echo_request(source: str, destination: str, identifier: int, payload: bytes) -> bytes:
    """An ICMP echo request in a packet that no router passes on, so that only a host on the link answers."""
    version = _version(destination)
    protocol = ICMP if version == 4 else ICMPV6

    def message(total: int) -> bytes:
        return struct.pack("!BBHHH", _ECHO_REQUEST[version], 0, total, identifier, 1) + payload

    ends = Flow(End(source, 0), End(destination, 0))
    total = checksum.of(message(0)) if version == 4 else _pseudo_sum(ends, protocol, message(0))
    return _packet(source, destination, protocol, message(total), ON_LINK)


def arp_request(source: str, hardware: bytes, wanted: str) -> bytes:
    """The question who has an IPv4 address. It goes to BROADCAST."""
    head = struct.pack("!HHBBH", _ETHERNET, IPV4, 6, 4, _ARP_REQUEST)
    return head + hardware + _bytes(source) + _UNSPECIFIED_HARDWARE + _bytes(wanted)


def solicitation(source: str, hardware: bytes, wanted: str) -> bytes:
    """The question who has an IPv6 address. It goes to :func:`solicited_hardware`."""
    group = str(ipaddress.IPv6Address(b"\xff\x02" + b"\0" * 9 + b"\x01\xff" + _bytes(wanted)[-3:]))
    option = struct.pack("!BB", _SOURCE_LINK_ADDRESS, 1) + hardware

    def message(total: int) -> bytes:
        return struct.pack("!BBHI", _SOLICITATION, 0, total, 0) + _bytes(wanted) + option

    total = _pseudo_sum(Flow(End(source, 0), End(group, 0)), ICMPV6, message(0))
    return _packet(source, group, ICMPV6, message(total), _NEIGHBOUR_LIMIT)


def solicited_hardware(wanted: str) -> bytes:
    """The group on the link to which a solicitation for an address goes (RFC 2464, section 7)."""
    return b"\x33\x33\xff" + _bytes(wanted)[-3:]


def read_neighbour(kind: int, packet: bytes) -> Optional[Neighbour]:
    """An answer of ARP or neighbour discovery; None for every other packet."""
    if kind == ARP:
        if len(packet) < 28 or struct.unpack_from("!HHBBH", packet) != (_ETHERNET, IPV4, 6, 4, _ARP_REPLY):
            return None
        return Neighbour(str(ipaddress.IPv4Address(packet[14:18])), packet[8:14])
    if kind != IPV6 or len(packet) < 72 or (packet[6], packet[40]) != (ICMPV6, _ADVERTISEMENT):
        return None
    if (packet[64], packet[65]) != (_TARGET_LINK_ADDRESS, 1):
        return None
    return Neighbour(str(ipaddress.IPv6Address(packet[48:64])), packet[66:72])


def read_segment(kind: int, packet: bytes) -> Optional[Segment]:
    """A TCP segment; None for every other packet."""
    read = read_headers(kind, packet)
    if read is None or read.protocol != TCP or len(read.body) < 20:
        return None
    source, destination, sequence, acknowledgement, _offset, flags = struct.unpack_from("!HHIIBB", read.body)
    flow = Flow(End(read.source, source), End(read.destination, destination))
    return Segment(flow, flags, sequence, acknowledgement, read.hop_limit)


def read_echo_reply(kind: int, packet: bytes) -> Optional[EchoReply]:
    """An echo reply; None for every other packet."""
    read = _read_icmp(kind, packet, _ECHO_REPLY)
    return None if read is None else EchoReply(read.source, read.body[8:], read.hop_limit)


def read_exceeded(kind: int, packet: bytes) -> Optional[Echo]:
    """A router's answer that the hop limit of an echo request was used up (RFC 792, RFC 4443 3.3); None for others."""
    read = _read_icmp(kind, packet, _TIME_EXCEEDED)
    # The error holds the beginning of the packet that it is about.
    request = None if read is None else _read_icmp(kind, read.body[8:], _ECHO_REQUEST)
    return None if request is None else Echo(request.destination, struct.unpack_from("!H", request.body, 4)[0])


class Headers(NamedTuple):
    """What the header of IP says. ``protocol``: of ``body``, which is the rest of the packet as far as it was kept."""

    source: str
    destination: str
    protocol: int
    hop_limit: int
    body: bytes


def read_headers(kind: int, packet: bytes) -> Optional[Headers]:
    """The header of an IP packet; None for every other packet, and for a later fragment, which has no other header."""
    if kind == IPV4 and len(packet) >= 20 and packet[0] >> 4 == 4:
        start, end = 4 * (packet[0] & 15), struct.unpack_from("!H", packet, 2)[0]
        if start < 20 or struct.unpack_from("!H", packet, 6)[0] & _FRAGMENT_OFFSET:
            return None
        addresses = [str(ipaddress.IPv4Address(packet[at : at + 4])) for at in (12, 16)]
        return Headers(addresses[0], addresses[1], packet[9], packet[8], packet[start:end])
    if kind == IPV6 and len(packet) >= 40 and packet[0] >> 4 == 6:
        end = 40 + struct.unpack_from("!H", packet, 4)[0]
        addresses = [str(ipaddress.IPv6Address(packet[at : at + 16])) for at in (8, 24)]
        return Headers(addresses[0], addresses[1], packet[6], packet[7], packet[40:end])
    return None


def _read_icmp(kind: int, packet: bytes, types: Mapping[int, int]) -> Optional[Headers]:
    """A message of ICMP or ICMPv6 with the type for its family; None for every other packet."""
    read = read_headers(kind, packet)
    if read is None or read.protocol != (ICMP if kind == IPV4 else ICMPV6) or len(read.body) < 8:
        return None
    return read if read.body[0] == types[4 if kind == IPV4 else 6] else None


def _packet(source: str, destination: str, protocol: int, body: bytes, hop_limit: int) -> bytes:
    ends = _bytes(source) + _bytes(destination)
    if _version(destination) == 6:
        return struct.pack("!IHBB", 6 << 28, len(body), protocol, hop_limit) + ends + body

    def head(total: int) -> bytes:
        return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, hop_limit, protocol, total) + ends

    return head(checksum.of(head(0))) + body


def _pseudo_sum(flow: Flow, protocol: int, body: bytes) -> int:
    """The checksum over a body and the pseudo header of its packet (RFC 9293 3.1, RFC 8200 8.1)."""
    ends = _bytes(flow.source.address) + _bytes(flow.destination.address)
    if _version(flow.destination.address) == 6:
        return checksum.of(ends + struct.pack("!II", len(body), protocol) + body)
    return checksum.of(ends + struct.pack("!BBH", 0, protocol, len(body)) + body)


def _pack(total: int) -> bytes:
    return struct.pack("!H", total)


def _bytes(address: str) -> bytes:
    return ipaddress.ip_address(address).packed


def _version(address: str) -> int:
    return 6 if ":" in address else 4
