# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts of /proc/net, as kernels write them."""

import pytest
from ansible_collections.determined.network.plugins.module_utils._sockets import proc

SNMP = """\
Ip: Forwarding DefaultTTL InReceives InHdrErrors
Ip: 1 64 70111 0
Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens OutRsts
Tcp: 1 200 120000 -1 12 64512
"""
TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 020200C0:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1 0 100 0 0 10 0
   2: 020200C0:D431 010200C0:0016 01 00000000:00000000 02:000A7B19 00000000     0        0 3 2 0 20 4 30 10 -1
   3: 020200C0:0A00 010200C0:000A 01 00000000:00000000 00:00000000 00000000     0        0 0 1 0 20 4 30 10 -1
"""
TCP6 = """\
  sl  local_address                         remote_address                        st tx_queue rx_queue
   0: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000
   1: B80D0120000000000000000002000000:06C6 00000000000000000000000000000000:0000 0A 00000000:00000000
"""
UDP = """\
   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref
  119: 00000000:0044 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1 2 0 0
  120: 020200C0:9999 010200C0:0035 01 00000000:00000000 00:00000000 00000000     0        0 2 2 0 0
"""


def test_counters():
    groups = proc.parse_counters(SNMP)
    assert groups["Tcp"]["OutRsts"] == 64512
    assert groups["Tcp"]["MaxConn"] == -1
    assert groups["Ip"]["InReceives"] == 70111


@pytest.mark.parametrize("text", ["Ip: A B\nTcp: 1 2\n", "Ip: A B\nIp: 1\n", "Ip: A B\n"])
def test_counters_that_do_not_pair_are_an_error(text):
    with pytest.raises(ValueError, match="not a pair"):
        proc.parse_counters(text)


def test_counters6():
    text = "Ip6InReceives                   \t218\nIp6InHdrErrors                  \t0\n"
    assert proc.parse_counters6(text) == {"Ip6InReceives": 218, "Ip6InHdrErrors": 0}


@pytest.mark.parametrize(
    "text, state, expected",
    [
        (TCP, proc.TCP_LISTEN, {("127.0.0.1", 22), ("192.0.2.2", 8080)}),
        (TCP6, proc.TCP_LISTEN, {("::", 80), ("2001:db8::2", 1734)}),
        (UDP, proc.UDP_UNCONNECTED, {("0.0.0.0", 68)}),
        (TCP.splitlines()[0], proc.TCP_LISTEN, set()),
        ("", proc.TCP_LISTEN, set()),
    ],
)
def test_sockets(text, state, expected):
    assert proc.parse_sockets(text, state) == expected


@pytest.mark.parametrize("name, key", [("snmp", ("Tcp", "OutRsts")), ("netstat", ("TcpExt", "TCPSynRetrans"))])
def test_this_kernel_is_understood(name, key):
    with open("/proc/net/" + name) as text:
        assert proc.parse_counters(text.read())[key[0]][key[1]] >= 0


UNIX = b"""\
Num       RefCount Protocol Flags    Type St Inode Path
00000000a: 00000002 00000000 00010000 0001 01 11 /run/ours.x
00000000b: 00000002 00000000 00010000 0001 01 12 @ours.x
00000000c: 00000003 00000000 00000000 0001 03 13 @ours.x
00000000d: 00000002 00000000 00010000 0001 01 14 @theirs.@ours.x
00000000e: 00000002 00000000 00010000 0001 01 15 @ours.\xff y
00000000f: 00000002 00000000 00010000 0001 01 16 @ours.
 @ours.z
0: x 0 y 0001 01 17 @ours.z
"""


def test_listening_unix_sockets_whatever_their_names():
    assert proc.parse_unix_listeners(UNIX, b"ours.") == [(12, b"ours.x"), (15, b"ours.\xff y"), (16, b"ours.")]
