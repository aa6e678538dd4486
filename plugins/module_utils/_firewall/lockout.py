# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decides whether a policy would cut the SSH connection of the change. Pure."""

import ipaddress
from typing import List, NamedTuple, Optional, Sequence

from ansible_collections.determined.network.plugins.module_utils import _ports
from ansible_collections.determined.network.plugins.module_utils._policy import HostPolicy


class SshConnection(NamedTuple):
    """The two ends of an SSH connection. Addresses are texts, and an IPv4 address is never in its IPv6 form."""

    client: str
    client_port: int
    server: str
    server_port: int


def parse_ssh_connection(value: str) -> Optional[SshConnection]:
    """The value of SSH_CONNECTION (ssh(1): client address, client port, server address, server port), parsed.

    None if the value names no addresses; sshd writes UNKNOWN when the transport is not TCP.
    """
    words = value.split()
    if len(words) != 4:
        return None
    try:
        return SshConnection(_plain(words[0]), int(words[1]), _plain(words[2]), int(words[3]))
    except ValueError:
        return None


def _plain(text: str) -> str:
    """An address without its zone (fe80::1%eth0). An address of ::ffff:0:0/96 becomes an IPv4 address."""
    address = ipaddress.ip_address(text.partition("%")[0])
    return str(getattr(address, "ipv4_mapped", None) or address)


def permits(policy: HostPolicy, connection: SshConnection) -> bool:
    """Whether ``policy`` permits the client of ``connection`` to open a new connection to the same port."""
    if policy.mode != "restrict":
        return True
    client = ipaddress.ip_address(connection.client)
    if client.is_loopback or connection.client == connection.server:
        return True  # such packets arrive through lo, whose packets no rule of ours drops
    family = "ipv%d" % client.version
    return any(
        rule.protocol == "tcp"
        and _ports.contains(rule.ports, connection.server_port)
        and any(client in ipaddress.ip_network(network) for network in policy.peers[rule.peers][family])
        for rule in policy.inbound + policy.management
    )


def is_established(tables: Sequence[str], connection: SshConnection) -> bool:
    """Whether ``connection`` is among the established connections of this network namespace.

    ``tables``: the texts of /proc/net/tcp and /proc/net/tcp6 (proc(5)). Addresses there are
    32-bit words in hexadecimal, each in the byte order of the host. This function accepts both
    byte orders.
    """
    entries = set()
    for local in _hexadecimal(connection.server):
        for remote in _hexadecimal(connection.client):
            entries.add("%s:%04X %s:%04X 01" % (local, connection.server_port, remote, connection.client_port))
    for text in tables:
        for line in text.splitlines()[1:]:
            if " ".join(line.split()[1:4]).upper() in entries:
                return True
    return False


def _hexadecimal(text: str) -> List[str]:
    """All spellings of an address in /proc/net/tcp and tcp6: as IPv4 and mapped to IPv6, in both byte orders."""
    address = ipaddress.ip_address(text)
    forms = [address.packed]
    if address.version == 4:
        forms.append(ipaddress.ip_address("::ffff:%s" % text).packed)
    found = []
    for packed in forms:
        words = [packed[start : start + 4] for start in range(0, len(packed), 4)]
        found.append("".join(word.hex() for word in words).upper())
        found.append("".join(word[::-1].hex() for word in words).upper())
    return found


def refusal(policy: HostPolicy, connection: SshConnection) -> str:
    """The message for the administrator about a policy that would cut ``connection``."""
    return (
        "Refused, nothing was changed: this policy would cut the SSH connection of this change. Mode "
        "restrict permits no new connection from %s to TCP port %d of %s. Let determined_management (the "
        "policy's management) name that port and a network that holds %s, or set allow_lockout if there is "
        "another way in" % (connection.client, connection.server_port, policy.host, connection.client)
    )
