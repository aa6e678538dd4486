# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rehearsal's namespaces on this machine's real kernel, as root and as an ordinary user."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from . import _rehearsing as rehearsing

# Hosts of three subnets; one has IPv6 alone, one IPv4 alone.
HOSTS = {
    "master": ["192.0.2.10", "2001:db8:1::10"],
    "agent1": ["198.51.100.7", "2001:db8:2::7"],
    "agent2": ["203.0.113.9"],
    "six": ["2001:db8:3::9"],
}

SERVER = """
import socket, sys
listener = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind((sys.argv[1], 1734))
listener.listen(5)
print("ready", flush=True)
while True:
    connection, peer = listener.accept()
    connection.sendall((socket.gethostname() + " " + peer[0]).encode())
    connection.close()
"""

CLIENT = """
import socket, sys
with socket.create_connection((sys.argv[1], 1734), 1.5) as connection:
    print(connection.recv(100).decode())
"""


@pytest.fixture
def lab(person, name):
    found = person.build(name, HOSTS, os.getpid())
    yield found
    found.stop()
    assert found.traces() == []


def serve(lab, host, address):
    server = lab.popen(host, lab.person.python, "-c", SERVER, address, stdout=subprocess.PIPE)
    assert server.stdout.readline() == "ready\n"
    return server


def ask(lab, host, address):
    """Connect from ``host`` to ``address`` -> the answer, or the name of the error."""
    done = lab.run(host, lab.person.python, "-c", CLIENT, address)
    return done.stdout.strip() if done.returncode == 0 else done.stderr.strip().splitlines()[-1].split(":")[0]


# ---- the network


@pytest.mark.parametrize(
    "source, destination, address, seen",
    [
        ("agent1", "master", "192.0.2.10", "198.51.100.7"),
        ("agent2", "master", "192.0.2.10", "203.0.113.9"),
        ("master", "agent2", "203.0.113.9", "192.0.2.10"),
        ("agent1", "master", "2001:db8:1::10", "2001:db8:2::7"),
        ("six", "agent1", "2001:db8:2::7", "2001:db8:3::9"),
        ("master", "six", "2001:db8:3::9", "2001:db8:1::10"),
        ("master", "master", "192.0.2.10", "192.0.2.10"),
    ],
)
def test_hosts_of_different_subnets_reach_each_other(lab, source, destination, address, seen):
    server = serve(lab, destination, address)
    try:
        assert ask(lab, source, address) == f"{destination} {seen}"
    finally:
        rehearsing.end(server)


def test_there_is_no_way_out(lab):
    # A listener of this machine's own network is not there, and neither is any address outside.
    with_listener = subprocess.Popen([sys.executable, "-c", SERVER, "127.0.0.1"], stdout=subprocess.PIPE, text=True)
    try:
        assert with_listener.stdout.readline() == "ready\n"
        assert ask(lab, "master", "127.0.0.1") == "ConnectionRefusedError"
        assert ask(lab, "master", "192.0.2.99") == "OSError"
        assert ask(lab, "master", "2001:db8:ffff::1") == "OSError"
        assert ask(lab, "agent2", "2001:db8:1::10") == "OSError"  # no IPv6 of its own
    finally:
        rehearsing.end(with_listener)
    keeper = lab.state["keeper"]["pid"]
    devices = Path(f"/proc/{keeper}/net/dev").read_text().splitlines()[2:]
    assert {line.split(":")[0].strip() for line in devices} == {"lo", "v0", "v1", "v2", "v3"}


def test_a_host_is_called_by_its_name_and_sees_its_own_devices(lab):
    assert lab.shell("agent1", "hostname; id -u; ls /sys/class/net; cat /proc/1/comm").split() == [
        "agent1",
        "0",
        "eth0",
        "lo",
        "rehearsal-keep",
    ]


def test_packet_filters_are_real_and_each_hosts_own(lab):
    server = serve(lab, "master", "192.0.2.10")
    try:
        lab.shell(
            "master",
            "ipset create rehearsed hash:ip; ipset add rehearsed 198.51.100.7;"
            "iptables -A INPUT -m set --match-set rehearsed src -j DROP",
        )
        assert ask(lab, "agent1", "192.0.2.10") == "TimeoutError"
        assert ask(lab, "agent2", "192.0.2.10") == "master 203.0.113.9"
        # Only their names count: others may change this machine's rules meanwhile.
        for save in (["iptables-save"], ["ipset", "save"]):
            assert b"rehearsed" not in subprocess.run(save, capture_output=True, check=True).stdout
        lab.shell("master", "iptables -F INPUT")
        assert ask(lab, "agent1", "192.0.2.10") == "master 198.51.100.7"
    finally:
        rehearsing.end(server)
    assert lab.shell("agent1", "iptables-save; ipset list -n") == ""


@pytest.mark.parametrize(
    "host, message",
    [("agent1", "neighbour-advertisement"), ("master", "neighbour-solicitation")],
)
def test_a_policy_that_forgets_neighbour_discovery_fails_here_too(lab, host, message):
    server = serve(lab, "master", "2001:db8:1::10")
    try:
        lab.shell(host, f"ip6tables -A INPUT -p icmpv6 --icmpv6-type {message} -j DROP")
        assert ask(lab, "agent1", "2001:db8:1::10") in ("TimeoutError", "OSError")
        lab.shell(host, "ip6tables -F INPUT; ip -6 neigh flush dev eth0")
        deadline = time.monotonic() + 20
        while ask(lab, "agent1", "2001:db8:1::10") != "master 2001:db8:2::7":
            assert time.monotonic() < deadline
    finally:
        rehearsing.end(server)


def test_more_hosts_than_discovery_is_for(desk, name):
    hosts = {f"h{index:03d}": [f"192.0.2.{index}", f"2001:db8::{index:x}"] for index in range(1, 202)}
    lab = rehearsing.Person(0, desk).build(name, hosts, os.getpid())
    try:
        for address, seen in (("192.0.2.201", "192.0.2.1"), ("2001:db8::c9", "2001:db8::1")):
            server = serve(lab, "h201", address)
            try:
                assert ask(lab, "h001", address) == f"h201 {seen}"
            finally:
                rehearsing.end(server)
        assert "PERMANENT" in lab.shell("h001", "ip neigh")
    finally:
        lab.stop()
    assert lab.traces() == []


# ---- the files


def test_what_is_written_in_a_host_stays_there(lab, name):
    etc = Path("/etc/hosts").read_bytes()
    places = [
        f"/etc/{name}",
        f"/etc/default/{name}",
        # Not /var/lib: with Docker on this machine something is mounted below it.
        f"/var/spool/{name}",
        f"/usr/local/sbin/{name}",
        f"/run/{name}",
    ]
    for place in places:
        lab.shell("master", f"echo private > {place}")
    lab.shell(
        "master",
        "echo 192.0.2.10 changed >> /etc/hosts; rm /etc/passwd; mkdir /etc/default/new; mv /etc/group /etc/g",
    )
    lab.shell("master", f"grep -q changed /etc/hosts; cat {' '.join(places)}; test ! -e /etc/passwd; test -s /etc/g")
    assert lab.shell("agent1", "ls /run; cat /etc/hosts") == "lock\n" + etc.decode()
    for place in places:
        assert lab.run("agent1", "test", "-e", place).returncode == 1
        assert not os.path.exists(place)
    assert Path("/etc/hosts").read_bytes() == etc
    assert os.path.getsize("/etc/passwd")
    assert os.path.getsize("/etc/group")
    assert not os.path.exists("/etc/default/new")


def test_homes_and_tmp_are_the_machines_own(lab, person):
    file = person.write("mine", "here")
    assert lab.shell("master", f"cat {file}") == "here"
    lab.shell("master", f"echo there > {file}")
    assert file.read_text() == "there\n"


def test_the_machines_own_settings_are_out_of_reach(lab):
    before = Path("/proc/sys/vm/swappiness").read_text()
    assert lab.run("master", "/bin/sh", "-c", "echo 7 > /proc/sys/vm/swappiness").returncode != 0
    assert Path("/proc/sys/vm/swappiness").read_text() == before
    lab.shell("master", "echo 1 > /proc/sys/net/ipv4/ip_forward")


def test_what_was_mounted_below_a_private_directory_is_seen_and_private(desk, name):
    # As in a container, where single files of /etc are mounted, or with /var/lib on its own disk.
    person = rehearsing.Person(0, desk)
    script = """set -e
        mount -t tmpfs tmpfs /var/lib; echo disk > /var/lib/data
        mkdir /run/n; echo 'mounted' > /run/n/hosts; mount --bind /run/n/hosts /etc/hosts
        state=$("$0" -c "$1" "$2")
        enter() { nsenter $(echo "$state" | "$0" -c '
import json, sys
for item in json.load(sys.stdin)["namespaces"]["a"]["files"].items(): print("--%s=%s" % item)') -- "$@"; }
        enter cat /var/lib/data /etc/hosts
        enter sh -c 'echo new > /var/lib/data; echo new > /etc/hosts; cat /var/lib/data /etc/hosts'
        cat /var/lib/data /etc/hosts
        kill $(echo "$state" | "$0" -c 'import json, sys; print(json.load(sys.stdin)["watcher"]["pid"])')"""
    request = rehearsing.request(name, {"a": ["192.0.2.1"]})
    inside = f"mount -t tmpfs tmpfs /run; {script}"
    done = person.run("unshare", "--mount", "sh", "-c", inside, person.python, rehearsing.BUILD, request)
    assert done.stderr == ""
    assert done.stdout.split() == ["disk", "mounted", "new", "new", "disk", "mounted"]


# ---- the end


def start_owner():
    # Tests that run in the background of a shell inherit from it that SIGINT is ignored.
    return subprocess.Popen(["env", "--default-signal=INT", "sleep", "600"])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_nothing_is_left_when_the_owner_is_gone(person, name, number):
    owner = start_owner()
    try:
        lab = person.build(name, HOSTS, owner.pid)
        inside = lab.popen("master", "sleep", "612")
        while len(rehearsing.processes_with("612")) < 2:  # nsenter and sleep
            time.sleep(0.01)
        assert len(lab.traces()) >= 5  # two processes, keeper and sleep once more, the file
        owner.send_signal(number)
        # Not yet waited for: a zombie is gone, too.
        lab.wait_until_gone()
        inside.wait(timeout=5)
        assert rehearsing.processes_with("612") == []
    finally:
        rehearsing.end(owner)


def test_nothing_is_left_when_its_own_processes_are_killed(person, name):
    for victim in ("watcher", "keeper"):
        lab = person.build(name, HOSTS, os.getpid())
        os.kill(lab.state[victim]["pid"], signal.SIGKILL)
        deadline = time.monotonic() + 5
        while [trace for trace in lab.traces() if not trace.endswith(".json")]:
            assert time.monotonic() < deadline, lab.traces()
            time.sleep(0.02)
    # The watcher could not remove its file; the next rehearsal did.
    assert lab.traces() == []


def test_a_killed_build_leaves_nothing(person, name):
    owner = start_owner()
    hosts = {f"h{index}": [f"10.0.{index >> 8}.{index & 255}"] for index in range(1, 400)}
    builder = subprocess.Popen(
        person.command(
            person.python,
            "-c",
            rehearsing.BUILD,
            rehearsing.request(name, hosts, owner.pid),
        ),
        env=person.environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        keepers = []
        while not keepers:
            keepers = [
                pid
                for pid in children_of_children(builder.pid)
                if rehearsing.comm(Path(f"/proc/{pid}/comm")) == "rehearsal-keep"
            ]
        owner.kill()
        assert "was ended while it was being built" in builder.communicate(timeout=10)[1]
        assert not any(rehearsing.running(pid) for pid in keepers)
        assert not [path for path in person.state_files() if path.name.startswith(name)]
    finally:
        rehearsing.end(owner)
        rehearsing.end(builder)


def children_of_children(pid):
    def children(parent):
        try:
            return Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        except OSError:
            return []

    return [int(grandchild) for child in children(pid) for grandchild in children(child)]


# ---- more than one


def test_rehearsals_of_two_names_and_two_users_run_at_once(desk, name):
    people = [rehearsing.Person(user, desk) for user in (0, 0, rehearsing.ORDINARY, rehearsing.ANOTHER)]
    names = [name, name + "-2", name, name]
    labs = []
    try:
        for person, own in zip(people, names, strict=True):
            labs.append(person.build(own, HOSTS, os.getpid()))
        for index, lab in enumerate(labs):
            lab.shell("master", f"echo {index} > /etc/mark; ip link add mark{index} type bridge")
        for index, lab in enumerate(labs):
            assert lab.shell("master", "cat /etc/mark; ls /sys/class/net").split() == [
                str(index),
                "eth0",
                "lo",
                f"mark{index}",
            ]
        # Nobody enters another's.
        theirs = labs[2].state["namespaces"]["master"]["files"]
        done = people[3].run("nsenter", f"--user={theirs['user']}", f"--net={theirs['net']}", "true")
        assert done.returncode != 0
        assert "Permission denied" in done.stderr
    finally:
        for lab in labs:
            lab.stop()
    assert [lab.traces() for lab in labs] == [[]] * 4
