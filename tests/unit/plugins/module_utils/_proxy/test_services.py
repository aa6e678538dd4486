# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which services run, and which use older settings than their files hold."""

import os
import time

import pytest
from ansible_collections.determined.network.plugins.module_utils._host.commands import HostError
from ansible_collections.determined.network.plugins.module_utils._host.runner import Runner
from ansible_collections.determined.network.plugins.module_utils._proxy import edits, services
from ansible_collections.determined.network.plugins.module_utils._proxy.record import RecordedFile

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
def test_what_runs(text, runs, booted, answering):
    found = services.running(["docker"], answering({"systemctl": text}))
    assert list(found) == (["docker"] if runs else [])
    if runs:
        assert abs(found["docker"] - (time.time() - time.clock_gettime(time.CLOCK_MONOTONIC) + 1)) < 5


def test_what_is_outdated(tmp_path):
    path = str(tmp_path / "file")
    (tmp_path / "file").write_text("")
    written = os.stat(path).st_mtime
    recorded = RecordedFile(None, (), edits.Edit(edits.OWN, "", (), None), "docker", ("docker", "containerd"), "")
    record = {path: recorded, str(tmp_path / "gone"): recorded}
    assert services.outdated(record, {"docker": written - 1, "containerd": written + 1}) == {"docker"}
    assert services.outdated(record, {}) == set()


def systemctl(folder, text):
    """A folder for PATH in which systemctl is a script."""
    (folder / "systemctl").write_text("#!/bin/sh\n" + text)
    (folder / "systemctl").chmod(0o755)
    return str(folder)


def test_services_are_restarted_by_one_command(tmp_path):
    script = f'echo "$@" >> {tmp_path}/called'
    services.restart(["docker", "determined-agent"], Runner(systemctl(tmp_path, script)))
    assert (tmp_path / "called").read_text() == "restart docker.service determined-agent.service\n"


def test_a_service_that_does_not_start_is_told(tmp_path):
    with pytest.raises(HostError, match="restart docker.*exit code 5.*not found"):
        services.restart(["docker"], Runner(systemctl(tmp_path, "echo docker.service not found >&2; exit 5")))
