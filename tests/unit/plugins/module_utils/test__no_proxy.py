# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each client's rule for no_proxy, case by case."""

import pytest
from ansible_collections.determined.network.plugins.module_utils import _no_proxy

NAME, PARENT, V4, V6 = "m.example.com", "example.com", "192.0.2.10", "2001:db8::10"
GO, URLLIB, REQUESTS, CURL = _no_proxy.CLIENTS

# no_proxy, host -> the clients that go directly (port 8080 stands in the URL).
CASES = [
    ("", NAME, ""),
    ("", V4, ""),
    (NAME, NAME, "go urllib requests curl"),
    (NAME.upper(), NAME, "go urllib requests curl"),
    (NAME, NAME.upper(), "go urllib requests curl"),
    (PARENT, NAME, "go urllib requests curl"),
    (PARENT, PARENT, "go urllib requests curl"),
    ("." + PARENT, NAME, "go urllib requests curl"),
    ("." + PARENT, PARENT, "urllib requests curl"),
    ("*." + PARENT, NAME, "go"),
    ("*." + PARENT, PARENT, ""),
    ("m.example.com.", NAME, "curl"),
    ("ple.com", NAME, "requests"),
    (NAME + ":8080", NAME, "go urllib requests"),
    (NAME + ":8081", NAME, ""),
    (V4, V4, "go urllib requests curl"),
    (V4 + ":8080", V4, "go urllib"),
    ("192.0.2.0/24", V4, "go requests curl"),
    ("192.0.2.77/24", V4, "go requests curl"),
    ("192.0.2.0/33", V4, ""),
    ("0.0.0.0/0", V4, "go"),
    ("192.0.2.10/0", V4, "go curl"),
    ("92.0.2.10", V4, ""),
    ("2.10", V4, "go urllib requests"),
    ("198.51.100.0/24", V4, ""),
    (V6, V6, "go requests curl"),
    (f"[{V6}]", V6, "urllib"),
    (f"[{V6}]:8080", V6, "go urllib"),
    ("2001:db8:0:0:0:0:0:10", V6, "go"),
    ("2001:db8::/32", V6, "go"),
    ("192.0.2.0/24", V6, ""),
    ("2001:db8::/32", V4, ""),
    ("*", NAME, "go urllib requests curl"),
    ("a, *", NAME, "go"),
    ("a, " + NAME, NAME, "go urllib requests curl"),
    ("a " + NAME, NAME, "curl"),
    (",," + V4 + ",", V4, "go urllib requests curl"),
    ("", "localhost", "go"),
    ("", "127.0.0.2", "go"),
    ("", "::1", "go"),
    ("localhost,127.0.0.1", "localhost", "go urllib requests curl"),
]


@pytest.mark.parametrize("no_proxy, host, direct", CASES)
def test_who_goes_directly(no_proxy, host, direct):
    found = [client for client in _no_proxy.CLIENTS if _no_proxy.bypasses(client, no_proxy, host, 8080)]
    assert found == direct.split()


def test_brackets_of_an_address_mean_nothing():
    for client in _no_proxy.CLIENTS:
        entry = V6 if client != URLLIB else f"[{V6}]"
        assert _no_proxy.bypasses(client, entry, f"[{V6}]", 8080)
        assert _no_proxy.bypasses(client, entry, V6)


def test_an_entry_with_a_port_needs_the_port_in_the_url():
    for client in (GO, URLLIB, REQUESTS):
        assert not _no_proxy.bypasses(client, NAME + ":80", NAME)
    assert not _no_proxy.bypasses(CURL, None, NAME)
