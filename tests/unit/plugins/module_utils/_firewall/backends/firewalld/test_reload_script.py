"""The shell script of a reload, run by the shell of this machine."""

import os
import signal
import subprocess
import time

import pytest
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld import files
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld.backend import Firewalld

BACKEND = Firewalld(("docker0", "br-+"))


class Disk:
    """firewalld's folders on a real disk, and a busctl that lists the files of firewalld at the reload."""

    def __init__(self, folder, monkeypatch, reading, policy):
        self.folder = folder
        monkeypatch.setitem(files.FOLDERS, "policy", str(folder / "policies"))
        monkeypatch.setitem(files.FOLDERS, "ipset", str(folder / "ipsets"))
        self.busctl = folder / "busctl"
        self.busctl.write_text(f"#!/bin/sh\ncd {folder}; ls ipsets policies >at_reload\n")
        self.busctl.chmod(0o755)
        self.reading = reading._replace(details=reading.details._replace(busctl=str(self.busctl)))
        self.wanted = BACKEND.render(policy, reading)
        self.paths = sorted(files.files(self.wanted))

    def run(self):
        (command,) = BACKEND.transactions(self.reading, self.wanted)
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "universal_newlines": True}
        return subprocess.run(command.argv, input=command.stdin, check=False, **pipes)

    def was_reloaded(self):
        return (self.folder / "at_reload").exists()

    def files(self):
        # Nobody can read all of /dev/full.
        return {str(path): path.is_file() and path.read_text() for path in self.folder.glob("*/*")}


@pytest.fixture
def disk(tmp_path, monkeypatch, host, policy):
    return Disk(tmp_path, monkeypatch, host.read(), policy())


def test_the_files_exist_during_the_reload_only(disk):
    ended = disk.run()
    assert (ended.returncode, ended.stderr, disk.files()) == (0, "", {})
    names = (disk.folder / "at_reload").read_text().split()
    assert [name for name in names if "xml" in name] == [path.split("/")[-1] for path in disk.paths]


@pytest.mark.parametrize("full", [0, -1], ids=["first", "last"])
def test_a_full_disk_changes_no_file(disk, full):
    before = {disk.paths[1]: "<ipset/>\n"}
    os.makedirs(os.path.dirname(disk.paths[1]))
    os.makedirs(os.path.dirname(disk.paths[-1]))
    with open(disk.paths[1], "w", encoding="utf-8") as handle:
        handle.write(before[disk.paths[1]])
    disk.reading = disk.reading._replace(details=disk.reading.details._replace(files=before))
    os.symlink("/dev/full", disk.paths[full] + ".new")
    ended = disk.run()
    assert ended.returncode == 1 and "No space left" in ended.stderr and not disk.was_reloaded()
    assert disk.files() == before


def test_a_script_that_is_terminated_while_writing_changes_no_file(disk):
    cat = disk.folder / "cat"
    cat.write_text(f"#!/bin/sh\n: >{disk.folder}/writes; exec sleep 60\n")
    cat.chmod(0o755)
    (command,) = BACKEND.transactions(disk.reading, disk.wanted)
    environment = {"PATH": f"{disk.folder}:{os.environ['PATH']}"}
    with subprocess.Popen(
        command.argv, stdin=subprocess.PIPE, env=environment, universal_newlines=True, start_new_session=True
    ) as process:
        process.stdin.write(command.stdin)
        process.stdin.close()
        deadline = time.monotonic() + 30
        while not (disk.folder / "writes").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert list(disk.files()) == [disk.paths[0] + ".new"]
        os.killpg(process.pid, signal.SIGTERM)
    assert disk.files() == {} and not disk.was_reloaded()
