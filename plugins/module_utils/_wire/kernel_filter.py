# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Give the kernel a program that decides what a socket receives (socket(7), SO_ATTACH_FILTER)."""

import array
import socket
import struct

_ATTACH_FILTER = 26  # asm-generic/socket.h; Python has no name for it
_INSTRUCTION = 8  # bytes of struct sock_filter


def attach(sock: socket.socket, program: bytes) -> None:
    """Attach a program of classic BPF. Raises OSError if the kernel refuses it."""
    kept = array.array("B", program)
    # struct sock_fprog (linux/filter.h): the number of instructions, and where they are
    value = struct.pack("@HP", len(program) // _INSTRUCTION, kept.buffer_info()[0])
    sock.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, value)
