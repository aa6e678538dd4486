# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What this host's kernel counts of packets that it gives up without any rule. Pure.

Sources: proc(5); in the kernel, net/ipv4/proc.c and net/netfilter/nf_conntrack_standalone.c.
"""

from typing import Dict, Mapping

from ansible_collections.determined.network.plugins.module_utils._sockets import proc

SNMP, NETSTAT = "/proc/net/snmp", "/proc/net/netstat"
CONNTRACK = "/proc/net/stat/nf_conntrack"
CONNTRACK_COUNT, CONNTRACK_MAX = (
    "/proc/sys/net/netfilter/nf_conntrack_count",
    "/proc/sys/net/netfilter/nf_conntrack_max",
)
FILES = (SNMP, NETSTAT, CONNTRACK, CONNTRACK_COUNT, CONNTRACK_MAX)

SIZES = ("conntrack_count", "conntrack_max")  # all others are counters, which only grow

_WANTED = {
    "TcpExt": ("IPReversePathFilter", "ListenOverflows", "ListenDrops", "TCPReqQFullDrop"),
    "IpExt": ("InNoRoutes",),
    "Ip": ("InAddrErrors", "InHdrErrors", "OutNoRoutes"),
    "Tcp": ("OutRsts", "InCsumErrors"),
}
_CONNTRACK_COLUMNS = ("drop", "early_drop")


def read(texts: Mapping[str, str]) -> Dict[str, int]:
    """The texts of FILES, as far as they are there -> counters by name, for example ``conntrack_drop``."""
    found: Dict[str, int] = {}
    for path in (SNMP, NETSTAT):
        groups = proc.parse_counters(texts.get(path, ""))
        for group, names in _WANTED.items():
            found.update({name: groups[group][name] for name in names if name in groups.get(group, {})})
    lines = [line.split() for line in texts.get(CONNTRACK, "").splitlines()]
    for column in _CONNTRACK_COLUMNS:
        if lines and column in lines[0]:
            place = lines[0].index(column)
            # One line for each processor, in hexadecimal.
            found["conntrack_" + column] = sum(int(line[place], 16) for line in lines[1:] if len(line) > place)
    for name, path in (("conntrack_count", CONNTRACK_COUNT), ("conntrack_max", CONNTRACK_MAX)):
        if texts.get(path, "").strip().isdigit():
            found[name] = int(texts[path])
    return found
