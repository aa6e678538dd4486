# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The scripts that run the tests: a Docker daemon of our own ends with them, and a failed stage is not lost."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Stand in for Docker: "docker info" works while the file "runs" is there.
DOCKER = '#!/bin/sh\n[ -e "{folder}/runs" ]\n'
DOCKERD = """#!/bin/sh
trap 'rm "{folder}/runs"; echo ended >>"{folder}/log"; exit' TERM
echo began >>"{folder}/log"
touch "{folder}/runs"
while :; do sleep 0.1; done
"""
BROKEN_DOCKERD = "#!/bin/sh\nexit 1\n"

MAKEFILE = """
.PHONY: good other bad slow
good: ; @echo this is good
other: ; @echo once >>log
bad: ; @echo this is why; exit 7
slow: ; @touch begun; exec sleep 60
"""


@pytest.fixture
def place(tmp_path):
    """A checkout with these scripts, a Makefile, and programs that stand in for Docker."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / "bin").mkdir()
    for name in ("stages.py", "with_docker.py"):
        shutil.copy(ROOT / "scripts" / name, tmp_path / "scripts")
    (tmp_path / "Makefile").write_text(MAKEFILE)
    program(tmp_path, "docker", DOCKER)
    program(tmp_path, "dockerd", DOCKERD)
    return tmp_path


def program(place: Path, name: str, text: str) -> None:
    path = place / "bin" / name
    path.write_text(text.format(folder=place))
    path.chmod(0o755)


def begin(place: Path, script: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a script in a process group of its own, as a shell does."""
    environment = dict(os.environ, PATH=f"{place / 'bin'}:{os.environ['PATH']}")
    # A shell's background, where tests may run, ignores SIGINT.
    command = ["env", "--default-signal=INT", "python3", str(place / "scripts" / script), *arguments]
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, env=environment, cwd=place, start_new_session=True, **output)


def wait_for(path: Path) -> None:
    end = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < end, f"{path} does not appear"
        time.sleep(0.05)


def log(place: Path) -> list[str]:
    path = place / "log"
    return path.read_text().split() if path.exists() else []


@pytest.mark.parametrize("code", [0, 3])
def test_a_docker_of_our_own_ends_with_the_command(place, code):
    process = begin(place, "with_docker.py", "sh", "-c", f"test -e {place}/runs && exit {code}")
    process.communicate(timeout=60)
    assert process.returncode == code
    assert log(place) == ["began", "ended"]


def test_a_docker_that_runs_is_used_and_stays(place):
    (place / "runs").touch()
    process = begin(place, "with_docker.py", "true")
    assert process.communicate(timeout=60)[0] == "" and process.returncode == 0
    assert log(place) == [] and (place / "runs").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
@pytest.mark.parametrize("when", ["runs", "begun"])
def test_a_docker_of_our_own_ends_with_an_interrupt(place, number, when):
    process = begin(place, "with_docker.py", "sh", "-c", f"touch {place}/begun; exec sleep 60")
    wait_for(place / when)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as the terminal does
    else:
        process.send_signal(number)
    process.wait(timeout=60)
    end = time.monotonic() + 30
    while log(place) != ["began", "ended"]:
        assert time.monotonic() < end, log(place)
        time.sleep(0.05)
    if number == signal.SIGKILL:
        # Nobody could pass that on to the command.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
    process.stdout.close()


def test_a_docker_that_does_not_start_is_told_in_one_line(place):
    program(place, "dockerd", BROKEN_DOCKERD)
    process = begin(place, "with_docker.py", "true")
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 1
    assert re.fullmatch(r"Docker does not start here; \S+/build/dockerd\.log says why\..*\n", output)


def test_stages_show_what_failed_and_a_table(place):
    process = begin(place, "stages.py", "other bad good", "other", "+good")
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 1
    assert "this is why" in output and "this is good" not in output
    assert (place / "build/stages/good.log").read_text() == "this is good\n"
    rows = [line.split() for line in output.rpartition("\n\n")[2].splitlines()]
    assert [row[:2] for row in rows[1:4]] == [["other", "passed"], ["bad", "FAILED"], ["good", "passed"]]
    assert log(place) == ["once"], "a stage of two lanes runs once"
    passed = begin(place, "stages.py", "good")
    passed.communicate(timeout=60)
    assert passed.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_all_stages(place, number):
    process = begin(place, "stages.py", "slow good", "other")
    wait_for(place / "begun")
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    output = process.communicate(timeout=30)[0]
    assert process.returncode == 1
    assert re.search(r"^slow +interrupted", output, re.MULTILINE)
    assert re.search(r"^good +not run", output, re.MULTILINE)
