# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TCP sessions that are older than connection tracking.

The rules of mode ``restrict`` let a packet through that belongs to a connection which connection tracking knows, and no
packet that only looks like the middle of one: anybody can send such a packet. So that nobody's session hangs, a
change tells connection tracking which connections this host has. It names both ends of each.
"""

from typing import List

from ansible_collections.determined.network.plugins.module_utils._firewall import proc_files
from ansible_collections.determined.network.plugins.module_utils._sockets import conntrack, proc

_LIFETIME = "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established"
_USUAL_LIFETIME = 432000  # seconds; the kernel's default, where conntrack is not loaded yet


def remember() -> List[str]:
    """Make the TCP connections of this host known to connection tracking -> warnings, none if all are known."""
    connections = proc.parse_connections(proc_files.tables("tcp"))
    if not connections:
        return []
    problems = conntrack.register(connections, int(proc_files.present(_LIFETIME) or _USUAL_LIFETIME))
    if not problems:
        return []
    return [
        "some TCP sessions that are older than connection tracking may hang until this host sends something over them: "
        "they could not be made known to it (%s). It needs the kernel module nf_conntrack_netlink (modprobe "
        "nf_conntrack_netlink) and room in its table (compare the values of: sysctl net.netfilter.nf_conntrack_count "
        "net.netfilter.nf_conntrack_max)" % "; ".join(problems)
    ]
