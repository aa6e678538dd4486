# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run, on a host whose files are a dictionary: what is refused, what is written and restored, what is reported."""

import json

import pytest
from ansible_collections.determined.network.plugins.module_utils._proxy import (
    apply,
    attached_networks,
    files,
    host,
    targets,
)
from ansible_collections.determined.network.plugins.module_utils._proxy.record import Problems, State

AGENT_YAML = b"# mine\na: 1\n"
PARAMETERS = {
    "state": "present",
    "roles": ["agents"],
    "http": "http://p:1",
    "https": "http://p:1",
    "ftp": None,
    "username": "me",
    "password": "sec ret",
    "no_proxy": ["a", "agent1"],
    "stable_no_proxy": ["a"],
    "ca_certificate": None,
    "registries": [],
    "targets": ["agent_config", "docker", "environment"],
    "docker_method": "auto",
    "task_environment": "write",
    "share_credentials": False,
}
ABSENT = dict(PARAMETERS, state="absent", http=None, https=None, username=None, password=None, no_proxy=[])


class Machine:
    """The files, and what happens to them."""

    def __init__(self, monkeypatch):
        self.files = {targets.AGENT_YAML: State(AGENT_YAML, 0o644, 0, 0)}
        self.made_effective = []
        self.failures = []
        self.networks = ()
        self.running = {"docker": 0.0, "determined-agent": 0.0}
        monkeypatch.setattr(files, "read", self.files.get)
        monkeypatch.setattr(files, "write", self.write)
        monkeypatch.setattr(files, "make_folders", lambda folder, mode=0o755: [])
        monkeypatch.setattr(files, "remove_folders", lambda folders: [])
        monkeypatch.setattr(host, "look", self.look)
        monkeypatch.setattr(host, "make_effective", self.make_effective)
        monkeypatch.setattr(host, "running", self.find_running)
        monkeypatch.setattr(host, "outdated", lambda record, started: set())

    def write(self, path, state):
        self.files.pop(path, None)
        if state is not None:
            self.files[path] = state
        return []

    def look(self, roles, runner, docker_has_proxies):
        return targets.Host(
            tuple(roles),
            frozenset([targets.AGENT_YAML, targets.MASTER_YAML]),
            frozenset(["dockerd"]),
            frozenset(["docker", "determined-agent", "determined-master"]),
            (26, 1),
            docker_has_proxies,
            self.networks,
        )

    def make_effective(self, steps, runner):
        self.made_effective.append([step.path for step in steps])
        for problem in self.failures:
            raise problem

    def find_running(self, services, runner):
        return {name: started for name, started in self.running.items() if name in services}

    def run(self, check_mode=False, **more):
        return apply.change(dict(PARAMETERS, **more), check_mode, None)


@pytest.fixture
def machine(monkeypatch):
    return Machine(monkeypatch)


def paths(result):
    return [(item["path"], item["action"]) for item in result["files"]]


def test_there_again_and_back(machine):
    before = dict(machine.files)
    check = machine.run(check_mode=True)
    assert machine.files == before and machine.made_effective == []
    done = machine.run()
    assert check == done and done["changed"]
    drop_in = "/etc/systemd/system/docker.service.d/zz-determined-network-proxy."
    assert paths(done) == [
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
    assert machine.files[files.RECORD].mode == 0o600
    again = machine.run()
    assert not again["changed"] and not any(again["restart"].values()) and again["diff"] == []
    assert len(machine.made_effective) == 1
    # One target less: its files are restored, the others stay.
    fewer = machine.run(targets=["environment"])
    assert sorted(paths(fewer)) == [
        ("/etc/determined/agent.yaml", "changed"),
        (drop_in + "conf", "removed"),
        (drop_in + "env", "removed"),
    ]
    gone = apply.change(ABSENT, False, None)
    assert paths(gone) == [("/etc/environment", "removed")]
    assert machine.files == before
    assert not apply.change(ABSENT, False, None)["changed"]


def test_removal_forgets_what_somebody_removed_by_hand(machine):
    machine.run(targets=["docker"])
    for path in [path for path in machine.files if path.startswith(targets.UNITS)]:
        del machine.files[path]
    assert files.RECORD in machine.files
    assert machine.run(**ABSENT)["files"] == []
    assert files.RECORD not in machine.files


def test_everything_wrong_is_told_at_once(machine):
    machine.files["/etc/determined/agent.yaml"] = State(b"a: [\n", 0o644, 0, 0)
    machine.files["/etc/docker/daemon.json"] = State(b"{\n", 0o644, 0, 0)
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
        "proxy_http",
        "proxy_https",
        "proxy_password",
        "proxy_no_proxy",
        "registries",
        "proxy_ca_certificate",
        "/etc/docker/daemon.json, line 2",
        "/etc/determined/agent.yaml, line 2",
    ]
    assert "'/no/such/file'" in found.value.problems[5]
    assert machine.files == before


def test_a_broken_daemon_json_stops_nothing_where_dockerd_is_not_meant(machine):
    machine.files["/etc/docker/daemon.json"] = State(b"{\n", 0o644, 0, 0)
    assert machine.run(targets=["environment"])["changed"]
    with pytest.raises(Problems):
        machine.run(targets=["docker"])


def test_proxies_of_the_hosts_own_daemon_json_are_taken_over(machine):
    own = State(b'{"proxies": {"no-proxy": "x"}}', 0o644, 0, 0)
    machine.files["/etc/docker/daemon.json"] = own
    assert paths(machine.run(targets=["docker"])) == [("/etc/docker/daemon.json", "changed")]
    assert not machine.run(targets=["docker"])["changed"]
    apply.change(ABSENT, False, None)
    assert machine.files["/etc/docker/daemon.json"] == own


@pytest.mark.parametrize("problem", [files.FileProblem("no"), KeyboardInterrupt()])
def test_what_fails_is_put_back(machine, problem):
    before = dict(machine.files)
    machine.failures = [problem]
    with pytest.raises(type(problem)):
        machine.run()
    assert machine.files == before
    assert machine.made_effective[0] == machine.made_effective[1]
    machine.failures = []
    assert machine.run()["changed"]


@pytest.mark.parametrize("text", [b"{", b"\xff", b'{"version": 9}'])
def test_a_record_that_cannot_be_read_stops_everything(machine, text):
    machine.files[files.RECORD] = State(text, 0o600, 0, 0)
    with pytest.raises((Problems, files.FileProblem)) as found:
        machine.run()
    assert files.RECORD in str(found.value)


def test_task_variables_are_shown_without_credentials(machine):
    shown = machine.run(roles=["master"], task_environment="print")["task_environment"]
    assert shown.startswith("task_container_defaults:\n  environment_variables:\n")
    assert '- "https_proxy=http://********@p:1"' in shown and "agent1" in shown and "sec" not in shown


@pytest.mark.parametrize(
    "services, expected",
    [
        ([{"host": "r.example.com", "ports": "443"}], {"r.example.com"}),
        (
            [{"host": "r.example.com", "ports": "443,5000", "purpose": "registry"}],
            {"r.example.com", "r.example.com:5000"},
        ),
        ([{"host": "2001:db8::1", "ports": "5000"}], {"[2001:db8::1]:5000"}),
        ([{"host": "192.0.2.0/24", "ports": "443"}, {"host": "r", "ports": "1-65535"}], set()),
    ],
)
def test_registries(services, expected):
    settings, problems = apply.wanted_settings(dict(PARAMETERS, registries=services))
    assert problems == [] and set(settings.registries) == expected


@pytest.mark.parametrize("service", [{}, {"host": 1, "ports": "1"}, {"host": "r"}, {"host": "r", "ports": "none"}])
def test_registries_that_are_refused(service):
    settings, problems = apply.wanted_settings(dict(PARAMETERS, registries=[service]))
    assert settings is None and len(problems) == 1 and problems[0].startswith("registries: ")


def test_a_longer_list_alone_restarts_nothing(machine):
    machine.run()
    longer = machine.run(no_proxy=["a", "agent1", "agent2"])
    assert ("/etc/determined/agent.yaml", "changed") in paths(longer)
    assert not any(longer["restart"].values())
    assert longer["outdated"]["determined-agent"] and not longer["outdated"]["docker"]
    # With anything else it is a reason.
    assert machine.run(no_proxy=["a"], password="other")["restart"]["determined-agent"]


def test_a_new_neighbour_restarts_no_master(machine):
    machine.networks = attached_networks.networks("2: eth0 inet 192.0.2.10/24 scope global eth0")
    machine.files[targets.MASTER_YAML] = State(b"a: 1\n", 0o644, 0, 0)
    machine.running = {"determined-master": 0.0}
    asked = {"roles": ["master"], "targets": ["master_unit", "task_environment"]}
    assert machine.run(**asked, no_proxy=["a", "192.0.2.21"])["restart"]["determined-master"]
    longer = machine.run(**asked, no_proxy=["a", "192.0.2.21", "agent2", "192.0.2.22"])
    assert paths(longer) == [("/etc/determined/master.yaml", "changed")]
    assert not any(longer["restart"].values()) and longer["outdated"]["determined-master"]
    assert machine.run(**asked, no_proxy=["a", "192.0.2.21", "198.51.100.1"])["restart"]["determined-master"]
