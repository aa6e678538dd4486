# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Would a policy cut the connection by which the host is being administered? Pure."""

import ipaddress
from typing import NamedTuple

from ansible_collections.determined.network.plugins.module_utils import _ports


class Carrier(NamedTuple):
    """An SSH connection: addresses as text (IPv4 ones never in their IPv6 form), ports as int."""

    client: str
    client_port: int
    server: str
    server_port: int


def parse_ssh_connection(value):
    """The value of SSH_CONNECTION (sshd(8): client address, port, server address, port)
    -> Carrier, or None when it names no addresses ("UNKNOWN" for other transports)."""
    words = value.split()
    if len(words) != 4:
        return None
    try:
        return Carrier(_plain(words[0]), int(words[1]), _plain(words[2]), int(words[3]))
    except ValueError:
        return None


def _plain(text):
    """An address without its zone (fe80::1%eth0), and IPv4 out of ::ffff:0:0/96."""
    address = ipaddress.ip_address(text.partition("%")[0])
    return str(getattr(address, "ipv4_mapped", None) or address)


def permits(policy, carrier):
    """Whether under ``policy`` the client of ``carrier`` could connect anew to the same port."""
    if policy.mode != "restrict":
        return True
    client = ipaddress.ip_address(carrier.client)
    if client.is_loopback or carrier.client == carrier.server:
        return True  # such packets come in through lo, which is always left alone
    family = "ipv%d" % client.version
    return any(
        rule.protocol == "tcp"
        and _ports.contains(rule.ports, carrier.server_port)
        and any(client in ipaddress.ip_network(network) for network in policy.peers[rule.peers][family])
        for rule in policy.inbound + policy.management
    )


def is_established(tables, carrier):
    """Whether ``carrier`` is among the established connections of this network namespace.

    ``tables``: the texts of /proc/net/tcp and /proc/net/tcp6 (proc(5)); addresses there are
    32-bit words in hexadecimal, each in the machine's byte order, here taken as little-endian
    and as big-endian alike.
    """
    wanted = set()
    for local in _hexadecimal(carrier.server):
        for remote in _hexadecimal(carrier.client):
            wanted.add("%s:%04X %s:%04X 01" % (local, carrier.server_port, remote, carrier.client_port))
    for text in tables:
        for line in text.splitlines()[1:]:
            if " ".join(line.split()[1:4]).upper() in wanted:
                return True
    return False


def _hexadecimal(text):
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


def refusal(policy, carrier):
    """Why this policy must not be written, for the administrator."""
    return (
        "Refused, nothing was changed: this policy would lock out the very connection that carries it. Mode "
        "restrict permits no new connection from %s to TCP port %d of %s. Let determined_management (the "
        "policy's management) name that port and a network that holds %s, or set allow_lockout if there is "
        "another way in" % (carrier.client, carrier.server_port, policy.host, carrier.client)
    )
