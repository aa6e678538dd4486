# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Python has no names for: options of sockets, and of those that receive packets (socket(7), packet(7))."""

import array
import socket
import struct

EVERY_KIND = 0x0003  # ETH_P_ALL (linux/if_ether.h)
_SOL_PACKET, _STATISTICS = 263, 6  # linux/if_packet.h
_ATTACH_FILTER, _RCVBUFFORCE = 26, 33  # asm-generic/socket.h
_INSTRUCTION = 8  # bytes of struct sock_filter


def attach(sock: socket.socket, program: bytes) -> None:
    """Attach a program of classic BPF, which decides what a socket receives. Raises OSError if it is refused."""
    kept = array.array("B", program)
    # struct sock_fprog (linux/filter.h): the number of instructions, and where they are
    value = struct.pack("@HP", len(program) // _INSTRUCTION, kept.buffer_info()[0])
    sock.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, value)


def enlarge_buffer(sock: socket.socket, size: int) -> None:
    """Give a socket a buffer of so many bytes, above the system's limit. PermissionError without CAP_NET_ADMIN."""
    sock.setsockopt(socket.SOL_SOCKET, _RCVBUFFORCE, size)


def dropped(sock: socket.socket) -> int:
    """How many packets the kernel could not keep for a socket of packet(7) since the last call."""
    return int(struct.unpack("=II", sock.getsockopt(_SOL_PACKET, _STATISTICS, 8))[1])
