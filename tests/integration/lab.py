"""A rehearsed cluster that outlives one playbook, so that a test can break it and verify again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from ansible_collections.determined.network.plugins.module_utils._namespaces import state

ROOT = Path(__file__).resolve().parents[2]
TOOLS = Path(sys.executable).parent

GROUPS = ("determined_master", "determined_agents", "determined_clients", "determined_outsiders")


def inventory(hosts: dict[str, tuple[str, list[str]]], **variables: object) -> dict:
    """Host -> (group, addresses), and cluster-wide variables -> an inventory as YAML's data."""
    children: dict[str, dict] = {}
    for name, (group, addresses) in hosts.items():
        children.setdefault(group, {"hosts": {}})["hosts"][name] = {"determined_address": addresses}
    return {"all": {"vars": variables, "children": children}}


class Lab:
    """Network namespaces for the hosts of an inventory, for as long as the ``with`` block lasts."""

    def __init__(self, folder: Path, name: str, hosts: dict[str, tuple[str, list[str]]], **variables: object):
        self.folder, self.name, self.hosts = folder, name, hosts
        self._settings = {
            "ansible_connection": "determined.network.namespace",
            "ansible_become": False,
            "ansible_python_interpreter": sys.executable,
            "ansible_remote_tmp": "/run/ansible",
            **variables,
        }
        self.inventory = folder / "inventory.yml"
        self.inventory.write_text(yaml.safe_dump(inventory(hosts, determined_rehearsal=name, **self._settings)))
        self.namespaces: dict[str, dict] = {}

    def __enter__(self) -> Lab:
        addresses = {name: texts for name, (_unused, texts) in self.hosts.items()}
        self._namespaces({"hosts": addresses, "owner_pid": os.getpid()})
        self.namespaces = state.read(self.name)["namespaces"]
        return self

    def __exit__(self, *problem: object) -> None:
        self._namespaces({"state": "absent"})

    def _namespaces(self, arguments: dict) -> None:
        text = json.dumps({"name": self.name, **arguments})
        # Without an inventory, so that localhost is this machine and nothing else.
        command = ["ansible", "localhost", "-i", "localhost,", "-c", "local"]
        command += ["-e", f"ansible_python_interpreter={sys.executable}"]
        done = self._run([*command, "-m", "determined.network.namespaces", "-a", text])
        assert done.returncode == 0, done.stdout + done.stderr

    def begin(self, *command: str) -> subprocess.Popen[str]:
        """Start one of Ansible's tools, found beside this Python."""
        environment = {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build/collections"),
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
        }
        output = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        tool = [str(TOOLS / command[0]), *command[1:]]
        return subprocess.Popen(tool, cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, **output)

    def _run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        with self.begin(*command) as process:
            try:
                out, err = process.communicate(timeout=600)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def inventory_without_rehearsal(self) -> Path:
        """Write an inventory of the same hosts that does not call them rehearsed, so that nothing is left out."""
        data = inventory(self.hosts, **self._settings)
        for group in data["all"]["children"].values():
            for name, variables in group["hosts"].items():
                variables["determined_namespace"] = self.namespaces[name]
        path = self.folder / "without_rehearsal.yml"
        path.write_text(yaml.safe_dump(data))
        return path

    def play(
        self, playbook: str, *arguments: str, inventory: Path | None = None, **variables: object
    ) -> subprocess.CompletedProcess[str]:
        """Play a playbook of the collection against the namespaces."""
        extra = json.dumps({"determined_verify_report_dir": str(self.folder), **variables})
        hosts = str(inventory or self.inventory)
        command = ["ansible-playbook", f"determined.network.{playbook}", "-i", hosts, "-e", extra]
        return self._run([*command, *arguments])

    def report(self) -> dict:
        """The report of the last verification."""
        return json.loads((self.folder / "report.json").read_text())

    def enter(self, host: str) -> list[str]:
        """The command line that enters a host, to put a command behind."""
        files = self.namespaces[host]["files"]
        return ["nsenter", *(f"--{kind}={path}" for kind, path in sorted(files.items())), "--"]

    def shell(self, host: str, command: str) -> str:
        """Run a shell command on a host -> its output; the test fails if the command does."""
        done = subprocess.run(
            [*self.enter(host), "sh", "-ec", command], text=True, capture_output=True, timeout=60, check=False
        )
        assert done.returncode == 0, f"{host}: {command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def start(self, host: str, command: str) -> subprocess.Popen[bytes]:
        """Start a shell command on a host that goes on; the test ends it."""
        # nsenter forks to enter a PID namespace, so ending it would leave the command behind.
        ends_with_parent = ["setpriv", "--pdeathsig", "KILL"]
        command_line = [*self.enter(host), *ends_with_parent, "sh", "-ec", command]
        return subprocess.Popen(command_line, stderr=subprocess.DEVNULL)


@contextmanager
def configured_lab(
    folder: Path, name: str, hosts: dict[str, tuple[str, list[str]]], **variables: object
) -> Iterator[Lab]:
    """A lab on which the playbook ``site`` has configured every host."""
    with Lab(folder, name, hosts, **variables) as built:
        done = built.play("site", "--tags", "configure")
        assert done.returncode == 0, done.stdout + done.stderr
        yield built
