# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lookup of what is reached without the proxy, on inventories as they are written."""

import pytest
import yaml
from ansible import constants
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.determined.network.plugins.lookup import no_proxy
from ansible_collections.determined.network.plugins.plugin_utils._cluster import cluster as clusters

NAME = "determined.network.no_proxy"
constants.config.initialize_plugin_configuration_definitions(
    "lookup", NAME, yaml.safe_load(no_proxy.DOCUMENTATION)["options"]
)

HOSTS = {
    "head": {"ansible_host": "head.example.com", "determined_address": ["192.0.2.10"]},
    "gpu1": {"ansible_host": "192.0.2.21"},
    "stranger": {"ansible_host": "192.0.2.66"},
}
GROUPS = {"determined_master": ["head"], "determined_agents": ["gpu1"], "determined_outsiders": ["stranger"]}


def look_up(terms=(), variables=None, per_host=None, **options):
    hosts = {name: {**values, **(per_host or {}).get(name, {})} for name, values in HOSTS.items()}
    roles = clusters.cluster_hosts(GROUPS)
    own = {name: {"determined_address": "192.0.2.10", **values} for name, values in HOSTS.items()}
    own["gpu1"]["determined_address"], own["stranger"]["determined_address"] = "192.0.2.21", "192.0.2.66"
    cluster = clusters.build_cluster(roles, own, {"services": []}, lambda names: {}).to_dict()
    known = {"groups": GROUPS, "hostvars": hosts, "inventory_hostname": "gpu1", **(variables or {})}
    plugin = no_proxy.LookupModule(loader=DataLoader(), templar=Templar(loader=DataLoader(), variables=known))
    plugin._load_name = NAME
    (found,) = plugin.run(list(terms), variables=known, cluster=cluster, **options)
    return found


def test_names_and_addresses_of_master_and_agents():
    found = look_up()
    assert {"head", "head.example.com", "192.0.2.10", "gpu1", "192.0.2.21"} <= set(found["no_proxy"])
    assert not {"stranger", "192.0.2.66"} & set(found["no_proxy"])
    assert "gpu1" not in found["stable"] and "head.example.com" in found["stable"]


def test_variables_of_the_role_count():
    found = look_up(variables={"determined_proxy_no_proxy_extra": ["example.org"]})
    assert {"example.org", ".example.org"} <= set(found["stable"])
    assert look_up(variables={"determined_proxy_no_proxy": ["only.this"]}) == {
        "no_proxy": ["only.this"],
        "stable": ["only.this"],
    }
    assert look_up(override=["a"])["no_proxy"] == ["a"]


@pytest.mark.parametrize("variable", ["determined_proxy_no_proxy_extra", "determined_proxy_no_proxy"])
def test_one_list_for_all_hosts_on_whichever_it_is_set(variable):
    """Also where the role's default is what the asking host sees."""
    for name in ("head", "gpu1"):
        asked = {"determined_proxy_no_proxy_extra": []} if name == "head" else {variable: ["example.org"]}
        found = look_up(variables=asked, per_host={name: {variable: ["example.org"]}})
        assert found == look_up(variables={variable: ["example.org"]})
    different = {"head": {variable: ["a"]}, "gpu1": {variable: ["b"]}}
    with pytest.raises(AnsibleError, match=f"gpu1: {variable}: is .* but .* on head; it is one setting"):
        look_up(per_host=different, variables={variable: ["b"]})
    assert look_up(per_host=different, variables={variable: ["c"]}) == look_up(variables={variable: ["c"]})


def test_empty_answers_of_a_survey_mean_the_default():
    assert look_up(variables={"determined_proxy_no_proxy": "", "determined_proxy_no_proxy_extra": ""}) == look_up()
    assert look_up(variables={"determined_proxy_no_proxy": "a, b"})["no_proxy"] == ["a", "b"]
    assert look_up(variables={"determined_proxy_no_proxy": []})["no_proxy"] == []


def test_terms_are_refused():
    with pytest.raises(AnsibleError):
        look_up(terms=["x"])
