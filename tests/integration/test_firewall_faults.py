"""What is left of a host when the change is killed, cut off, or never confirmed.

The apply runs in a process of its own and is killed with SIGKILL before and after every
command that it runs. Meanwhile an outsider opens new connections to the management port
without a pause: not one of them may fail.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from ._firewall_host import COLLECTIONS, Host, link, policy, rule

ANYBODY = {"ipv4": ["0.0.0.0/0"], "ipv6": ["::/0"]}
SSH = rule("tcp", "22", "anybody", "management")
OLD = policy(
    "restrict",
    {
        "agents": {"ipv4": ["192.0.2.2"], "ipv6": ["2001:db8::2"]},
        "gone": {"ipv4": ["192.0.2.5"]},
        "anybody": ANYBODY,
    },
    [rule("tcp", "80", "agents"), rule("tcp", "81", "gone")],
    [],
    [SSH],
)
NEW = policy(
    "restrict",
    {
        "agents": {"ipv4": ["192.0.2.2", "192.0.2.4"], "ipv6": ["2001:db8::4"]},
        "more": {"ipv4": ["192.0.2.6"]},
        "anybody": ANYBODY,
    },
    [rule("tcp", "80,90", "agents"), rule("tcp", "82", "more")],
    [],
    [SSH],
)
LOCKED_OUT = policy("restrict", {"agents": {"ipv4": ["192.0.2.2"]}}, [rule("tcp", "80", "agents")])

# Applies a policy; kills itself at the given command (-1: never). Prints how many it ran.
_APPLY = """
import json, os, signal, sys
from ansible_collections.determined.network.plugins.module_utils._firewall import apply
from ansible_collections.determined.network.plugins.module_utils import _policy
from ansible_collections.determined.network.plugins.module_utils._host import runner
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.iptables.backend import Iptables
asked = json.load(sys.stdin)

class Killed(runner.Runner):
    count = 0
    master = os.getpid()
    def run(self, command):
        self.count += 1
        mine = os.getpid() == self.master and self.count == asked["kill_at"]
        if mine and asked["when"] == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        output = super().run(command)
        if mine:
            os.kill(os.getpid(), signal.SIGKILL)
        return output

runner = Killed()
policy = asked["policy"] and _policy.HostPolicy.from_dict(asked["policy"])
settings = apply.Settings(asked["confirm_timeout"], 10, asked["token"])
outcome = apply.apply(Iptables(asked.get("lock_timeout", 10)), policy, settings, runner)
print(json.dumps([outcome.changed, runner.count]))
"""

# New connections to port 22 without a pause; one line for each that failed.
_WATCH = """
import socket, sys, time
print("ready", flush=True)
done = 0
while True:
    for address in ("192.0.2.1", "2001:db8::1"):
        try:
            sock = socket.create_connection((address, 22), 0.9)
            sock.close()
            done += 1
        except OSError as problem:
            print("failed after %d: %s %s" % (done, address, problem), flush=True)
    time.sleep(0.01)
"""


class Pair:
    """A managed host with rules of its own, and a client beside it."""

    def __init__(self, variant: str = "nft"):
        self.variant = variant

    def __enter__(self) -> Pair:
        self.host = Host().__enter__()
        self.client = Host().__enter__()
        link(
            self.host,
            ["192.0.2.1/24", "2001:db8::1/64"],
            self.client,
            ["192.0.2.9/24", "2001:db8::9/64"],
            "eth0",
        )
        for command in ("iptables", "ip6tables"):
            tool = f"{command}-{self.variant}"
            self.host.shell(f"{tool} -A INPUT -p udp --dport 9 -j DROP; {tool} -A OUTPUT -p udp --dport 9 -j DROP")
            # iptables-nft can never remove a table again: both are there from the beginning.
            for table in ("mangle", "raw"):
                self.host.shell(f"{tool} -t {table} -A PREROUTING -p udp --dport 9 -j DROP")
        self.host.listen("4", "tcp", 22)
        self.host.listen("6", "tcp", 22)
        return self

    def __exit__(self, *unused) -> None:
        self.host.__exit__()
        self.client.__exit__()

    def apply(self, wanted, kill_at=-1, when="", confirm_timeout=2.0, **more) -> subprocess.CompletedProcess:
        asked = {
            "policy": wanted,
            "kill_at": kill_at,
            "when": when,
            "confirm_timeout": confirm_timeout,
            "token": f"test{kill_at + 1:04}{when}",
            **more,
        }
        return subprocess.run(
            self.host.enter(sys.executable, "-c", _APPLY),
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            env={"PYTHONPATH": str(COLLECTIONS), "PATH": "/usr/sbin:/usr/bin:/bin"},
            check=False,
        )

    def settled(self) -> bool:
        return not any(name.startswith(("armed", "restoring", ".")) for name in self.host.left_in_run())

    def state(self) -> list[str]:
        """Rules and sets; the kernel picks initval anew for each set, and the order with it."""
        return sorted(line.split(" hashsize")[0] for line in self.host.rules().splitlines())


def count_commands(old, new, variant) -> int:
    with Pair(variant) as pair:
        prepare(pair, old)
        done = pair.apply(new)
        changed, count = json.loads(done.stdout)
        assert changed and count > 8, done.stderr
        return count


def prepare(pair: Pair, old) -> list[str]:
    if old is not None:
        pair.host.apply(old)
    return pair.state()


def kill_once(old, new, variant, kill_at, when) -> str:
    with Pair(variant) as pair:
        before = prepare(pair, old)
        watch = pair.client.start(sys.executable, "-c", _WATCH)
        assert watch.stdout.readline() == "ready\n"
        done = pair.apply(new, kill_at, when)
        assert done.returncode == -9, (kill_at, when, done)
        pair.host.wait_until(pair.settled, 15)
        time.sleep(0.1)
        after = pair.state()
        watch.kill()
        failures = watch.communicate()[0]
        assert failures == "", (kill_at, when, failures)
        assert after == before, (kill_at, when)
        if when == "after":
            # And the host is not stuck: the next change goes through.
            assert pair.host.apply(new)["changed"], kill_at
            assert pair.host.left_in_run() == [], kill_at
        return "old"


@pytest.mark.parametrize(
    "old, new, variant",
    [(None, NEW, "nft"), (OLD, NEW, "nft"), (OLD, None, "nft"), (OLD, NEW, "legacy")],
    ids=["first", "change", "removal", "change-legacy"],
)
def test_killed_before_and_after_every_command(old, new, variant):
    count = count_commands(old, new, variant)
    steps = [(number, when) for number in range(1, count + 1) for when in ("before", "after")]
    with ThreadPoolExecutor(8) as pool:
        ends = list(pool.map(lambda step: kill_once(old, new, variant, *step), steps))
    assert len(ends) == 2 * count


def cut_once(number: int) -> float:
    """A change that cuts the client off -> seconds from then until the old state was back."""
    with Pair("nft" if number % 2 else "legacy") as pair:
        before = prepare(pair, OLD if number % 3 else None)
        assert pair.client.connect("192.0.2.1", 22) == "open"
        done = pair.apply(LOCKED_OUT, confirm_timeout=4.0)
        began = time.time()
        assert done.returncode == 0, done.stderr
        assert pair.client.connect("192.0.2.1", 22, timeout=0.3) == "filtered"
        assert pair.client.connect("2001:db8::1", 22, timeout=0.3) == "filtered"
        # What others change meanwhile is theirs and stays.
        pair.host.shell(f"iptables-{pair.variant} -A INPUT -s 203.0.113.77 -j DROP")
        pair.host.wait_until(pair.settled, 20)
        (left,) = pair.host.left_in_run()
        assert left.startswith("restored-")
        restored = float(pair.host.run("stat", "--format=%.Z", f"/run/determined-network/{left}"))
        assert pair.client.connect("192.0.2.1", 22) == "open"
        assert pair.client.connect("2001:db8::1", 22) == "open"
        assert pair.state() == sorted([*before, "-A INPUT -s 203.0.113.77/32 -j DROP"])
        return restored - began


def test_cut_off_right_after_the_change_twenty_times_of_twenty():
    with ThreadPoolExecutor(5) as pool:
        took = list(pool.map(cut_once, range(20)))
    print("seconds until the old state was back:", sorted(round(seconds, 2) for seconds in took))
    assert len(took) == 20
    assert max(took) < 4.0 + 4.0, took  # the timeout, and the restore itself on a busy machine


@pytest.fixture
def pair():
    with Pair() as made:
        yield made


def test_a_change_that_awaits_confirmation_blocks_another(pair):
    result = pair.host.module("firewall", policy=OLD, confirm_timeout=30)
    change = result["awaiting_confirmation"]["change"]
    assert pair.host.left_in_run() == [f"armed-{change}"]
    blocked = pair.host.module("firewall", policy=NEW)
    assert blocked["failed"] and "awaits its confirmation" in blocked["msg"]
    same = pair.host.module("firewall", policy=OLD)
    assert same["failed"], "the same policy may still be undone, so it is not settled either"
    checked = pair.host.module("firewall", policy=NEW, _ansible_check_mode=True)
    assert checked["changed"] and "awaits its confirmation" in str(checked["warnings"])
    assert pair.host.module("firewall", _step="confirm", _change=change)["kept"]
    assert pair.host.left_in_run() == []
    assert not pair.host.module("firewall", policy=OLD)["changed"]


def test_too_late_to_confirm(pair):
    before = pair.state()
    result = pair.host.module("firewall", policy=OLD, confirm_timeout=4)
    change = result["awaiting_confirmation"]["change"]
    pair.host.wait_until(pair.settled)
    assert pair.state() == before
    assert not pair.host.module("firewall", _step="confirm", _change=change)["kept"]
    settled = pair.host.module("firewall", _step="settle", _change=change)["settled"]
    assert settled["state"] == "restored" and "old state is back" in settled["message"]
    assert pair.host.left_in_run() == []
    assert pair.host.module("firewall", _step="settle", _change=change)["settled"]["state"] == "unknown"


def test_confirm_and_deadline_at_the_same_moment(pair):
    """Whoever wins, the state fits what the confirmation was told."""
    before = pair.state()
    told = []
    for number in range(8):
        result = pair.host.module("firewall", policy=OLD, confirm_timeout=4)
        assert result.get("changed"), result
        waiting = result["awaiting_confirmation"]
        time.sleep(max(0.0, waiting["seconds_left"] - 0.45 + number * 0.03))
        kept = pair.host.module("firewall", _step="confirm", _change=waiting["change"])["kept"]
        told.append(kept)
        pair.host.wait_until(pair.settled)
        time.sleep(0.2)
        assert (pair.state() == before) is not kept, told
        if kept:
            pair.host.apply(None)
            assert pair.state() == before


def test_a_killed_switch_is_replaced_by_the_next_run(pair):
    before = pair.state()
    pair.host.module("firewall", policy=LOCKED_OUT, confirm_timeout=60)
    (name,) = pair.host.left_in_run()
    record = json.loads(pair.host.run("cat", f"/run/determined-network/{name}"))
    subprocess.run(["kill", "-9", str(record["pid"])], check=True)
    time.sleep(0.2)
    result = pair.host.apply(OLD)
    assert result["changed"] and "switch was killed" in str(result["warnings"])
    assert result["diff"]["before"] == "", "the change starts from the state before the killed one"
    assert pair.host.left_in_run() == []
    pair.host.apply(None)
    assert pair.state() == before


def test_a_signal_that_ends_a_session_does_not_end_the_switch(pair):
    before = pair.state()
    pair.host.module("firewall", policy=LOCKED_OUT, confirm_timeout=5)
    (name,) = pair.host.left_in_run()
    pid = json.loads(pair.host.run("cat", f"/run/determined-network/{name}"))["pid"]
    for signal in ("-HUP", "-INT", "-TERM"):
        subprocess.run(["kill", signal, str(pid)], check=True)
    pair.host.wait_until(lambda: pair.state() == before)


def test_killed_while_its_command_waits_for_the_xtables_lock():
    """The child outlives the apply and would write after the restore, were it not waited for."""
    with Pair("legacy") as pair:
        before = pair.state()
        holder = pair.host.start("flock", "-F", "/run/xtables.lock", "sh", "-c", "echo held; exec sleep 3")
        assert holder.stdout.readline() == "held\n"
        asked = {
            "policy": LOCKED_OUT,
            "kill_at": -1,
            "when": "",
            "confirm_timeout": 1.0,
            "token": "testlocked",
        }
        child = subprocess.Popen(
            pair.host.enter(sys.executable, "-c", _APPLY),
            stdin=subprocess.PIPE,
            text=True,
            env={"PYTHONPATH": str(COLLECTIONS), "PATH": "/usr/sbin:/usr/bin:/bin"},
        )
        child.stdin.write(json.dumps(asked))
        child.stdin.close()
        pair.host.wait_until(lambda: "determined" in pair.host.run("ipset", "list", "-n"))
        time.sleep(0.3)
        child.kill()
        child.wait()
        pair.host.wait_until(pair.settled, 20)
        time.sleep(0.5)
        assert pair.state() == before
        assert pair.client.connect("192.0.2.1", 22) == "open"


def test_two_runs_at_once_follow_each_other(pair):
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda wanted: pair.host.module("firewall", policy=wanted), (OLD, NEW)))
    failed = [result for result in results if result.get("failed")]
    changed = [result for result in results if result.get("changed")]
    assert len(failed) == 1 and len(changed) == 1
    assert "awaits its confirmation" in failed[0]["msg"] or "Another run" in failed[0]["msg"]
    waiting = changed[0]["awaiting_confirmation"]
    assert pair.host.module("firewall", _step="confirm", _change=waiting["change"])["kept"]
    assert pair.host.left_in_run() == []
