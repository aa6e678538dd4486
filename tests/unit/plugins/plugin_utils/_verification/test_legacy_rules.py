# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a rule of iptables-legacy may have counted a packet."""

from __future__ import annotations

import pytest
from ansible_collections.determined.network.plugins.plugin_utils._verification.legacy_rules import Header, may_match
from hypothesis import given
from hypothesis import strategies as st

HEADER = Header("tcp", "192.0.2.21", 40000, "192.0.2.22", 1734)


@pytest.mark.parametrize(
    "matches, expected",
    [
        ("", True),
        ("-p tcp -m tcp --dport 1734", True),
        ("-p tcp -m tcp --dport 1735", False),
        ("-p tcp -m tcp ! --dport 1734", False),
        ("-p tcp -m tcp ! --dport 1735", True),
        ("-p tcp -m tcp --dport 1000:2000", True),
        ("-p tcp -m tcp --dport :1000", False),
        ("-p tcp -m multiport --dports 22,1730:1740", True),
        ("-p tcp -m multiport --dports 22,80", False),
        ("-p tcp -m multiport --ports 40000", True),
        ("-p tcp -m multiport --ports 22", False),
        ("-p tcp -m tcp --sport 40000", True),
        ("-p tcp -m tcp --sport 1734", False),
        ("-p udp", False),
        ("! -p tcp", False),
        ("! -p udp", True),
        ("-s 192.0.2.0/24", True),
        ("-s 198.51.100.0/24", False),
        ("! -s 192.0.2.0/24", False),
        ("-d 192.0.2.22/32", True),
        ("-d 192.0.2.21/32", False),
        ("-s 192.0.2.21/0.255.255.255", True),
        ("-m set --match-set some src", True),
        ('-m comment --comment "from -s 198.51.100.1 here"', True),
    ],
)
def test_what_a_rule_may_match(matches, expected):
    assert may_match(f"-A INPUT {matches} -j DROP", HEADER) is expected


def test_what_is_not_known_may_match():
    unknown = HEADER._replace(source="", source_port=0)
    assert may_match("-A INPUT -s 198.51.100.0/24 -p tcp -m tcp --sport 9 -j DROP", unknown)


@given(st.text() | st.lists(st.sampled_from(["-p", "-s", "--dport", "!", "1:", ":", "x", '"', "9,"])).map(" ".join))
def test_any_text_is_read(text):
    assert may_match(text, HEADER) in (True, False)


@pytest.mark.parametrize("name", ["ipv6-icmp", "icmpv6", "icmp", "all"])
def test_names_of_icmp(name):
    assert may_match(f"-A INPUT -p {name} -j DROP", Header("icmp", "", 0, "2001:db8::1", 0))


def test_a_policy_matches_everything():
    assert may_match(":INPUT DROP", HEADER)
