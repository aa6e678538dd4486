# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds the SSH connection that this process was started over. Reads /proc and nothing else."""

import os

from ansible_collections.determined.network.plugins.module_utils._firewall import (
    container_interfaces as firewall_container_interfaces,
)
from ansible_collections.determined.network.plugins.module_utils._firewall import lockout

_DEEPEST = 64  # ancestors to ask; a longer chain of processes does not occur


def find():
    """-> Carrier, or None when no process up to the first one was started by sshd.

    sudo drops SSH_CONNECTION from the environment, so the ancestors are asked as well. A
    connection that is not one of this network namespace does not count: a namespace or a
    container entered from an SSH session inherits the variable, but not the connection.
    """
    for environment in _environments():
        value = environment.get(b"SSH_CONNECTION")
        if value is not None:
            carrier = lockout.parse_ssh_connection(value.decode("ascii", "replace"))
            if carrier is not None and lockout.is_established(_tables(), carrier):
                return carrier
    return None


def objection(policy, container_interfaces, allow_lockout):
    """Why this host must not be given a policy -> sentences for the administrator, or None.

    ``policy``: a HostPolicy, or None for none. ``container_interfaces``: what
    ``container_interfaces.read`` gave. ``allow_lockout``: whether the administrator insists on a
    policy that cuts this connection; on one that leaves the host open, nobody can.
    """
    if policy is None or policy.mode != "restrict":
        return None
    carrier = find()
    if carrier is not None and not allow_lockout and not lockout.permits(policy, carrier):
        return lockout.refusal(policy, carrier)
    routes = [
        _text(path) for path in (firewall_container_interfaces.ROUTES_IPV4, firewall_container_interfaces.ROUTES_IPV6)
    ]
    ways = firewall_container_interfaces.ways(routes[0], routes[1], carrier)
    return firewall_container_interfaces.refusal(container_interfaces, ways)


def _environments():
    yield dict(os.environb)
    pid = os.getpid()
    for _generation in range(_DEEPEST):
        try:
            with open("/proc/%d/environ" % pid, "rb") as handle:
                pairs = handle.read().split(b"\0")
            yield dict(pair.split(b"=", 1) for pair in pairs if b"=" in pair)
        except (FileNotFoundError, PermissionError, ProcessLookupError):
            pass  # gone, or of another user namespace: its parents may still tell
        try:
            with open("/proc/%d/stat" % pid, "rb") as handle:
                # proc(5): the name in brackets may hold anything, the parent is the second field after it
                pid = int(handle.read().rpartition(b")")[2].split()[1])
        except (OSError, IndexError, ValueError):
            return
        if pid <= 0:
            return


def _tables():
    return [text for text in (_text(path) for path in ("/proc/net/tcp", "/proc/net/tcp6")) if text is not None]


def _text(path):
    try:
        with open(path, encoding="ascii") as handle:
            return handle.read()
    except FileNotFoundError:
        return None  # a kernel without IPv6, or without IPv4
