# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user writes about a proxy, and what is said of it."""

import pytest
from ansible_collections.determined.network.plugins.module_utils._proxy import description

ODD = "p%40@:/#$'\"\\ &;`ü€"


def describe(http=None, https=None, ftp=None, username=None, password=None, no_proxy=(), stable=()):
    return description.describe({"http": http, "https": https, "ftp": ftp}, username, password, no_proxy, stable)


@pytest.mark.parametrize(
    "url, expected",
    [
        ("http://proxy.example.com:3128", ("http", "proxy.example.com", 3128, "", "")),
        ("HTTP://proxy.example.com:3128/", ("http", "proxy.example.com", 3128, "", "")),
        (" https://proxy ", ("https", "proxy", 443, "", "")),
        ("http://192.0.2.1", ("http", "192.0.2.1", 80, "", "")),
        ("http://[2001:db8::1]:3128", ("http", "[2001:db8::1]", 3128, "", "")),
        ("http://[2001:db8::1]", ("http", "[2001:db8::1]", 80, "", "")),
        ("http://me:secret@proxy:1", ("http", "proxy", 1, "me", "secret")),
        ("http://me@proxy:1", ("http", "proxy", 1, "me", "")),
        ("http://me:a%3Ab%40c%25%2F@proxy:1", ("http", "proxy", 1, "me", "a:b@c%/")),
        ("http://m%C3%BC:%E2%82%AC@proxy:1", ("http", "proxy", 1, "mü", "€")),
    ],
)
def test_urls(url, expected):
    assert tuple(description.parse(url)) == expected


@pytest.mark.parametrize(
    "url, words",
    [
        ("proxy.example.com:3128", "has no scheme"),
        ("192.0.2.1", "has no scheme"),
        ("//proxy:3128", "has no scheme"),
        ("socks5://proxy:1080", "'socks5' is unknown"),
        ("htpp://proxy:3128", "'htpp' is unknown"),
        ("://proxy:3128", "'' is unknown"),
        ("http://", "no name or address"),
        ("http://:3128", "no name or address"),
        ("http://2001:db8::1:3128", "no name or address"),
        ("http://exämple.com:1", "xn--"),
        ("http://proxy:0", "no port"),
        ("http://proxy:65536", "no port"),
        ("http://proxy:", "no port"),
        ("http://proxy:http", "no port"),
        ("http://proxy:3128/path", "path"),
        ("http://proxy:3128?a=b", "path, a query"),
        ("http://me:se/cret@proxy:1", "must be percent-encoded"),
        ("http://me:se#cret@proxy:1", "must be percent-encoded"),
        ("http://me:se:cret@proxy:1", "must be percent-encoded"),
        ("http://me:se@cret@proxy:1", "must be percent-encoded"),
        ("http://me:100%@proxy:1", "must be percent-encoded"),
        ("http://me:ü@proxy:1", "must be percent-encoded"),
        ("http://me:%FF@proxy:1", "not UTF-8"),
        ("http://me:a%0Ab@proxy:1", "control character"),
        ("http://:secret@proxy:1", "no user name"),
        ("http://@proxy:1", "no user name"),
        ("http://a%3Ab:c@proxy:1", "colon"),
    ],
)
def test_urls_that_are_refused(url, words):
    with pytest.raises(ValueError) as problem:
        description.parse(url)
    assert words in str(problem.value)
    for secret in ("se/cret", "secret", "cret@", "100%@"):
        assert secret not in str(problem.value)


def test_a_canonical_url():
    found, problems = describe("http://proxy", username="cluster", password=ODD)
    assert problems == []
    assert found.proxies["http"].url == (
        "http://cluster:p%2540%40%3A%2F%23%24%27%22%5C%20%26%3B%60%C3%BC%E2%82%AC@proxy:80"
    )
    assert found.proxies["http"].bare == "http://proxy:80"
    assert found.has_credentials and not describe(http="http://proxy")[0].has_credentials
    in_pip = found.proxies["http"].url_for_latin_1.split(":")[2].split("@")[0]
    assert set(found.secrets()) == {in_pip, description.encode(ODD), ODD} and found.secrets()[0] == in_pip


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"http": "http://a:b@proxy", "username": "a", "password": "c"}, "differ from determined_proxy_username"),
        ({"http": "http://a:b@proxy", "username": "c", "password": "b"}, "differ from determined_proxy_username"),
        ({"http": "http://a@proxy", "username": "a", "password": "b"}, "differ from determined_proxy_username"),
        ({"http": "http://proxy", "password": "b"}, "no user name"),
        ({"http": "http://proxy", "username": "a:b", "password": "b"}, "colon"),
        ({"http": "http://proxy", "username": "a", "password": "b\nc"}, "control character"),
        ({"http": "http://proxy", "username": "a", "password": "b\udcff"}, "not UTF-8"),
        ({"username": "a", "password": "b"}, "no proxy to use it for"),
        ({"http": "http://proxy", "no_proxy": ["*"]}, "nothing uses the proxy"),
        ({"http": "http://proxy", "no_proxy": ["a b"]}, "'a b' is no name"),
        ({"http": "http://proxy", "no_proxy": ["exämple.com"]}, "xn--"),
        ({"http": "http://proxy", "no_proxy": [f"host{n}.example.com" for n in range(9000)]}, "bytes"),
    ],
)
def test_descriptions_that_are_refused(arguments, words):
    found, problems = describe(**arguments)
    assert found is None
    assert len(problems) == 1 and words in problems[0]


def test_the_same_credentials_twice_are_fine():
    found, problems = describe("http://a:b%20c@proxy", "http://proxy", username="a", password="b c")
    assert problems == []
    assert found.proxies["http"] == found.proxies["https"]


def test_all_problems_come_at_once():
    _unused, problems = describe("proxy", "gopher://proxy", "http://p:0", username="a:b", password="\n", no_proxy=["*"])
    assert len(problems) == 6


def test_no_problem_shows_a_secret():
    _unused, problems = describe("http://me:hidden@:1", "http://me:hidden@p:x", username="me", password="hidden\n")
    assert len(problems) >= 3
    assert "hidden" not in "".join(problems)


def test_variables_come_in_both_cases_with_one_value():
    found, _unused = describe("http://p:1", "http://p:2", "http://p:3", no_proxy=["a", "b"], stable=["a"])
    pairs = description.environment(found)
    assert [name for name, _value in pairs] == list(description.VARIABLES)
    values = dict(pairs)
    assert all(values[name] == values[name.upper()] for name in values)
    assert values["no_proxy"] == "a,b" and values["https_proxy"] == "http://p:2"
    short = dict(description.environment(found, stable=True, ftp=False))
    assert short["NO_PROXY"] == "a" and "ftp_proxy" not in short
    assert description.environment(describe(no_proxy=["a"])[0]) == []
