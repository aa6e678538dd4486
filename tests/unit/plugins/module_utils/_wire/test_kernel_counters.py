# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host's kernel counts, read from the texts of /proc."""

from ansible_collections.determined.network.plugins.module_utils._wire import kernel_counters

TEXTS = {
    kernel_counters.SNMP: (
        "Ip: Forwarding InHdrErrors InAddrErrors OutNoRoutes\nIp: 1 2 3 4\n"
        "Tcp: OutRsts InCsumErrors\nTcp: 5 6\n"
        "Udp: InErrors\nUdp: 7\n"
    ),
    kernel_counters.NETSTAT: (
        "TcpExt: IPReversePathFilter ListenOverflows ListenDrops TCPReqQFullDrop Other\nTcpExt: 8 9 10 11 12\n"
        "IpExt: InNoRoutes InOctets\nIpExt: 13 14\n"
    ),
    kernel_counters.CONNTRACK: (
        "entries  searched found new invalid drop early_drop icmp_error\n"
        "00000010  00000000 00000000 00000000 00000000 0000000a 00000001 00000000\n"
        "00000010  00000000 00000000 00000000 00000000 00000010 00000000 00000000\n"
    ),
    kernel_counters.CONNTRACK_COUNT: "16\n",
    kernel_counters.CONNTRACK_MAX: "65536\n",
}


def test_all_files():
    assert kernel_counters.read(TEXTS) == {
        "InHdrErrors": 2,
        "InAddrErrors": 3,
        "OutNoRoutes": 4,
        "OutRsts": 5,
        "InCsumErrors": 6,
        "IPReversePathFilter": 8,
        "ListenOverflows": 9,
        "ListenDrops": 10,
        "TCPReqQFullDrop": 11,
        "InNoRoutes": 13,
        "conntrack_drop": 26,  # of all processors, in hexadecimal
        "conntrack_early_drop": 1,
        "conntrack_count": 16,
        "conntrack_max": 65536,
    }


def test_without_connection_tracking():
    some = {path: TEXTS[path] for path in (kernel_counters.SNMP, kernel_counters.NETSTAT)}
    found = kernel_counters.read(some)
    assert len(found) == 10 and not [name for name in found if name.startswith("conntrack")]


def test_nothing_is_there():
    assert kernel_counters.read({}) == {}
    assert kernel_counters.read(dict.fromkeys(kernel_counters.FILES, "")) == {}


def test_a_kernel_that_counts_less():
    texts = {
        kernel_counters.SNMP: "Tcp: OutRsts\nTcp: 5\n",
        kernel_counters.CONNTRACK: "entries drop\n00000010 00000003\n00000010\n",
        kernel_counters.CONNTRACK_MAX: "unlimited\n",
    }
    assert kernel_counters.read(texts) == {"OutRsts": 5, "conntrack_drop": 3}


def test_sizes_are_counters_that_are_read():
    assert set(kernel_counters.SIZES) <= set(kernel_counters.read(TEXTS))


def test_this_machine():
    texts = {}
    for path in (kernel_counters.SNMP, kernel_counters.NETSTAT):
        with open(path, encoding="ascii") as file:
            texts[path] = file.read()
    assert {"OutRsts", "IPReversePathFilter", "ListenDrops", "OutNoRoutes"} <= set(kernel_counters.read(texts))
