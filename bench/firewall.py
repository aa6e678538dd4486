"""What the firewall task costs, beside ansible.builtin.ping and ansible.builtin.iptables.

One managed host with a real sshd in namespaces of its own, a policy of 1,000 agents, both
address families. Every figure is the wall time of one task, as Ansible itself reports it, over
the same connection. Run as root: python bench/firewall.py [path of ansible-playbook]
"""

from __future__ import annotations

import json
import statistics
import sys
from datetime import datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from integration._firewall_host import policy, rule
from integration._firewall_ssh import SshLab

AGENTS = 1000
LOOPED = 50  # ansible.builtin.iptables takes half a second per rule: the rest is extrapolated
ROUNDS = 5


def agents_policy(count: int) -> dict:
    ipv4 = [f"198.51.{100 + number // 250}.{1 + number % 250}" for number in range(count)]
    ipv6 = [f"2001:db8::{number + 16:x}" for number in range(count)]
    return policy(
        "restrict",
        {
            "agents": {"ipv4": ipv4, "ipv6": ipv6},
            "master": {"ipv4": ["192.0.2.10"], "ipv6": ["2001:db8::10"]},
            "anybody": {"ipv4": ["0.0.0.0/0"], "ipv6": ["::/0"]},
        },
        [
            rule("tcp", "1-65535", "agents", "agents_from_agents"),
            rule("tcp", "1-65535", "master", "agents_from_master"),
        ],
        [
            rule("tcp", "8080", "master", "master_from_agents"),
            rule("tcp", "443", "anybody", "registry_access"),
        ],
        [rule("tcp", "22", "anybody", "management")],
    )


def timed(lab: SshLab, tasks: list[dict], **variables) -> list[float]:
    """Run tasks in one play -> the seconds that each of them took."""
    book = lab.folder / "play.json"
    book.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
    done = lab.run_playbook(book, **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    return task_seconds(done.stdout)


def task_seconds(output: str) -> list[float]:
    """What the callback ansible.posix.json printed of a run with one play -> the seconds that each task took."""
    report = json.JSONDecoder().raw_decode(output[output.index("{\n") :])[0]
    taken = []
    for item in report["plays"][0]["tasks"]:
        duration = item["task"]["duration"]
        start, end = (datetime.fromisoformat(duration[key].rstrip("Z")) for key in ("start", "end"))
        taken.append((end - start).total_seconds())
    return taken


def main() -> int:
    wanted = agents_policy(AGENTS)
    firewall = {"name": "firewall", "determined.network.firewall": {"policy": wanted}}
    absent = {"name": "absent", "determined.network.firewall": {"state": "absent"}}
    ping = {"name": "ping", "ansible.builtin.ping": {}}
    loop = {
        "name": "loop",
        "ansible.builtin.iptables": {
            "chain": "INPUT",
            "source": "{{ item }}",
            "protocol": "tcp",
            "jump": "ACCEPT",
        },
        "loop": wanted["peers"]["agents"]["ipv4"][:LOOPED],
    }
    figures: dict[str, list[float]] = {"ping": [], "first": [], "second": []}
    with SshLab(*sys.argv[1:2]) as lab:
        for _round in range(ROUNDS):
            # The first ping opens the connection and is not counted.
            _opened, pinged, first, second, _gone = timed(lab, [ping, ping, firewall, firewall, absent])
            for name, seconds in (("ping", pinged), ("first", first), ("second", second)):
                figures[name].append(seconds)
        (looped,) = timed(lab, [loop])
    seconds = {name: statistics.median(values) for name, values in figures.items()}
    peers = 2 * AGENTS  # both families
    iptables = looped / LOOPED * peers
    first, second, faster = (
        seconds["first"] / seconds["ping"],
        seconds["second"] / seconds["ping"],
        iptables / seconds["first"],
    )
    rows = [
        ("ansible.builtin.ping", seconds["ping"], ""),
        (f"firewall, first apply, {AGENTS} agents", seconds["first"], f"{first:.2f} x ping"),
        ("firewall, unchanged second run", seconds["second"], f"{second:.2f} x ping"),
        (f"ansible.builtin.iptables, {peers} peers (from {LOOPED})", iptables, f"{faster:.0f} x firewall"),
    ]
    for name, value, ratio in rows:
        print(f"{name:<55} {value:9.3f} s  {ratio}")
    good = first <= 3 and second <= 2 and faster >= 100
    print("within the limits (3 x, 2 x, 100 x)" if good else "OUTSIDE of the limits (3 x, 2 x, 100 x)")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
