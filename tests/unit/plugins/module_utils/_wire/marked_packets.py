# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets as hosts send them, byte by byte, and the messages by which nf_tables tells of traced packets."""

import ipaddress
import struct

from ansible_collections.determined.network.plugins.module_utils._wire import marks

IPV4, IPV6 = 0x0800, 0x86DD
ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58
KINDS = {"ipv4": IPV4, "ipv6": IPV6}
ENDS = {"ipv4": ("192.0.2.1", "192.0.2.2"), "ipv6": ("2001:db8::1", "2001:db8::2")}
FAMILIES = ["ipv4", "ipv6"]

SYN, RESET, ACK = 2, 4, 16
MARK = marks.Mark(0x4D2)
OTHER = marks.Mark(0x4D3)


def packed(address):
    return ipaddress.ip_address(address).packed


def ipv4(protocol, body, options=b"", fragment=0):
    length = 20 + len(options)
    head = struct.pack("!BBHHHBBH", 4 << 4 | length // 4, 0, length + len(body), 1, fragment, 63, protocol, 0)
    return head + packed(ENDS["ipv4"][0]) + packed(ENDS["ipv4"][1]) + options + body


def ipv6(protocol, body):
    head = struct.pack("!IHBB", 6 << 28, len(body), protocol, 63)
    return head + packed(ENDS["ipv6"][0]) + packed(ENDS["ipv6"][1]) + body


def packet(family, protocol, body):
    """``protocol``: a number; ICMP is the right one for both families."""
    if family == "ipv4":
        return ipv4(protocol, body)
    return ipv6(ICMPV6 if protocol == ICMP else protocol, body)


def segment(flags, sequence=0, acknowledgement=0, options=b"\2\4\2\x18"):
    offset = (20 + len(options)) // 4 << 4
    return struct.pack("!HHIIBBHHH", 40001, 1734, sequence, acknowledgement, offset, flags, 64240, 0, 0) + options


def datagram(payload):
    return struct.pack("!HHHH", 40001, 1734, 8 + len(payload), 0) + payload


def message(kind, code=0, rest=b""):
    """An ICMP message: ``rest`` stands behind its first eight bytes."""
    return struct.pack("!BBHHH", kind, code, 0, 7, 3) + rest


def echo(family, payload, is_reply=False):
    kinds = {"ipv4": (8, 0), "ipv6": (128, 129)}
    return message(kinds[family][is_reply], 0, payload)


def questions(family, mark, number):
    """The packets that a run sends -> {part: packet}."""
    return {
        "syn": packet(family, TCP, segment(SYN, mark.sequence(number))),
        "datagram": packet(family, UDP, datagram(mark.payload(number))),
        "echo": packet(family, ICMP, echo(family, mark.payload(number))),
    }


def replies(family, mark, number):
    """The packets with which other hosts answer -> {part: packet}."""
    following = mark.sequence(number) + 1
    unreachable = {"ipv4": 3, "ipv6": 1}[family]
    return {
        "syn_ack": packet(family, TCP, segment(SYN | ACK, 0x12345678, following)),
        "reset": packet(family, TCP, segment(RESET | ACK, 0, following, options=b"")),
        "echo_reply": packet(family, ICMP, echo(family, mark.payload(number), is_reply=True)),
        "icmp_error": packet(family, ICMP, message(unreachable, 3, questions(family, mark, number)["syn"])),
    }


# --- netlink ----------------------------------------------------------------------------------------


def attribute(kind, value):
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def word(number):
    """A number as nf_tables sends it: 32 bits in network order."""
    return struct.pack("!I", number & 0xFFFFFFFF)


def netlink_message(kind, body):
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body


def verdict(code, chain=""):
    nested = attribute(1, word(code))
    if chain:
        nested += attribute(2, chain.encode("utf-8") + b"\0")
    return nested


def trace_message(
    packet_id, table, chain, what, family="ipv4", headers=b"", handle=0, code=None, target="", policy=None
):
    """What the kernel sends: nf_tables_trace.c. ``what``: 1 policy, 2 return, 3 rule. ``headers``: a whole packet."""
    body = struct.pack("!BBH", 1, 0, 0)  # struct nfgenmsg
    body += attribute(15, word({"ipv4": 2, "ipv6": 10}[family]))
    body += attribute(4, word(what)) + attribute(6, word(packet_id))
    body += attribute(2, chain.encode("utf-8") + b"\0") + attribute(1, table.encode("utf-8") + b"\0")
    if handle:
        body += attribute(3, struct.pack("!Q", handle))
    if code is not None:
        body += attribute(5 | 0x8000, verdict(code, target))  # NLA_F_NESTED
    if policy is not None:
        body += attribute(16, word(policy))
    if headers:
        length = 20 if family == "ipv4" else 40
        body += attribute(7, bytes(14)) + attribute(8, headers[:length]) + attribute(9, headers[length : length + 20])
    return netlink_message(10 << 8 | 17, body)
