# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Molecule scenarios, one at a time: the playbooks as an administrator runs them, over SSH on booted hosts."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "scripts/molecule"
SCENARIOS = sorted(path.parent.name for path in ROOT.glob("extensions/molecule/*/molecule.yml"))


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenario(scenario):
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen([str(TOOL), "test", scenario], **streams, text=True) as process:
        try:
            output = process.communicate(timeout=1800)[0]
        except BaseException:
            process.terminate()
            process.communicate()
            subprocess.run([str(TOOL), "destroy", scenario], check=False)
            raise
    assert process.returncode == 0, output
    # A sequence without its plays is not a pass.
    assert output.count("PLAY RECAP") > 10, output
