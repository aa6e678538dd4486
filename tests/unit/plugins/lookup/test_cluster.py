# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lookup on real inventories, through Ansible's own inventory, variable manager and templating."""

import itertools

import pytest
import yaml
from ansible import constants
from ansible.errors import AnsibleError
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.play import Play
from ansible.template import Templar
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager
from ansible_collections.determined.network.plugins.lookup import cluster as lookup_cluster
from ansible_collections.determined.network.plugins.plugin_utils._cluster import addresses, settings

try:
    from ansible.template import trust_as_template
except ImportError:  # before ansible-core 2.19 every text is a template

    def trust_as_template(text):
        return text


NAME = "determined.network.cluster"

# What Ansible's loader does when it finds the plugin in a collection.
constants.config.initialize_plugin_configuration_definitions(
    "lookup", NAME, yaml.safe_load(lookup_cluster.DOCUMENTATION)["options"]
)


class Inventory:
    """An inventory from YAML, as a play on it sees it."""

    def __init__(self, path, text, play_variables=None, extra_variables=None, limit=None):
        path.write_text(text)
        self.loader = DataLoader()
        self.inventory = InventoryManager(loader=self.loader, sources=[str(path)])
        self.manager = VariableManager(loader=self.loader, inventory=self.inventory)
        if extra_variables:
            self.manager._extra_vars = extra_variables
        if limit:
            self.inventory.subset(limit)
        HostVars(inventory=self.inventory, variable_manager=self.manager, loader=self.loader)
        self.play = Play().load(
            {"hosts": "all", "vars": play_variables or {}}, variable_manager=self.manager, loader=self.loader
        )

    def look_up(self, host, **options):
        variables = self.manager.get_vars(play=self.play, host=self.inventory.get_host(host))
        plugin = lookup_cluster.LookupModule(
            loader=self.loader, templar=Templar(loader=self.loader, variables=variables)
        )
        plugin._load_name = NAME
        (cluster,) = plugin.run([], variables=variables, **options)
        return cluster


INVENTORY = """
all:
  vars:
    determined_mode: restrict
    office: 198.51.100
    determined_client_networks: ["{{ office }}.0/24", "2001:db8:4::/48"]
  children:
    determined_master:
      hosts:
        master: {determined_address: ["192.0.2.10", "2001:db8::10"]}
    determined_agents:
      vars:
        determined_gpus: 8
        ansible_host: "192.0.2.{{ 20 + number }}"
      hosts:
        agent1: {number: 1}
        agent2: {number: 2, ansible_port: 2222}
    others:
      hosts:
        elsewhere: {ansible_host: 203.0.113.1}
"""


@pytest.fixture
def inventory(tmp_path):
    numbers = itertools.count()

    def make(text=INVENTORY, **more):
        return Inventory(tmp_path / f"hosts{next(numbers)}.yml", text, **more)

    return make


DOCKER_HUB = {"ports": "443", "purpose": "registry", "scheme": "", "path": ""}


def test_a_real_inventory(inventory):
    assert inventory().look_up("agent1") == {
        "hosts": {
            "master": {
                "roles": ["master"],
                "addresses": {"ipv4": ["192.0.2.10"], "ipv6": ["2001:db8::10"]},
                "gpus": None,
            },
            "agent1": {"roles": ["agents"], "addresses": {"ipv4": ["192.0.2.21"], "ipv6": []}, "gpus": 8},
            "agent2": {"roles": ["agents"], "addresses": {"ipv4": ["192.0.2.22"], "ipv6": []}, "gpus": 8},
        },
        "settings": {
            "mode": "restrict",
            "agent_ports": "all",
            "master_port": 8080,
            "client_networks": {"ipv4": ["198.51.100.0/24"], "ipv6": ["2001:db8:4::/48"]},
            "management": [{"ports": "22,2222", "networks": {"ipv4": ["0.0.0.0/0"], "ipv6": ["::/0"]}}],
            "services": [
                {**DOCKER_HUB, "host": "registry-1.docker.io"},
                {**DOCKER_HUB, "host": "auth.docker.io", "path": "/token"},
                {**DOCKER_HUB, "host": "production.cloudflare.docker.com", "path": "/"},
            ],
            "extra_requirements": [],
        },
    }


HOSTS = ("master", "agent1", "agent2", "elsewhere", "localhost")


@pytest.mark.parametrize(
    "more",
    [
        {},
        {
            "play_variables": {
                "determined_mode": "permit",
                "determined_tls": trust_as_template("{{ 1 == 1 }}"),
            }
        },
        {"extra_variables": {"determined_agent_ports": "documented", "determined_mode": "permit"}},
        {"limit": "agent2"},
        # Variables of single hosts, of cluster hosts or of others.
        {"text": INVENTORY.replace("number: 1", "number: 1, determined_tls: true")},
        {"text": INVENTORY.replace("203.0.113.1", "203.0.113.1, determined_tls: true, determined_master_port: 1")},
    ],
    ids=["inventory", "play", "extra", "limit", "one-host", "other-host"],
)
def test_the_cluster_is_the_same_whichever_host_computes_it(inventory, more):
    made = inventory(**more)
    first, *others = [made.look_up(host) for host in HOSTS]
    assert all(other == first for other in others)
    if "limit" in more:
        assert first == inventory().look_up("master")


@pytest.mark.parametrize(
    "play, extra, given, port",
    [
        ({}, {}, {}, 8080),
        ({"determined_tls": True}, {}, {}, 8443),
        ({"determined_tls": True}, {"determined_tls": False}, {}, 8080),
        ({"determined_tls": True}, {}, {"tls": False}, 8080),
        ({"determined_master_port": 1}, {"determined_master_port": 2}, {"master_port": 3}, 3),
        ({"determined_master_port": trust_as_template("{{ base + 1 }}"), "base": 7000}, {}, {}, 7001),
    ],
)
def test_precedence(inventory, play, extra, given, port):
    made = inventory(play_variables=play, extra_variables=extra)
    assert made.look_up("agent1", **given)["settings"]["master_port"] == port


def problems(made, host="master", **options):
    with pytest.raises(AnsibleError) as caught:
        made.look_up(host, **options)
    return str(caught.value)


def test_a_surveys_answers_are_texts(inventory):
    answers = {
        "determined_tls": "true",
        "determined_mode": "restrict",
        "determined_agent_ports": "documented",
        "determined_client_networks": "198.51.100.0/24, 2001:db8:4::/48",
        "determined_gpus": "4",
        "determined_management": [{"ports": "22"}],
    }
    typed = {**answers, "determined_tls": True, "determined_gpus": 4}
    typed["determined_client_networks"] = ["198.51.100.0/24", "2001:db8:4::/48"]
    assert inventory(extra_variables=answers).look_up("agent1") == inventory(extra_variables=typed).look_up("agent1")


@pytest.mark.parametrize("option", ["tls", "master_port", "client_networks", "services", "extra_requirements"])
def test_a_surveys_question_without_an_answer_means_the_default(inventory, option):
    plain = inventory(text="\n".join(line for line in INVENTORY.splitlines() if "determined_client" not in line))
    made = inventory(extra_variables={settings.VARIABLES[option]: ""})
    assert (
        made.look_up("agent1")["settings"][option if option != "tls" else "master_port"]
        == (plain.look_up("agent1")["settings"][option if option != "tls" else "master_port"])
    )


@pytest.mark.parametrize("option", ["mode", "agent_ports", "management"])
def test_no_default_opens_what_the_inventory_may_close(inventory, option):
    with pytest.raises(AnsibleError, match=settings.VARIABLES[option]):
        inventory(extra_variables={settings.VARIABLES[option]: ""}).look_up("agent1")


@pytest.mark.parametrize("prefix", ["awx", "tower"])
def test_a_slice_of_a_job_is_refused_and_a_workflow_is_not(inventory, prefix):
    names = {f"{prefix}_job_template_name": "site", f"{prefix}_workflow_job_name": "site"}
    with pytest.raises(AnsibleError, match="sees only a part of the inventory.*job slices to 1"):
        inventory(extra_variables=names).look_up("agent1")
    whole = inventory().look_up("agent1")
    for other in ({f"{prefix}_workflow_job_name": "nightly"}, {f"{prefix}_workflow_job_name": None}):
        assert inventory(extra_variables={**names, **other}).look_up("agent1") == whole
    del names[f"{prefix}_workflow_job_name"]
    assert inventory(extra_variables=names).look_up("agent1") == whole


def test_one_variable_with_two_values(inventory):
    text = INVENTORY.replace("number: 1", "number: 1, determined_mode: permit")
    told = {problems(inventory(text), host) for host in HOSTS}
    assert told == {
        "The inventory has 1 problem; nothing was changed:\n"
        "  1. agent1: determined_mode: is 'permit' here, but 'restrict' on master; it is one setting for the whole "
        "cluster. Remedy: set it once, in the group `all`."
    }


BROKEN = """
all:
  vars:
    determined_client_networks: ["{{ nowhere }}"]
    determined_services: [{host: "{{ nobody }}", ports: 443}]
  children:
    determined_master:
      hosts:
        one: {determined_address: "{{ nothing }}"}
        two: {determined_address: 192.0.2.2}
    determined_agents:
      hosts:
        three: {ansible_host: 192.0.2.2, determined_gpus: "{{ 1 // 0 }}"}
"""


@pytest.mark.parametrize("host", ["one", "two", "three", "localhost"])
def test_templates_that_fail_are_told_with_all_the_rest(inventory, host):
    told = problems(inventory(BROKEN), host, master_port="x")
    for part in (
        "one: determined_address:",
        "three: determined_gpus: cannot be computed:",
        "determined_client_networks:",
        "determined_services:",
        "group determined_master: has 2 hosts (one, two)",
        "all hosts: determined_master_port: 'x' in ports 'x': not a number.",
        "three: ansible_host: 192.0.2.2 is the address of two too.",
        # What is undefined is named. (Before ansible-core 2.19 the template itself comes back instead.)
        "nothing",
        "nowhere",
        "nobody",
    ):
        assert part in told
    assert told.startswith("The inventory has 7 problems; nothing was changed:")


def test_a_template_that_fails_as_a_whole_is_told_with_all_the_rest(inventory):
    text = INVENTORY.replace('["{{ office }}.0/24", "2001:db8:4::/48"]', '"{{ 1 // 0 }}"')
    told = problems(inventory(text.replace("determined_mode: restrict", "determined_mode: x")))
    assert "determined_client_networks: cannot be computed:" in told
    assert "all hosts: determined_mode: 'x' is unknown" in told


def test_names_that_are_nearly_ours_are_refused_and_others_let_be(inventory):
    text = INVENTORY.replace("determined_mode:", "determined_mod:").replace("others:", "determined_client:")
    told = problems(inventory(text.replace("determined_gpus:", "determined_version: 1\n        determined_gpu:")))
    assert (
        "master and 2 more: determined_mod: is no variable of this collection. Remedy: write determined_mode." in told
    )
    assert (
        "agent1 and 1 more: determined_gpu: is no variable of this collection. Remedy: write determined_gpus." in told
    )
    assert "group determined_client: is no group of this collection. Remedy: call it determined_clients." in told
    assert "determined_version" not in told


@pytest.mark.parametrize(
    "facts",
    [
        {"determined_extra_requirements": [{"id": "hole", "from": "networks", "to": "agents", "ports": "1-65535"}]},
        {"determined_mode": "permit"},
        {"determined_address": "203.0.113.66"},
        {"proxy_https": "http://203.0.113.66:3128"},
    ],
)
def test_variables_from_the_facts_of_a_host_are_refused(inventory, facts):
    made = inventory()
    made.look_up("master")
    made.manager.set_host_facts("agent1", {**facts, "determined_by_others": {}})
    for host in ("master", "agent1"):
        with pytest.raises(AnsibleError) as refusal:
            made.look_up(host)
        (name,) = facts
        assert f"agent1: {name}: comes from the facts of this host" in str(refusal.value)


def test_facts_with_other_names_are_accepted(inventory):
    made = inventory()
    expected = made.look_up("master")
    made.manager.set_host_facts("agent1", {"ansible_hostname": "x", "ansible_host": "203.0.113.66", "ansible_port": 1})
    assert made.look_up("master") == expected


def test_an_empty_inventory_names_both_missing_groups(inventory):
    told = problems(inventory("all: {hosts: {x: {}}}"), "x")
    assert "1. group determined_master: is missing" in told
    assert "2. group determined_agents: is missing" in told


def test_terms_are_refused(inventory):
    plugin = lookup_cluster.LookupModule()
    with pytest.raises(AnsibleError, match="takes no terms"):
        plugin.run(["agent1"], variables={})


def test_an_unknown_option_is_refused(inventory):
    with pytest.raises(AnsibleError, match="colour"):
        inventory().look_up("master", colour="red")


def test_without_netaddr(inventory, monkeypatch):
    made = inventory()
    monkeypatch.setattr(addresses, "netaddr", None)
    assert "-m pip install netaddr" in problems(made)


def test_every_option_is_documented_with_its_variable():
    options = yaml.safe_load(lookup_cluster.DOCUMENTATION)["options"]
    documented = {name: option["vars"][0]["name"] for name, option in options.items()}
    assert documented == settings.VARIABLES


def test_examples_and_return_values_are_yaml():
    assert yaml.safe_load(lookup_cluster.EXAMPLES)
    assert yaml.safe_load(lookup_cluster.RETURN)["_raw"]
