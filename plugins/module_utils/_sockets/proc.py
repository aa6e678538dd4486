# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The counters and the listening sockets of a network namespace, read from the texts of /proc/net. Pure.

Sources: proc(5) and, in the kernel, net/ipv4/proc.c, net/ipv6/proc.c, net/ipv4/tcp_ipv4.c.
"""

import ipaddress
import struct
from typing import Dict, List, NamedTuple, Sequence, Set, Tuple

TCP_LISTEN = "0A"  # TCP_LISTEN of include/net/tcp_states.h
# TCP_ESTABLISHED, TCP_FIN_WAIT1, TCP_FIN_WAIT2, TCP_CLOSE_WAIT: data may still come in one direction at least.
_CONNECTED = ("01", "04", "05", "08")
UDP_UNCONNECTED = "07"  # a bound UDP socket is shown in state TCP_CLOSE
_UNIX_LISTENS = 0x10000  # the flag __SO_ACCEPTCON of include/linux/net.h


class Connection(NamedTuple):
    """A TCP connection of this network namespace. Addresses are texts, and an IPv4 address is never in its IPv6 form.
    ``is_server``: whether the local port listens, so that the other end has opened the connection."""

    local: Tuple[str, int]
    remote: Tuple[str, int]
    is_server: bool

    def ends(self) -> Tuple[Tuple[str, int], Tuple[str, int]]:
        """Address and port of the client, and of the server."""
        return (self.remote, self.local) if self.is_server else (self.local, self.remote)


def parse_connections(tables: Sequence[str]) -> List[Connection]:
    """The texts of /proc/net/tcp and tcp6 -> the connections to other hosts over which data may still come, sorted."""
    listening = {port for text in tables for dummy, port in parse_sockets(text, TCP_LISTEN)}
    found = set()
    for text in tables:
        for line in text.splitlines()[1:]:
            fields = line.split()
            if fields[3] in _CONNECTED:
                local, remote = decode_end(fields[1]), decode_end(fields[2])
                if local[0] != remote[0] and not ipaddress.ip_address(remote[0]).is_loopback:
                    found.add(Connection(local, remote, local[1] in listening))
    return sorted(found)


def decode_end(text: str) -> Tuple[str, int]:
    """Address and port of /proc/net/tcp or udp, an IPv4 address never in its IPv6 form -> (address, port)."""
    encoded, port = text.split(":")
    address = ipaddress.ip_address(decode_address(encoded))
    return str(getattr(address, "ipv4_mapped", None) or address), int(port, 16)


def parse_counters(text: str) -> Dict[str, Dict[str, int]]:
    """Read /proc/net/snmp or /proc/net/netstat: ``{"Tcp": {"OutRsts": 12, ...}, ...}``.

    The files hold pairs of lines: names, then values, both starting with the group.
    Raises ValueError when a pair does not match.
    """
    lines = text.splitlines()
    groups = {}
    for index in range(0, len(lines), 2):
        group, _colon, names = lines[index].partition(":")
        other, _colon, values = lines[index + 1].partition(":") if index + 1 < len(lines) else ("", "", "")
        if group != other or len(names.split()) != len(values.split()):
            raise ValueError("the lines of %r and %r are not a pair of names and values" % (group, other))
        groups[group] = {name: int(value) for name, value in zip(names.split(), values.split())}
    return groups


def parse_counters6(text: str) -> Dict[str, int]:
    """Read /proc/net/snmp6, which has one name and value in each line: ``{"Ip6InReceives": 12, ...}``."""
    return {name: int(value) for name, value in (line.split() for line in text.splitlines())}


def parse_sockets(text: str, state: str) -> Set[Tuple[str, int]]:
    """The ``(address, port)`` of the sockets in ``state``, read from /proc/net/tcp, tcp6, udp or udp6.

    ``state`` is two hex digits (TCP_LISTEN, UDP_UNCONNECTED). Addresses are canonical text.
    """
    wanted = " %s " % state
    found = set()
    for line in text.splitlines()[1:]:
        if wanted not in line:  # A busy host has many thousand lines, and splitting each is slow.
            continue
        fields = line.split()
        if fields[3] == state:
            address, port = fields[1].split(":")
            found.add((decode_address(address), int(port, 16)))
    return found


def decode_address(text: str) -> str:
    """An address of /proc/net/tcp or tcp6 (32-bit words in host byte order, in hex) as canonical text."""
    words = [int(text[start : start + 8], 16) for start in range(0, len(text), 8)]
    data = struct.pack("=%dI" % len(words), *words)
    return str(ipaddress.IPv4Address(data) if len(data) == 4 else ipaddress.IPv6Address(data))


def parse_unix_listeners(text: bytes, prefix: bytes) -> List[Tuple[int, bytes]]:
    """The ``(inode, name)`` of listening Unix sockets whose abstract names begin with ``prefix``, without the NUL.

    ``text``: /proc/net/unix. Any user chooses such names freely, with spaces and line feeds as well. So a name may be
    cut off or invented, and only who connects learns whose it is. Lines that cannot be read are left out.
    """
    found = []
    for line in text.split(b"\n"):
        if b" @" + prefix not in line:
            continue
        fields = line.split(None, 7)
        try:
            flags, inode = int(fields[3], 16), int(fields[6])
        except (IndexError, ValueError):
            continue
        if flags & _UNIX_LISTENS and len(fields) == 8 and fields[7].startswith(b"@" + prefix):
            found.append((inode, fields[7][1:]))
    return found
