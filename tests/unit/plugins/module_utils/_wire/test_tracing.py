# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the module trace: what passes, and all that is wrong in one message."""

import pytest
from ansible_collections.determined.network.plugins.module_utils._wire import sender, tracing


def item(**changed):
    return dict({"number": 0, "protocol": "tcp", "address": "192.0.2.2", "port": 80, "source": ""}, **changed)


@pytest.mark.parametrize("token", ["a", "run-20260102-1", "A_b-9", "x" * 64])
def test_a_token(token):
    assert tracing.read_token(token) == token


@pytest.mark.parametrize("token", ["", None, "x" * 65, "a/b", "..", "a b", "a\n", "\u00e4", "a;b", "a{"])
def test_a_token_that_is_no_name(token):
    with pytest.raises(ValueError) as caught:
        tracing.read_token(token)
    assert repr(token) in str(caught.value) and "1 to 64 letters" in str(caught.value)


@pytest.mark.parametrize("seconds", [1, 60, 600])
def test_a_lifetime(seconds):
    assert tracing.read_lifetime(seconds) == seconds


@pytest.mark.parametrize("seconds", [0, -1, 601])
def test_a_lifetime_out_of_range(seconds):
    with pytest.raises(ValueError) as caught:
        tracing.read_lifetime(seconds)
    assert f"lifetime is {seconds}" in str(caught.value) and "1 to 600" in str(caught.value)


def test_packets():
    items = [
        item(),
        item(number=65534, protocol="udp", address="2001:db8::2", port=65535, source="2001:db8::1"),
        item(number=7, protocol="icmp", address="fe80::2%eth0", port=0),
    ]
    assert tracing.read_packets(items) == [
        sender.Packet(0, "tcp", "192.0.2.2", 80, ""),
        sender.Packet(65534, "udp", "2001:db8::2", 65535, "2001:db8::1"),
        sender.Packet(7, "icmp", "fe80::2%eth0", 0, ""),
    ]
    assert tracing.read_packets([]) == []


def test_all_problems_are_in_one_message():
    items = [
        item(number=-1, port=0),
        item(number=65535, protocol="udp", port=65536),
        item(number=5, address="host2"),
        item(number=5, source="192.0.2.300"),
        item(number=6, address=""),
        item(number=7, source="2001:db8::1"),
    ]
    with pytest.raises(ValueError) as caught:
        tracing.read_packets(items)
    assert str(caught.value).split("; ") == [
        "packet 0: number is -1, not 0 to 65534",
        "packet 0: port is 0, not 1 to 65535",
        "packet 1: number is 65535, not 0 to 65534",
        "packet 1: port is 65536, not 1 to 65535",
        "packet 2: address: 'host2' does not appear to be an IPv4 or IPv6 address",
        "packet 3: source: '192.0.2.300' does not appear to be an IPv4 or IPv6 address",
        "packet 4: address: '' does not appear to be an IPv4 or IPv6 address",
        "packet 5: address and source are not both of IPv4 or of IPv6",
        "several packets have the same number",
    ]
