"""What users install: the tarball, in an empty place, by its full names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml

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


# All that a user sees of the checkout.
SHIPPED = {"CHANGELOG.md", "COPYING", "README.md", "SECURITY.md", "docs", "meta", "playbooks", "plugins", "roles"}
WRITTEN_BY_THE_BUILD = {"MANIFEST.json", "FILES.json"}


def test_the_tarball_holds_what_users_need_and_nothing_else(tarball):
    with tarfile.open(tarball) as archive:
        files = {member.name: member for member in archive.getmembers() if not member.isdir()}
    assert {name.split("/")[0] for name in files} == SHIPPED | WRITTEN_BY_THE_BUILD
    # Nothing that git does not know or would not take, such as caches, secrets and what editors leave.
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    known = subprocess.run(listed, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout.split("\0")
    wanted = {name for name in known if name.split("/")[0] in SHIPPED and (ROOT / name).is_file()}
    assert set(files) - WRITTEN_BY_THE_BUILD == wanted
    assert not [name for name, member in files.items() if not member.isfile()]
    # Modules and plugins are imported, not started.
    assert not [name for name, member in files.items() if member.mode & 0o111]


def test_the_manifest_says_what_galaxy_yml_says(tarball):
    source = yaml.safe_load((ROOT / "galaxy.yml").read_text())
    with tarfile.open(tarball) as archive:
        manifest = json.loads(archive.extractfile("MANIFEST.json").read())["collection_info"]
    names = ("namespace", "name", "version", "authors", "license", "tags", "dependencies", "repository")
    assert {name: manifest[name] for name in names} == {name: source[name] for name in names}
    assert manifest["description"] == source["description"].strip()
    assert manifest["readme"] == "README.md"
    # It stands alone: no other collection has to be fetched.
    assert manifest["dependencies"] == {}


def test_it_installs_into_an_empty_path_and_rehearses_from_there(tarball, tmp_path):
    # Nor is it found elsewhere, where somebody on this machine has installed it.
    place = {"ANSIBLE_COLLECTIONS_PATH": str(tmp_path / "collections")}
    done = run(tmp_path, "ansible-galaxy", "collection", "install", str(tarball), "-p", "collections", **place)
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
        '{"determined_rehearse_sweep": "sample", "determined_rehearse_name": "package"}',
        **place,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads((tmp_path / "determined-network-report/report.json").read_text())["summary"]
    # Without a client host nobody checks the clients' row, and without an outsider nobody proves agents closed.
    assert summary["advice"] == 2
    assert summary["correct"] == summary["checks"] - 2 > 20
