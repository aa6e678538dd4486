# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Temporary listeners: where they listen, who controls them, and that they always end."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.integration._probe_hosts import COLLECTIONS, SECRET, SERVICE, run, two_hosts

FAMILIES = ("ipv4", "ipv6")


@pytest.fixture
def hosts():
    with two_hosts() as pair:
        yield pair


def listening(host) -> set[str]:
    """What listens on a host, from the kernel: {"192.0.2.2:1734", ...}."""
    lines = host.run("ss", "-Hltn").splitlines() + host.run("ss", "-Hlun").splitlines()
    return {line.split()[3] for line in lines}


def become_nobody(host) -> None:
    """What the host is asked from now on, it does as an unprivileged user."""
    host.python = "/usr/bin/python3"
    host.user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def become_root(host) -> None:
    host.python, host.user = sys.executable, []


def wait_until(condition, seconds: float) -> float:
    """Wait for a condition; returns how long it took, fails after ``seconds``."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, "waited in vain"
        time.sleep(0.05)
    return time.monotonic() - started


def control_names(host) -> list[str]:
    """The names of the control sockets of a host, as every user can read them."""
    words = host.run("cat", "/proc/net/unix").split()
    return [word[1:] for word in words if word.startswith("@determined.network.listener.")]


def ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_they_listen_where_they_say_and_nowhere_else(hosts):
    _source, destination = hosts
    report = destination.listen(
        {"address": destination.ipv4, "ports": "1734,1750"},
        {"address": destination.ipv6, "ports": "1734"},
        {"address": destination.ipv4, "protocol": "udp", "ports": "1750"},
    )
    assert report["listening"] == [
        {"address": "192.0.2.2", "protocol": "tcp", "ports": "1734,1750"},
        {"address": "192.0.2.2", "protocol": "udp", "ports": "1750"},
        {"address": "2001:db8::2", "protocol": "tcp", "ports": "1734"},
    ]
    assert report["held"] == report["busy"] == report["problems"] == []
    assert listening(destination) == {
        "192.0.2.2:1734",
        "192.0.2.2:1750",
        "[2001:db8::2]:1734",
    }


@pytest.mark.parametrize("bound", ["same", "wildcard"])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("protocol, manner", [("tcp", "polite"), ("udp", "udp")])
def test_a_port_that_a_service_holds_is_left_to_it(hosts, bound, family, protocol, manner):
    _source, destination = hosts
    address = destination.address(family)
    wildcard = "0.0.0.0" if family == "ipv4" else "::"
    service = destination.play(SERVICE, address if bound == "same" else wildcard, "1750", manner)
    report = destination.listen({"address": address, "protocol": protocol, "ports": "1734,1750-1751"})
    assert report["listening"] == [{"address": address, "protocol": protocol, "ports": "1734,1751"}]
    assert report["held"] == [{"address": address, "protocol": protocol, "ports": "1750"}]
    assert report["busy"] == report["problems"] == []
    assert destination.ask("services")["services"][protocol] == "1750"
    assert service.poll() is None


def test_a_port_of_an_outgoing_connection_is_busy_and_not_held(hosts):
    source, destination = hosts
    source.play(SERVICE, source.ipv4, "22", "deaf")
    connection = (
        "import socket, time\n"
        "kept = socket.create_connection(('192.0.2.1', 22), source_address=('192.0.2.2', 40000))\n"
        "print('ready', flush=True)\n"
        "time.sleep(100)\n"
    )
    destination.play(connection)
    report = destination.listen({"address": destination.ipv4, "ports": "40000-40001"})
    assert report["busy"] == [{"address": "192.0.2.2", "protocol": "tcp", "ports": "40000"}]
    assert report["held"] == []
    assert report["listening"] == [{"address": "192.0.2.2", "protocol": "tcp", "ports": "40001"}]


def test_an_address_of_another_host_is_a_problem_of_its_own(hosts):
    _source, destination = hosts
    report = destination.listen(
        {"address": "192.0.2.99", "ports": "1-30000"},
        {"address": "2001:db8::99", "ports": "1"},
        {"address": destination.ipv4, "ports": "1734"},
    )
    assert [item["address"] for item in report["listening"]] == [destination.ipv4]
    assert len(report["problems"]) == 2
    assert report["problems"][0].startswith(
        "the inventory says 192.0.2.99, but no interface here has it; correct determined_address"
    )
    assert report["problems"][1].startswith("the inventory says 2001:db8::99")


def test_low_ports_need_root(hosts):
    _source, destination = hosts
    become_nobody(destination)
    report = destination.listen({"address": destination.ipv4, "ports": "80,1023-1025"})
    assert report["listening"] == [{"address": "192.0.2.2", "protocol": "tcp", "ports": "1024-1025"}]
    assert report["problems"] == ["192.0.2.2 tcp ports 80,1023: listening on these needs root (become: true)"]


def test_stop_ends_them_before_it_returns_and_once(hosts):
    _source, destination = hosts
    pid = destination.listen({"address": destination.ipv4, "ports": "1024-3000"})["pid"]
    state = destination.ask("read", token="t")
    assert state["alive"] is True
    assert state["pid"] == pid
    assert 50 < state["seconds_left"] <= 60
    assert destination.ask("stop", token="t") is True
    assert listening(destination) == set()
    assert destination.ask("stop", token="t") is False
    assert destination.ask("read", token="t") is None
    wait_until(lambda: destination.pids() == [], 5)


def test_they_end_by_themselves_at_their_deadline(hosts):
    _source, destination = hosts
    destination.listen({"address": destination.ipv4, "ports": "1024-3000"}, lifetime=2)
    assert len(listening(destination)) == 1977
    assert 1.0 < wait_until(lambda: destination.pids() == [], 4) < 2.8
    assert destination.ask("read", token="t") is None


def test_they_end_at_their_deadline_even_when_hung(hosts):
    _source, destination = hosts
    pid = destination.listen({"address": destination.ipv4, "ports": "1734"}, lifetime=1)["pid"]
    # A client that says nothing keeps the supervisor waiting past its deadline: its alarm goes off.
    silent = (
        "import socket, sys, time\n"
        "sock = socket.socket(socket.AF_UNIX)\n"
        "sock.connect('\\0' + sys.argv[1])\n"
        "print('ready', flush=True)\n"
        "time.sleep(100)\n"
    )
    destination.play(silent, control_names(destination)[0])
    assert wait_until(lambda: ended(pid), 4.5) < 3.5
    wait_until(lambda: listening(destination) == set(), 1)


def test_the_workers_end_with_a_killed_supervisor(hosts):
    _source, destination = hosts
    pid = destination.listen({"address": destination.ipv4, "ports": "1734"})["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: destination.pids() == [], 3)
    assert listening(destination) == set()
    assert destination.ask("read", token="t") is None


def test_a_killed_worker_is_not_called_alive(hosts):
    _source, destination = hosts
    pid = destination.listen({"address": destination.ipv4, "ports": "1734"})["pid"]
    (worker,) = [other for other in destination.pids() if other != pid]
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: destination.ask("read", token="t")["alive"] is False, 3)


def test_a_second_start_replaces_the_first_and_nobody_elses(hosts):
    source, destination = hosts
    first = destination.listen({"address": destination.ipv4, "ports": "1734,1750"})
    other = destination.listen({"address": destination.ipv4, "ports": "2000"}, token="other")
    second = destination.listen({"address": destination.ipv4, "ports": "1750-1751"})
    assert second["listening"] == [{"address": "192.0.2.2", "protocol": "tcp", "ports": "1750-1751"}]
    assert second["held"] == []
    assert ended(first["pid"])
    assert destination.ask("read", token="other")["pid"] == other["pid"]
    assert destination.ask("services") == {"services": {"tcp": "", "udp": ""}, "notes": []}
    target = {"address": destination.ipv4, "ports": "1734,1750-1751,2000", "identify": "1750-1751,2000"}
    (seen,) = source.probe(target)
    assert seen["refused"] == "1734"
    assert seen["answers"] == {
        f"determined.network t {destination.name}": "1750-1751",
        f"determined.network other {destination.name}": "2000",
    }


def test_one_token_on_two_hosts_is_two_groups(hosts):
    source, destination = hosts
    for host in hosts:
        host.listen({"address": host.ipv4, "ports": "1734"})
    assert source.ask("stop", token="t") is True
    assert destination.ask("read", token="t")["alive"] is True


def test_another_user_controls_nothing(hosts):
    _source, destination = hosts
    destination.listen({"address": destination.ipv4, "ports": "1734"})
    become_nobody(destination)
    assert destination.ask("stop", token="t") is False
    assert destination.ask("read", token="t") is None
    destination.listen({"address": destination.ipv4, "ports": "1750"}, token="t")
    become_root(destination)
    assert destination.ask("read", token="t")["listening"][0]["ports"] == "1734"
    assert destination.ask("stop", token="t") is True
    assert listening(destination) == {"192.0.2.2:1750"}  # root does not believe, and does not end, the other user's
    become_nobody(destination)
    assert destination.ask("stop", token="t") is True
    assert listening(destination) == set()


def test_forty_six_thousand_listeners_say_who_they_are(hosts):
    source, destination = hosts
    ports = "1024-47023"
    limit = int(destination.run("bash", "-c", "ulimit -Hn"))
    report = destination.listen({"address": destination.ipv4, "ports": ports}, files=min(limit, 20000))
    assert report["listening"] == [{"address": "192.0.2.2", "protocol": "tcp", "ports": ports}]
    assert len(destination.pids()) == 4  # three workers, with less than 20000 files each
    # A reset without ACK answers an ACK, not a SYN: on a busy machine the source's own reset may overtake its ACK.
    overtaken = ("-p", "tcp", "--sport", "1024:47023", "--tcp-flags", "SYN,ACK,RST", "RST")
    source.rule("ipv4", "-A", "INPUT", *overtaken, "-j", "ACCEPT")
    before = destination.ask("counters")["tcp_resets_sent"]
    (seen,) = source.probe({"address": destination.ipv4, "ports": "1024-65535", "identify": ports})
    assert seen["answers"] == {f"determined.network t {destination.name}": ports}
    assert (seen["open"], seen["refused"]) == (ports, "47024-65535")
    # So many connections are left by a reset each, for the sake of connection tracking on the way.
    assert (seen["resets_sent"], seen["resets_received"]) == (46000, 0)
    # The destination has reset the closed ports and nothing else. A port that was probed twice may be reset twice.
    (packets,) = re.findall(r"^\[(\d+):\d+\] -A INPUT ", source.run("iptables-save", "-c"), re.MULTILINE)
    resets = destination.ask("counters")["tcp_resets_sent"] - before - int(packets)
    assert 18512 <= resets <= 18512 + seen["refused_repeatedly"]
    assert destination.ask("stop", token="t") is True
    assert listening(destination) == set()


def test_few_files_mean_more_processes(hosts):
    source, destination = hosts
    report = destination.listen({"address": destination.ipv4, "ports": "2000-2999"}, files=256)
    assert report["listening"] == [{"address": "192.0.2.2", "protocol": "tcp", "ports": "2000-2999"}]
    (seen,) = source.probe({"address": destination.ipv4, "ports": "2000-2999", "identify": "2000-2999"})
    assert seen["answers"] == {f"determined.network t {destination.name}": "2000-2999"}


# -- as modules, through Ansible ---------------------------------------------------------------


def play_module(host, folder: Path, name: str, *extra: str, **arguments) -> tuple[int, dict]:
    """Run a module on a host by ``ansible`` -> its return code and result."""
    command = [str(Path(sys.executable).parent / "ansible"), "host", "-i", "host,", "-c", "local", *extra]
    config = folder / "ansible.cfg"
    config.write_text("[defaults]\n")
    command += ["-e", f"ansible_python_interpreter={sys.executable}", "-t", str(folder)]
    command += ["-m", f"determined.network.{name}", "-a", json.dumps(arguments)]
    environment = dict(os.environ, ANSIBLE_COLLECTIONS_PATH=str(COLLECTIONS), ANSIBLE_CONFIG=str(config))
    # The pipe is read to its end: a daemon that kept it open would let this wait for its deadline.
    done = subprocess.run(
        ["ip", "netns", "exec", host.name, *command], capture_output=True, text=True, env=environment, check=False
    )
    text = (folder / "host").read_text() if (folder / "host").exists() else done.stdout + done.stderr
    return done.returncode, json.loads(text)


def test_the_module_returns_at_once_and_leaves_a_detached_process(hosts, tmp_path):
    source, destination = hosts
    wanted = {
        "token": "run-1",
        "answer": "determined.network run-1 agent2",
        "secret": SECRET,
        "lifetime": 100,
        "listeners": [{"address": destination.ipv4, "ports": "1734"}],
    }
    started = time.monotonic()
    code, result = play_module(destination, tmp_path, "listener", **wanted)
    assert time.monotonic() - started < 30
    assert (code, result["changed"], result["alive"]) == (0, True, True)
    assert set(result["counters"]) == {"tcp_resets_sent", "ipv4_packets_received", "ipv6_packets_received"}
    assert result["listening_services"] == {"tcp": "", "udp": ""}
    pid = result["pid"]
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    assert {os.readlink(f"/proc/{pid}/fd/{number}") for number in (0, 1, 2)} == {"/dev/null"}
    assert os.getsid(pid) not in (os.getsid(0), pid)  # its session has no leader, so no terminal
    code, result = play_module(
        source,
        tmp_path,
        "probe",
        targets=[{"address": destination.ipv4, "ports": "1733-1734", "identify": "1734"}],
        echo=True,
        secret=SECRET,
    )
    assert (code, result["changed"]) == (0, False)
    assert result["observations"][0]["answers"] == {"determined.network run-1 agent2": "1734"}
    for changed in (True, False):
        code, result = play_module(destination, tmp_path, "listener", token="run-1", state="stopped")
        assert (code, result["changed"], result["alive"]) == (0, changed, False)


def test_check_mode_does_nothing_and_says_so(hosts, tmp_path):
    _source, destination = hosts
    listeners = [{"address": destination.ipv4, "ports": "1734"}]
    wanted = {"token": "t", "answer": "x", "secret": SECRET, "listeners": listeners}
    _code, result = play_module(destination, tmp_path, "listener", "--check", **wanted)
    assert (result["changed"], result["listening"], result["pid"]) == (True, [], None)
    assert result["msg"] == "check mode: no listeners were started or stopped"
    assert destination.pids() == []
    destination.listen(*listeners)
    _code, result = play_module(destination, tmp_path, "listener", "--check", token="t", state="stopped")
    assert (result["changed"], result["alive"]) == (True, True)
    _code, result = play_module(destination, tmp_path, "listener", "--check", token="t", state="read")
    assert (result["changed"], result["alive"]) == (False, True)


@pytest.mark.parametrize(
    "name, arguments, words",
    [
        ("listener", {"token": "a b", "state": "read"}, "1 to 64 letters"),
        ("listener", {"token": "t"}, "state is started but all of the following are missing"),
        (
            "listener",
            {"token": "t", "answer": "a\nb", "secret": SECRET, "listeners": [{"address": "192.0.2.2", "ports": "1"}]},
            "not one line of 1 to 200 bytes",
        ),
        (
            "listener",
            {"token": "t", "answer": "a", "secret": "x7", "listeners": [{"address": "192.0.2.2", "ports": "1"}]},
            "secret is shorter than 16 characters",
        ),
        (
            "listener",
            {
                "token": "t",
                "answer": "a",
                "secret": SECRET,
                "lifetime": 0,
                "listeners": [{"address": "x", "ports": "y"}],
            },
            "listeners[0].address is 'x', not an IPv4 or IPv6 address; listeners[0].ports: 'y'",
        ),
        ("probe", {"targets": [{"address": "agent2", "ports": "1"}]}, "targets[0].address is 'agent2'"),
        ("probe", {"targets": [], "timeout": 0.01}, "timeout is 0.01, not 0.1 to 60 seconds"),
        ("probe", {"targets": [], "window": 0}, "window is 0, not 1 to"),
    ],
)
def test_wrong_parameters_are_explained(hosts, tmp_path, name, arguments, words):
    code, result = play_module(hosts[0], tmp_path, name, **arguments)
    assert code != 0
    assert words in result["msg"]


def test_nothing_is_left_of_a_pair_of_hosts():
    with two_hosts() as pair:
        pair[1].listen({"address": pair[1].ipv4, "ports": "1734"})
        names = [host.name for host in pair]
        pids = pair[1].pids()
    assert not any(name in run("ip", "netns", "list") for name in names)
    assert all(ended(pid) for pid in pids)
