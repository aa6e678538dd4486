# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module proxy restarts the services that the handler of the role names, and says it if one does not start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def restart(folder: Path, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Let the module restart two services by a systemctl that is a script."""
    (folder / "systemctl").write_text(f"#!/bin/sh\n{script}")
    (folder / "systemctl").chmod(0o755)
    options = json.dumps({"_restart": ["docker", "determined-agent"]})
    command = [str(Path(sys.executable).parent / "ansible"), "localhost", "-i", "localhost,", "-c", "local"]
    command += ["-e", f"ansible_python_interpreter={sys.executable}", "-m", "determined.network.proxy", "-a", options]
    environment = {"ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build/collections"), "ANSIBLE_NOCOLOR": "1"}
    environment["PATH"] = f"{folder}:{os.environ['PATH']}"
    return subprocess.run(
        [*command, *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        text=True,
        capture_output=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    "arguments, called", [((), "restart docker.service determined-agent.service\n"), (("-C",), "")]
)
def test_the_services_are_restarted_by_one_command_and_none_in_check_mode(tmp_path, arguments, called):
    done = restart(tmp_path, f'echo "$@" >> {tmp_path}/called', *arguments)
    assert done.returncode == 0 and "CHANGED" in done.stdout, done.stdout + done.stderr
    assert ((tmp_path / "called").read_text() if (tmp_path / "called").exists() else "") == called


def test_what_systemctl_says_of_a_failure_is_shown_without_control_characters(tmp_path):
    done = restart(tmp_path, "printf 'no \\033[31m unit \\302\\233\\n' >&2; exit 5")
    text = done.stdout + done.stderr
    assert done.returncode != 0 and "restart docker, determined-agent" in text and "no \\\\x1b[31m unit" in text, text
    assert "\x1b" not in text and "\x9b" not in text
