# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nobody is locked out: over real SSH, on hosts with systemd, as an ordinary user with sudo; twenty tries of each kind.

On half of the hosts logind kills what a session leaves behind (KillUserProcesses=yes).
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from ._firewall_host import policy, rule
from ._ssh_session import Session
from .systemd_lab import TOOLS, SystemdLab

HOSTS = {f"agent{number}": "determined_agents" for number in range(1, 5)}
KILLING = ("agent1", "agent2")  # where a session's end kills its processes
ROUNDS = 5
SECONDS = 18  # confirm_timeout

AGENTS = {"ipv4": ["192.0.2.0", "198.51.100.0"], "ipv6": ["2001:db8:ffff::/48"]}  # nobody in the lab
ANYBODY = {"ipv4": ["0.0.0.0/0"], "ipv6": ["::/0"]}
PEERS = {"agents": AGENTS, "anybody": ANYBODY}
ROWS = [rule("tcp", "1-65535", "agents")]
GOOD = policy("restrict", PEERS, ROWS, [], [rule("tcp", "22", "anybody")])
# Each forgets the controller in another way.
EXCLUDING = [
    policy("restrict", PEERS, ROWS),
    policy("restrict", PEERS, ROWS, [], [rule("tcp", "22", "agents")]),
    policy("restrict", PEERS, ROWS, [], [rule("tcp", "23-1024", "anybody")]),
    policy("restrict", PEERS, [*ROWS, rule("udp", "22", "anybody")], [], [rule("tcp", "2222", "anybody")]),
    policy("restrict", PEERS, ROWS, [rule("tcp", "22", "anybody")]),
]
assert len(EXCLUDING) == ROUNDS and len(HOSTS) * ROUNDS == 20


@pytest.fixture(scope="module")
def lab():
    with SystemdLab(HOSTS) as made:
        for host in KILLING:
            made.write(host, "/etc/systemd/logind.conf.d/kill.conf", "[Login]\nKillUserProcesses=yes\n")
            made.shell(host, "systemctl restart systemd-logind; loginctl --no-legend list-sessions")
        made.inventory()
        yield made


@pytest.fixture(scope="module")
def sessions(lab):
    """One session to each host that is older than every change."""
    found = {host: Session(lab, host) for host in HOSTS}
    try:
        assert all(session.lives() for session in found.values())
        yield found
    finally:
        for session in found.values():
            session.close()


def begin(lab: SystemdLab, items: list[dict], **environment: str) -> subprocess.Popen:
    """Start a play that runs the module with each of ``items``, on all hosts at once, in a session of its own."""
    task = {
        "name": "firewall",
        "determined.network.firewall": "{{ item }}",
        "loop": items,
        "register": "outcome",
        "failed_when": False,
    }
    book = lab.folder / "lockout.json"
    book.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": [task]}]))
    more = {"ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json", "ANSIBLE_INJECT_FACT_VARS": "False", **environment}
    return subprocess.Popen(
        [str(TOOLS / "ansible-playbook"), "-i", str(lab.folder / "inventory.yml"), str(book)],
        env=lab.environment(**more),
        cwd=lab.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def results(process: subprocess.Popen) -> dict[str, list[dict]]:
    """Wait for a play -> host -> the module's results, one for each item."""
    out, err = process.communicate(timeout=400)
    start = out.find("{\n")
    assert start >= 0, out + err
    report = json.JSONDecoder().raw_decode(out[start:])[0]
    hosts = report["plays"][0]["tasks"][0]["hosts"]
    assert set(hosts) == set(HOSTS), out + err
    return {host: found["results"] for host, found in hosts.items()}


def arguments(asked: dict, **more: object) -> dict:
    return {"backend": "iptables", "policy": asked, **more}


def rules(lab: SystemdLab, host: str) -> list[str]:
    text = lab.shell(host, "iptables-save -t filter; ip6tables-save -t filter; iptables-save -t mangle; ipset list -n")
    return [line.partition(" [")[0] for line in text.splitlines() if not line.startswith("#")]


def all_rules(lab: SystemdLab) -> dict[str, list[str]]:
    return {host: rules(lab, host) for host in HOSTS}


def left_in_run(lab: SystemdLab, host: str) -> list[str]:
    return lab.shell(host, "ls -A /run/determined-network 2>/dev/null || true").split()


def test_a_policy_that_excludes_the_controller_is_refused(lab, sessions):
    before = all_rules(lab)
    found = results(begin(lab, [arguments(asked) for asked in EXCLUDING]))
    outcomes = [outcome for host in HOSTS for outcome in found[host]]
    assert len(outcomes) == 20
    for outcome in outcomes:
        assert outcome["msg"].startswith("Refused, nothing was changed"), outcome
        for word in (lab.controller[0], "port 22", "determined_management", "allow_lockout"):
            assert word in outcome["msg"]
    assert all_rules(lab) == before
    assert not any(left_in_run(lab, host) for host in HOSTS)
    assert all(session.lives() for session in sessions.values())


def test_an_interface_of_containers_that_carries_the_connection_is_refused(lab):
    """All that came through it would pass: nobody would be locked out, and nobody kept out. Insisting does not help."""
    before = all_rules(lab)
    found = results(begin(lab, [arguments(GOOD, container_interfaces=["br-+", "eth+"], allow_lockout=True)]))
    for outcomes in found.values():
        assert outcomes[0]["msg"].startswith("Refused, nothing was changed"), outcomes
        for word in (
            "eth0",
            f"SSH connection from {lab.controller[0]}",
            "'eth+'",
            "determined_firewall_container_interfaces",
        ):
            assert word in outcomes[0]["msg"], outcomes[0]["msg"]
    assert all_rules(lab) == before


def test_a_forced_policy_is_rolled_back_and_older_sessions_live_on(lab, sessions):
    """In the meantime the hosts really are closed to new connections, and the old session still talks."""
    first = results(begin(lab, [arguments(GOOD)]))
    assert all(outcomes[0]["confirmed"] for outcomes in first.values()), first
    before = all_rules(lab)
    items = [arguments(asked, allow_lockout=True, confirm_timeout=SECONDS) for asked in EXCLUDING]
    process = begin(lab, items)
    closed = set()
    while process.poll() is None and closed != set(HOSTS):
        for host in set(HOSTS) - closed:
            if "armed" in "".join(left_in_run(lab, host)) and "--dport 22" not in "\n".join(rules(lab, host)):
                assert sessions[host].lives(), f"{host}: the session died with the change"
                closed.add(host)
    found = results(process)
    outcomes = [outcome for host in HOSTS for outcome in found[host]]
    assert len(outcomes) == 20
    for outcome in outcomes:
        assert outcome["restored"] is True and outcome["changed"] is False, outcome
        assert "has restored the old state" in outcome["msg"], outcome
    assert closed == set(HOSTS), "no host was seen in its locked state"
    assert all_rules(lab) == before
    assert all(session.lives() for session in sessions.values())


STOPPING_SSH = """#!/bin/sh
# Stands in for ssh until the confirmation: that one never leaves, nor does the question that comes before it.
case "$*" in
  *armed-* | *SSH_CONNECTION*) touch "{folder}/stopped-$$"; exec sleep 1000 ;;
esac
exec ssh "$@"
"""


def ours(folder: Path) -> list[int]:
    """Processes that this test started: those whose command line names the lab's folder, except sessions."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            line = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if any(str(folder / "cp") in word for word in line):
                found.append(int(entry.name))
    return found


def kill(process: subprocess.Popen, lab: SystemdLab) -> None:
    """The controller dies: ansible-playbook with its workers, and the ssh connections that it keeps open."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    for pid in ours(lab.folder):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_a_controller_that_dies_before_it_confirms_is_rolled_back(lab, sessions):
    ssh = lab.folder / "stopping-ssh"
    ssh.write_text(STOPPING_SSH.format(folder=lab.folder))
    ssh.chmod(0o755)
    first = results(begin(lab, [arguments(GOOD)]))
    assert all(outcomes[0].get("confirmed") or not outcomes[0]["changed"] for outcomes in first.values()), first
    before = all_rules(lab)
    rolled_back = 0
    for number in range(ROUNDS):
        more = rule("tcp", str(8000 + number), "anybody")
        asked = policy("restrict", PEERS, [*ROWS, more], [], GOOD["management"])
        process = begin(lab, [arguments(asked, confirm_timeout=SECONDS)], ANSIBLE_SSH_EXECUTABLE=str(ssh))
        # Each host has told that its change is made and awaits the confirmation.
        wait_until(lambda: len(list(lab.folder.glob("stopped-*"))) == len(HOSTS), 120, process)
        kill(process, lab)
        for mark in lab.folder.glob("stopped-*"):
            mark.unlink()
        for host in HOSTS:
            # What the switch leaves says that it put a state back; the next run takes it away.
            wait_until(lambda host=host: "restored-" in " ".join(left_in_run(lab, host)), SECONDS + 30, None)
            assert rules(lab, host) == before[host]
            rolled_back += 1
        assert all(session.lives() for session in sessions.values())
    assert rolled_back == 20
    # And the next run finds nothing in its way.
    assert all(not outcomes[0]["changed"] for outcomes in results(begin(lab, [arguments(GOOD)])).values())
    assert not any(left_in_run(lab, host) for host in HOSTS)


def wait_until(condition, seconds: float, process: subprocess.Popen | None) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < end, f"what was waited for did not happen in {seconds} s"
        time.sleep(0.1)


def test_where_a_session_ends_its_processes_are_killed(lab):
    """What the others rely on: logind does kill what a session leaves behind, on these hosts and no others."""
    for host in HOSTS:
        done = lab.ssh(host, "setsid sleep 987 </dev/null >/dev/null 2>&1 & sleep 0.3; pgrep -f 'sleep 987'")
        assert done.stdout.strip(), done.stderr
    time.sleep(2)
    living = {host for host in HOSTS if lab.run(host, "pgrep", "-f", "^sleep 987").stdout.strip()}
    assert living == set(HOSTS) - set(KILLING)
