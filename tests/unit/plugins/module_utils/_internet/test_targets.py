# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Targets, proxies, and which targets are reached through a proxy."""

import pytest
from ansible_collections.determined.network.plugins.module_utils._internet import targets

TARGET = {"host": "registry.example.com", "port": 443, "scheme": "https", "purpose": "registry", "path": ""}
PROXY = {"serves": "https", "scheme": "http", "host": "proxy.example.com", "port": 3128, "authorization": None}


def target(**more):
    (read,) = targets.read_targets([{**TARGET, **more}])
    return read


@pytest.mark.parametrize(
    "more, problem",
    [
        ({"host": ""}, "'' is neither a name nor an address"),
        ({"host": "a b"}, "'a b' is neither a name nor an address"),
        ({"host": "a\r\nX: y"}, "is neither a name nor an address"),
        ({"host": "a.example.com/x"}, "is neither a name nor an address"),
        ({"port": 0}, "0 is not a port"),
        ({"port": 65536}, "65536 is not a port"),
        ({"path": "v2"}, "path 'v2' does not start with /"),
        ({"path": "/a b"}, "path '/a b' does not start with / or contains spaces"),
        ({"path": "/\r\n"}, "contains spaces"),
    ],
)
def test_bad_targets_are_refused(more, problem):
    with pytest.raises(ValueError, match="targets\\[2\\]") as told:
        targets.read_targets([TARGET, {**TARGET, **more}])
    assert problem in str(told.value)


@pytest.mark.parametrize(
    "more, problem",
    [
        ({"host": "u:p@proxy"}, "neither a name nor an address"),
        ({"port": -1}, "-1 is not a port"),
        ({"authorization": "Basic \u00e4"}, "a character that is not ASCII"),
        ({"authorization": "Basic eA==\r\nX: y"}, "authorization contains a line break"),
    ],
)
def test_bad_proxies_are_refused(more, problem):
    with pytest.raises(ValueError, match="proxies\\[1\\]") as told:
        targets.read_proxies([{**PROXY, **more}])
    assert problem in str(told.value)


def test_two_proxies_for_one_scheme_are_refused():
    with pytest.raises(ValueError, match="another proxy serves https already"):
        targets.read_proxies([PROXY, PROXY])


def test_names_are_written_as_dns_has_them():
    assert target(host="b\u00fccher.example.com.").host == "xn--bcher-kva.example.com"
    assert target(host="[2001:db8::1]").netloc() == "[2001:db8::1]:443"
    assert target(host="192.0.2.1").netloc() == "192.0.2.1:443"


@pytest.mark.parametrize(
    "more, path, as_registry",
    [
        ({}, "/v2/", True),
        ({"path": "/token"}, "/token", False),
        ({"purpose": "resource"}, "/", False),
        ({"purpose": "resource", "path": "/simple/"}, "/simple/", False),
        ({"purpose": "resource", "path": "/b\u00fccher%20/?a=b&c#d"}, "/b%C3%BCcher%20/?a=b&c#d", False),
    ],
)
def test_what_is_requested(more, path, as_registry):
    assert (target(**more).request_path(), target(**more).must_be_registry()) == (path, as_registry)


# target, no_proxy -> whether the proxy is used.
USES = [
    ({}, "", True),
    ({"scheme": "http"}, "", False),  # the proxy serves https alone
    ({"scheme": "tcp"}, "", False),
    ({}, "example.com", False),
    ({}, "other.example.com", True),
    ({}, "registry.example.com:443", True),  # nobody spells the port that the scheme implies
    ({"port": 5000}, "registry.example.com:5000", False),
    ({"host": "192.0.2.7"}, "192.0.2.0/24", False),
    # dockerd, which is written in Go, knows networks of IPv6; Python's requests does not.
    ({"host": "2001:db8::7"}, "2001:db8::/32", False),
    ({"host": "2001:db8::7", "purpose": "resource"}, "2001:db8::/32", True),
    ({"host": "192.0.2.99"}, "", False),  # a host of the cluster
]


@pytest.mark.parametrize("more, no_proxy, taken", USES)
def test_the_proxy_that_workloads_use(more, no_proxy, taken):
    proxies = targets.read_proxies([PROXY])
    used = targets.proxy_for(target(**more), proxies, no_proxy, frozenset(["192.0.2.99"]))
    assert used == (proxies["https"] if taken else None)


def test_credentials_as_rfc_7617_has_them():
    assert targets.basic_authorization("Aladdin", "open sesame") == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    assert targets.basic_authorization("test", "123\u00a3") == "Basic dGVzdDoxMjPCow=="


@pytest.mark.parametrize(
    "port, resource, registry",
    [(443, "https", "https"), (80, "http", "http"), (5000, "tcp", "https"), (22, "tcp", "https")],
)
def test_what_is_spoken_at_a_port(port, resource, registry):
    assert targets.scheme_of(port, targets.RESOURCE) == resource
    assert targets.scheme_of(port, targets.REGISTRY) == registry


@pytest.mark.parametrize(
    "address, private",
    [
        ("10.1.2.3", True),
        ("172.31.0.1", True),
        ("172.32.0.1", False),
        ("192.168.1.1", True),
        ("169.254.169.254", True),
        ("127.0.0.1", True),
        ("198.51.100.1", False),
        ("fd00::1", True),
        ("fe80::1%eth0", True),
        ("2001:db8::1", False),
    ],
)
def test_private_addresses(address, private):
    assert targets.is_private(address) is private
