# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role proxy writes satisfies the check that reads it, for every client; and one entry less does not."""

import json

import pytest
from ansible_collections.determined.network.plugins.module_utils import _no_proxy
from ansible_collections.determined.network.plugins.module_utils._proxy import (
    description,
    formats,
    master_yaml,
    yaml_edit,
)
from ansible_collections.determined.network.plugins.module_utils._proxy_check import files, settings
from ansible_collections.determined.network.plugins.plugin_utils import _no_proxy_list
from ansible_collections.determined.network.plugins.plugin_utils._verification import internet_checks

from tests.unit.plugins.plugin_utils.clusters import DEMO, build

CLUSTER = build()
NAMES = {"master": ["head.example.com"]}
COMPOSED = _no_proxy_list.compose(CLUSTER, NAMES, [".example.org"])
DESTINATIONS = [
    settings.Destination(one["group"], one["address"], one.get("port"))
    for one in internet_checks.plan(CLUSTER, frozenset(DEMO))["cluster"]
] + [settings.Destination("master", "head.example.com", 8080)]


def described(entries):
    url = "http://proxy.example.com:3128"
    urls = {"http": url, "https": url}
    found, problems = description.describe(urls, "user", "p%@:/#$ '\"\\", entries, COMPOSED.stable)
    assert problems == []
    return found


def places(entries):
    """Every place in which the role writes the long list, as the check reads it back."""
    found = described(entries)
    pairs = description.environment(found)
    lowered = {name.lower(): value for name, value in pairs}
    agent = yaml_edit.set_keys("master_host: head.example.com\n", lowered)
    master = master_yaml.set_task_variables("db:\n  host: x\n", pairs)
    read = {
        "environment": files.shell_assignments("\n".join(formats.login_environment(pairs))),
        "profile": files.shell_assignments(formats.shell_script(pairs)),
        "unit": files.shell_assignments(formats.environment_file(pairs)),
        "agent.yaml": files.agent_variables(files.agent_settings(agent)),
        "master.yaml": files.task_variables(master),
    }
    return [
        settings.Place(name, variables, _no_proxy.CLIENTS, ("master", "agents")) for name, variables in read.items()
    ]


def test_what_is_written_keeps_the_cluster_off_the_proxy():
    found = places(COMPOSED.entries)
    assert settings.findings(found, DESTINATIONS) == []
    for place in found:
        assert any(settings.client_settings(client, place.variables)[0] for client in place.clients), place


@pytest.mark.parametrize(
    "entry", ["192.0.2.10", "head.example.com", "198.51.100.23", "[2001:db8:2::23]", "2001:db8:1::10"]
)
def test_a_missing_entry_is_found_in_every_place(entry):
    found = settings.findings(places([one for one in COMPOSED.entries if one != entry]), DESTINATIONS)
    assert {finding["place"] for finding in found} == {"environment", "profile", "unit", "agent.yaml", "master.yaml"}
    assert {host for finding in found for host in finding["hosts"]} == {entry.strip("[]")}


def test_dockerds_short_list_covers_the_master():
    stable = ",".join(COMPOSED.stable)
    text = json.dumps({"proxies": {"http-proxy": "http://p:1", "https-proxy": "http://p:1", "no-proxy": stable}})
    daemon = settings.Place("daemon", files.daemon_proxies(text), ("go",), ("master",))
    assert settings.findings([daemon], DESTINATIONS) == []
