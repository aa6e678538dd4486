# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sockets as the probes need them, and how many this process may have."""

import os
import resource
import socket
import struct

from ansible_collections.determined.network.plugins.module_utils._probe import errors

# Python names these only in later versions; the numbers are Linux's (linux/in.h, in6.h).
IP_RECVERR = 11
IPV6_RECVERR = 25
IP_BIND_ADDRESS_NO_PORT = 24
MSG_ERRQUEUE = 0x2000

FAMILIES = {"ipv4": socket.AF_INET, "ipv6": socket.AF_INET6}
TYPES = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}

# An unanswered connection costs the kernel 5.5 kB: 20,000 of them hold 110 MB.
MOST_SOCKETS = 20000
_RESERVE = 24  # descriptors left to everything else in this process


def raise_file_limit():
    """Raise the soft limit of open files to the hard one; returns the limit then in force."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def capacity():
    """How many sockets may be open at once here: the file limit minus what is open, bounded."""
    limit = raise_file_limit()
    if limit == resource.RLIM_INFINITY:
        return MOST_SOCKETS
    return max(4, min(MOST_SOCKETS, limit - len(os.listdir("/proc/self/fd")) - _RESERVE))


def open_socket(target):
    """A non-blocking socket for a Target, which will queue ICMP errors. Raises OSError."""
    sock = socket.socket(FAMILIES[target.family], TYPES[target.protocol] | socket.SOCK_NONBLOCK)
    try:
        if target.family == "ipv4":
            sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
        if target.source:
            # Let connect choose the port: bind would take one away from every other address.
            sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind(socket_address(target.source, 0))
    except OSError:
        sock.close()
        raise
    return sock


def socket_address(address, port):
    """An address and a port -> what connect and bind take; zones (%eth0) are looked up."""
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return socket.getaddrinfo(address, port, 0, socket.SOCK_STREAM, 0, flags)[0][4]


def read_error_queue(sock):
    """The newest ICMP error that a socket received -> ExtendedError, or None."""
    newest = None
    while True:
        try:
            ancillary = sock.recvmsg(64, 256, MSG_ERRQUEUE)[1]
        except OSError:  # EAGAIN: the queue is empty
            return newest
        for level, kind, data in ancillary:
            if (level, kind) in ((socket.IPPROTO_IP, IP_RECVERR), (socket.IPPROTO_IPV6, IPV6_RECVERR)):
                newest = errors.parse_extended_error(data)


def source_address(target):
    """The local address from which this host reaches a target, "" when it has none of its own.

    It has none either when the target is that very address: then nobody's errors can be told
    from the target's.

    Connecting a UDP socket sends nothing; a failed TCP socket has forgotten its address.
    """
    sock = socket.socket(FAMILIES[target.family], socket.SOCK_DGRAM)
    try:
        if target.source:
            sock.bind(socket_address(target.source, 0))
        sock.connect(socket_address(target.address, 9))
        own = sock.getsockname()[0].partition("%")[0]
        return "" if own == target.address.partition("%")[0] else own
    except OSError:
        return ""
    finally:
        sock.close()


def repeated(sock):
    """Whether the kernel has sent this socket's SYN more than once; ask before connect tells of a failure.

    tcpi_total_retrans is the 24th number after eight bytes of struct tcp_info (linux/tcp.h).
    """
    information = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    return len(information) < 104 or struct.unpack_from("=I", information, 100)[0] > 0


def met_itself(sock):
    """Whether an established connection has this very socket at its other end."""
    try:
        return sock.getsockname() == sock.getpeername()
    except OSError:
        return False


def close_with_reset(sock):
    """Close an established connection by a RST at once (SO_LINGER, socket(7)); no TIME_WAIT."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("=ii", 1, 0))
    sock.close()
