# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two hosts as network namespaces, and scripts that play services and distant networks on them."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from ._forger import CHECKSUM

COLLECTIONS = Path(__file__).resolve().parents[2] / "build/collections"

# Runs one function of the host side with what stdin says, as the modules do.
RUNNER = """
import json, resource, sys
sys.path.insert(0, sys.argv[1])
request = json.load(sys.stdin)
if request.get("files"):
    resource.setrlimit(resource.RLIMIT_NOFILE, (request["files"], request["files"]))
from ansible_collections.determined.network.plugins.module_utils._listener import control, daemon
from ansible_collections.determined.network.plugins.module_utils._listener import plan as listener_plan
from ansible_collections.determined.network.plugins.module_utils._probe import (batch)
from ansible_collections.determined.network.plugins.module_utils._probe import (observation as probe_observation)
what = request["what"]
if what == "probe":
    targets = probe_observation.read_targets(request["targets"], request["secret"] or None)
    result = batch.run(targets, request["timeout"], request["window"], request["echo"])
elif what == "start":
    listeners = listener_plan.read_listeners(request["listeners"])
    group = [request[name] for name in ("token", "answer", "secret", "lifetime")]
    result = control.start(daemon.Group(*group, listeners))
elif what == "read":
    result = control.read(request["token"])
elif what == "stop":
    result = control.stop(request["token"])
elif what == "counters":
    result = control.counters()
else:
    result = control.survey()._asdict()
print(json.dumps(result))
"""

SECRET = "a-secret-of-these-two-hosts"

# A service: address, port, and what it does with who connects.
SERVICE = """
import socket, struct, sys, time
address, port, manner = sys.argv[1], int(sys.argv[2]), sys.argv[3]
family = socket.AF_INET6 if ":" in address else socket.AF_INET
server = socket.socket(family, socket.SOCK_DGRAM if manner == "udp" else socket.SOCK_STREAM)
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(manner != "udp"))
server.bind((address, port))
if manner != "udp":
    server.listen(64)
print("ready", flush=True)
kept = []
while True:
    if manner == "udp":
        time.sleep(1)
        continue
    client = server.accept()[0]
    if manner == "banner":      # says something else and closes when the client does
        client.send(b"SSH-2.0-OpenSSH_9.9\\r\\n")
        client.recv(100)
        client.close()
    elif manner == "polite":    # says nothing, closes when the client does
        client.recv(100)
        client.close()
    elif manner == "deaf":      # says nothing and never closes
        kept.append(client)
    elif manner == "reset":     # slams the door
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("=ii", 1, 0))
        client.close()
"""

# A network behind a TUN interface. Ports below 60000 are answered by a RST after a delay;
# from 60000 on, a router answers by ICMP unreachable, whose code is port - 60000.
DISTANCE = (
    CHECKSUM
    + """
import fcntl, heapq, os, select, socket, struct, subprocess, sys, time
delay, router, router6 = float(sys.argv[1]), sys.argv[2], sys.argv[3]
tun = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH", b"far0", 0x1001))  # TUNSETIFF, TUN without header
for command in sys.argv[4:]:
    subprocess.check_call(command.split())
print("ready", flush=True)

def answer(packet):
    six = packet[0] >> 4 == 6
    if six:
        source, destination, protocol, body = packet[8:24], packet[24:40], packet[6], packet[40:]
    else:
        head = 4 * (packet[0] & 15)
        source, destination, protocol, body = packet[12:16], packet[16:20], packet[9], packet[head:]
    if protocol != 6:
        return None
    sport, dport, number = struct.unpack("!HHI", body[:8])
    if dport < 60000:
        sender, kind = destination, 6
        data = struct.pack("!HHIIBBHHH", dport, sport, 0, number + 1, 0x50, 0x14, 0, 0, 0)
        pseudo = destination + source + struct.pack("!II" if six else "!HH", 6, len(data))
        if six:
            pseudo = destination + source + struct.pack("!II", len(data), 6)
        data = data[:16] + struct.pack("!H", checksum(pseudo + data)) + data[18:]
    elif six:
        sender, kind = socket.inet_pton(socket.AF_INET6, router6), 58
        data = struct.pack("!BBHI", 1, dport - 60000, 0, 0) + packet[:500]
        pseudo = sender + source + struct.pack("!II", len(data), 58)
        data = data[:2] + struct.pack("!H", checksum(pseudo + data)) + data[4:]
    else:
        sender, kind = socket.inet_pton(socket.AF_INET, router), 1
        data = struct.pack("!BBHI", 3, dport - 60000, 0, 0) + packet[:28]
        data = data[:2] + struct.pack("!H", checksum(data)) + data[4:]
    if six:
        return struct.pack("!IHBB", 6 << 28, len(data), kind, 64) + sender + source + data
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(data), 0, 0, 64, kind, 0) + sender + source
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + data

queue = []
while True:
    wait = max(0, queue[0][0] - time.monotonic()) if queue else None
    if select.select([tun], [], [], wait)[0]:
        reply = answer(os.read(tun, 2048))
        if reply:
            heapq.heappush(queue, (time.monotonic() + delay, reply))
    while queue and queue[0][0] <= time.monotonic():
        os.write(tun, heapq.heappop(queue)[1])
"""
)

_serial = itertools.count()


def run(*command: str, **more) -> str:
    done = subprocess.run(command, capture_output=True, text=True, **more, check=False)
    assert done.returncode == 0, f"{' '.join(command)[:500]}\n{done.stdout}\n{done.stderr}"
    return done.stdout


class Host:
    """One namespace with one interface, an IPv4 and an IPv6 address."""

    def __init__(self, name: str, number: int):
        self.name, self.ipv4, self.ipv6 = name, f"192.0.2.{number}", f"2001:db8::{number}"
        # The host side runs on older Pythons too: name one of them to see it.
        self.python = os.environ.get("DETERMINED_HOST_PYTHON", sys.executable)
        self.user, self.services = [], []

    def address(self, family: str) -> str:
        return self.ipv4 if family == "ipv4" else self.ipv6

    def run(self, *command: str, **more) -> str:
        return run("ip", "netns", "exec", self.name, *command, **more)

    def rule(self, family: str, *arguments: str) -> None:
        """One rule for the tables of a family: rule("ipv4", "-A", "INPUT", ...)."""
        self.run("iptables" if family == "ipv4" else "ip6tables", "-w", *arguments)

    def ask(self, what: str, **request):
        """Call one function of the host side, see RUNNER."""
        text = self.run(
            *self.user,
            self.python,
            "-c",
            RUNNER,
            str(COLLECTIONS),
            input=json.dumps(dict(request, what=what)),
        )
        return json.loads(text)

    def probe(
        self,
        *targets: dict,
        timeout: float = 3.5,
        window: int = 256,
        echo: bool = False,
        files: int = 0,
        secret: str = SECRET,
    ):
        request = {"timeout": timeout, "window": window, "echo": echo, "files": files, "secret": secret}
        return self.ask("probe", targets=targets, **request)["observations"]

    def listen(self, *listeners: dict, token: str = "t", lifetime: int = 60, files: int = 0) -> dict:
        answer = f"determined.network {token} {self.name}"
        request = {"token": token, "answer": answer, "secret": SECRET, "lifetime": lifetime, "listeners": listeners}
        return self.ask("start", files=files, **request)

    def play(self, script: str, *arguments: str) -> subprocess.Popen:
        """Run a script on this host until the test ends; returns when it is ready."""
        command = ["ip", "netns", "exec", self.name, sys.executable, "-c", script, *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.services.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    def pids(self) -> list[int]:
        return [int(pid) for pid in run("ip", "netns", "pids", self.name).split()]


@contextlib.contextmanager
def two_hosts() -> Iterator[tuple[Host, Host]]:
    """A source and a destination on one wire; everything in them ends with the block."""
    serial = next(_serial)
    hosts = [Host(f"dnprobe-{os.getpid()}-{serial}{letter}", number) for letter, number in (("a", 1), ("b", 2))]
    try:
        for host in hosts:
            run("ip", "netns", "add", host.name)
            run("ip", "-n", host.name, "link", "set", "lo", "up")
        wire = ["link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", hosts[1].name]
        run("ip", "-n", hosts[0].name, *wire)
        for host in hosts:
            run("ip", "-n", host.name, "link", "set", "wire", "up")
            run("ip", "-n", host.name, "address", "add", f"{host.ipv4}/24", "dev", "wire")
            run("ip", "-n", host.name, "address", "add", f"{host.ipv6}/64", "dev", "wire", "nodad")
        for host in hosts:
            _wait_for_carrier(host)
        yield hosts[0], hosts[1]
    finally:
        for host in hosts:
            _clear(host)


def _wait_for_carrier(host: Host) -> None:
    """Until the kernel has noticed the carrier, an interface drops what it is given (ENOBUFS)."""
    until = time.monotonic() + 60  # it can take seconds on a machine that makes many namespaces
    while " state UP " not in run("ip", "-n", host.name, "link", "show", "dev", "wire"):
        assert time.monotonic() < until, f"the wire of {host.name} does not come up"
        time.sleep(0.02)


def _clear(host: Host) -> None:
    for process in host.services:
        process.kill()
        process.wait()
        process.stdout.close()
    if not Path("/run/netns", host.name).exists():
        return
    until = time.monotonic() + 10
    while host.pids() and time.monotonic() < until:
        for pid in host.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
        time.sleep(0.02)
    run("ip", "netns", "delete", host.name)
