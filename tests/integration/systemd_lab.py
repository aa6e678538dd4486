"""Hosts as administrators have them: systemd, sshd, firewalls, a Docker of their own, in containers of this machine.

``with SystemdLab({"master": "determined_master", "agent1": "determined_agents"}) as lab`` boots them on a Docker
network that leads nowhere, with an IPv4 and an IPv6 address each, reached by SSH as an ordinary user: docs/testing.md.
"""

from __future__ import annotations

import json
import os
import random
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
TOOLS = Path(sys.executable).parent
BUILD = ROOT / "extensions/molecule/image/build"
LABEL = "determined.network.test"

# How a host is started, said once for Molecule and for this.
_SETTINGS = yaml.safe_load((ROOT / "extensions/molecule/common/vars/container.yml").read_text())
USER = _SETTINGS["test_host_user"]
_CONTAINER = _SETTINGS["test_host_container"]
_NETWORKS = [f"{net}.{start}" for net in _SETTINGS["test_host_networks_v4"] for start in range(0, 256, 32)]
_FIRST_HOST = 10
_WAIT_FOR_NETWORK = 600  # seconds; other labs give theirs back

_NAMESPACES = ("--mount", "--uts", "--ipc", "--net", "--pid")
# What `docker exec` would give a command.
_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "container": "docker",
}

Result = subprocess.CompletedProcess[str]


def docker(*arguments: str, check: bool = True, text: str | None = None, timeout: float = 120) -> Result:
    """Run Docker's command line on this machine; with ``check`` the test fails if it fails."""
    done = subprocess.run(
        ["docker", *arguments], input=text, text=True, capture_output=True, timeout=timeout, check=False
    )
    assert not check or done.returncode == 0, f"docker {shlex.join(arguments)}\n{done.stdout}{done.stderr}"
    return done


def image(release: str) -> str:
    """The image of a test host, built at first use (a few minutes) -> its name."""
    done = subprocess.run([BUILD, release], stdout=subprocess.PIPE, text=True, timeout=1200, check=True)
    return done.stdout.strip()


def boot_arguments() -> list[str]:
    """The arguments of ``docker run`` that let systemd boot, and dockerd inside, without ``--privileged``."""
    arguments = [f"--cgroupns={_CONTAINER['cgroupns_mode']}", f"--stop-signal={_CONTAINER['stop_signal']}"]
    lists = {"cap-add": "capabilities", "security-opt": "security_opts", "volume": "volumes", "tmpfs": "tmpfs"}
    for option, setting in lists.items():
        arguments += [f"--{option}={value}" for value in _CONTAINER[setting]]
    return arguments


def init_command() -> list[str]:
    """What PID 1 is."""
    version = docker("info", "--format={{.CgroupVersion}}").stdout.strip()
    return _CONTAINER["command_cgroup_v1" if version == "1" else "command"]


def _start_time(pid: str) -> str:
    """When a process started, in the kernel's ticks; empty if there is none (any more)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


class SystemdLab:
    """Booted hosts, for as long as the ``with`` block lasts."""

    def __init__(self, hosts: dict[str, str], release: str = "bookworm", releases: dict[str, str] | None = None):
        """hosts: name -> group of the inventory; releases: name -> its Debian release where it is not ``release``."""
        self.hosts, self.name = dict(hosts), f"dn-{uuid.uuid4().hex[:8]}"
        self.releases = {name: (releases or {}).get(name, release) for name in hosts}
        self.addresses: dict[str, list[str]] = {}
        self._first_processes: dict[str, tuple[str, str]] = {}
        self.controller: list[str] = []  # this machine's addresses as the hosts see them
        self.folder = Path(tempfile.mkdtemp(prefix=f"{self.name}-"))
        self.key = self.folder / "key"

    # Life and death

    def __enter__(self) -> SystemdLab:
        try:
            images = {release: image(release) for release in sorted(set(self.releases.values()))}
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key)], check=True)
            self._make_network()
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(lambda name: self._start(name, images[self.releases[name]]), self.hosts))
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove hosts, their volumes, the network and the folder, whatever of them there is."""
        ours = f"--filter=label={LABEL}={self.name}"
        containers = docker("ps", "--all", "--quiet", ours).stdout.split()
        if containers:
            docker("rm", "--force", "--volumes", *containers)
        networks = docker("network", "ls", "--quiet", ours).stdout.split()
        if networks:
            docker("network", "rm", *networks)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _make_network(self) -> None:
        """Take the first free one of the documentation networks, beginning anywhere; wait for one if none is free."""
        wide = f"{_SETTINGS['test_host_network_v6']}:{random.randrange(1, 0xFFFF):x}"
        end = time.monotonic() + _WAIT_FOR_NETWORK
        taken = ""
        while not taken:
            for start in random.sample(_NETWORKS, len(_NETWORKS)):
                prefix, last = start.rsplit(".", 1)
                options = ["--internal", "--ipv6", f"--subnet={start}/27", f"--gateway={prefix}.{int(last) + 1}"]
                options += [f"--subnet={wide}::/64", f"--gateway={wide}::1", f"--label={LABEL}={self.name}"]
                done = docker("network", "create", *options, self.name, check=False)
                if done.returncode == 0:
                    taken = start
                    break
            assert taken or time.monotonic() < end, f"no free network: {done.stderr}"
            time.sleep(0 if taken else 2)
        self.networks = [f"{taken}/27", f"{wide}::/64"]
        self.controller = [f"{prefix}.{int(last) + 1}", f"{wide}::1"]
        for number, name in enumerate(self.hosts, _FIRST_HOST):
            self.addresses[name] = [f"{prefix}.{int(last) + number}", f"{wide}::{number:x}"]

    def container(self, host: str) -> str:
        """The name of a host's container."""
        return f"{self.name}-{host}"

    def _start(self, host: str, source: str) -> None:
        four, six = self.addresses[host]
        place = [f"--network={self.name}", f"--ip={four}", f"--ip6={six}", f"--hostname={host}"]
        own = [f"--name={self.container(host)}", f"--label={LABEL}={self.name}"]
        docker("run", "--detach", *own, *place, *boot_arguments(), source, *init_command())
        self.wait_for_boot(host)
        keys = f"/home/{USER}/.ssh/authorized_keys"
        public = self.key.with_suffix(".pub").read_text()
        self.write(host, keys, public)
        self.shell(host, f"chown {USER}: {keys} && chmod 600 {keys}")

    def wait_for_boot(self, host: str, seconds: float = 90) -> None:
        """Wait until systemd has started everything; a failed unit fails the test."""
        self.wait_until(
            lambda: self.run(host, "systemctl", "is-system-running").stdout.strip() in ("running", "degraded"),
            seconds,
            f"{host} does not boot",
        )
        failed = self.run(host, "systemctl", "--failed", "--plain", "--no-legend").stdout
        assert not failed.strip(), f"{host}: {failed}"

    def restart(self, host: str, wait: bool = True) -> None:
        """Reboot: everything in memory is lost (processes, rules, /run), files and addresses stay."""
        docker("restart", "--time=30", self.container(host))
        if wait:
            self.wait_for_boot(host)

    # On a host, past its network

    def enter(self, host: str, *command: str) -> list[str]:
        """The command line that runs ``command`` as root on a host that runs, in all namespaces of its PID 1.

        ``docker exec`` does the same by four processes and in twenty times the time, and these tests run thousands.
        """
        known = self._first_processes.get(host)
        if known is None or known[1] != _start_time(known[0]):
            pid = docker("inspect", "--format={{.State.Pid}}", self.container(host)).stdout.strip()
            assert pid != "0", f"{host} does not run"
            self._first_processes[host] = known = (pid, _start_time(pid))
        variables = {**_ENVIRONMENT, "HOSTNAME": host}
        environment = ["env", "--ignore-environment", *(f"{name}={value}" for name, value in variables.items())]
        return ["nsenter", f"--target={known[0]}", *_NAMESPACES, "--", *environment, *command]

    def run(self, host: str, *command: str, text: str | None = None, timeout: float = 120) -> Result:
        """Run a command as root, past SSH and firewalls -> its result, whatever it is."""
        source = {"stdin": subprocess.DEVNULL} if text is None else {"input": text}
        return subprocess.run(
            self.enter(host, *command), **source, text=True, capture_output=True, timeout=timeout, check=False
        )

    def shell(self, host: str, script: str, timeout: float = 120) -> str:
        """Run a shell script as root -> its output; the test fails if it fails."""
        done = self.run(host, "sh", "-ec", script, timeout=timeout)
        assert done.returncode == 0, f"{host}: {script}\n{done.stdout}{done.stderr}"
        return done.stdout

    def begin(self, host: str, *command: str) -> subprocess.Popen[str]:
        """Start a command as root that goes on beside the test, which ends it."""
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        return subprocess.Popen(self.enter(host, *command), text=True, **pipes)

    def write(self, host: str, path: str, text: str) -> None:
        """Write a file as root."""
        done = self.run(host, "sh", "-ec", 'mkdir -p "$(dirname "$0")"; cat >"$0"', path, text=text)
        assert done.returncode == 0, f"{host}: {path}: {done.stderr}"

    def journal(self, host: str, *arguments: str) -> str:
        """The journal of this boot: ``journal("agent1", "-u", "docker")``."""
        return self.shell(host, shlex.join(["journalctl", "-b", "--no-pager", "-o", "cat", *arguments]))

    def wait_until(self, condition: Callable[[], bool], seconds: float = 30, message: str = "no such thing") -> None:
        """Wait for something that happens by itself; the test fails if it does not in time."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"{message}, after {seconds} s"
            time.sleep(0.05)

    # Through the network

    def ssh_options(self) -> list[str]:
        options = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]
        return [*options, "-o", "BatchMode=yes", "-o", "ConnectTimeout=5", "-i", str(self.key)]

    def ssh(self, host: str, command: str, address: str | None = None, timeout: float = 60) -> Result:
        """Run a command over SSH from this machine, as the ordinary user."""
        target = f"{USER}@{address or self.addresses[host][0]}"
        line = ["ssh", *self.ssh_options(), target, command]
        return subprocess.run(line, text=True, capture_output=True, timeout=timeout, check=False)

    def connects(self, host: str, address: str, port: int, seconds: float = 2) -> bool:
        """Whether a TCP connection from a host to an address and port succeeds."""
        script = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), float(sys.argv[3]))"
        return self.run(host, "python3", "-c", script, address, str(port), str(seconds)).returncode == 0

    def fetch(self, host: str, address: str, port: int, seconds: int = 3) -> str | None:
        """What a web server answers to a host, None if nothing comes."""
        url = f"http://[{address}]:{port}/" if ":" in address else f"http://{address}:{port}/"
        done = self.run(host, "curl", "--silent", "--noproxy", "*", "--max-time", str(seconds), url)
        return done.stdout.strip() if done.returncode == 0 else None

    # Ansible over SSH

    def inventory(self, **variables: object) -> Path:
        """Write the inventory, with cluster-wide variables -> its file."""
        children: dict[str, dict] = {}
        for name, group in self.hosts.items():
            own = {"ansible_host": self.addresses[name][0], "determined_address": self.addresses[name]}
            children.setdefault(group, {"hosts": {}})["hosts"][name] = own
        settings = {
            "ansible_user": USER,
            "ansible_become": True,
            "ansible_python_interpreter": "/usr/bin/python3",
            "ansible_ssh_private_key_file": str(self.key),
            "ansible_ssh_common_args": shlex.join(self.ssh_options()),
            **variables,
        }
        path = self.folder / "inventory.yml"
        path.write_text(yaml.safe_dump({"all": {"vars": settings, "children": children}}, sort_keys=False))
        return path

    def environment(self, **more: str) -> dict[str, str]:
        """The environment of Ansible's tools."""
        return {
            **os.environ,
            "PATH": f"{TOOLS}:{os.environ['PATH']}",
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build/collections"),
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_FORKS": "20",
            "ANSIBLE_NOCOLOR": "1",
            # One SSH command for each task, which saves a fifth of the work. Molecule's scenario `default` plays
            # without it, and test_firewall_ssh.py both ways.
            "ANSIBLE_PIPELINING": "True",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self.folder / "cp"),
            **more,
        }

    def play(self, playbook: str | list[dict], *arguments: str, timeout: float = 600, **variables: object) -> Result:
        """Play a playbook of the collection by its name (``site``), a file by its path, or plays given as data.

        ``variables`` are extra variables; cluster-wide ones that last go into ``inventory``.
        """
        if not isinstance(playbook, str):
            book = self.folder / "play.yml"
            book.write_text(yaml.safe_dump(playbook, sort_keys=False))
        else:
            book = playbook if "/" in playbook else f"determined.network.{playbook}"
        inventory = self.folder / "inventory.yml"
        if not inventory.exists():
            self.inventory()
        extra = json.dumps({"determined_verify_report_dir": str(self.folder / "report"), **variables})
        command = [str(TOOLS / "ansible-playbook"), str(book), "-i", str(inventory), "-e", extra, *arguments]
        options = {"text": True, "capture_output": True, "stdin": subprocess.DEVNULL}
        place = {"cwd": self.folder, "env": self.environment()}
        return subprocess.run(command, check=False, timeout=timeout, **place, **options)

    def task(self, host: str, module: str, *arguments: str, **options: object) -> dict:
        """Run one module on one host over SSH -> its result as the module returned it."""
        if not (self.folder / "inventory.yml").exists():
            self.inventory()
        command = [str(TOOLS / "ansible"), host, "-i", str(self.folder / "inventory.yml")]
        command += ["-m", module, *(["-a", json.dumps(options)] if options else []), *arguments]
        environment = self.environment(ANSIBLE_STDOUT_CALLBACK="ansible.posix.json", ANSIBLE_LOAD_CALLBACK_PLUGINS="1")
        settings = {"text": True, "capture_output": True, "stdin": subprocess.DEVNULL}
        done = subprocess.run(command, check=False, cwd=self.folder, env=environment, timeout=600, **settings)
        start = done.stdout.find("{\n")
        assert start >= 0, done.stdout + done.stderr
        report = json.JSONDecoder().raw_decode(done.stdout[start:])[0]
        return report["plays"][0]["tasks"][0]["hosts"][host]

    def report(self) -> dict:
        """The report of the last verification."""
        return json.loads((self.folder / "report/report.json").read_text())

    # Docker on a host

    def start_docker(self, host: str, **settings: object) -> None:
        """Start dockerd (settings go into daemon.json) and give it the image ``busybox:test``."""
        if settings:
            self.write(host, "/etc/docker/daemon.json", json.dumps(settings))
        self.shell(host, "systemctl enable --quiet docker.service docker.socket && systemctl start docker.service")
        if self.run(host, "docker", "image", "inspect", "busybox:test").returncode != 0:
            self.shell(host, "docker import /usr/local/share/busybox.tar busybox:test")

    def publish(self, host: str, port: int, inside: int = 80, *arguments: str) -> str:
        """Run a web server in a container with a published port -> the container's name; it answers ``HOST:PORT``."""
        name = f"web-{port}"
        script = f"echo {host}:{port} >/www/index.html; exec httpd -f -p {inside} -h /www"
        # A web server as PID 1 ignores SIGTERM, and Docker would wait ten seconds for it.
        options = ["--detach", f"--name={name}", "--restart=always", "--stop-signal=KILL"]
        options += [f"--publish={port}:{inside}", *arguments]
        done = self.run(host, "docker", "run", *options, "busybox:test", "sh", "-c", script)
        assert done.returncode == 0, done.stderr
        self.wait_until(lambda: self.fetch(host, "127.0.0.1", port) == f"{host}:{port}", 20, f"{name} does not serve")
        return name

    def serve(self, host: str, port: int) -> None:
        """Run a web server on the host itself, until it restarts; it answers ``HOST:PORT``."""
        unit = f"serve-{port}"
        self.shell(
            host,
            f"mkdir -p /run/{unit} && echo {host}:{port} >/run/{unit}/index.html && systemd-run --quiet --unit={unit}"
            f" python3 -m http.server --bind :: --directory /run/{unit} {port}",
        )
        self.wait_until(lambda: self.fetch(host, "127.0.0.1", port) == f"{host}:{port}", 20, f"{unit} does not serve")
