# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes TCP connections of this network namespace known to the kernel's connection tracking.

A connection that began before the kernel tracked connections has no entry, so its packets look like the middle of
nothing. Here each connection gets the entry that it would have. Sources: in the kernel,
include/uapi/linux/netfilter/nfnetlink_conntrack.h, nf_conntrack_tcp.h and nf_conntrack_common.h; netlink(7).
"""

import errno
import os
import socket
import struct
from typing import Dict, Iterator, List, Sequence, Tuple

from ansible_collections.determined.network.plugins.module_utils._sockets import netlink
from ansible_collections.determined.network.plugins.module_utils._sockets.proc import Connection

_NEW_ENTRY = 1 << 8  # NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_NEW
_EXCLUSIVE, _CREATE = 0x200, 0x400  # flags of a request
_NESTED = 0x8000
# Attributes of an entry: CTA_*.
_ORIGINAL, _REPLY, _STATUS, _PROTOCOL_INFO, _TIMEOUT = 1, 2, 3, 4, 7
_TUPLE_ADDRESSES, _TUPLE_PROTOCOL = 1, 2
_ADDRESSES: Dict[int, Tuple[int, int]] = {socket.AF_INET: (1, 2), socket.AF_INET6: (3, 4)}
_NUMBER, _SOURCE_PORT, _DESTINATION_PORT = 1, 2, 3
_TCP, _TCP_STATE, _FLAGS_ORIGINAL, _FLAGS_REPLY = 1, 1, 4, 5
_SEEN_REPLY, _ASSURED, _CONFIRMED = 0x2, 0x4, 0x8
_ESTABLISHED = 3  # TCP_CONNTRACK_ESTABLISHED
# IP_CT_TCP_FLAG_BE_LIBERAL, flag and mask: the scale of the windows was told in the handshake, and is not known here.
_LIBERAL = b"\x08\x08"
_AT_ONCE = 64  # entries in one message, so that all answers find room in the socket's buffer
_ANSWER_SECONDS = 5.0


def register(connections: Sequence[Connection], lifetime: int) -> List[str]:
    """Give each TCP connection an entry, if it has none -> the reasons why some have none now, each once.

    ``lifetime``: seconds until the kernel forgets an entry of which it sees no packet. Never fails.
    """
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, netlink.NETFILTER) as kernel:
            kernel.settimeout(_ANSWER_SECONDS)
            kernel.bind((0, 0))
            problems = set()
            for start in range(0, len(connections), _AT_ONCE):
                problems |= set(_send(kernel, connections[start : start + _AT_ONCE], lifetime))
    except OSError as problem:
        return [problem.strerror or str(problem)]
    return sorted(os.strerror(number) for number in problems)


def _send(kernel: socket.socket, connections: Sequence[Connection], lifetime: int) -> Iterator[int]:
    """Send one message -> the numbers of errors, as of errno(3)."""
    kernel.send(b"".join(request(connection, lifetime) for connection in connections))
    answered = 0
    while answered < len(connections):
        data = kernel.recv(65536)
        for number in answers(data):
            answered += 1
            if number not in (0, errno.EEXIST):
                yield number


def request(connection: Connection, lifetime: int) -> bytes:
    """A connection -> the request to make its entry, unless there is one."""
    client, server = connection.ends()
    family = socket.AF_INET6 if ":" in client[0] else socket.AF_INET
    flags = netlink.attribute(_FLAGS_ORIGINAL, _LIBERAL) + netlink.attribute(_FLAGS_REPLY, _LIBERAL)
    state = netlink.attribute(_TCP_STATE, bytes((_ESTABLISHED,)))
    body = (
        struct.pack("!BBH", family, 0, 0)
        + _nest(_ORIGINAL, _tuple(family, client, server))
        + _nest(_REPLY, _tuple(family, server, client))
        + netlink.attribute(_STATUS, struct.pack("!I", _SEEN_REPLY | _ASSURED | _CONFIRMED))
        + _nest(_PROTOCOL_INFO, _nest(_TCP, state + flags))
        + netlink.attribute(_TIMEOUT, struct.pack("!I", lifetime))
    )
    return netlink.request(_NEW_ENTRY, netlink.ACK | _EXCLUSIVE | _CREATE, body)


def _tuple(family: int, source: Tuple[str, int], destination: Tuple[str, int]) -> bytes:
    from_, to = _ADDRESSES[family]
    addresses = netlink.attribute(from_, socket.inet_pton(family, source[0]))
    addresses += netlink.attribute(to, socket.inet_pton(family, destination[0]))
    protocol = netlink.attribute(_NUMBER, bytes((socket.IPPROTO_TCP,)))
    protocol += netlink.attribute(_SOURCE_PORT, struct.pack("!H", source[1]))
    protocol += netlink.attribute(_DESTINATION_PORT, struct.pack("!H", destination[1]))
    return _nest(_TUPLE_ADDRESSES, addresses) + _nest(_TUPLE_PROTOCOL, protocol)


def _nest(kind: int, content: bytes) -> bytes:
    return netlink.attribute(kind | _NESTED, content)


def answers(data: bytes) -> Iterator[int]:
    """What the kernel has answered -> for each request 0 or the number of its error, as of errno(3)."""
    for kind, body in netlink.messages(data):
        if kind == netlink.ERROR:  # which is also an acknowledgement
            yield netlink.error(body)
