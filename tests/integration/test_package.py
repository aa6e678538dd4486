"""What users install: the tarball, in an empty place, by its full names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = Path(sys.executable).parent


def run(folder: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(TOOLS / command[0]), *command[1:]],
        cwd=folder,
        env={**os.environ, "ANSIBLE_NOCOLOR": "1", **environment},
        stdin=subprocess.DEVNULL,
        text=True,
        capture_output=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def tarball(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tarball")
    done = run(ROOT, "ansible-galaxy", "collection", "build", "--output-path", str(folder))
    assert done.returncode == 0, done.stderr
    return next(folder.glob("determined-network-*.tar.gz"))


def test_the_tarball_holds_what_users_need_and_nothing_else(tarball):
    with tarfile.open(tarball) as archive:
        top = {name.split("/")[0] for name in archive.getnames()}
    assert {"plugins", "roles", "playbooks", "meta", "README.md", "COPYING", "docs"} <= top
    assert not top & {"tests", "build", ".ci", ".venv", ".git", "bench", "scripts", "requirements", "Makefile"}


def test_it_installs_into_an_empty_path_and_rehearses_from_there(tarball, tmp_path):
    done = run(tmp_path, "ansible-galaxy", "collection", "install", str(tarball), "-p", "collections")
    assert done.returncode == 0, done.stderr
    inventory = tmp_path / "inventory.ini"
    inventory.write_text(
        "[determined_master]\nhead ansible_host=192.0.2.1\n[determined_agents]\n"
        "gpu1 ansible_host=192.0.2.2\ngpu2 ansible_host=198.51.100.2\n[all:vars]\ndetermined_mode=restrict\n"
    )
    done = run(
        tmp_path,
        "ansible-playbook",
        "determined.network.rehearse",
        "-i",
        str(inventory),
        "-e",
        '{"rehearse_sweep": "sample", "rehearse_name": "package"}',
        ANSIBLE_COLLECTIONS_PATH=str(tmp_path / "collections"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads((tmp_path / "determined-network-report/report.json").read_text())["summary"]
    # Without a client host nobody checks the clients' row, and without an outsider nobody proves agents closed.
    assert summary["advice"] == 2
    assert summary["correct"] == summary["checks"] - 2 > 20
