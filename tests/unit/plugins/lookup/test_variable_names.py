# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lookups on inventories with outdated, misspelt and foreign names of variables."""

import pytest
from ansible.errors import AnsibleError
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.play import Play
from ansible.template import Templar
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager
from ansible_collections.determined.network.plugins.lookup import variable_names

INVENTORY = """
all:
  vars:
    %s
  children:
    determined_master:
      hosts:
        master: {determined_address: 192.0.2.10}
    determined_agents:
      hosts:
        agent1: {determined_address: 192.0.2.21, %s}
        agent2: {determined_address: 192.0.2.22}
    others:
      hosts:
        elsewhere: {proxy_http: "http://proxy.example.com"}
"""


@pytest.fixture
def look_up(tmp_path):
    def run(everywhere="office: 1", on_agent1="rack: 1", play=None, extra=None, host="agent2"):
        path = tmp_path / "hosts.yml"
        path.write_text(INVENTORY % (everywhere, on_agent1))
        loader = DataLoader()
        inventory = InventoryManager(loader=loader, sources=[str(path)])
        manager = VariableManager(loader=loader, inventory=inventory)
        if extra:
            manager._extra_vars = extra
        HostVars(inventory=inventory, variable_manager=manager, loader=loader)
        made = Play().load({"hosts": "all", "vars": play or {}}, variable_manager=manager, loader=loader)
        variables = manager.get_vars(play=made, host=inventory.get_host(host))
        plugin = variable_names.LookupModule(loader=loader, templar=Templar(loader=loader, variables=variables))
        return plugin.run([], variables=variables)

    return run


def refused(look_up, **more):
    with pytest.raises(AnsibleError) as told:
        look_up(**more)
    return str(told.value)


def test_right_names_are_accepted(look_up):
    assert look_up(everywhere="determined_proxy_https: x", on_agent1="determined_proxy_docker_method: auto") == []


def test_one_message_lists_every_name_of_every_host(look_up):
    told = refused(
        look_up,
        everywhere="proxy_https: http://proxy.example.com:3128",
        on_agent1="proxy_docker_method: auto, determined_verify_sweeep: full",
        play={"firewall_state": "absent"},
    )
    assert told.startswith("The inventory has 4 problems; nothing was changed:")
    old = "is the old name of"
    assert f"master and 2 more: proxy_https: {old} determined_proxy_https and has no effect any more. Remedy:" in told
    assert f"agent1: proxy_docker_method: {old} determined_proxy_docker_method " in told
    assert "agent1: determined_verify_sweeep: is no variable of this collection. Remedy: write determined_ver" in told
    assert f"the play: firewall_state: {old} determined_firewall_state " in told


@pytest.mark.parametrize("value", ["started", "stopped", "{{ nowhere }}"])
def test_the_state_of_another_roles_firewall_is_accepted(look_up, value):
    assert look_up(everywhere=f"firewall_state: '{value}'", on_agent1="firewall_enabled_at_boot: true") == []
    assert look_up(play={"firewall_state": value}) == []


@pytest.mark.parametrize("value", ["present", "absent"])
def test_the_old_state_of_our_firewall_is_refused(look_up, value):
    told = refused(look_up, everywhere=f"firewall_state: '{{{{ wanted }}}}'\n    wanted: {value}")
    assert "master and 2 more: firewall_state: " in told
    assert "1 problem;" in told


def test_a_play_is_looked_at_where_hosts_have_a_foreign_value(look_up):
    told = refused(look_up, everywhere="firewall_state: started", play={"firewall_state": "absent"})
    assert "the play: firewall_state: " in told and "1 problem;" in told


def test_variables_of_a_host_outside_the_cluster_are_accepted(look_up):
    assert look_up(host="elsewhere") == []


def test_a_mode_that_was_taken_for_the_firewalls_is_refused(look_up):
    told = refused(look_up, everywhere="firewall_mod: restrict")
    assert "firewall_mod: is no variable of this collection. Remedy: write determined_mode" in told
    assert look_up(everywhere="firewall_mode: strict") == []


def test_extra_variables_are_looked_at_too(look_up):
    assert "master and 2 more: verify_sweep: " in refused(look_up, extra={"verify_sweep": "full"})
    assert "master and 2 more: rehearse_name: " in refused(look_up, extra={"rehearse_name": "x"})


def test_empty_defaults_of_other_roles_are_accepted(look_up):
    assert look_up(play={"proxy_https": "", "proxy_no_proxy": []}) == []


def test_an_old_name_of_another_role_is_accepted_beside_the_new_name(look_up):
    site = "proxy_https: http://proxy.example.com:3128\n    determined_proxy_https: '{{ proxy_https }}'"
    assert look_up(everywhere=site) == []
    assert "agent1: proxy_http: " in refused(look_up, everywhere=site, on_agent1="proxy_http: x")


def test_terms_are_refused(look_up):
    with pytest.raises(AnsibleError, match="takes neither terms nor options"):
        variable_names.LookupModule().run(["agent1"], variables={})
