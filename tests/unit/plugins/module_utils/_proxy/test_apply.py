# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run, on a host whose files are a dictionary: what is refused, what is written and restored, what is reported."""

import json

import pytest
from ansible_collections.determined.network.plugins.module_utils._host.commands import HostError
from ansible_collections.determined.network.plugins.module_utils._proxy import (
    activation,
    apply,
    attached_networks,
    files,
    host,
    paths,
    record_file,
    services,
)
from ansible_collections.determined.network.plugins.module_utils._proxy.errors import Problems
from ansible_collections.determined.network.plugins.module_utils._proxy.file_change import FileState
from ansible_collections.determined.network.plugins.module_utils._proxy.request import Host

AGENT_YAML = b"# mine\na: 1\n"
ABSENT = {"state": "absent", "http": None, "https": None, "username": None, "password": None, "no_proxy": []}


class Machine:
    """The files, and what happens to them."""

    def __init__(self, monkeypatch, arguments):
        self.arguments = arguments
        self.files = {paths.AGENT_YAML: FileState(AGENT_YAML, 0o644, 0, 0)}
        self.activated = []
        self.failures = []
        self.networks = ()
        self.running = {"docker": 0.0, "determined-agent": 0.0}
        monkeypatch.setattr(files, "read", self.files.get)
        monkeypatch.setattr(files, "write", self.write)
        monkeypatch.setattr(files, "make_folders", lambda folder, mode=0o755: [])
        monkeypatch.setattr(files, "remove_folders", lambda folders: [])
        monkeypatch.setattr(host, "read", self.read_host)
        monkeypatch.setattr(activation, "activate", self.activate)
        monkeypatch.setattr(services, "running", self.find_running)
        monkeypatch.setattr(services, "outdated", lambda record, started: set())

    def write(self, path, state):
        self.files.pop(path, None)
        if state is not None:
            self.files[path] = state
        return []

    def read_host(self, roles, runner, docker_has_proxies):
        return Host(
            tuple(roles),
            frozenset([paths.AGENT_YAML, paths.MASTER_YAML]),
            frozenset(["dockerd"]),
            frozenset(["docker", "determined-agent", "determined-master"]),
            (26, 1),
            docker_has_proxies,
            self.networks,
        )

    def activate(self, changes, runner):
        self.activated.append([change.path for change in changes])
        for problem in self.failures:
            raise problem

    def find_running(self, asked, runner):
        if self.running is None:
            raise HostError("systemctl show failed")
        return {name: started for name, started in self.running.items() if name in asked}

    def run(self, check_mode=False, **more):
        return apply.change(dict(self.arguments, **more), check_mode, None)


@pytest.fixture
def machine(monkeypatch, arguments):
    return Machine(monkeypatch, arguments)


def changed_files(result):
    return [(item["path"], item["action"]) for item in result["files"]]


def test_settings_are_written_kept_and_restored(machine):
    before = dict(machine.files)
    check = machine.run(check_mode=True)
    assert machine.files == before and machine.activated == []
    done = machine.run()
    assert check == done and done["changed"]
    drop_in = "/etc/systemd/system/docker.service.d/zz-determined-network-proxy."
    assert changed_files(done) == [
        ("/etc/determined/agent.yaml", "changed"),
        (drop_in + "env", "created"),
        (drop_in + "conf", "created"),
        ("/etc/environment", "created"),
    ]
    assert done["restart"] == done["outdated"]
    assert done["restart"] == {
        "docker": True,
        "containerd": False,
        "determined-agent": True,
        "determined-master": False,
    }
    assert "sec" not in json.dumps(done)
    assert b"sec%20ret@p:1" in machine.files["/etc/determined/agent.yaml"].data
    assert machine.files[record_file.PATH].mode == 0o600
    again = machine.run()
    assert not again["changed"] and not any(again["restart"].values()) and again["diff"] == []
    assert len(machine.activated) == 1
    # One target less: its files are restored, the others stay.
    fewer = machine.run(targets=["environment"])
    assert sorted(changed_files(fewer)) == [
        ("/etc/determined/agent.yaml", "changed"),
        (drop_in + "conf", "removed"),
        (drop_in + "env", "removed"),
    ]
    gone = machine.run(**ABSENT)
    assert changed_files(gone) == [("/etc/environment", "removed")]
    assert machine.files == before
    assert not machine.run(**ABSENT)["changed"]


def test_removal_forgets_what_somebody_removed_by_hand(machine):
    machine.run(targets=["docker"])
    for path in [path for path in machine.files if path.startswith(paths.UNITS)]:
        del machine.files[path]
    assert record_file.PATH in machine.files
    assert machine.run(**ABSENT)["files"] == []
    assert record_file.PATH not in machine.files


def test_all_problems_are_named_at_once(machine):
    machine.files["/etc/determined/agent.yaml"] = FileState(b"a: [\n", 0o644, 0, 0)
    machine.files["/etc/docker/daemon.json"] = FileState(b"{\n", 0o644, 0, 0)
    before = dict(machine.files)
    with pytest.raises(Problems) as found:
        machine.run(
            http="p:1",
            https="socks5://p:1",
            username=None,
            password="x",
            no_proxy=["*"],
            ca_certificate="/no/such/file",
            registries=[{"host": "r", "ports": "x"}],
            targets=["all"],
        )
    starts = [problem.split(":")[0] for problem in found.value.problems]
    assert starts == [
        "determined_proxy_http",
        "determined_proxy_https",
        "determined_proxy_password",
        "determined_proxy_no_proxy",
        "registries",
        "determined_proxy_ca_certificate",
        "/etc/docker/daemon.json, line 2",
        "/etc/determined/agent.yaml, line 2",
    ]
    assert "'/no/such/file'" in found.value.problems[5]
    assert machine.files == before


def test_a_broken_daemon_json_matters_only_to_the_target_docker(machine):
    machine.files["/etc/docker/daemon.json"] = FileState(b"{\n", 0o644, 0, 0)
    assert machine.run(targets=["environment"])["changed"]
    with pytest.raises(Problems):
        machine.run(targets=["docker"])


def test_a_daemon_json_with_proxies_of_its_own_is_used(machine):
    own = FileState(b'{"proxies": {"no-proxy": "x"}}', 0o644, 0, 0)
    machine.files["/etc/docker/daemon.json"] = own
    assert changed_files(machine.run(targets=["docker"])) == [("/etc/docker/daemon.json", "changed")]
    assert not machine.run(targets=["docker"])["changed"]
    machine.run(**ABSENT)
    assert machine.files["/etc/docker/daemon.json"] == own


@pytest.mark.parametrize("problem", [HostError("no"), KeyboardInterrupt()])
def test_a_failed_change_is_restored(machine, problem):
    before = dict(machine.files)
    machine.failures = [problem]
    with pytest.raises(type(problem)):
        machine.run()
    assert machine.files == before
    assert machine.activated[0] == machine.activated[1]
    machine.failures = []
    assert machine.run()["changed"]


@pytest.mark.parametrize("arguments_of_a_change", [{}, ABSENT])
def test_nothing_is_written_if_systemd_does_not_answer(machine, arguments_of_a_change):
    if arguments_of_a_change:
        machine.run()
    before, activated = dict(machine.files), list(machine.activated)
    machine.running = None
    with pytest.raises(HostError, match="systemctl show failed"):
        machine.run(**arguments_of_a_change)
    assert machine.files == before and machine.activated == activated


@pytest.mark.parametrize("text", [b"{", b"\xff", b'{"version": 9}'])
def test_a_record_that_cannot_be_read_stops_everything(machine, text):
    machine.files[record_file.PATH] = FileState(text, 0o600, 0, 0)
    with pytest.raises((Problems, HostError)) as found:
        machine.run()
    assert record_file.PATH in str(found.value)


def test_task_variables_are_shown_without_credentials(machine):
    shown = machine.run(roles=["master"], task_environment="print")["task_environment"]
    assert shown.startswith("task_container_defaults:\n  environment_variables:\n")
    assert '- "https_proxy=http://********@p:1"' in shown and "agent1" in shown and "sec" not in shown


def test_a_longer_list_alone_restarts_nothing(machine):
    machine.run()
    longer = machine.run(no_proxy=["a", "agent1", "agent2"])
    assert ("/etc/determined/agent.yaml", "changed") in changed_files(longer)
    assert not any(longer["restart"].values())
    assert longer["outdated"]["determined-agent"] and not longer["outdated"]["docker"]
    # With anything else it is a reason.
    assert machine.run(no_proxy=["a"], password="other")["restart"]["determined-agent"]


def test_a_new_neighbour_restarts_no_master(machine):
    machine.networks = attached_networks.networks("2: eth0 inet 192.0.2.10/24 scope global eth0")
    machine.files[paths.MASTER_YAML] = FileState(b"a: 1\n", 0o644, 0, 0)
    machine.running = {"determined-master": 0.0}
    asked = {"roles": ["master"], "targets": ["master_unit", "task_environment"]}
    assert machine.run(**asked, no_proxy=["a", "192.0.2.21"])["restart"]["determined-master"]
    longer = machine.run(**asked, no_proxy=["a", "192.0.2.21", "agent2", "192.0.2.22"])
    assert changed_files(longer) == [("/etc/determined/master.yaml", "changed")]
    assert not any(longer["restart"].values()) and longer["outdated"]["determined-master"]
    assert machine.run(**asked, no_proxy=["a", "192.0.2.21", "198.51.100.1"])["restart"]["determined-master"]
