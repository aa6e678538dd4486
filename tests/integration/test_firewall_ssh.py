"""The whole way: Ansible, a real sshd, a change, and a confirmation over a fresh connection."""

from __future__ import annotations

import time

import pytest

from ._firewall_host import policy, rule
from ._firewall_ssh import ADDRESS, CONTROLLER, SshLab

AGENTS = {"ipv4": ["192.0.2.2"], "ipv6": ["2001:db8::2"]}
OFFICE = {"ipv4": ["192.0.2.96/27"]}
GOOD = policy(
    "restrict",
    {"agents": AGENTS, "office": OFFICE},
    [rule("tcp", "80", "agents")],
    [],
    [rule("tcp", "22", "office")],
)
LOCKED_OUT = policy("restrict", {"agents": AGENTS}, [rule("tcp", "80", "agents")])


def task(**arguments) -> dict:
    # Here is no systemd: that nothing is stored is said, and would be a warning in each result.
    return {"name": "firewall", "determined.network.firewall": {"persist": False, **arguments}}


@pytest.fixture
def lab():
    with SshLab() as made:
        yield made


@pytest.mark.parametrize("pipelining", [False, True])
def test_a_change_is_confirmed_over_a_fresh_connection(lab, pipelining):
    checked = lab.play([task(policy=GOOD)], "--check", "--diff", ansible_pipelining=pipelining)
    assert checked["changed"] and "+-A DETERMINED-INPUT" not in lab.host.rules()
    assert "confirmed" not in checked and lab.logins() == 1

    logins = lab.logins()
    result = lab.play([task(policy=GOOD)], ansible_pipelining=pipelining)
    assert result["changed"] and result["confirmed"] and not result.get("warnings"), result["output"]
    assert lab.host.left_in_run() == []
    assert lab.controller.connect(ADDRESS, 23, timeout=0.3) == "filtered"
    # The change went over the connection that the check had left open, the confirmation over a new one.
    assert lab.logins() - logins == 1, lab.log()

    again = lab.play([task(policy=GOOD)], ansible_pipelining=pipelining)
    assert not again["changed"] and "confirmed" not in again
    assert lab.logins() - logins == 1, "an unchanged host is asked once"
    gone = lab.play([task(state="absent")], ansible_pipelining=pipelining)
    assert gone["changed"] and gone["confirmed"]
    assert "DETERMINED" not in lab.host.rules() and lab.host.left_in_run() == []
    assert "awaiting_confirmation" not in result and "_change" not in str(result.get("msg", ""))


@pytest.mark.parametrize("become", [False, True])
def test_a_policy_that_cuts_its_own_connection_is_refused(lab, become):
    before = lab.host.rules()
    for options in ((), ("--check",)):
        result = lab.play([dict(task(policy=LOCKED_OUT), become=become)], *options, check=False)
        assert result["failed"] and result["returncode"] == 2, result
        for word in (CONTROLLER, "port 22", "determined_management", "allow_lockout", "nothing was changed"):
            assert word in result["msg"], result["msg"]
    assert lab.host.rules() == before and lab.host.left_in_run() == []
    # Nothing to refuse where nothing is dropped.
    permit = dict(LOCKED_OUT, mode="permit")
    assert lab.play([dict(task(policy=permit), become=become)])["confirmed"]


def test_a_host_that_is_cut_off_restores_itself_and_the_task_says_so(lab):
    lab.play([task(policy=GOOD)])
    before = sorted(line.split(" hashsize")[0] for line in lab.host.rules().splitlines())
    began = time.monotonic()
    result = lab.play([task(policy=LOCKED_OUT, allow_lockout=True, confirm_timeout=8)], check=False)
    assert result["failed"] and result["returncode"] == 2, result
    assert result["restored"] is True and result["changed"] is False
    for word in ("could not be confirmed", "within 8 s", "has restored the old state", "confirm_timeout"):
        assert word in result["msg"], result["msg"]
    assert time.monotonic() - began < 60
    assert sorted(line.split(" hashsize")[0] for line in lab.host.rules().splitlines()) == before
    assert lab.host.left_in_run() == []
    assert not lab.play([task(policy=GOOD)])["changed"]


def test_a_connection_that_breaks_while_the_module_runs(lab):
    """The change goes on without its connection; the controller finds it and confirms it."""
    lab.host.shell("mkdir /run/sbin && cp -a /usr/sbin/. /run/sbin/ && mount --bind /run/sbin /usr/sbin")
    script = """#!/bin/sh
if [ "$1" = restore ] && [ ! -e /run/cut ]; then
  touch /run/cut; pid=$$
  while [ "$(cat /proc/$pid/comm)" != sshd ]; do pid=$(sed "s/.*) . //" /proc/$pid/stat | cut -d" " -f1); done
  kill -9 $pid; sleep 1.5
fi
exec /run/ipset "$@"
"""
    lab.host.run(
        "sh",
        "-ec",
        "mv /usr/sbin/ipset /run/ipset; cat > /usr/sbin/ipset; chmod 755 /usr/sbin/ipset",
        stdin=script,
    )
    result = lab.play([task(policy=GOOD)], ansible_pipelining=True)
    assert "cut" in lab.host.run("ls", "/run") and lab.logins() >= 2
    assert result["changed"] and result["confirmed"], result["output"]
    assert lab.host.left_in_run() == []
    assert not lab.play([task(policy=GOOD)])["changed"]


@pytest.mark.parametrize("pipelining", [False, True])
def test_a_host_that_is_not_there_is_unreachable_at_once(lab, pipelining):
    began = time.monotonic()
    result = lab.play([task(policy=GOOD)], check=False, ansible_port=23, ansible_pipelining=pipelining)
    assert result["unreachable"] and result["returncode"] == 4
    assert time.monotonic() - began < 20


def test_a_connection_without_reset_and_without_ssh(lab):
    asked = task(policy=LOCKED_OUT, allow_lockout=True)
    result = lab.play([asked], ansible_connection="local", ansible_host="localhost")
    assert result["confirmed"], "a local connection is cut by no policy"
    assert "DETERMINED" in lab.controller.rules() and "DETERMINED" not in lab.host.rules()
    assert lab.controller.left_in_run() == []


def test_a_wrong_argument_is_said_once_and_changes_nothing(lab):
    result = lab.play([task(policy=dict(GOOD, mode="close"))], check=False)
    assert result["failed"] and "'close'" in result["msg"] and lab.logins() == 1
    asynchronous = lab.play([dict(task(policy=GOOD), **{"async": 60, "poll": 1})], check=False)
    assert asynchronous["failed"] and "async" in asynchronous["msg"]
    assert "DETERMINED" not in lab.host.rules()
