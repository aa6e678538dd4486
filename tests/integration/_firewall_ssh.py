"""A managed host with a real sshd, and a controller beside it that runs Ansible over SSH."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from ._firewall_host import COLLECTIONS, Host, link

ADDRESS, CONTROLLER = "192.0.2.1", "192.0.2.100"

_SSHD = """
Port 22
ListenAddress 0.0.0.0
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/user_key.pub
PermitRootLogin yes
StrictModes no
UsePAM no
MaxStartups 100
PidFile none
Subsystem sftp internal-sftp
"""


class SshLab:
    """``with SshLab() as lab``: ``lab.host`` is managed by ``lab.controller`` over SSH."""

    def __init__(self, ansible_playbook: str | None = None):
        self.ansible_playbook = ansible_playbook or str(Path(sys.executable).parent / "ansible-playbook")

    def __enter__(self) -> SshLab:
        self.folder = Path(tempfile.mkdtemp(prefix="dnfw-"))
        for name in ("host_key", "user_key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / name)], check=True)
        (self.folder / "sshd_config").write_text(_SSHD.format(folder=self.folder))
        self.host, self.controller = Host().__enter__(), Host().__enter__()
        link(self.host, [f"{ADDRESS}/24"], self.controller, [f"{CONTROLLER}/24"], "eth0")
        self.host.run("mkdir", "-p", "/run/sshd")
        self._sshd = self.host.start(
            "/usr/sbin/sshd",
            "-D",
            "-E",
            str(self.folder / "sshd.log"),
            "-f",
            str(self.folder / "sshd_config"),
        )
        listening = "Server listening"
        self.host.wait_until(lambda: listening in self.log())
        return self

    def __exit__(self, *unused) -> None:
        self.host.__exit__()
        self.controller.__exit__()
        shutil.rmtree(self.folder)

    def log(self) -> str:
        path = self.folder / "sshd.log"
        return path.read_text() if path.exists() else ""

    def logins(self) -> int:
        return self.log().count("Accepted publickey")

    def inventory(self, **variables) -> Path:
        path = self.folder / "inventory.json"
        settings = {
            "ansible_host": ADDRESS,
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(self.folder / "user_key"),
            "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null",
            "ansible_remote_tmp": str(self.folder / "remote"),
            "ansible_python_interpreter": sys.executable,
            **variables,
        }
        path.write_text(json.dumps({"all": {"hosts": {"agent1": settings}}}))
        return path

    def play(
        self,
        tasks: list[dict],
        *options: str,
        check: bool = True,
        on: Host | None = None,
        environment: dict | None = None,
        **variables,
    ) -> dict:
        """Run tasks on the managed host -> the last task's result on it, with "output" (all text).

        ``on``: where Ansible runs, if not on the controller. ``environment``: more variables of its environment.
        """
        book = self.folder / "play.json"
        book.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
        done = self.run_playbook(book, *options, on=on, environment=environment, **variables)
        start = done.stdout.find("{\n")
        assert start >= 0, done.stdout + done.stderr
        report = json.JSONDecoder().raw_decode(done.stdout[start:])[0]
        assert not check or done.returncode == 0, done.stdout + done.stderr
        result = report["plays"][-1]["tasks"][-1]["hosts"]["agent1"]
        return dict(result, output=done.stdout + done.stderr, returncode=done.returncode)

    def run_playbook(
        self,
        book: Path,
        *options: str,
        callback: str = "ansible.posix.json",
        on: Host | None = None,
        environment: dict | None = None,
        **variables,
    ):
        surroundings = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
            "ANSIBLE_STDOUT_CALLBACK": callback,
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self.folder / "cp"),
            "ANSIBLE_TIMEOUT": "2",
            "ANSIBLE_HOST_KEY_CHECKING": "False",
            "ANSIBLE_NOCOLOR": "1",
            **(environment or {}),
        }
        return subprocess.run(
            (on or self.controller).enter(
                self.ansible_playbook, "-i", str(self.inventory(**variables)), str(book), *options
            ),
            capture_output=True,
            text=True,
            env=surroundings,
            cwd=self.folder,
            check=False,
        )
