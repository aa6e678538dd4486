# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of what is reached without the proxy, asked by the clients' own rules and by the clients themselves."""

import urllib.request

import pytest
import requests.utils
from ansible_collections.determined.network.plugins.module_utils import _no_proxy
from ansible_collections.determined.network.plugins.module_utils._proxy.description import no_proxy_problems
from ansible_collections.determined.network.plugins.plugin_utils import _no_proxy_list
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.plugins.plugin_utils import clusters

NAMES = {"master": ["head.cluster.example", "192.0.2.10"], "agent1": ["gpu1.cluster.example"]}
CLUSTER = clusters.build()
INSIDE = [
    "localhost",
    "127.0.0.1",
    "::1",
    "169.254.169.254",
    "metadata.google.internal",
    "master",
    "192.0.2.10",
    "2001:db8:1::10",
    "head.cluster.example",
    "gpu1.cluster.example",
    *(text for name in ("agent1", "agent2", "agent3") for text in (name, *clusters.DEMO[name][1])),
    "data.example.com",
    "example.com",
    "deep.data.example.com",
    "198.51.100.200",
]
OUTSIDE = [
    "registry-1.docker.io",
    "pypi.example.org",
    "notexample.com",
    "example.com.example.org",
    "192.0.2.1",
    "192.0.2.100",
    "2001:db8:1::1",
    "203.0.113.40",
    "laptop",
    "example.org",
    "internal",
]
EXTRA = [".example.com", "198.51.100.200"]


def text_of(extra=None, override=None):
    extra = EXTRA if extra is None else extra
    return ",".join(_no_proxy_list.compose(CLUSTER, NAMES, extra, override).entries)


def url_host(host):
    return f"[{host}]" if ":" in host else host


def ask_urllib(text, host, port):
    return bool(urllib.request.proxy_bypass_environment(f"{url_host(host)}:{port}", {"no": text}))


def ask_requests(text, host, port):
    return bool(requests.utils.should_bypass_proxies(f"http://{url_host(host)}:{port}/", no_proxy=text))


CLIENTS = {
    **{
        name: lambda text, host, port, name=name: _no_proxy.bypasses(name, text, host, port)
        for name in _no_proxy.CLIENTS
    },
    "urllib itself": ask_urllib,
    "requests itself": ask_requests,
}


# Older releases of requests compare mere ends of texts. No list is read better by them and as well by the others.
MORE = {"requests": {"notexample.com", "2001:db8:1::1"}}


@pytest.mark.parametrize("port", [80, 8080, 5000])
@pytest.mark.parametrize("client", CLIENTS)
def test_only_the_cluster_is_reached_directly(client, port):
    text = text_of()
    assert [host for host in INSIDE if not CLIENTS[client](text, host, port)] == []
    assert {host for host in OUTSIDE if CLIENTS[client](text, host, port)} == MORE.get(client, set())


def test_the_list_is_well_formed():
    text = text_of([" a.example.org , .example.com", "*.example.net", "198.51.100.0/24", "h.example.com:8080", "gpu9"])
    entries = text.split(",")
    assert " " not in text and "" not in entries and len(entries) == len(set(entries))
    assert no_proxy_problems(entries) == []
    assert {"[2001:db8:1::10]", "2001:db8:1::10"} <= set(entries)
    assert {"example.com", ".example.com", "example.net", ".example.net", "198.51.100.0/24", "gpu9"} <= set(entries)
    assert {"a.example.org", ".a.example.org", "h.example.com:8080"} <= set(entries)
    assert ".gpu9" not in entries and ".198.51.100.0/24" not in entries


def test_an_agent_changes_only_the_long_list():
    small = _no_proxy_list.compose(clusters.build(clusters.SMALL), {}, EXTRA)
    more = clusters.build({**clusters.SMALL, "agent9": (("agents",), ["192.0.2.99"])})
    larger = _no_proxy_list.compose(more, {}, EXTRA)
    assert larger.stable == small.stable
    assert set(larger.entries) - set(small.entries) == {"agent9", "192.0.2.99"}
    assert {"master", "192.0.2.10", "localhost", "example.com"} <= set(small.stable)
    assert not {"agent1", "192.0.2.21"} & set(small.stable)


def test_a_registry_on_an_agent_is_reached_directly_by_dockerd_too():
    services = [
        {"host": host, "ports": "5000", "purpose": purpose}
        for host, purpose in (("agent1", "registry"), ("192.0.2.22", "resource"), ("registry.example.com", "registry"))
    ]
    stable = _no_proxy_list.compose(clusters.build(services=services), NAMES, EXTRA).stable
    assert "agent1" in stable
    assert not {"192.0.2.21", "192.0.2.22", "registry.example.com"} & set(stable)


@pytest.mark.parametrize(
    "override, expected", [(["a", " b,.c "], ("a", "b", ".c")), ("a,b", ("a", "b")), ([], ()), (["a", "a"], ("a",))]
)
def test_an_override_is_unchanged(override, expected):
    found = _no_proxy_list.compose(CLUSTER, NAMES, EXTRA, override)
    assert found.entries == found.stable == expected


def test_wrong_entries_are_passed_on_and_refused_later():
    entries = _no_proxy_list.compose(CLUSTER, {}, ["*", "exämple.com", "a b"]).entries
    assert len(no_proxy_problems(entries)) >= 3


@settings(derandomize=True, deadline=None, max_examples=50)
@given(
    st.sets(st.integers(1, 250), min_size=2, max_size=20),
    st.lists(st.from_regex(r"[a-z][a-z0-9]{0,5}(\.[a-z]{2,5}){0,3}", fullmatch=True), max_size=4),
)
def test_any_cluster_is_reached_directly_by_every_client(numbers, extra):
    numbers = sorted(numbers)
    hosts = {f"h{n}.c.example": (("agents",), [f"192.0.2.{n}", f"2001:db8::{n:x}"]) for n in numbers}
    hosts["head"] = (("master",), ["198.51.100.1"])
    text = ",".join(_no_proxy_list.compose(clusters.build(hosts), {}, extra).entries)
    for ask in CLIENTS.values():
        for name, (_roles, addresses) in hosts.items():
            assert all(ask(text, place, 8080) for place in (name, *addresses))
        assert all(ask(text, name, 443) for name in extra)
