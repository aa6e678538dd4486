# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The scripts that run the tests: a Docker daemon of our own ends with them, and a failed stage is not lost."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
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
    return checkout(tmp_path)


def checkout(folder: Path) -> Path:
    (folder / "scripts").mkdir()
    (folder / "bin").mkdir()
    for name in ("stages.py", "with_docker.py"):
        shutil.copy(ROOT / "scripts" / name, folder / "scripts")
    (folder / "Makefile").write_text(MAKEFILE)
    program(folder, "docker", DOCKER)
    program(folder, "dockerd", DOCKERD)
    return folder


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


USER, ID, PASSWORD = "tester", 31337, "right-horse"
# A private view of /etc and /run, in which sudo asks the user for a password.
AS_USER = f"""
mount -t tmpfs tmpfs /run
for name in passwd shadow sudoers; do mount --bind {{etc}}/$name /etc/$name; done
exec setpriv --reuid {ID} --regid {ID} --clear-groups env HOME=/ PATH={{folder}}/bin:$PATH \\
    python3 {{folder}}/scripts/with_docker.py "$@"
"""


@pytest.fixture
def user_place(tmp_path) -> Iterator[Path]:
    """A checkout that belongs to an ordinary user, to whom pytest's own folder is closed."""
    with tempfile.TemporaryDirectory(prefix="determined-scripts-") as name:
        folder = checkout(Path(name))
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, ID, ID)
        folder.chmod(0o755)
        etc = tmp_path / "etc"
        etc.mkdir()
        hashed = subprocess.run(
            ["openssl", "passwd", "-6", PASSWORD], capture_output=True, text=True, check=True
        ).stdout
        (etc / "passwd").write_text(f"root:x:0:0::/:/bin/sh\n{USER}:x:{ID}:{ID}::/:/bin/sh\n")
        (etc / "shadow").write_text(f"root:*:19000::::::\n{USER}:{hashed.strip()}:19000:0:99999:7:::\n")
        (etc / "sudoers").write_text(
            f'Defaults lecture=never, passprompt="password: "\nroot ALL=(ALL) ALL\n{USER} ALL=(ALL) ALL\n'
        )
        (etc / "sudoers").chmod(0o440)
        yield folder


def as_user(folder: Path, etc: Path, *command: str) -> tuple[int, str]:
    """Run a command with a Docker daemon of our own, on a terminal, as a user who types the password when asked."""
    script = AS_USER.format(etc=etc, folder=folder)
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp("unshare", ["unshare", "--mount", "sh", "-ec", script, "sh", *command])
    output = ""
    # Reading the terminal fails once its last process has ended.
    with contextlib.suppress(OSError):
        while True:
            text = os.read(terminal, 4096).decode()
            output += text
            if output.endswith("password: "):
                os.write(terminal, f"{PASSWORD}\n".encode())
    _pid, status = os.waitpid(pid, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), output


@pytest.mark.parametrize("code", [0, 3])
def test_a_docker_of_our_own_ends_when_sudo_no_longer_knows_the_password(user_place, tmp_path, code):
    forget = f"test -e {user_place}/runs && sudo -k && ! sudo -n true && exit {code}"
    found, output = as_user(user_place, tmp_path / "etc", "sh", "-c", forget)
    assert found == code, output
    assert output.count("password: ") == 1
    assert log(user_place) == ["began", "ended"] and not (user_place / "runs").exists()


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
