# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The packet filter, run as the kernel runs it, over whole packets."""

import struct

import pytest
from ansible_collections.determined.network.plugins.module_utils._wire import marks, packet_filter
from marked_packets import (
    ACK,
    FAMILIES,
    ICMP,
    ICMPV6,
    IPV4,
    IPV6,
    KINDS,
    MARK,
    OTHER,
    RESET,
    SYN,
    TCP,
    UDP,
    datagram,
    echo,
    ipv4,
    ipv6,
    message,
    packet,
    questions,
    replies,
    segment,
)

LENGTHS = {0x20: 4, 0x28: 2, 0x30: 1, 0x40: 4, 0x48: 2, 0x50: 1}
PROTOCOL_OF_PACKET, FIND_ATTRIBUTE = 0xFFFFF000, 0xFFFFF00C


class OutsideOfPacketError(Exception):
    """The kernel drops a packet in which a program reads behind the end."""


def load(data, place, length):
    if place + length > len(data):
        raise OutsideOfPacketError
    return int.from_bytes(data[place : place + length], "big")


def find_attribute(data, place, kind):
    """The offset of an attribute of netlink(7) from an offset on; 0 if there is none."""
    while place + 4 <= len(data):
        length, found = struct.unpack_from("=HH", data, place)
        if found & 0x3FFF == kind:
            return place
        place += max(4, (length + 3) & ~3)
    return 0


def run(program, kind, data):
    """Classic BPF (bpf(4), net/core/filter.c) over one packet -> how many of its bytes pass."""
    lines = list(struct.iter_unpack("=HBBI", program))
    accumulator = index = place = 0
    while True:
        code, if_true, if_false, number = lines[place]
        place += 1
        if code == 0x20 and number == FIND_ATTRIBUTE:
            accumulator = find_attribute(data, accumulator, index)
        elif code == 0x00:
            accumulator = number
        elif code == 0x07:
            index = accumulator
        elif code in (0x20, 0x28, 0x30):
            accumulator = kind if number == PROTOCOL_OF_PACKET else load(data, number, LENGTHS[code])
        elif code in (0x40, 0x48, 0x50):
            accumulator = load(data, index + number, LENGTHS[code])
        elif code == 0xB1:
            index = 4 * (load(data, number, 1) & 15)
        elif code == 0x01:
            index = number
        elif code == 0x74:
            accumulator >>= number
        elif code in (0x15, 0x45, 0x25, 0x35):
            holds = {
                0x15: accumulator == number,
                0x45: bool(accumulator & number),
                0x25: accumulator > number,
                0x35: accumulator >= number,
            }[code]
            place += if_true if holds else if_false
        elif code == 0x06:
            return number
        else:
            raise AssertionError(f"unknown instruction 0x{code:x}")


def passes(family, data, mark=MARK, kind=None):
    try:
        return run(packet_filter.of_packets(mark), kind or KINDS[family], data) >= len(data)
    except OutsideOfPacketError:
        return False


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("number", [0, 1, marks.MOST_NUMBERS])
def test_all_packets_of_the_run_pass(family, number):
    for part, data in list(questions(family, MARK, number).items()) + list(replies(family, MARK, number).items()):
        assert passes(family, data), part


@pytest.mark.parametrize("family", FAMILIES)
def test_packets_of_another_run_do_not_pass(family):
    foreign = dict(questions(family, OTHER, 1), **replies(family, OTHER, 1))
    # What an ICMP error is about, only the reader finds out.
    assert [part for part, data in foreign.items() if passes(family, data)] == ["icmp_error"]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("flags", [0, ACK, RESET, 1, 8 | ACK])
def test_a_segment_that_only_has_such_a_sequence_number_does_not_pass(family, flags):
    assert not passes(family, packet(family, TCP, segment(flags, MARK.sequence(1), 0x99)))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_reset_of_a_syn_ack_passes_only_with_an_acknowledgement(family):
    assert passes(family, packet(family, TCP, segment(RESET | ACK, 5, MARK.sequence(1) + 1)))
    assert not passes(family, packet(family, TCP, segment(RESET, MARK.sequence(1) + 1, 0)))


def test_a_later_fragment_does_not_pass_and_the_first_one_does():
    body = datagram(MARK.payload(1))
    assert passes("ipv4", ipv4(UDP, body, fragment=0x2000))
    assert not passes("ipv4", ipv4(UDP, body, fragment=0x2000 | 185))
    assert not passes("ipv4", ipv4(UDP, body, fragment=1))


@pytest.mark.parametrize("length", [4, 20, 40])
def test_options_of_ipv4_are_skipped(length):
    options = b"\1" * length
    assert passes("ipv4", ipv4(TCP, segment(SYN, MARK.sequence(7)), options))
    assert passes("ipv4", ipv4(UDP, datagram(MARK.payload(7)), options))
    assert not passes("ipv4", ipv4(TCP, segment(SYN, OTHER.sequence(7)), options))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "body",
    [datagram(b"x" * 24), datagram(b""), datagram(b"\0" * 2 + MARK.payload(1))],
    ids=["other", "none", "shifted"],
)
def test_a_datagram_without_a_mark_does_not_pass(family, body):
    assert not passes(family, packet(family, UDP, body))


@pytest.mark.parametrize("family", FAMILIES)
def test_an_echo_without_a_mark_does_not_pass(family):
    assert not passes(family, packet(family, ICMP, echo(family, b"abcdefgh" * 7)))


@pytest.mark.parametrize(("family", "passing"), [("ipv4", {3, 11}), ("ipv6", {0, 1, 2, 3, 4})], ids=["ipv4", "ipv6"])
def test_icmp_errors_pass_and_no_other_messages(family, passing):
    rest = ipv4(TCP, segment(SYN, MARK.sequence(1)))
    assert {kind for kind in range(256) if passes(family, packet(family, ICMP, message(kind, 0, rest)))} == passing


@pytest.mark.parametrize("protocol", [0, 2, 41, 44, 47, 50, 132])
@pytest.mark.parametrize("family", FAMILIES)
def test_other_protocols_do_not_pass(family, protocol):
    body = segment(SYN, MARK.sequence(1)) + MARK.payload(1)
    assert not passes(family, packet(family, protocol, body))


def test_icmp_of_the_other_family_does_not_pass():
    assert not passes("ipv4", ipv4(ICMPV6, echo("ipv6", MARK.payload(1))))
    assert not passes("ipv6", ipv6(ICMP, echo("ipv4", MARK.payload(1))))


@pytest.mark.parametrize("kind", [0x0806, 0x8100, 0x88CC, 0])
def test_other_kinds_of_packets_do_not_pass(kind):
    run_with = packet_filter.of_packets(MARK)
    assert run(run_with, kind, questions("ipv4", MARK, 1)["syn"]) == 0


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("part", ["syn", "datagram", "echo"])
def test_too_short_a_packet_does_not_pass(family, part):
    data = questions(family, MARK, 1)[part]
    start = 20 if family == "ipv4" else 40
    # Up to the tag nothing passes: it ends with the sixth byte of a segment, or with the twelfth of another message.
    needed = start + (14 if part == "syn" else 12)
    assert [length for length in range(len(data)) if passes(family, data[:length])] == list(range(needed, len(data)))


HEADERS, VERDICT, OTHER_ATTRIBUTE = 8, 5, 1


def trace_message(*attributes):
    """A message of a trace: headers, and attributes as (kind, value)."""
    parts = [struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4) for kind, value in attributes]
    body = b"".join(parts)
    return struct.pack("=IHHII4x", 20 + len(body), 0x0A11, 0, 0, 0) + body


def verdict(code):
    return VERDICT | 0x8000, struct.pack("=HHi", 8, 1, 0)[:4] + struct.pack("!i", code)


@pytest.mark.parametrize(
    "attributes, passes_through",
    [
        ([(OTHER_ATTRIBUTE, b"filter\0"), verdict(0)], True),
        ([(OTHER_ATTRIBUTE, b"filter\0"), verdict(1)], True),
        ([(OTHER_ATTRIBUTE, b"filter\0"), verdict(3)], True),
        ([(OTHER_ATTRIBUTE, b"filter\0"), verdict(-1)], False),
        ([(OTHER_ATTRIBUTE, b"filter\0"), verdict(-3)], False),
        ([(OTHER_ATTRIBUTE, b"filter\0"), verdict(-5)], False),
        ([verdict(-3), (HEADERS, b"x" * 20)], True),
        ([(OTHER_ATTRIBUTE, b"filter\0")], True),
        ([], True),
    ],
)
def test_messages_about_jumps_stay_in_the_kernel(attributes, passes_through):
    program = packet_filter.of_messages(HEADERS, VERDICT)
    data = trace_message(*attributes)
    assert (run(program, 0, data) >= len(data)) is passes_through


@pytest.mark.parametrize("program", [packet_filter.of_packets(MARK), packet_filter.of_messages(HEADERS, VERDICT)])
def test_the_kernel_takes_the_program(program):
    lines = list(struct.iter_unpack("=HBBI", program))
    assert len(program) % 8 == 0 and len(lines) < 256
    for place, (code, if_true, if_false, _number) in enumerate(lines):
        if code & 7 == 5:  # every jump leads forward, to an instruction
            assert place + 1 + max(if_true, if_false) < len(lines)
    assert lines[-1][0] == 6


def test_both_families_are_looked_at():
    lines = struct.iter_unpack("=HBBI", packet_filter.of_packets(MARK))
    assert {IPV4, IPV6} <= {line[3] for line in lines}
