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


def describe(connection: Optional[SshConnection]) -> str:
    """A connection as :func:`parse_ssh_connection` reads it; "" if there is none. Equal texts are one connection."""
    return "" if connection is None else "%s %d %s %d" % connection


def _plain(text: str) -> str:
    """An address without its zone (fe80::1%eth0). An address of ::ffff:0:0/96 becomes an IPv4 address."""
    address = ipaddress.ip_address(text.partition("%")[0])
    return str(getattr(address, "ipv4_mapped", None) or address)


def is_local(connection: SshConnection) -> bool:
    """Whether both ends of ``connection`` are this host, so that it shows nothing about other hosts."""
    return ipaddress.ip_address(connection.client).is_loopback or connection.client == connection.server


def permits(policy: HostPolicy, connection: SshConnection) -> bool:
    """Whether ``policy`` permits the client of ``connection`` to open a new connection to the same port."""
    if policy.mode != "restrict":
        return True
    if is_local(connection):
        return True  # such packets arrive through lo, whose packets no rule of ours drops
    client = ipaddress.ip_address(connection.client)
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


def refusal(connection: SshConnection, host: str) -> str:
    """The message for the administrator about a policy that would cut ``connection`` to ``host`` (its name)."""
    return (
        "Refused, nothing was changed: this policy would cut the SSH connection of this change. Mode "
        "restrict permits no new connection from %s to TCP port %d of %s. Let determined_management (the "
        "policy's management) name that port and a network that holds %s, or set allow_lockout if there is "
        "another way in" % (connection.client, connection.server_port, host, connection.client)
    )


def management_objection(connection: SshConnection, host: str) -> str:
    """Why a policy that would cut ``connection``, over which ``host`` is administered now, must not be applied."""
    return (
        "this change did not come over SSH, so every connection counts by which %s is administered now, and "
        "this policy would cut one of them. Mode restrict permits no new connection from %s to TCP port %d of %s. Let "
        "determined_management (the policy's management) name that port and a network that holds %s, end that "
        "connection if it is not needed, or set allow_lockout if there is another way in"
        % (host, connection.client, connection.server_port, host, connection.client)
    )


def no_evidence(host: str) -> str:
    """Why a change that a host makes on itself, while nobody is connected to it, must not be made."""
    return (
        "nothing shows whether anybody could reach %s after this change. The controller is %s itself, so its own "
        "confirmation shows nothing, and nobody is logged in from another host over a management port. Log "
        "in to %s over SSH from another host and stay logged in while this runs again, or run this from another "
        "host over SSH, which confirms the change from outside, or set allow_lockout if there is another way in"
        % (host, host, host)
    )


def refused(objection: str) -> str:
    """The message about a change that was not made because of an objection."""
    return "Refused, nothing was changed: %s" % objection


def overruled(objection: str) -> str:
    """The warning about a change that was made in spite of an objection."""
    return (
        "The change was made because allow_lockout is set. Its confirmation does not show that it is safe: %s"
        % objection
    )
