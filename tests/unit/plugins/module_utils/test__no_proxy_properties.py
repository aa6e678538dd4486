# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of urllib and requests, beside these clients themselves."""

import urllib.request
from unittest import mock

from ansible_collections.determined.network.plugins.module_utils import _no_proxy
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pip._vendor.requests import utils as requests_utils

HOSTS = ["m.example.com", "example.com", "m", "192.0.2.10", "192.0.2.1", "2001:db8::10", "::10", "localhost"]
PARTS = ["m.example.com", "example.com", "192.0.2.10", "192.0.2.0/24", "192.0.2.0/31", "[2001:db8::10]", "2001:db8::10"]
PARTS += ["2001:db8::/32", "0.0.0.0/0", "*", "10", "com", "le.com", "::10", "localhost", "192.0.2.0/255.255.255.0"]

entries = st.tuples(
    st.sampled_from(["", ".", "..", " "]), st.sampled_from(PARTS), st.sampled_from(["", ":80", ":8080", ".", " "])
).map("".join)
no_proxies = st.lists(entries, max_size=3).map(",".join)
ports = st.sampled_from([None, 80, 8080])


def url_host(host, port):
    text = f"[{host}]" if ":" in host else host
    return text if port is None else f"{text}:{port}"


@settings(max_examples=500, deadline=None)
@given(no_proxies, st.sampled_from(HOSTS), ports)
@example("*", "m", None)
def test_as_urllib_does(no_proxy, host, port):
    theirs = urllib.request.proxy_bypass_environment(url_host(host, port), {"no": no_proxy})
    assert _no_proxy.bypasses("urllib", no_proxy, host, port) == bool(theirs)


@settings(max_examples=500, deadline=None)
@given(no_proxies, st.sampled_from(HOSTS), ports)
@example("*", "m", None)
def test_as_requests_does(no_proxy, host, port):
    with mock.patch.dict("os.environ", {"no_proxy": no_proxy}, clear=True):
        theirs = requests_utils.should_bypass_proxies(f"http://{url_host(host, port)}/", None)
    assert _no_proxy.bypasses("requests", no_proxy, host, port) == bool(theirs)
