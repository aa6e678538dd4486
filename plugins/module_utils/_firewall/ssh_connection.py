# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds the SSH connection of the change: the one over which this process was started. It only reads /proc."""

import os
from typing import Dict, Iterator, Optional, Sequence

from ansible_collections.determined.network.plugins.module_utils._firewall import (
    container_interfaces,
    lockout,
    proc_files,
)
from ansible_collections.determined.network.plugins.module_utils._policy import HostPolicy

_DEEPEST = 64  # ancestors that are read; no longer chain of processes occurs


def find() -> Optional[lockout.SshConnection]:
    """The SSH connection of this process or its nearest ancestor; None if sshd started none of them.

    sudo removes SSH_CONNECTION from the environment, so the environments of the ancestors are read,
    too. The connection must be established in this network namespace: whoever enters a namespace
    or a container from an SSH session inherits the variable, but not the connection.
    """
    for environment in _environments():
        value = environment.get(b"SSH_CONNECTION")
        if value is not None:
            connection = lockout.parse_ssh_connection(value.decode("ascii", "replace"))
            if connection is not None and lockout.is_established(proc_files.tables("tcp"), connection):
                return connection
    return None


def refusal(policy: Optional[HostPolicy], patterns: Sequence[str], allow_lockout: bool) -> Optional[str]:
    """The message about a policy that must not be applied to this host; None if it may be applied.

    ``policy``: None if everything of ours is to be removed. ``patterns``: what
    ``container_interfaces.read`` returned. ``allow_lockout``: whether the administrator accepts a policy
    that cuts the SSH connection of the change. A policy that leaves the host open is always refused.
    """
    if policy is None or policy.mode != "restrict":
        return None
    connection = find()
    if connection is not None and not allow_lockout and not lockout.permits(policy, connection):
        return lockout.refusal(connection, policy.host or os.uname()[1])
    routes_ipv4 = proc_files.present(container_interfaces.ROUTES_IPV4)
    routes_ipv6 = proc_files.present(container_interfaces.ROUTES_IPV6)
    return container_interfaces.refusal(patterns, container_interfaces.uplinks(routes_ipv4, routes_ipv6, connection))


def _environments() -> Iterator[Dict[bytes, bytes]]:
    """The environments of this process and its ancestors, the nearest first."""
    yield dict(os.environb)
    pid = os.getpid()
    for _generation in range(_DEEPEST):
        try:
            with open("/proc/%d/environ" % pid, "rb") as handle:
                pairs = handle.read().split(b"\0")
            yield dict(pair.split(b"=", 1) for pair in pairs if b"=" in pair)
        except (FileNotFoundError, PermissionError, ProcessLookupError):
            pass  # it has ended, or is of another user namespace; its parents may still be readable
        try:
            with open("/proc/%d/stat" % pid, "rb") as handle:
                # proc(5): the name in brackets may hold anything, the parent is the second field after it
                pid = int(handle.read().rpartition(b")")[2].split()[1])
        except (OSError, IndexError, ValueError):
            return
        if pid <= 0:
            return
