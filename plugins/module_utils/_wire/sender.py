# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Send the marked packets of a run: SYNs that open no connection, datagrams and echo requests.

A SYN goes out through a raw socket, so every firewall of this host judges it as it judges a SYN of a program. This
host's kernel knows no connection of it, and resets the SYN/ACK that may come back. So the program that listens at the
other end never learns of it (accept(2) returns completed connections only).
"""

import errno
import os
import socket
import struct
import time
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

from ansible_collections.determined.network.plugins.module_utils._sockets import checksum, sockets
from ansible_collections.determined.network.plugins.module_utils._sockets.destination import Destination
from ansible_collections.determined.network.plugins.module_utils._wire import marks, packets

# Seconds after the beginning at which a packet is sent: a lost packet is no finding. The last pause is for the answers.
SENDING_TIMES = (0.0, 0.3, 1.0)
ANSWER_SECONDS = 1.0

_WINDOW = 64240
_MAXIMUM_SEGMENT_SIZE = struct.pack("!BBH", 2, 4, 536)  # RFC 9293 3.2; every SYN of an honest stack has it
_ECHO_REQUEST = {"ipv4": 8, "ipv6": 128}
_ICMP = {"ipv4": socket.IPPROTO_ICMP, "ipv6": socket.IPPROTO_ICMPV6}


class Packet(NamedTuple):
    """A packet to send. ``protocol``: "tcp", "udp" or "icmp". ``port``: 0 for "icmp". ``source``: the address from
    which to send, "" if the kernel chooses."""

    number: int
    protocol: str
    address: str
    port: int
    source: str = ""

    @property
    def destination(self) -> Destination:
        """Where it goes, for the functions of ``sockets``."""
        return Destination(self.address, "udp", self.source or None)


class Sent(NamedTuple):
    """What became of a packet on this host. ``source``: the address it was sent from, "" if none leads there.
    ``source_port``: 0 for "icmp". ``error``: of the system, "" without one."""

    number: int
    source: str
    source_port: int
    error: str

    def to_dict(self) -> Dict[str, Any]:
        """Plain data for a module's result."""
        return dict(self._asdict())


class Sender:
    """Sends packets repeatedly from the same ports, and closes its sockets at the end of its ``with`` block."""

    def __init__(self, mark: marks.Mark) -> None:
        self._mark = mark
        self._open: List[socket.socket] = []

    def __enter__(self) -> "Sender":
        sockets.raise_file_limit()  # a SYN needs two sockets
        return self

    def __exit__(self, *unused: object) -> None:
        for sock in self._open:
            sock.close()

    def send(self, wanted: Sequence[Packet]) -> List[Sent]:
        """Send all packets at each of SENDING_TIMES, and wait for ANSWER_SECONDS -> what became of each.

        Raises PermissionError without CAP_NET_RAW: otherwise this would look like a firewall that refuses a packet.
        """
        prepared = [self._prepare(packet) for packet in wanted]
        began = time.monotonic()
        results: Dict[int, Sent] = {}
        for when in SENDING_TIMES:
            time.sleep(max(0.0, began + when - time.monotonic()))
            for packet, way in zip(wanted, prepared):
                results[packet.number] = way.attempt(packet.number)
        time.sleep(ANSWER_SECONDS)
        return [results[packet.number] for packet in wanted]

    def _prepare(self, packet: Packet) -> "_Way":
        source, problem = _source(packet)
        if problem:
            return _Way(None, b"", "", 0, packet.address, problem)
        try:
            if packet.protocol == "tcp":
                return self._prepare_segment(packet, source)
            return self._prepare_message(packet, source)
        except PermissionError:
            raise
        except OSError as error:
            return _Way(None, b"", source, 0, packet.address, _text(error))

    def _prepare_segment(self, packet: Packet, source: str) -> "_Way":
        family = sockets.FAMILIES[packet.destination.family]
        # The port is taken, so that no program of this host gets it. As nothing listens there, a SYN/ACK is reset.
        holder = self._keep(socket.socket(family, socket.SOCK_STREAM))
        own = _with_zone(source, packet)
        holder.bind(sockets.socket_address(own, 0))
        port = holder.getsockname()[1]
        raw = self._keep(socket.socket(family, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.IPPROTO_TCP))
        raw.bind(sockets.socket_address(own, 0))
        # It would receive a copy of every segment that comes to this host.
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)
        # A checksum does not cover the zone of an address.
        flow = packets.Flow(packets.End(source, port), packets.End(packet.address.partition("%")[0], packet.port))
        sequence = self._mark.sequence(packet.number)
        data = packets.segment(flow, packets.SYN, sequence, options=_MAXIMUM_SEGMENT_SIZE, window=_WINDOW)
        return _Way(raw, data, source, port, packet.address, "")

    def _prepare_message(self, packet: Packet, source: str) -> "_Way":
        family = packet.destination.family
        payload = self._mark.payload(packet.number)
        if packet.protocol == "udp":
            sock = self._keep(socket.socket(sockets.FAMILIES[family], socket.SOCK_DGRAM | socket.SOCK_NONBLOCK))
            sock.bind(sockets.socket_address(_with_zone(source, packet), 0))
            return _Way(sock, payload, source, sock.getsockname()[1], packet.address, "", packet.port)
        kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK
        sock = self._keep(socket.socket(sockets.FAMILIES[family], kind, _ICMP[family]))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)
        sock.bind(sockets.socket_address(_with_zone(source, packet), 0))
        message = struct.pack("!BBHHH", _ECHO_REQUEST[family], 0, 0, os.getpid() & 0xFFFF, packet.number) + payload
        if family == "ipv4":  # the kernel computes that of ICMPv6 (RFC 3542, section 3.1)
            message = message[:2] + struct.pack("!H", checksum.of(message)) + message[4:]
        return _Way(sock, message, source, 0, packet.address, "")

    def _keep(self, sock: socket.socket) -> socket.socket:
        self._open.append(sock)
        return sock


class _Way(NamedTuple):
    """How one packet is sent: its socket, its bytes, and from where."""

    sock: Any
    data: bytes
    source: str
    source_port: int
    address: str
    error: str
    port: int = 0

    def attempt(self, number: int) -> Sent:
        """Send it once."""
        if self.sock is None:
            return Sent(number, self.source, self.source_port, self.error)
        problem = ""
        try:
            self.sock.sendto(self.data, sockets.socket_address(self.address, self.port))
        except OSError as error:
            # A datagram's socket tells an ICMP error that came in the meantime; the next attempt sends again.
            problem = "" if error.errno == errno.ECONNREFUSED else _text(error)
        return Sent(number, self.source, self.source_port, problem)


def _source(packet: Packet) -> Tuple[str, str]:
    """The address from which this host sends a packet, or why it cannot -> (address, problem), one of them empty."""
    # Connecting a UDP socket sends nothing, and needs no port that listens.
    sock = socket.socket(sockets.FAMILIES[packet.destination.family], socket.SOCK_DGRAM)
    try:
        if packet.source:
            try:
                sock.bind(sockets.socket_address(_with_zone(packet.source, packet), 0))
            except OSError as problem:
                return "", "this host cannot send from %s: %s" % (packet.source, _text(problem))
        sock.connect(sockets.socket_address(packet.address, 9))
        return str(sock.getsockname()[0].partition("%")[0]), ""
    except OSError:
        return "", "this host has no route to it"
    finally:
        sock.close()


def _with_zone(source: str, packet: Packet) -> str:
    """A source for bind(2): a link-local address of IPv6 needs the zone that the destination has (RFC 4007)."""
    zone = packet.address.partition("%")[2]
    return "%s%%%s" % (source, zone) if zone and "%" not in source and source.startswith("fe80:") else source


def _text(problem: OSError) -> str:
    return os.strerror(problem.errno) if problem.errno else str(problem)
