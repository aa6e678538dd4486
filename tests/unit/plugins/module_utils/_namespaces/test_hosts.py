# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
import ipaddress

import pytest
from ansible_collections.determined.network.plugins.module_utils._namespaces import hosts as namespaces


@pytest.mark.parametrize("name", ["rehearsal", "a", "molecule-1", "x.y_z", "9"])
def test_a_rehearsals_name_is_taken(name):
    assert namespaces.check_name(name) == name


@pytest.mark.parametrize("name", ["", ".", "..", "../etc", "a/b", "a b", "-a", "x" * 65, "a\n"])
def test_a_name_that_is_no_file_name_is_refused(name):
    with pytest.raises(ValueError) as problem:
        namespaces.check_name(name)
    assert repr(name) in str(problem.value)


def test_hosts_are_sorted_and_their_addresses_canonical_and_each_once():
    hosts = namespaces.read_hosts(
        {"b": ["2001:DB8:0::1", "192.0.2.2", "2001:db8::1"], "a": ["198.51.100.1", "192.0.2.1"]}
    )
    assert hosts == (
        namespaces.Host("a", 0, ("198.51.100.1", "192.0.2.1"), ()),
        namespaces.Host("b", 1, ("192.0.2.2",), ("2001:db8::1",)),
    )
    assert namespaces.addresses(hosts) == {
        "a": ["198.51.100.1", "192.0.2.1"],
        "b": ["192.0.2.2", "2001:db8::1"],
    }


@pytest.mark.parametrize(
    "hosts, problem",
    [
        ({}, "hosts is empty"),
        ({"a": []}, "a has no address"),
        ({"a": "192.0.2.1"}, "a has no address"),
        ({"a": ["nonsense"]}, "a: 'nonsense'"),
        ({"a": ["192.0.2.0/24"]}, "a: '192.0.2.0/24'"),
        ({"a": ["127.0.0.1"]}, "a: 127.0.0.1 is no address by which another host"),
        ({"a": ["::1"]}, "a: ::1 is no address"),
        ({"a": ["0.0.0.0"]}, "a: 0.0.0.0 is no address"),
        ({"a": ["224.0.0.1"]}, "a: 224.0.0.1 is no address"),
        ({"a": ["169.254.1.1"]}, "a: 169.254.1.1 is no address"),
        ({"a": ["255.255.255.255"]}, "a: 255.255.255.255 is no address"),
        ({"a": ["::ffff:192.0.2.1"]}, "is no address by which"),
        ({"a": ["fe80::7"]}, "a: fe80::7 is no address"),
        ({"a": ["192.0.2.1"], "b": ["192.0.2.1"]}, "b: address 192.0.2.1 is also that of a"),
    ],
)
def test_a_bad_request_is_refused_with_host_and_reason(hosts, problem):
    with pytest.raises(ValueError) as caught:
        namespaces.read_hosts(hosts)
    assert problem in str(caught.value)


def test_all_problems_are_told_at_once():
    with pytest.raises(ValueError) as caught:
        namespaces.read_hosts({"a": [], "b": ["x"], "c": ["192.0.2.1", "127.0.0.1"]})
    assert [part.split()[0].rstrip(":") for part in str(caught.value).split("; ")] == ["a", "b", "c"]


TWO = namespaces.read_hosts({"a": ["192.0.2.1", "2001:db8::1"], "b": ["198.51.100.1"]})


def test_the_words_for_the_lab():
    assert namespaces.lab_commands(TWO, {"a": "/proc/1/fd/7", "b": "/proc/1/fd/9"}, True) == [
        "link set lo up",
        "address add 169.254.1.1/32 dev lo",
        "link add v0 address 02:00:00:00:00:00 type veth peer name eth0 address 06:00:00:00:00:00 netns /proc/1/fd/7",
        "link set v0 addrgenmode none",
        "link set v0 up",
        "address add fe80::1/64 dev v0 nodad",
        "route add 192.0.2.1/32 dev v0",
        "route add 2001:db8::1/128 dev v0",
        "link add v1 address 02:00:00:00:00:01 type veth peer name eth0 address 06:00:00:00:00:01 netns /proc/1/fd/9",
        "link set v1 addrgenmode none",
        "link set v1 up",
        "address add fe80::1/64 dev v1 nodad",
        "route add 198.51.100.1/32 dev v1",
    ]


def test_the_words_for_a_host_name_only_the_families_it_has():
    assert namespaces.host_commands(TWO[0], 2) == [
        "link set lo up",
        "link set eth0 up",
        "address add 192.0.2.1/32 dev eth0",
        "route add default via 169.254.1.1 dev eth0 onlink",
        "address add 2001:db8::1/128 dev eth0 nodad",
        "route add default via fe80::1 dev eth0 onlink",
    ]
    assert namespaces.host_commands(TWO[1], 2) == [
        "link set lo up",
        "link set eth0 up",
        "address add 198.51.100.1/32 dev eth0",
        "route add default via 169.254.1.1 dev eth0 onlink",
    ]


def test_without_ipv6_in_the_kernel_no_word_is_about_it():
    lines = namespaces.lab_commands(TWO[1:], {"b": "/proc/1/fd/9"}, False)
    assert not [line for line in lines if "fe80" in line or "addrgenmode" in line]
    settings = namespaces.lab_settings(False) + namespaces.host_settings(False)
    assert not [path for path, value in settings if path.startswith("ipv6")]


def test_neighbours_are_found_in_a_small_lab_and_given_in_a_large_one():
    # The kernel counts dynamic entries of all namespaces together, and drops packets at 1,024.
    def neighbours(number):
        hosts = namespaces.read_hosts(
            {f"h{i}": [str(ipaddress.ip_address("10.0.0.1") + i), f"2001:db8::{i + 1:x}"] for i in range(number)}
        )
        lines = namespaces.lab_commands(hosts, {host.name: "/n" for host in hosts}, True)
        for host in hosts:
            lines += namespaces.host_commands(host, number)
        return len([line for line in lines if line.startswith("neighbour add")])

    limit = namespaces.MOST_HOSTS_WITH_DISCOVERY
    assert neighbours(limit) == 0
    assert neighbours(limit + 1) == 4 * (limit + 1)


def test_every_end_of_a_cable_has_its_own_hardware_address():
    hosts = namespaces.read_hosts({f"h{i:05d}": [str(ipaddress.ip_address("10.0.0.1") + i)] for i in range(1500)})
    lines = namespaces.lab_commands(hosts, {host.name: "/n" for host in hosts}, True)
    words = [line.split() for line in lines if line.startswith("link add")]
    found = {word for line in words for word in line if word.count(":") == 5}
    assert len(found) == 2 * 1500


ALLOWED = {
    "user.max_user_namespaces": "96365",
    "kernel.unprivileged_userns_clone": None,
    "kernel.apparmor_restrict_unprivileged_userns": "0",
}


@pytest.mark.parametrize(
    "limit_reached, ordinary_user, settings, expected",
    [
        (True, True, {"user.max_user_namespaces": "0"}, "sudo sysctl -w user.max_user_namespaces=10000"),
        (
            False,
            True,
            {"kernel.unprivileged_userns_clone": "0"},
            "sudo sysctl -w kernel.unprivileged_userns_clone=1",
        ),
        (
            False,
            True,
            {"kernel.apparmor_restrict_unprivileged_userns": "1"},
            "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        (False, True, {}, "Run ansible-playbook with sudo"),
        (True, True, {}, "raise user.max_net_namespaces"),
        (True, False, {}, "raise user.max_net_namespaces"),
        (False, False, {}, "CAP_SYS_ADMIN"),
        # What forbids an ordinary user is no excuse for root.
        (False, False, {"user.max_user_namespaces": "0"}, "CAP_SYS_ADMIN"),
    ],
)
def test_a_refusal_says_what_was_tried_and_what_to_do(limit_reached, ordinary_user, settings, expected):
    text = namespaces.explain_refusal(
        "create a user namespace", "No such luck", limit_reached, ordinary_user, dict(ALLOWED, **settings)
    )
    assert text.startswith("Cannot create a user namespace: No such luck.")
    assert expected in text
    remedies = [name for name in namespaces.FORBIDDING_SETTINGS if name + "=" in text]
    assert remedies == [name for name in settings if ordinary_user]
