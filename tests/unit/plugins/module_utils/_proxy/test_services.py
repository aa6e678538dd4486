# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which services run, and which use older settings than their files hold."""

import os
import time

import pytest
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
