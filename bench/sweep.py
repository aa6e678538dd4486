# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast a sweep of all ephemeral ports is, beside nmap -sT over the same wire.

Run as root, with nmap installed. Makes two network namespaces, and removes them. Prints, for
IPv4 and IPv6, the wall time of either whole process (median of the runs, taken in turn) and
their ratio; then the time of a sweep over 65,535 dropped ports. Exits with 1 when a ratio is
above 2 or an answer is wrong.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

COLLECTIONS = Path(__file__).resolve().parents[1] / "build/collections"
HOSTS = [f"dnprobe-bench-{os.getpid()}{letter}" for letter in "ab"]
ADDRESSES = {"ipv4": "192.0.2.2", "ipv6": "2001:db8::2"}
PORTS = "1024-65535"
RUNS = 5
MOST = 2.0

PROBE = """
import json, sys
sys.path.insert(0, sys.argv[1])
from ansible_collections.determined.network.plugins.module_utils._probe import (batch)
from ansible_collections.determined.network.plugins.module_utils._probe import (observation as probe_observation)
request = json.loads(sys.argv[2])
targets = probe_observation.read_targets(request["targets"])
print(json.dumps(batch.run(targets, request["timeout"], 256, False)["observations"]))
"""


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def build() -> None:
    source, destination = HOSTS
    for name in HOSTS:
        run("ip", "netns", "add", name)
    peer = ["type", "veth", "peer", "name", "wire", "netns", destination]
    run("ip", "-n", source, "link", "add", "wire", *peer)
    for number, name in enumerate(HOSTS, 1):
        run("ip", "-n", name, "link", "set", "wire", "up")
        run("ip", "-n", name, "address", "add", f"192.0.2.{number}/24", "dev", "wire")
        run("ip", "-n", name, "address", "add", f"2001:db8::{number}/64", "dev", "wire", "nodad")
    while any(" state UP " not in run("ip", "-n", name, "link", "show", "dev", "wire") for name in HOSTS):
        time.sleep(0.02)


def remove() -> None:
    for name in HOSTS:
        subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


def timed(*command: str) -> tuple[float, str]:
    started = time.perf_counter()
    text = run("ip", "netns", "exec", HOSTS[0], *command)
    return time.perf_counter() - started, text


def probe(address: str, ports: str, timeout: float) -> tuple[float, dict]:
    request = json.dumps({"targets": [{"address": address, "ports": ports}], "timeout": timeout})
    seconds, text = timed(sys.executable, "-c", PROBE, str(COLLECTIONS), request)
    return seconds, json.loads(text)[0]


def nmap(family: str, address: str) -> tuple[float, str]:
    extra = ["-6"] if family == "ipv6" else []
    return timed("nmap", "-sT", "-n", "-Pn", "--max-retries", "2", "-p", PORTS, *extra, address)


def compare(family: str) -> bool:
    address, ours, theirs, right = ADDRESSES[family], [], [], True
    for _unused in range(RUNS):
        seconds, text = nmap(family, address)
        theirs.append(seconds)
        right = right and "64512 closed" in text
        seconds, seen = probe(address, PORTS, 3.5)
        ours.append(seconds)
        right = right and seen["refused"] == PORTS
    mine, other = statistics.median(ours), statistics.median(theirs)
    ratio = mine / other
    print(
        f"64,512 closed ports, {family}: probe {mine:.2f} s, nmap -sT {other:.2f} s, ratio {ratio:.2f}",
        end="",
    )
    print(f" (at most {MOST:.0f}); {mine / 64512 * 1e6:.1f} microseconds per port", end="")
    print("" if right else "; WRONG ANSWERS")
    return right and ratio <= MOST


def dropped() -> bool:
    drop = ["iptables", "-A", "INPUT", "-p", "tcp", "-j", "DROP"]
    run("ip", "netns", "exec", HOSTS[1], *drop)
    seconds, seen = probe(ADDRESSES["ipv4"], "1-65535", 1.0)
    right = seen["filtered"] == "1-65535"
    print(f"65,535 dropped ports, timeout 1.0 s: {seconds:.2f} s{'' if right else '; WRONG ANSWERS'}")
    return right


def main() -> int:
    if not (COLLECTIONS / "ansible_collections/determined/network").exists():
        link = COLLECTIONS / "ansible_collections/determined/network"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(COLLECTIONS.parents[1])
    try:
        build()
        good = [compare("ipv4"), compare("ipv6"), dropped()]
    finally:
        remove()
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
