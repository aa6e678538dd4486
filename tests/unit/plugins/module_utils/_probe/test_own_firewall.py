# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Repeated SYNs that did not leave this host."""

import pytest
from ansible_collections.determined.network.plugins.module_utils._probe.own_firewall import HeldBack, read


@pytest.mark.parametrize(
    "repeated, failed, entirely",
    [(0, 0, False), (0, 3, False), (5, 0, False), (5, 4, False), (5, 5, True), (5, 6, True)],
)
def test_only_if_no_repetition_left_the_case_is_clear(repeated, failed, entirely):
    assert HeldBack(repeated, failed).entirely is entirely


def test_since():
    assert HeldBack(10, 4).since(HeldBack(7, 4)) == HeldBack(3, 0)


def test_this_kernel_has_the_counters():
    with open("/proc/net/netstat") as text:
        names = text.read().split()
    assert "TCPSynRetrans" in names
    assert "TCPRetransFail" in names
    assert all(isinstance(number, int) for number in read())
