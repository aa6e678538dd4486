"""A host to try the firewall on: network and mount namespaces of its own, on this kernel.

/run is private to each host, and so are the xtables lock and the state of a change.
Nothing outside of the namespaces is touched; all ends with the host's one process.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COLLECTIONS = ROOT / "build/collections"

# Runs a module as Ansible does, without a controller: the arguments come in as JSON.
_RUN_MODULE = """
import importlib, sys
from ansible.module_utils import basic
basic._ANSIBLE_ARGS = sys.stdin.buffer.read()
basic._ANSIBLE_PROFILE = "legacy"
importlib.import_module("ansible_collections.determined.network.plugins.modules." + sys.argv[1]).main()
"""

# Sockets for the tests, in one small program: prints what it saw as its last line.
_SOCKETS = """
import socket, sys, time
family = {"4": socket.AF_INET, "6": socket.AF_INET6}[sys.argv[2]]
kind = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}[sys.argv[3]]
address, port = sys.argv[4], int(sys.argv[5])
sock = socket.socket(family, kind)
sock.settimeout(float(sys.argv[6]))
if sys.argv[1] == "connect":
    try:
        if len(sys.argv) > 7:
            sock.bind(("", int(sys.argv[7])))
        sock.connect((address, port))
        sock.send(b"ping")
        print("open" if sock.recv(10) == b"pong" else "odd")
    except socket.timeout:
        print("filtered")
    except ConnectionRefusedError:
        print("refused")
    except OSError as problem:
        print(problem)
else:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.bind((address, port))
    if kind == socket.SOCK_STREAM:
        sock.listen(64)
    print("ready", flush=True)
    sock.settimeout(None)
    while True:
        if kind == socket.SOCK_STREAM:
            peer = sock.accept()[0]
            import threading
            def serve(peer=peer):
                while peer.recv(10):
                    peer.send(b"pong")
            threading.Thread(target=serve, daemon=True).start()
        else:
            sock.sendto(b"pong", sock.recvfrom(10)[1])
"""


class Host:
    """``with Host() as host``: a machine with loopback only, until it is linked to others."""

    def __init__(self):
        self._keeper: subprocess.Popen | None = None
        self._children: list[subprocess.Popen] = []

    def __enter__(self) -> Host:
        script = (
            "mount -t tmpfs tmpfs /run && ip link set lo up && "
            # A new network namespace copies these settings from the machine, where Docker may have changed them.
            "sysctl -qw net.ipv4.ping_group_range='0 2147483647' net.ipv4.ip_forward=0 && "
            "echo ready && exec sleep 100000"
        )
        self._keeper = subprocess.Popen(
            ["unshare", "--net", "--mount", "--propagation", "private", "sh", "-ec", script],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._keeper.stdout.readline() == "ready\n", "the namespaces could not be made"
        self._namespace = os.readlink(f"/proc/{self._keeper.pid}/ns/net")
        assert self._namespace != os.readlink("/proc/self/ns/net")
        return self

    def __exit__(self, *unused) -> None:
        # Whatever still runs in these namespaces was started here: Ansible's ssh masters, sshd, switches.
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if os.readlink(process / "ns/net") == self._namespace:
                    os.kill(int(process.name), signal.SIGKILL)
        for child in self._children:
            child.kill()
        for child in [*self._children, self._keeper]:
            child.wait()
            child.stdout.close()

    @property
    def pid(self) -> int:
        return self._keeper.pid

    def enter(self, *argv: str) -> list[str]:
        """The command line that runs ``argv`` on this host."""
        return ["nsenter", f"--target={self.pid}", "--net", "--mount", *argv]

    def run(self, *argv: str, stdin: str = "", check: bool = True, **options) -> str:
        done = subprocess.run(self.enter(*argv), input=stdin, capture_output=True, text=True, **options, check=False)
        assert not check or done.returncode == 0, f"{argv}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def shell(self, script: str) -> str:
        return self.run("sh", "-ec", script)

    def start(self, *argv: str, **options) -> subprocess.Popen:
        """A process that ends with the host at the latest."""
        child = subprocess.Popen(self.enter(*argv), stdout=subprocess.PIPE, text=True, **options)
        self._children.append(child)
        return child

    def module(self, name: str, environment: dict | None = None, before=(), **arguments) -> dict:
        """Run a module of the collection on this host, below the program ``before`` -> its result."""
        env = {key: value for key, value in os.environ.items() if key != "SSH_CONNECTION"}
        env.update(environment or {}, PYTHONPATH=str(COLLECTIONS))
        arguments.setdefault("_ansible_check_mode", False)
        if name == "firewall":
            arguments.setdefault("_controller", "")  # another host, which tells no identity
        done = subprocess.run(
            self.enter(*before, sys.executable, "-c", _RUN_MODULE, name),
            input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
            capture_output=True,
            text=True,
            env=env,
            check=False,
        )
        assert done.stdout.strip(), done.stderr
        return json.loads(done.stdout.strip().splitlines()[-1])

    def apply(self, policy: dict | None, **arguments) -> dict:
        """Apply a policy (None: state absent) and confirm it, as the action plugin does."""
        if policy is None:
            arguments["state"] = "absent"
        else:
            arguments["policy"] = policy
        result = self.module("firewall", **arguments)
        if "awaiting_confirmation" in result:
            change = result["awaiting_confirmation"]["change"]
            assert self.module("firewall", _step="confirm", _change=change)["kept"]
        return result

    def listen(self, family: str, kind: str, port: int) -> None:
        address = {"4": "0.0.0.0", "6": "::"}[family]
        child = self.start(sys.executable, "-c", _SOCKETS, "listen", family, kind, address, str(port), "5")
        assert child.stdout.readline() == "ready\n"

    def connect(self, address: str, port: int, kind: str = "tcp", timeout: float = 0.6) -> str:
        """ "open", "filtered", "refused" or an error's text."""
        family = "6" if ":" in address else "4"
        return self.run(
            sys.executable, "-c", _SOCKETS, "connect", family, kind, address, str(port), str(timeout)
        ).strip()

    def rules(self) -> str:
        """Everything that packets meet on this host, without counters and dates, and all sets."""
        texts = []
        for variant in ("nft", "legacy"):
            for command in ("iptables", "ip6tables"):
                if variant == "legacy" and not self._legacy_tables(command):
                    continue
                text = self.run(f"{command}-{variant}-save")
                texts += [f"# {command}-{variant}"]
                texts += [line.split(" [")[0] for line in text.splitlines() if not line.startswith("#")]
        texts.append(self.run("ipset", "save"))
        return "\n".join(texts)

    def _legacy_tables(self, command: str) -> str:
        return self.run("sh", "-c", f"cat /proc/net/{command.replace('tables', '_tables')}_names || true")

    def left_in_run(self) -> list[str]:
        return self.run("sh", "-c", "ls -A /run/determined-network 2>/dev/null || true").split()

    def wait_until(self, condition, seconds: float = 10.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "what was waited for did not happen"
            time.sleep(0.05)


def link(left: Host, left_addresses: list[str], right: Host, right_addresses: list[str], name: str) -> None:
    """A cable between two hosts; addresses with their prefix length."""
    subprocess.run(
        ["ip", "link", "add", name, "netns", str(left.pid), "type", "veth", "peer", "name", name]
        + ["netns", str(right.pid)],
        check=True,
    )
    for host, addresses in ((left, left_addresses), (right, right_addresses)):
        for address in addresses:
            host.run("ip", "address", "add", address, "dev", name, *(["nodad"] if ":" in address else []))
        host.run("ip", "link", "set", name, "up")


def rule(protocol: str, ports: str, peers: str, *requirements: str) -> dict:
    return {
        "protocol": protocol,
        "ports": ports,
        "peers": peers,
        "requirements": list(requirements) or ["test"],
    }


def policy(mode: str = "permit", peers: dict | None = None, inbound=(), outbound=(), management=()) -> dict:
    return {
        "host": "agent1",
        "mode": mode,
        "peers": peers or {},
        "inbound": list(inbound),
        "outbound": list(outbound),
        "management": list(management),
    }
