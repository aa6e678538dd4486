# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is installed, what runs, and what is run, with a runner that only answers."""

import os
import time

import pytest
from ansible_collections.determined.network.plugins.module_utils._host.commands import HostError, Output
from ansible_collections.determined.network.plugins.module_utils._proxy import edits, host, targets
from ansible_collections.determined.network.plugins.module_utils._proxy.files import FileProblem
from ansible_collections.determined.network.plugins.module_utils._proxy.record import Kept, State, Step


class Runner:
    """Knows some programs, and what each prints; remembers what ran."""

    def __init__(self, answers):
        self.answers = answers
        self.ran = []

    def find(self, name):
        return "/bin/" + name if name in self.answers else None

    def run(self, command):
        name = os.path.basename(command.argv[0])
        self.ran.append((name,) + command.argv[1:])
        answer = self.answers[name]
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, Output) else Output(0, answer, "")


def step(path, after=None, program=""):
    return Step(path, None, State(b"", 0o600, 0, 0) if after else None, "t", (), program)


@pytest.fixture
def booted(tmp_path, monkeypatch):
    monkeypatch.setattr(host, "_SYSTEMD", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    "said, expected",
    [
        ("Docker version 26.1.5+dfsg1, build a72d7cd\n", (26, 1)),
        ("Docker version 20.10.24+dfsg1, build 297e128\n", (20, 10)),
        ("podman version five\n", None),
    ],
)
def test_a_look(said, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(host, "_UNIT_FOLDERS", (str(tmp_path),))
    (tmp_path / "docker.service").write_text("")
    found = host.look(["agents"], Runner({"dockerd": said, "git": ""}), True)
    assert found.docker == expected and found.docker_has_proxies
    assert found.programs == {"dockerd", "git"} and found.services == {"docker"} and found.roles == ("agents",)
    assert found.paths == {path for path in targets.PATHS if os.path.exists(path)}


@pytest.mark.parametrize(
    "answers, expected",
    [
        ({"ip": "2: eth0    inet 192.0.2.10/24 scope global eth0\n"}, ["192.0.2.0/24"]),
        ({"ip": Output(1, "", "no")}, []),
        ({}, []),
    ],
)
def test_a_look_at_the_networks_of_a_master(answers, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(host, "_UNIT_FOLDERS", (str(tmp_path),))
    assert host.look(["master"], Runner(answers), False).networks == ()
    (tmp_path / "determined-master.service").write_text("")
    assert list(map(str, host.look(["master"], Runner(answers), False).networks)) == expected


def test_a_link_from_yum_to_dnf_is_one_file(tmp_path, monkeypatch):
    (tmp_path / "dnf.conf").write_text("")
    (tmp_path / "yum.conf").symlink_to(tmp_path / "dnf.conf")
    dnf, yum = str(tmp_path / "dnf.conf"), str(tmp_path / "yum.conf")
    monkeypatch.setattr(targets, "DNF", dnf)
    monkeypatch.setattr(targets, "YUM", yum)
    monkeypatch.setattr(targets, "PATHS", (dnf, yum))
    assert host.look([], Runner({}), False).paths == {dnf}


@pytest.mark.parametrize(
    "steps, expected",
    [
        ([], []),
        ([step("/etc/environment", True)], []),
        ([step("/etc/systemd/system/a.service.d/b.conf", True)] * 2, [("systemctl", "daemon-reload")]),
        ([step("/x.crt", True, "update-ca-certificates")] * 2, [("update-ca-certificates",)]),
        ([step("/x.crt", False, "update-ca-certificates")], [("update-ca-certificates", "--fresh")]),
        ([step("/x.crt", False, "update-ca-trust")], [("update-ca-trust",)]),
    ],
)
def test_what_is_run(steps, expected, booted):
    runner = Runner({"systemctl": "", "update-ca-certificates": "", "update-ca-trust": ""})
    host.make_effective(steps, runner)
    assert runner.ran == expected


@pytest.mark.parametrize(
    "answers", [{}, {"update-ca-trust": Output(1, "", "no")}, {"update-ca-trust": HostError("no")}]
)
def test_programs_that_fail(answers):
    with pytest.raises(FileProblem):
        host.make_effective([step("/x.crt", True, "update-ca-trust")], Runner(answers))


def test_nothing_runs_where_systemd_does_not(monkeypatch, tmp_path):
    monkeypatch.setattr(host, "_SYSTEMD", str(tmp_path / "none"))
    runner = Runner({"systemctl": ""})
    host.make_effective([step("/etc/systemd/system/a.service.d/b.conf", True)], runner)
    assert host.running(["docker"], runner) == {} and runner.ran == []


SHOWN = "MainPID=%d\nExecMainStartTimestampMonotonic=%d\nActiveState=%s\n"


@pytest.mark.parametrize(
    "text, runs",
    [
        (SHOWN % (7, 1000000, "active"), True),
        (SHOWN % (7, 1000000, "reloading"), True),
        (SHOWN % (0, 0, "inactive"), False),
        (SHOWN % (0, 1000000, "active"), False),
        (SHOWN % (0, 1000000, "failed"), False),
    ],
)
def test_what_runs(text, runs, booted):
    found = host.running(["docker"], Runner({"systemctl": text}))
    assert list(found) == (["docker"] if runs else [])
    if runs:
        assert abs(found["docker"] - (time.time() - time.clock_gettime(time.CLOCK_MONOTONIC) + 1)) < 5


def test_what_is_outdated(tmp_path):
    path = str(tmp_path / "file")
    (tmp_path / "file").write_text("")
    written = os.stat(path).st_mtime
    kept = Kept(None, (), edits.Edit(edits.OWN, "", (), None), "docker", ("docker", "containerd"), "")
    record = {path: kept, str(tmp_path / "gone"): kept}
    assert host.outdated(record, {"docker": written - 1, "containerd": written + 1}) == {"docker"}
    assert host.outdated(record, {}) == set()
