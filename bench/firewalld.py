"""What the firewall task costs on a host with firewalld, beside ansible.posix.firewalld looping over rich rules.

One booted host with a real firewalld and sshd, a policy of 1,000 agents, both address families. Every
figure is the wall time of one task, as Ansible itself reports it, over the same connection. The module
of others takes most of a second per rule and run, so its figures are extrapolated from a few. Run as
root, with Docker: python bench/firewalld.py [release]
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from bench.firewall import AGENTS, agents_policy, task_seconds
from tests.integration.systemd_lab import SystemdLab

LOOPED = 30
ROUNDS = 3
LIMIT = 100


def timed(lab: SystemdLab, tasks: list[dict]) -> list[float]:
    """Run tasks in one play -> the seconds that each of them took."""
    environment = {"ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"}
    book = lab.folder / "bench.json"
    book.write_text(json.dumps([{"hosts": "agent", "gather_facts": False, "tasks": tasks}]))
    original = lab.environment
    lab.environment = lambda **more: original(**environment, **more)
    try:
        done = lab.play(str(book), timeout=900)
    finally:
        lab.environment = original
    assert done.returncode == 0, done.stdout + done.stderr
    return task_seconds(done.stdout)


def main() -> int:
    wanted = agents_policy(AGENTS)
    own = {"name": "own", "determined.network.firewall": {"policy": wanted, "backend": "firewalld"}}
    absent = {"name": "absent", "determined.network.firewall": {"state": "absent"}}
    ping = {"name": "ping", "ansible.builtin.ping": {}}
    loop = {
        "name": "loop",
        "ansible.posix.firewalld": {
            "rich_rule": 'rule family="ipv4" source address="{{ item }}" port port="1-65535" protocol="tcp" accept',
            "permanent": True,
            "immediate": True,
            "state": "enabled",
        },
        "loop": wanted["peers"]["agents"]["ipv4"][:LOOPED],
    }
    first, second = [], []
    with SystemdLab({"agent": "determined_agents"}, release=(sys.argv[1:] or ["bookworm"])[0]) as lab:
        lab.shell("agent", "systemctl enable --quiet --now firewalld")
        lab.shell("agent", "python3 -c 'import firewall.client'")
        for _round in range(ROUNDS):
            # The ping opens the connection and is not counted.
            _opened, once, again, _gone = timed(lab, [ping, own, own, absent])
            first.append(once)
            second.append(again)
        _opened, looped, looped_again = timed(lab, [ping, loop, loop])
    peers = 2 * AGENTS  # both families
    rows, good = [], True
    for name, mine, theirs in (("first apply", first, looped), ("unchanged second run", second, looped_again)):
        mine = statistics.median(mine)
        theirs = theirs / LOOPED * peers
        rows.append((f"firewall, {name}, {AGENTS} agents", mine, f"{theirs / mine:.0f} x faster"))
        rows.append((f"ansible.posix.firewalld, {peers} peers (from {LOOPED})", theirs, name))
        good = good and theirs / mine >= LIMIT
    for name, value, ratio in rows:
        print(f"{name:<55} {value:9.3f} s  {ratio}")
    print(f"within the limit ({LIMIT} x)" if good else f"OUTSIDE of the limit ({LIMIT} x)")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
