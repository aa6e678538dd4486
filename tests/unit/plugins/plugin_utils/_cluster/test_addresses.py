# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses and networks: canonical texts, and a reason for everything that is refused."""

import sys

import pytest
from ansible_collections.determined.network.plugins.plugin_utils._cluster import addresses


@pytest.mark.parametrize(
    "text, expected",
    [
        ("192.0.2.1", ("ipv4", "192.0.2.1")),
        ("2001:DB8:0:0::1", ("ipv6", "2001:db8::1")),
        ("::", ("ipv6", "::")),
        ("192.0.2.01", None),
        ("192.0.2", None),
        ("192.0.2.1/32", None),
        ("3221225985", None),
        ("agent1.example.com", None),
        ("fe80::1%eth0", None),
        ("", None),
        ("192.0.2.1\0", None),
        ("\ud800", None),
        ("١٩٢.٠.٢.١", None),
    ],
)
def test_parse_address(text, expected):
    assert addresses.parse_address(text) == expected


@pytest.mark.parametrize(
    "address, reason",
    [
        ("192.0.2.1", None),
        ("2001:db8::1", None),
        ("127.0.1.1", "is a loopback address"),
        ("::1", "is a loopback address"),
        ("169.254.3.4", "is a link-local address"),
        ("fe80::1", "is a link-local address"),
        ("224.0.0.1", "is a multicast address"),
        ("ff02::1", "is a multicast address"),
        ("0.0.0.0", "is not the address of a single host"),
        ("::", "is not the address of a single host"),
        ("255.255.255.255", "is not the address of a single host"),
        ("::ffff:192.0.2.1", "is an IPv4-mapped IPv6 address; write 192.0.2.1"),
    ],
)
def test_why_unusable(address, reason):
    told = addresses.why_unusable(address)
    assert (told is None) if reason is None else reason in told


@pytest.mark.parametrize(
    "value, expected",
    [
        ("198.51.100.0/24", ("ipv4", "198.51.100.0/24")),
        ("198.51.100.7", ("ipv4", "198.51.100.7")),
        ("198.51.100.7/32", ("ipv4", "198.51.100.7")),
        ("0.0.0.0/0", ("ipv4", "0.0.0.0/0")),
        ("2001:DB8::/32", ("ipv6", "2001:db8::/32")),
        ("2001:db8::1/128", ("ipv6", "2001:db8::1")),
        ("::/0", ("ipv6", "::/0")),
    ],
)
def test_parse_network(value, expected):
    assert addresses.parse_network(value) == expected


@pytest.mark.parametrize(
    "value, told",
    [
        ("198.51.100.7/24", "has host bits set; 198.51.100.0/24 is the network, 198.51.100.7 the address"),
        ("198.51.100/24", "is not a network like"),
        ("198.51.100.0/255.255.255.0", "is not a network like"),
        ("198.51.100.0/33", "is not a network like"),
        ("198.51.100.0/٢٤", "is not a network like"),
        ("198.51.100.0/-1", "is not a network like"),
        ("198.51.100.0/", "is not a network like"),
        ("2001:db8::/129", "is not a network like"),
        ("office", "is not a network like"),
        ("", "is not a network like"),
        (24, "24 is not a network like"),
        (None, "None is not a network like"),
        (["198.51.100.0/24"], "is not a network like"),
    ],
)
def test_parse_network_says_what_is_wrong(value, told):
    with pytest.raises(ValueError) as caught:
        addresses.parse_network(value)
    assert told in str(caught.value)


def test_families_are_sorted_distinct_and_hold_nothing_twice():
    texts = [
        "192.0.2.100",
        "192.0.2.20",
        "192.0.2.20",
        "198.51.100.9",
        "198.51.100.0/25",
        "198.51.100.128/25",
        "2001:db8::2",
        "2001:db8::10",
    ]
    assert addresses.families(texts) == {
        "ipv4": ("192.0.2.20", "192.0.2.100", "198.51.100.0/24"),
        "ipv6": ("2001:db8::2", "2001:db8::10"),
    }


def test_addresses_that_would_add_up_to_a_network_stay_addresses():
    assert addresses.families(["192.0.2.0", "192.0.2.1"])["ipv4"] == ("192.0.2.0", "192.0.2.1")


@pytest.mark.parametrize(
    "family, address, expected",
    [
        ("ipv4", "192.0.2.7", True),
        ("ipv4", "192.0.2.8", False),
        ("ipv4", "198.51.100.200", True),
        ("ipv6", "2001:db8::1", True),
        ("ipv6", "2001:db9::1", False),
    ],
)
def test_matcher(family, address, expected):
    networks = addresses.families(["192.0.2.7", "198.51.100.0/24", "2001:db8::/32"])
    assert addresses.Matcher(networks).contains(family, address) is expected


def test_without_netaddr_the_interpreter_and_the_command_are_named(monkeypatch):
    monkeypatch.setattr(addresses, "netaddr", None)
    with pytest.raises(addresses.NetaddrMissing) as caught:
        addresses.require_netaddr()
    assert sys.executable in str(caught.value)
    assert f"{sys.executable} -m pip install netaddr" in str(caught.value)


def test_with_netaddr_nothing_is_said():
    addresses.require_netaddr()
