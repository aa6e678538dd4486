# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a network namespace counts and listens on, read from the texts of /proc/net. Pure.

Sources: proc(5) and, in the kernel, net/ipv4/proc.c, net/ipv6/proc.c, net/ipv4/tcp_ipv4.c.
"""

import ipaddress
import struct

TCP_LISTEN = "0A"  # TCP_LISTEN of include/net/tcp_states.h
UDP_UNCONNECTED = "07"  # a bound UDP socket is shown in state TCP_CLOSE


def parse_counters(text):
    """/proc/net/snmp or /proc/net/netstat -> ``{"Tcp": {"OutRsts": 12, ...}, ...}``.

    The files hold pairs of lines: names, then values, both starting with the group.
    Raises ValueError when a pair does not match.
    """
    lines = text.splitlines()
    groups = {}
    for index in range(0, len(lines), 2):
        group, names = lines[index].split(":", 1)
        other, values = lines[index + 1].split(":", 1) if index + 1 < len(lines) else ("", "")
        names, values = names.split(), values.split()
        if group != other or len(names) != len(values):
            raise ValueError("the lines of %r and %r are no pair of names and values" % (group, other))
        groups[group] = {name: int(values[column]) for column, name in enumerate(names)}
    return groups


def parse_counters6(text):
    """/proc/net/snmp6 -> ``{"Ip6InReceives": 12, ...}``: one name and value a line."""
    return {name: int(value) for name, value in (line.split() for line in text.splitlines())}


def parse_sockets(text, state):
    """/proc/net/tcp, tcp6, udp or udp6 -> set of ``(address, port)`` of the sockets in ``state``.

    ``state`` is two hex digits (TCP_LISTEN, UDP_UNCONNECTED); addresses in canonical text.
    """
    wanted = " %s " % state
    found = set()
    for line in text.splitlines()[1:]:
        if wanted not in line:  # most lines of a busy host: not worth splitting
            continue
        fields = line.split()
        if fields[3] == state:
            address, port = fields[1].split(":")
            found.add((decode_address(address), int(port, 16)))
    return found


def decode_address(text):
    """An address of /proc/net/tcp or tcp6 (32-bit words in host byte order, in hex) -> text."""
    words = [int(text[start : start + 8], 16) for start in range(0, len(text), 8)]
    data = struct.pack("=%dI" % len(words), *words)
    return str(ipaddress.IPv4Address(data) if len(data) == 4 else ipaddress.IPv6Address(data))
