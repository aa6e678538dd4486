# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which programs run after a change, with a runner that only answers."""

import pytest
from ansible_collections.determined.network.plugins.module_utils._host import systemd
from ansible_collections.determined.network.plugins.module_utils._host.commands import HostError, Output
from ansible_collections.determined.network.plugins.module_utils._proxy import activation, services
from ansible_collections.determined.network.plugins.module_utils._proxy.file_change import FileChange, FileState


def change(path, after=None, program=""):
    return FileChange(path, None, FileState(b"", 0o600, 0, 0) if after else None, "t", (), program)


@pytest.mark.parametrize(
    "changes, expected",
    [
        ([], []),
        ([change("/etc/environment", True)], []),
        ([change("/etc/systemd/system/a.service.d/b.conf", True)] * 2, [("systemctl", "daemon-reload")]),
        ([change("/x.crt", True, "update-ca-certificates")] * 2, [("update-ca-certificates",)]),
        ([change("/x.crt", False, "update-ca-certificates")], [("update-ca-certificates", "--fresh")]),
        ([change("/x.crt", False, "update-ca-trust")], [("update-ca-trust",)]),
    ],
)
def test_what_is_run(changes, expected, booted, answering):
    runner = answering({"systemctl": "", "update-ca-certificates": "", "update-ca-trust": ""})
    activation.activate(changes, runner)
    assert runner.ran == expected


@pytest.mark.parametrize(
    "answers", [{}, {"update-ca-trust": Output(1, "", "no")}, {"update-ca-trust": HostError("no")}]
)
def test_programs_that_fail(answers, answering):
    with pytest.raises(HostError):
        activation.activate([change("/x.crt", True, "update-ca-trust")], answering(answers))


def test_nothing_runs_where_systemd_does_not(monkeypatch, tmp_path, answering):
    monkeypatch.setattr(systemd, "RUNS", str(tmp_path / "none"))
    runner = answering({"systemctl": ""})
    activation.activate([change("/etc/systemd/system/a.service.d/b.conf", True)], runner)
    assert services.running(["docker"], runner) == {} and runner.ran == []
