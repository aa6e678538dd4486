# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role proxy writes satisfies the check that reads it, for every client; and one entry less does not."""

import json

import pytest
from ansible_collections.determined.network.plugins.module_utils import (
    _effective_proxies,
    _no_proxy,
    _proxy_description,
    _proxy_formats,
    _proxy_yaml_edit,
)
from ansible_collections.determined.network.plugins.plugin_utils import _internet_checks, _no_proxy_list
from clusters import DEMO, build

CLUSTER = build()
NAMES = {"master": ["head.example.com"]}
COMPOSED = _no_proxy_list.compose(CLUSTER, NAMES, [".example.org"])
DESTINATIONS = [
    _effective_proxies.Destination(one["group"], one["address"], one.get("port"))
    for one in _internet_checks.plan(CLUSTER, frozenset(DEMO))["cluster"]
] + [_effective_proxies.Destination("master", "head.example.com", 8080)]


def described(entries):
    url = "http://proxy.example.com:3128"
    urls = {"http": url, "https": url}
    found, problems = _proxy_description.describe(urls, "user", "p%@:/#$ '\"\\", entries, COMPOSED.stable)
    assert problems == []
    return found


def places(entries):
    """Every place in which the role writes the long list, as the check reads it back."""
    found = described(entries)
    pairs = _proxy_description.environment(found)
    lowered = {name.lower(): value for name, value in pairs}
    agent = _proxy_yaml_edit.set_keys("master_host: head.example.com\n", lowered)
    master = _proxy_yaml_edit.set_task_variables("db:\n  host: x\n", pairs)
    read = {
        "environment": _effective_proxies.shell_assignments("\n".join(_proxy_formats.login_environment(pairs))),
        "profile": _effective_proxies.shell_assignments(_proxy_formats.shell_script(pairs)),
        "unit": _effective_proxies.shell_assignments(_proxy_formats.environment_file(pairs)),
        "agent.yaml": _effective_proxies.agent_variables(_effective_proxies.agent_settings(agent)),
        "master.yaml": _effective_proxies.task_variables(master),
    }
    return [
        _effective_proxies.Place(name, variables, _no_proxy.CLIENTS, ("master", "agents"))
        for name, variables in read.items()
    ]


def test_what_is_written_leads_nothing_of_the_cluster_to_the_proxy():
    found = places(COMPOSED.entries)
    assert _effective_proxies.findings(found, DESTINATIONS) == []
    for place in found:
        assert any(_effective_proxies.client_settings(client, place.variables)[0] for client in place.clients), place


@pytest.mark.parametrize(
    "entry", ["192.0.2.10", "head.example.com", "198.51.100.23", "[2001:db8:2::23]", "2001:db8:1::10"]
)
def test_one_entry_less_is_found_in_every_place(entry):
    found = _effective_proxies.findings(places([one for one in COMPOSED.entries if one != entry]), DESTINATIONS)
    assert {finding["place"] for finding in found} == {"environment", "profile", "unit", "agent.yaml", "master.yaml"}
    assert {host for finding in found for host in finding["hosts"]} == {entry.strip("[]")}


def test_dockerds_short_list_covers_the_master():
    stable = ",".join(COMPOSED.stable)
    text = json.dumps({"proxies": {"http-proxy": "http://p:1", "https-proxy": "http://p:1", "no-proxy": stable}})
    daemon = _effective_proxies.Place("daemon", _effective_proxies.daemon_proxies(text), ("go",), ("master",))
    assert _effective_proxies.findings([daemon], DESTINATIONS) == []
