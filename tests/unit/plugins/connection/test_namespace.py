# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
import os

import pytest
import yaml
from ansible import constants
from ansible.errors import AnsibleConnectionFailure, AnsibleFileNotFound
from ansible.playbook.play_context import PlayContext
from ansible_collections.determined.network.plugins.connection import namespace as plugin
from ansible_collections.determined.network.plugins.module_utils._namespaces import state as states


@pytest.fixture
def connect(tmp_path, monkeypatch):
    monkeypatch.setattr(states, "directory", lambda: str(tmp_path / "states"))

    def make(**options):
        connection = plugin.Connection(PlayContext(), os.devnull)
        connection._load_name = "determined.network.namespace"
        constants.config.initialize_plugin_configuration_definitions(
            "connection", connection._load_name, yaml.safe_load(plugin.DOCUMENTATION)["options"]
        )
        connection.set_options(direct={"host": "agent1", **options})
        return connection

    return make


def entry(host, process):
    return {"rehearsal": "r", "host": host, "keeper": process, "files": {"net": "/proc/self/ns/net"}}


LIVING = states.process(os.getpid())
ENDED = {**LIVING, "started": LIVING["started"] - 1}


def test_without_a_rehearsal_it_says_how_to_build_one(connect):
    with pytest.raises(AnsibleConnectionFailure) as problem:
        connect()._connect()
    assert "no rehearsal 'rehearsal' of this user runs" in str(problem.value)
    assert "determined.network.namespaces" in str(problem.value)


def test_a_rehearsal_of_other_hosts_is_not_this_one(connect):
    state = {"version": 1, "name": "r", "keeper": LIVING, "namespaces": {"other": entry("other", LIVING)}}
    states.write(state, states.path("r"))
    with pytest.raises(AnsibleConnectionFailure) as problem:
        connect(rehearsal="r")._connect()
    assert "no namespace for agent1" in str(problem.value)
    assert "other" in str(problem.value)


def test_the_state_leads_to_the_host(connect):
    state = {"version": 1, "name": "r", "keeper": LIVING, "namespaces": {"agent1": entry("agent1", LIVING)}}
    states.write(state, states.path("r"))
    assert connect(rehearsal="r")._connect().connected


@pytest.mark.parametrize("value", [{"pid": 1}, {"keeper": {"pid": "x", "started": 1}}, entry("a", 7)])
def test_a_variable_that_the_module_did_not_return_is_named(connect, value):
    with pytest.raises(AnsibleConnectionFailure) as problem:
        connect(namespace=value)._connect()
    assert "determined_namespace of agent1" in str(problem.value)


def test_a_namespace_that_is_gone_is_told_from_a_failed_command(connect):
    with pytest.raises(AnsibleConnectionFailure) as problem:
        connect(namespace=entry("agent1", ENDED)).exec_command("true")
    assert "namespace of agent1 no longer exists" in str(problem.value)
    assert "determined.network.rehearse" in str(problem.value)


def test_a_missing_nsenter_is_named_with_its_package(connect, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda *args, **kwargs: None)
    with pytest.raises(AnsibleConnectionFailure, match="'nsenter' is missing.*util-linux"):
        connect(namespace=entry("agent1", LIVING))._connect()


def test_a_file_to_copy_that_does_not_exist_is_named(connect, tmp_path):
    with pytest.raises(AnsibleFileNotFound, match="does not exist on the control node"):
        connect(namespace=entry("agent1", LIVING)).put_file(str(tmp_path / "nothing"), "/etc/nothing")


def test_pipelining_is_on_unless_switched_off(connect):
    assert connect().get_option("pipelining") is True
    assert connect(pipelining=False).get_option("pipelining") is False
