# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sockets as the probes need them, and the number of them that this process may have."""

import os
import resource
import socket
import struct
from typing import Any, NamedTuple, Optional, Tuple

from ansible_collections.determined.network.plugins.module_utils._sockets import errors
from ansible_collections.determined.network.plugins.module_utils._sockets.destination import Destination

# Only later versions of Python name these; the numbers are Linux's (linux/in.h, in6.h).
IP_RECVERR = 11
IPV6_RECVERR = 25
IP_BIND_ADDRESS_NO_PORT = 24
MSG_ERRQUEUE = 0x2000

FAMILIES = {"ipv4": socket.AF_INET, "ipv6": socket.AF_INET6}
TYPES = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}

# An unanswered connection takes 5.5 kB of kernel memory, so 20,000 of them take 110 MB.
MOST_SOCKETS = 20000
_RESERVE = 24  # descriptors that the rest of this process may need


class Peer(NamedTuple):
    """The process at the other end of a Unix socket, as it was when it called connect or listen (unix(7))."""

    pid: int
    uid: int
    gid: int


def peer(sock: socket.socket) -> Peer:
    """Who is at the other end of a connected Unix socket (SO_PEERCRED). Raises OSError."""
    size = struct.calcsize("=3i")
    return Peer(*struct.unpack("=3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)))


def raise_file_limit() -> int:
    """Raise the soft limit of open files to the hard one, and return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def capacity() -> int:
    """The number of sockets that may be open at once: the file limit minus what is open, at most MOST_SOCKETS."""
    limit = raise_file_limit()
    if limit == resource.RLIM_INFINITY:
        return MOST_SOCKETS
    return max(4, min(MOST_SOCKETS, limit - len(os.listdir("/proc/self/fd")) - _RESERVE))


def open_socket(destination: Destination) -> socket.socket:
    """A non-blocking socket that queues ICMP errors. Raises OSError."""
    sock = socket.socket(FAMILIES[destination.family], TYPES[destination.protocol] | socket.SOCK_NONBLOCK)
    try:
        if destination.family == "ipv4":
            sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
        if destination.source:
            # connect chooses the port. A port that bind chose could not be used for any other address.
            sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind(socket_address(destination.source, 0))
    except OSError:
        sock.close()
        raise
    return sock


def socket_address(address: str, port: int) -> Tuple[Any, ...]:
    """The socket address for connect and bind; the index of a zone (%eth0) is looked up."""
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return socket.getaddrinfo(address, port, 0, socket.SOCK_STREAM, 0, flags)[0][4]


def read_error_queue(sock: socket.socket) -> Optional[errors.ExtendedError]:
    """The newest ICMP error that a socket received, or None. The queue is empty afterwards."""
    newest = None
    while True:
        try:
            ancillary = sock.recvmsg(64, 256, MSG_ERRQUEUE)[1]
        except OSError:  # EAGAIN: the queue is empty
            return newest
        for level, kind, data in ancillary:
            if (level, kind) in ((socket.IPPROTO_IP, IP_RECVERR), (socket.IPPROTO_IPV6, IPV6_RECVERR)):
                newest = errors.parse_extended_error(data)


def source_address(destination: Destination) -> str:
    """The local address from which this host reaches a destination, "" if there is none.

    It is also "" if the destination is that very address, because then an error of this host cannot be
    distinguished from an error of the destination.
    """
    # Connecting a UDP socket sends nothing. The failed TCP socket does not know its address any more.
    sock = socket.socket(FAMILIES[destination.family], socket.SOCK_DGRAM)
    try:
        if destination.source:
            sock.bind(socket_address(destination.source, 0))
        sock.connect(socket_address(destination.address, 9))
        own: str = sock.getsockname()[0].partition("%")[0]
        return "" if own == destination.address.partition("%")[0] else own
    except OSError:
        return ""
    finally:
        sock.close()


def repeated(sock: socket.socket) -> bool:
    """Whether the kernel has sent this socket's SYN more than once.

    Call it before the failure is read by connect, which resets the counter.
    tcpi_total_retrans is the 24th number after eight bytes of struct tcp_info (linux/tcp.h).
    """
    information = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    return len(information) < 104 or struct.unpack_from("=I", information, 100)[0] > 0


def is_connected_to_itself(sock: socket.socket) -> bool:
    """Whether an established connection has this very socket at its other end."""
    try:
        return sock.getsockname() == sock.getpeername()
    except OSError:
        return False


def close_with_reset(sock: socket.socket) -> None:
    """Close an established connection by a RST at once (SO_LINGER, socket(7)); no TIME_WAIT."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("=ii", 1, 0))
    sock.close()
