# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option ``targets`` of the module attack: what is right is read, and each mistake is named."""

import pytest
from ansible_collections.determined.network.plugins.module_utils._wire import target as targets

MARK = "2b7e151628aed2a6"
RIGHT = {
    "address": "2001:DB8::21",
    "tcp_port": 61234,
    "forged": [{"port": 61235, "mark": MARK}],
    "datagrams": [],
    "containers": ["2001:db8:c::2"],
    "container_port": 61234,
}


def test_a_target_is_read():
    (read,) = targets.read_targets([RIGHT])
    assert read.address == "2001:db8::21"
    assert read.forged == (targets.Datagram(61235, bytes.fromhex(MARK)),)
    outcome = targets.Outcome(read).to_dict()
    assert (outcome["link"], outcome["control"], outcome["connected"]) == (targets.UNKNOWN, False, False)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"address": "agent1"}, "targets[0].address is 'agent1', not an IPv4 or IPv6 address"),
        ({"tcp_port": 65536}, "targets[0].tcp_port is 65536, not a port"),
        ({"tcp_port": -1}, "targets[0].tcp_port is -1, not a port"),
        ({"containers": ["192.0.2.9"]}, "targets[0].containers: 192.0.2.9 is not of the family of 2001:db8::21"),
        ({"datagrams": [{"port": 0, "mark": MARK}]}, "targets[0].datagrams.port is 0, not a port"),
        ({"forged": [{"port": 9, "mark": "2b"}]}, "targets[0].forged.mark is '2b', not 16 hexadecimal digits"),
        ({"forged": [{"port": 9, "mark": "x" * 16}]}, "targets[0].forged.mark is '%s', not 16" % ("x" * 16)),
    ],
)
def test_a_wrong_target_is_refused(change, message):
    with pytest.raises(ValueError) as refused:
        targets.read_targets([dict(RIGHT, **change)])
    assert str(refused.value).startswith(message)


def test_all_mistakes_are_told_at_once():
    with pytest.raises(ValueError, match=r"targets\[0\].*; targets\[2\]"):
        targets.read_targets([dict(RIGHT, address=""), RIGHT, dict(RIGHT, container_port=70000)])
