# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A link of this host, on which packets are sent and received as they are (packet(7))."""

import socket
from typing import Iterator, NamedTuple

from ansible_collections.determined.network.plugins.module_utils._wire import packet_filter, packet_sockets, packets

_ETHERNET = 1  # ARPHRD_ETHER
_BUFFER = 4 << 20  # bytes
_LONGEST = 2048  # bytes of a packet that are read
_BURST = 4096  # packets read at once


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
            packet_sockets.enlarge_buffer(self._sock, _BUFFER)
            # The filter stands before the socket receives anything: until bind() it listens to no kind.
            packet_sockets.attach(self._sock, packet_filter.of_answers(_LONGEST))
            self._sock.bind((self.name, packet_sockets.EVERY_KIND))
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
            if direction != packet_filter.OUTGOING and kind in (packets.IPV4, packets.IPV6, packets.ARP):
                yield Received(kind, packet)

    def lost(self) -> int:
        """How many packets the kernel could not keep for us since the last call."""
        return packet_sockets.dropped(self._sock)

    def close(self) -> None:
        """Close the link."""
        self._sock.close()
