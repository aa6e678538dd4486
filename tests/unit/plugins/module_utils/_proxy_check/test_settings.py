# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which variables a client reads, and which cluster traffic it would send to a proxy."""

import pytest
from ansible_collections.determined.network.plugins.module_utils import _no_proxy
from ansible_collections.determined.network.plugins.module_utils._proxy_check import settings

P = "http://p:1"

# client, environment -> whether a proxy is set, which no_proxy variable counts, its text.
ENVIRONMENTS = [
    ("go", {}, (False, "NO_PROXY", "")),
    ("go", {"HTTP_PROXY": P, "http_proxy": "", "NO_PROXY": "a", "no_proxy": "b"}, (True, "NO_PROXY", "a")),
    ("go", {"https_proxy": P, "no_proxy": "b"}, (True, "no_proxy", "b")),
    ("go", {"all_proxy": P}, (False, "NO_PROXY", "")),
    ("curl", {"HTTP_PROXY": P, "NO_PROXY": "a"}, (False, "NO_PROXY", "a")),
    ("curl", {"HTTPS_PROXY": P, "NO_PROXY": "a", "no_proxy": "b"}, (True, "no_proxy", "b")),
    ("curl", {"ALL_PROXY": P}, (True, "no_proxy", "")),
    ("urllib", {"HTTP_PROXY": P, "NO_PROXY": "a"}, (True, "NO_PROXY", "a")),
    ("urllib", {"Http_Proxy": P, "NO_PROXY": "a", "no_proxy": "b"}, (True, "no_proxy", "b")),
    ("urllib", {"HTTP_PROXY": P, "http_proxy": ""}, (False, "no_proxy", "")),
    ("urllib", {"all_proxy": P}, (False, "no_proxy", "")),
    ("requests", {"all_proxy": P}, (True, "no_proxy", "")),
    ("requests", {"https_proxy": P, "no_proxy": "b"}, (True, "no_proxy", "b")),
]


@pytest.mark.parametrize("client, variables, expected", ENVIRONMENTS)
def test_what_a_client_reads(client, variables, expected):
    assert settings.client_settings(client, variables) == expected


MASTER = settings.Destination("master", "192.0.2.10", 8080)
AGENTS = [settings.Destination("agents", f"192.0.2.{number}", None) for number in range(21, 29)]
BOTH = ("master", "agents")


def test_a_finding_names_client_file_variable_and_hosts():
    variables = {"https_proxy": P, "no_proxy": "192.0.2.10,192.0.2.16/28"}
    place = settings.Place("/etc/environment", variables, _no_proxy.CLIENTS, BOTH)
    assert settings.findings([place], [MASTER, *AGENTS]) == [
        {
            "place": "/etc/environment",
            "clients": ["urllib"],
            "group": "agents",
            "hosts": [f"192.0.2.{number}" for number in range(21, 26)],
            "count": 8,
            "variable": "no_proxy",
        }
    ]


def test_clients_that_lack_the_same_are_named_together():
    place = settings.Place("unit", {"http_proxy": P}, ("urllib", "requests", "curl"), ("master",))
    (finding,) = settings.findings([place], [MASTER, *AGENTS])
    assert (finding["clients"], finding["hosts"]) == (["urllib", "requests", "curl"], ["192.0.2.10"])


def test_what_has_no_proxy_or_covers_everybody_is_no_finding():
    quiet = settings.Place("one", {"no_proxy": ""}, _no_proxy.CLIENTS, BOTH)
    star = settings.Place("two", {"http_proxy": P, "HTTP_PROXY": P, "no_proxy": "*"}, _no_proxy.CLIENTS, BOTH)
    assert settings.findings([quiet, star], [MASTER, *AGENTS]) == []
