# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A link of this host, on which packets are sent and received as they are (packet(7))."""

import socket
import struct
from typing import Iterator, NamedTuple, Tuple

from ansible_collections.determined.network.plugins.module_utils._wire import kernel_filter, packets

_EVERY_KIND = 0x0003  # ETH_P_ALL (linux/if_ether.h)
_OUTGOING = 4  # PACKET_OUTGOING: what this host sends
_ETHERNET = 1  # ARPHRD_ETHER
_SOL_PACKET, _STATISTICS = 263, 6  # Python has no names for these (linux/if_packet.h)
_SO_RCVBUFFORCE = 33
_BUFFER = 4 << 20  # bytes
_LONGEST = 2048  # bytes of a packet that are read
_BURST = 4096  # packets read at once

# The kernel hands over only what may be an answer, so that a busy host loses none: ARP, ICMP, and TCP segments with SYN
# or RST. Each line is (code, lines to skip if true, lines to skip if false, number); the codes are those of
# linux/bpf_common.h, and a packet begins with the header of IP.
_WORD, _BYTE, _BYTE_BEHIND, _LENGTH_OF_HEADER, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x30, 0x50, 0xB1, 0x15, 0x45, 0x06
_DIRECTION, _KIND = 0xFFFFF004, 0xFFFFF000  # SKF_AD_PKTTYPE, SKF_AD_PROTOCOL (linux/filter.h)
_FLAGS = packets.SYN | packets.RST
_ANSWERS = (
    (_WORD, 0, 0, _DIRECTION),
    (_EQUAL, 15, 0, _OUTGOING),
    (_WORD, 0, 0, _KIND),
    (_EQUAL, 14, 0, packets.ARP),
    (_EQUAL, 7, 0, packets.IPV6),
    (_EQUAL, 0, 11, packets.IPV4),
    (_BYTE, 0, 0, 9),
    (_EQUAL, 10, 0, packets.ICMP),
    (_EQUAL, 0, 8, packets.TCP),
    (_LENGTH_OF_HEADER, 0, 0, 0),
    (_BYTE_BEHIND, 0, 0, 13),
    (_ANY_BIT, 6, 5, _FLAGS),
    (_BYTE, 0, 0, 6),
    (_EQUAL, 4, 0, packets.ICMPV6),
    (_EQUAL, 0, 2, packets.TCP),
    (_BYTE, 0, 0, 53),
    (_ANY_BIT, 1, 0, _FLAGS),
    (_RETURN, 0, 0, 0),
    (_RETURN, 0, 0, _LONGEST),
)


class Received(NamedTuple):
    """A packet. ``kind``: as packets.IPV4."""

    kind: int
    packet: bytes


class Link:
    """An open link. ``hardware``: this host's address there, b"" if the link is no Ethernet.

    The link's header is built by the kernel, and no firewall of this host sees the packets.
    """

    def __init__(self, interface: int) -> None:
        """Open the link of an interface. Raises PermissionError without root, and OSError."""
        self.name = socket.if_indextoname(interface)
        self._sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, 0)
        try:
            self._sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
            # The filter stands before the socket receives anything: until bind() it listens to no kind.
            kernel_filter.attach(self._sock, b"".join(struct.pack("=HBBI", *line) for line in _ANSWERS))
            self._sock.bind((self.name, _EVERY_KIND))
        except OSError:
            self._sock.close()
            raise
        _name, _protocol, _direction, hardware_kind, hardware = self._sock.getsockname()
        self.hardware: bytes = hardware if hardware_kind == _ETHERNET and len(hardware) == 6 else b""
        self.sent = 0

    def fileno(self) -> int:
        """The descriptor, for poll(2)."""
        return self._sock.fileno()

    def send(self, kind: int, hardware: bytes, packet: bytes) -> None:
        """Send a packet to a hardware address on the link. Raises OSError."""
        self._sock.sendto(packet, (self.name, kind, 0, 0, hardware))
        self.sent += 1

    def receive(self) -> Iterator[Received]:
        """The packets that have come since the last call. Raises OSError, for example when the link goes down."""
        for _unused in range(_BURST):
            try:
                packet, origin = self._sock.recvfrom(_LONGEST)
            except BlockingIOError:
                return
            _name, kind, direction = origin[:3]
            if direction != _OUTGOING and kind in (packets.IPV4, packets.IPV6, packets.ARP):
                yield Received(kind, packet)

    def lost(self) -> int:
        """How many packets the kernel could not keep for us since the last call."""
        counters: Tuple[int, int] = struct.unpack("=II", self._sock.getsockopt(_SOL_PACKET, _STATISTICS, 8))
        return counters[1]

    def close(self) -> None:
        """Close the link."""
        self._sock.close()
