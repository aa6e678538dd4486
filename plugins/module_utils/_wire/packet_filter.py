# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that the kernel runs for each packet or message before it keeps it for us (classic BPF, bpf(4)). Pure.

The one of a capture passes the packets of one run only, wherever their addresses lead, because address translation may
change these. So a busy host copies next to nothing. Packets start with their network header, as sockets of the kind
SOCK_DGRAM have them.

The one of a link passes what may be an answer, so that a busy host loses none.

The one of a trace passes the messages about rules that end a packet. A packet may jump through hundreds of chains of
firewalld or Kubernetes, and so many messages would overrun the buffer.
"""

import struct
from typing import Dict, List, NamedTuple

from ansible_collections.determined.network.plugins.module_utils._wire import marks, packets

# Instructions (linux/bpf_common.h): load into A; copy the length of the IPv4 header into X; jump; return.
_LOAD_WORD, _LOAD_HALF, _LOAD_BYTE = 0x20, 0x28, 0x30
_LOAD_WORD_X, _LOAD_BYTE_X = 0x40, 0x50
_HEADER_LENGTH_TO_X, _NUMBER_TO_X = 0xB1, 0x01
_SHIFT_RIGHT = 0x74
_IF_EQUAL, _IF_BITS, _IF_ABOVE = 0x15, 0x45, 0x25
_RETURN = 0x06
_NUMBER, _COPY_TO_X, _IF_NEGATIVE = 0x00, 0x07, 0x35
# Loads that only the kernel knows (linux/filter.h): SKF_AD_OFF + SKF_AD_PROTOCOL; + SKF_AD_PKTTYPE; + SKF_AD_NLATTR,
# which finds the attribute of kind X from the offset A, and loads its offset, or 0.
_KIND_OF_PACKET = 0xFFFFF000
_DIRECTION_OF_PACKET = 0xFFFFF004
_FIND_ATTRIBUTE = 0xFFFFF00C
_INSTRUCTION = struct.Struct("=HBBI")  # struct sock_filter: code, jumps if true and if false, number

OUTGOING = 4  # PACKET_OUTGOING (linux/if_packet.h): what this host sends
_WHOLE = 0xFFFF  # bytes of a packet that pass
_NEXT, _DROP, _PASS = "", "drop", "pass"


class _Instruction(NamedTuple):
    """``if_true``, ``if_false``: labels of instructions, "" for the next one."""

    code: int
    number: int = 0
    if_true: str = _NEXT
    if_false: str = _NEXT
    label: str = _NEXT


def of_messages(headers: int, verdict: int) -> bytes:
    """The program for messages of a trace: those with the headers of a packet pass, and those whose verdict ends it.

    ``headers``, ``verdict``: the kinds of these attributes. A verdict holds its code first (libnftnl), and the codes of
    jumps and of other verdicts that end nothing are negative.
    """
    first = 20  # bytes before the first attribute: struct nlmsghdr and struct nfgenmsg
    lines = [
        _Instruction(_NUMBER, first),
        _Instruction(_NUMBER_TO_X, headers),
        _Instruction(_LOAD_WORD, _FIND_ATTRIBUTE),
        _Instruction(_IF_EQUAL, 0, if_false=_PASS),
        _Instruction(_NUMBER, first),
        _Instruction(_NUMBER_TO_X, verdict),
        _Instruction(_LOAD_WORD, _FIND_ATTRIBUTE),
        _Instruction(_IF_EQUAL, 0, _PASS),  # the policy of a chain
        _Instruction(_COPY_TO_X),
        _Instruction(_LOAD_WORD_X, 8),  # behind the headers of the attribute and of the one in it
        _Instruction(_IF_NEGATIVE, 0x80000000, _DROP, _PASS),
        _Instruction(_RETURN, _WHOLE, label=_PASS),
        _Instruction(_RETURN, 0, label=_DROP),
    ]
    return _assemble(lines)


def of_packets(mark: marks.Mark) -> bytes:
    """The program for the packets of a run."""
    lines = [
        _Instruction(_LOAD_HALF, _KIND_OF_PACKET),
        _Instruction(_IF_EQUAL, packets.IPV4, "ipv4"),
        _Instruction(_IF_EQUAL, packets.IPV6, "ipv6", _DROP),
        _Instruction(_LOAD_HALF, 6, label="ipv4"),
        _Instruction(_IF_BITS, 0x1FFF, _DROP),  # a later fragment has no header of its own
        _Instruction(_HEADER_LENGTH_TO_X, 0),
        _Instruction(_LOAD_BYTE, 9),
        _Instruction(_IF_EQUAL, packets.TCP, "tcp"),
        _Instruction(_IF_EQUAL, packets.UDP, "payload"),
        _Instruction(_IF_EQUAL, packets.ICMP, if_false=_DROP),
        _Instruction(_LOAD_BYTE_X, 0),
        _Instruction(_IF_EQUAL, 0, "payload"),  # echo reply
        _Instruction(_IF_EQUAL, 8, "payload"),  # echo request
        _Instruction(_IF_EQUAL, 3, _PASS),  # unreachable
        _Instruction(_IF_EQUAL, 11, _PASS, _DROP),  # time exceeded
        _Instruction(_NUMBER_TO_X, 40, label="ipv6"),
        _Instruction(_LOAD_BYTE, 6),
        _Instruction(_IF_EQUAL, packets.TCP, "tcp"),
        _Instruction(_IF_EQUAL, packets.UDP, "payload"),
        _Instruction(_IF_EQUAL, packets.ICMPV6, if_false=_DROP),
        _Instruction(_LOAD_BYTE_X, 0),
        _Instruction(_IF_EQUAL, 128, "payload"),  # echo request
        _Instruction(_IF_EQUAL, 129, "payload"),  # echo reply
        _Instruction(_IF_ABOVE, 4, _DROP, _PASS),  # 1 to 4: errors
        _Instruction(_LOAD_WORD_X, 8, label="payload"),  # behind eight bytes of a UDP or ICMP header
        _Instruction(_IF_EQUAL, mark.payload_start, _PASS, _DROP),
        _Instruction(_LOAD_WORD_X, 8, label="tcp"),  # the acknowledgement
        _Instruction(_SHIFT_RIGHT, 16),
        _Instruction(_IF_EQUAL, mark.tag, _PASS),
        _Instruction(_LOAD_BYTE_X, 13),  # the flags
        _Instruction(_IF_BITS, packets.SYN, if_false=_DROP),
        _Instruction(_LOAD_WORD_X, 4),  # the sequence number
        _Instruction(_SHIFT_RIGHT, 16),
        _Instruction(_IF_EQUAL, mark.tag, _PASS, _DROP),
        _Instruction(_RETURN, _WHOLE, label=_PASS),
        _Instruction(_RETURN, 0, label=_DROP),
    ]
    return _assemble(lines)


def of_answers(longest: int) -> bytes:
    """The program for what other hosts may answer on a link: ARP, ICMP, and TCP segments with SYN or RST.

    ``longest``: how many bytes of such a packet pass.
    """
    flags = packets.SYN | packets.RST
    return _assemble(
        [
            _Instruction(_LOAD_WORD, _DIRECTION_OF_PACKET),
            _Instruction(_IF_EQUAL, OUTGOING, _DROP),
            _Instruction(_LOAD_WORD, _KIND_OF_PACKET),
            _Instruction(_IF_EQUAL, packets.ARP, _PASS),
            _Instruction(_IF_EQUAL, packets.IPV6, "ipv6"),
            _Instruction(_IF_EQUAL, packets.IPV4, if_false=_DROP),
            _Instruction(_LOAD_BYTE, 9),
            _Instruction(_IF_EQUAL, packets.ICMP, _PASS),
            _Instruction(_IF_EQUAL, packets.TCP, if_false=_DROP),
            _Instruction(_HEADER_LENGTH_TO_X, 0),
            _Instruction(_LOAD_BYTE_X, 13),
            _Instruction(_IF_BITS, flags, _PASS, _DROP),
            _Instruction(_LOAD_BYTE, 6, label="ipv6"),
            _Instruction(_IF_EQUAL, packets.ICMPV6, _PASS),
            _Instruction(_IF_EQUAL, packets.TCP, if_false=_DROP),
            _Instruction(_LOAD_BYTE, 40 + 13),
            _Instruction(_IF_BITS, flags, _PASS, _DROP),
            _Instruction(_RETURN, longest, label=_PASS),
            _Instruction(_RETURN, 0, label=_DROP),
        ]
    )


def _assemble(lines: List[_Instruction]) -> bytes:
    """Instructions with labels -> the program as the kernel takes it, eight bytes for each instruction."""
    places: Dict[str, int] = {line.label: place for place, line in enumerate(lines) if line.label}

    def skipped(place: int, label: str) -> int:
        return places[label] - place - 1 if label else 0

    return b"".join(
        _INSTRUCTION.pack(line.code, skipped(place, line.if_true), skipped(place, line.if_false), line.number)
        for place, line in enumerate(lines)
    )
