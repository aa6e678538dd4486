# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions to the kernel over netlink(7), and the messages and attributes of its answers.

What a message's payload means is told where it is used: in ``_firewall/kernel_facts``, which only asks, and in
:mod:`conntrack`.
"""

import os
import socket
import struct
from typing import Dict, Iterator, List, Tuple

ROUTE, XFRM, NETFILTER, GENERIC = 0, 6, 12, 16  # protocols (linux/netlink.h)
_REQUEST, ACK, DUMP = 0x1, 0x4, 0x300  # flags of a request
ERROR, _DONE = 2, 3  # kinds of messages
_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr: length, kind, flags, sequence, port
_ATTRIBUTE = struct.Struct("=HH")  # struct nlattr: length, kind
_KIND_MASK = 0x3FFF  # the two upper bits are flags (NLA_F_NESTED, NLA_F_NET_BYTEORDER)
_SECONDS = 5.0
_BYTES = 1 << 20  # no message of the kernel is longer

# Generic netlink (linux/genetlink.h): a family's number is looked up by its name.
_CONTROLLER, _GET_FAMILY, _FAMILY_ID, _FAMILY_NAME = 16, 3, 1, 2
_GENERIC_HEADER = struct.Struct("=BBH")  # struct genlmsghdr: command, version, reserved


def ask(protocol: int, kind: int, flags: int, payload: bytes) -> List[bytes]:
    """Send one request -> the payloads of the answer's messages.

    ``flags``: DUMP for a list; otherwise ACK, so that the answer has an end. Raises OSError: what the kernel
    refuses (EOPNOTSUPP, ENODEV, ENOENT), a kernel without the protocol (EPROTONOSUPPORT), or no answer in time.
    """
    found: List[bytes] = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol) as sock:
        sock.settimeout(_SECONDS)
        sock.bind((0, 0))
        sock.send(request(kind, flags, payload))
        while True:
            for answered, body in messages(sock.recv(_BYTES)):
                if answered == _DONE:
                    return found
                if answered == ERROR:
                    number = error(body)
                    if number:
                        raise OSError(number, os.strerror(number))
                    return found
                found.append(body)


def ask_generic(family: str, command: int, flags: int, payload: bytes) -> List[bytes]:
    """The same for a family of generic netlink, such as "wireguard" -> attributes of each message, unparsed.

    OSError (ENOENT) if the kernel has no such family.
    """
    name = attribute(_FAMILY_NAME, family.encode("ascii") + b"\0")
    (found,) = ask(GENERIC, _CONTROLLER, ACK, _GENERIC_HEADER.pack(_GET_FAMILY, 1, 0) + name)
    (number,) = struct.unpack_from("=H", attributes(found[_GENERIC_HEADER.size :])[_FAMILY_ID])
    answers = ask(GENERIC, number, flags, _GENERIC_HEADER.pack(command, 1, 0) + payload)
    return [answer[_GENERIC_HEADER.size :] for answer in answers]


def request(kind: int, flags: int, payload: bytes) -> bytes:
    """One message to the kernel, with its header. ``flags``: ACK, DUMP and those of the ``kind``."""
    return _HEADER.pack(_HEADER.size + len(payload), kind, _REQUEST | flags, 1, 0) + payload


def error(body: bytes) -> int:
    """The payload of a message of kind ERROR -> 0 for an acknowledgement, or the number of the error (errno(3))."""
    (code,) = struct.unpack_from("=i", body)
    return -int(code)


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, padded to four bytes."""
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def messages(data: bytes) -> Iterator[Tuple[int, bytes]]:
    """The messages of one datagram as (kind, payload)."""
    for kind, body in _pieces(data, _HEADER):
        yield kind, body


def attributes(data: bytes) -> Dict[int, bytes]:
    """Attributes by their kind. Of several with the same kind, the last one counts."""
    return dict(attribute_list(data))


def attribute_list(data: bytes) -> Iterator[Tuple[int, bytes]]:
    """Attributes in their order, as (kind, value): a list is sent as attributes whose kinds say nothing."""
    for kind, body in _pieces(data, _ATTRIBUTE):
        yield kind & _KIND_MASK, body


def text(data: bytes) -> str:
    """A name in an attribute, which the kernel ends with a NUL."""
    return data.rstrip(b"\0").decode("utf-8", "replace")


def _pieces(data: bytes, header: struct.Struct) -> Iterator[Tuple[int, bytes]]:
    start = 0
    while start + header.size <= len(data):
        length, kind = header.unpack_from(data, start)[:2]
        if length < header.size:
            return
        yield kind, data[start + header.size : start + length]
        start += (length + 3) & ~3
