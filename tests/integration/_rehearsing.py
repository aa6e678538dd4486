# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""People who rehearse: root and ordinary users, with everything they need in a place that all can read."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# User ids that nobody has.
ORDINARY, ANOTHER = 64201, 64202

# What `python -m ansible` imports. A virtual environment may lie where only root can read.
DISTRIBUTIONS = ("ansible-core", "jinja2", "markupsafe", "pyyaml", "packaging", "resolvelib", "netaddr")

BUILD = """
import json, sys
from ansible_collections.determined.network.plugins.module_utils._namespaces import keeper
from ansible_collections.determined.network.plugins.module_utils._namespaces import hosts as namespaces_hosts
from ansible_collections.determined.network.plugins.module_utils._namespaces import state as namespaces_state
request = json.loads(sys.argv[1])
owner = namespaces_state.process(request["owner"]) if request["owner"] else None
try:
    state = keeper.start(request["name"], namespaces_hosts.read_hosts(request["hosts"]), owner)
except keeper.BuildError as problem:
    sys.exit("refused: %s" % problem)
print(json.dumps(state))
"""

STOP = """
import json, sys
from ansible_collections.determined.network.plugins.module_utils._namespaces import keeper
keeper.stop(json.loads(sys.argv[1]))
"""


def request(name: str, hosts: dict, owner: int | None = None) -> str:
    """What BUILD is asked."""
    return json.dumps({"name": name, "hosts": hosts, "owner": owner})


def furnish(desk: Path) -> None:
    """Copy the collection and the controller's Python packages to ``desk``, readable by all.

    Compiled files are copied as well, because nobody writes any there: without them each play compiles all of Ansible.
    """
    collection = desk / "collections/ansible_collections/determined/network"
    for part in ("plugins", "playbooks", "roles", "meta"):
        shutil.copytree(ROOT / part, collection / part)
    shutil.copy(ROOT / "galaxy.yml", collection)
    for name in DISTRIBUTIONS:
        distribution = importlib.metadata.distribution(name)
        tops = {file.parts[0] for file in distribution.files or () if file.parts[0] != ".."}
        for top in sorted(tops - {"__pycache__"}):
            source = Path(str(distribution.locate_file(top)))
            if source.is_dir():
                shutil.copytree(source, desk / "packages" / top, dirs_exist_ok=True)
            elif source.suffix == ".py":
                shutil.copy(source, desk / "packages")
    for path in [desk, *desk.rglob("*")]:
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o755 if path.is_dir() else 0o444))


@dataclass
class Person:
    """Somebody who runs Ansible on this machine."""

    user: int
    desk: Path

    @property
    def home(self) -> Path:
        return self.desk / f"home-{self.user}"

    def move_in(self) -> None:
        self.home.mkdir(mode=0o700)
        os.chown(self.home, self.user, self.user)

    @property
    def python(self) -> str:
        """root has the tests' own interpreter; for others it may lie in root's home."""
        return sys.executable if self.user == 0 else "/usr/bin/python3"

    def environment(self) -> dict[str, str]:
        collections = self.desk / "collections"
        packages = [collections] if self.user == 0 else [collections, self.desk / "packages"]
        return {
            "HOME": str(self.home),
            "LOGNAME": f"tester{self.user}",
            "PATH": "/usr/bin:/bin",
            "LC_ALL": "C.UTF-8",
            "PYTHONPATH": ":".join(map(str, packages)),
            "PYTHONDONTWRITEBYTECODE": "1",
            "ANSIBLE_COLLECTIONS_PATH": str(collections),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_LOCALHOST_WARNING": "0",
        }

    def command(self, *arguments: str) -> list[str]:
        become = [] if self.user == 0 else ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--clear-groups"]
        return [*become, *arguments]

    def run(self, *arguments: str, **options) -> subprocess.CompletedProcess:
        options = {"env": self.environment(), "cwd": self.home, "text": True, "timeout": 120, **options}
        return subprocess.run(
            self.command(*arguments), stdin=subprocess.DEVNULL, capture_output=True, **options, check=False
        )

    def playbook(self, plays: Path, *arguments: str) -> subprocess.CompletedProcess:
        return self.run(self.python, "-m", "ansible", "playbook", str(plays), *arguments)

    def write(self, name: str, text: str) -> Path:
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        for made in (path.parent, path):
            os.chown(made, self.user, self.user)
        return path

    def state_files(self, name: str = "") -> list[Path]:
        """The files of this user's rehearsals whose names begin with ``name``."""
        places = ["/run/determined-network"] if self.user == 0 else [f"/tmp/determined-network-{self.user}"]
        if self.user:
            places.append(f"/run/user/{self.user}/determined-network")
        return [path for place in places for path in Path(place).glob(name + "*")]

    def build(self, name: str, hosts: dict, owner: int | None = None) -> Lab:
        """Build without Ansible; ``owner`` None keeps it. RuntimeError if it is refused."""
        done = self.run(self.python, "-c", BUILD, request(name, hosts, owner))
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        return Lab(self, json.loads(done.stdout))


class Lab:
    """A rehearsal that runs."""

    def __init__(self, person: Person, state: dict):
        self.person, self.state = person, state
        keeper = state["keeper"]["pid"]
        self.number = os.readlink(f"/proc/{keeper}/ns/pid")
        self.ended = float("inf")

    def command(self, host: str, *arguments: str) -> list[str]:
        files = self.state["namespaces"][host]["files"]
        credentials = ["--preserve-credentials"] if "user" in files else []
        places = [f"--{kind}={path}" for kind, path in files.items()]
        return self.person.command("nsenter", *credentials, *places, "--", *arguments)

    def popen(self, host: str, *arguments: str, **options) -> subprocess.Popen:
        environment = {**self.person.environment(), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        return subprocess.Popen(self.command(host, *arguments), env=environment, text=True, **options)

    def run(self, host: str, *arguments: str) -> subprocess.CompletedProcess:
        process = self.popen(host, *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def shell(self, host: str, text: str) -> str:
        done = self.run(host, "/bin/sh", "-ec", text)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def stop(self) -> None:
        done = self.person.run(self.person.python, "-c", STOP, json.dumps(self.state))
        assert done.returncode == 0, done.stderr
        self.ended = time.clock_gettime(time.CLOCK_BOOTTIME)

    def traces(self) -> list[str]:
        """What is left of it anywhere on this machine; empty once it has ended."""
        found = [
            f"process {kind} {self.state[kind]['pid']}"
            for kind in ("watcher", "keeper")
            if running(self.state[kind]["pid"])
        ]
        # Whatever runs inside is in its PID namespace, and no process ever changes that.
        for link in Path("/proc").glob("[0-9]*/ns/pid"):
            with contextlib.suppress(OSError):
                # The kernel gives a number again: what began after the end is not meant.
                if os.readlink(link) == self.number and started(link.parents[1]) < self.ended:
                    found.append(f"{link} -> {os.readlink(link)}")
        found += [str(path) for path in self.person.state_files() if path.name == self.state["name"] + ".json"]
        mounts = Path("/proc/self/mountinfo").read_text()
        found += [line for line in mounts.splitlines() if "/run/lab" in line]
        return found

    def wait_until_gone(self, seconds: float = 5) -> None:
        deadline = time.monotonic() + seconds
        while self.traces():
            assert time.monotonic() < deadline, self.traces()
            time.sleep(0.02)


def started(process: Path) -> float:
    """When the process of this /proc/PID started, in seconds since boot."""
    fields = (process / "stat").read_text().rpartition(")")[2].split()
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def comm(path: Path) -> str:
    """The name of the process in this /proc/PID/comm; nothing if it has ended."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def processes_with(word: str) -> list[int]:
    """The ids of all processes that have ``word`` among their arguments."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if word.encode() in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found


def end(process: subprocess.Popen) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
    process.wait()
