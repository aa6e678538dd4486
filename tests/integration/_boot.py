"""What the tests of reboots share: a host that boots, those who knock at its doors, and its policy."""

from __future__ import annotations

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

from ._firewall_host import policy, rule
from .systemd_lab import SystemdLab, docker

HOST, PERMITTED, STRANGER = "agent1", "master", "stranger"
HOSTS = {PERMITTED: "determined_master", HOST: "determined_agents", STRANGER: "determined_outsiders"}
PORTS = OWN_PORT, PUBLISHED_PORT = 8090, 2600
FILE = "/etc/determined-network/firewall"
UNITS = ("determined-network-firewall.service", "determined-network-firewall-check.service")
MODULE = "determined.network.firewall"

# Opens a connection to each target every 20 ms and never waits for one: prints the target each time one comes up.
_KNOCK = """
import select, socket, sys, time
targets = [(word.rsplit(",", 1)[0], int(word.rsplit(",", 1)[1])) for word in sys.argv[1:]]
waiting = {}
print("ready", flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    now = time.monotonic()
    for address, port in targets:
        sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\\1\\0\\0\\0\\0\\0\\0\\0")
        try:
            sock.connect_ex((address, port))
            waiting[sock] = (now, address, port)
        except OSError:
            sock.close()
    poll = select.poll()
    known = {sock.fileno(): sock for sock in waiting}
    for number in known:
        poll.register(number, select.POLLOUT)
    time.sleep(0.02)
    for number, _event in poll.poll(0):
        sock = known[number]
        if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
            print("%s,%d" % waiting[sock][1:], flush=True)
        del waiting[sock]
        sock.close()
    for sock in [sock for sock, told in waiting.items() if now - told[0] > 0.6]:
        del waiting[sock]
        sock.close()
"""

# A service as administrators write it: nothing tells it to wait for a firewall.
_SERVICE = f"""
[Service]
ExecStart=/usr/bin/python3 -m http.server --bind :: --directory /run {OWN_PORT}
[Install]
WantedBy=multi-user.target
"""


class BootLab(SystemdLab):
    """A host with a service of its own and a published port, a peer that may come in, and a stranger."""

    def __init__(self, backend: str = "iptables", release: str = "bookworm"):
        super().__init__(HOSTS, release)
        self.backend = backend
        self.restarted = 0.0  # time.time() of the last boot

    def furnish(self) -> None:
        """Give the host what others knock at, from boot on."""
        self.write(HOST, "/etc/systemd/system/own.service", _SERVICE)
        self.shell(HOST, "systemctl daemon-reload && systemctl enable --quiet --now own.service")
        if self.backend == "firewalld":
            # Open by itself, so that only rules of ours close it.
            self.shell(HOST, "systemctl enable --quiet --now firewalld")
            self.shell(HOST, "firewall-cmd --quiet --set-default-zone=trusted")
        self.start_docker(HOST)
        self.publish(HOST, PUBLISHED_PORT)

    def foreign(self) -> set[str]:
        """Files below /etc, units and mounts that are not ours."""
        script = (
            r"find /etc ! -path '*determined*' \( -type f -o -type l \) -printf '%p %m %s %l\n'; "
            "systemctl list-unit-files --no-legend --plain --no-pager | awk '!/determined|transient/ {print $1, $2}'; "
            "grep -o ' /etc[^ ]* ' /proc/self/mountinfo || true"
        )
        return set(self.shell(HOST, script).splitlines())

    @property
    def targets(self) -> list[str]:
        return [f"{address},{port}" for address in self.addresses[HOST] for port in PORTS]

    def policy(
        self, mode: str = "restrict", peer: str = PERMITTED, management: bool = True, ports: tuple[int, ...] = PORTS
    ) -> dict:
        peers = {
            "peers": dict(zip(("ipv4", "ipv6"), ([address] for address in self.addresses[peer]), strict=True)),
            "office": dict(zip(("ipv4", "ipv6"), ([address] for address in self.controller), strict=True)),
        }
        return policy(
            mode,
            peers,
            [rule("tcp", ",".join(str(port) for port in ports), "peers")],
            management=[rule("tcp", "22", "office")] if management else [],
        )

    def apply(self, *arguments: str, **options: object) -> dict:
        """Run the module on the host -> its result."""
        options.setdefault("backend", self.backend)
        return self.task(HOST, MODULE, *arguments, **options)

    def knock(self, source: str) -> Knocker:
        """Let a host knock at all targets without a pause."""
        return Knocker(self.begin(source, "python3", "-c", _KNOCK, *self.targets))

    def gets_in(self, source: str) -> list[str]:
        """The targets that a host reaches now; it tries all of them at once."""

        def reaches(target: str) -> bool:
            address, port = target.rsplit(",", 1)
            return self.connects(source, address, int(port), 1)

        with ThreadPoolExecutor(len(self.targets)) as pool:
            found = pool.map(reaches, self.targets)
            return [target for target, works in zip(self.targets, found, strict=True) if works]

    def boot(self) -> None:
        """Restart the host and wait until it has booted, whatever failed on the way."""
        # What the units say while the host shuts down belongs to the boot before.
        docker("stop", "--time=30", self.container(HOST))
        self.restarted = time.time()
        docker("start", self.container(HOST))
        states = ("running", "degraded")
        self.wait_until(
            lambda: self.run(HOST, "systemctl", "is-system-running").stdout.strip() in states, 180, "it does not boot"
        )
        # Connections that Ansible kept open lead to the host before its restart.
        for path in (self.folder / "cp").glob("*"):
            command = ["ssh", "-o", f"ControlPath={path}", "-O", "exit", HOST]
            subprocess.run(command, capture_output=True, check=False)
        self.wait_until(lambda: self.ssh(HOST, "true").returncode == 0, 30, "management is closed")

    def rules(self) -> list[str]:
        """All of ours that the kernel holds, without counters."""
        save = "iptables-save; ip6tables-save"
        text = self.shell(
            HOST, f"({save}) 2>/dev/null | grep DETERMINED || true; ipset save | grep determined_ || true"
        )
        text += self.shell(HOST, "nft --stateless list table inet determined 2>/dev/null || true")
        return sorted(line.split(" [")[0].split(" hashsize")[0] for line in text.splitlines())

    def stored(self) -> str:
        """Everything of ours on disk, with inodes and times: unchanged when nothing was written."""
        found = r"find /etc \( -path '*determined*' -o -name '.*determined*' \) -printf '%p %i %T@ %l\n' | sort"
        return self.shell(HOST, found)

    def told(self) -> str:
        """What our units said since the host booted. (To journald, a container boots with its machine.)"""
        since = ["--since", f"@{self.restarted:.3f}"] if self.restarted else []
        return self.journal(HOST, *since, *(word for unit in UNITS for word in ("-u", unit)))


class Knocker:
    """A process that knocks; ``stop`` ends it."""

    def __init__(self, process: subprocess.Popen[str]):
        self.process = process
        assert process.stdout.readline() == "ready\n"

    def stop(self) -> list[str]:
        """-> a line for each connection that came up."""
        output = self.process.communicate("stop\n", timeout=30)[0].splitlines()
        assert self.process.returncode == 0, output[-5:]
        return output
