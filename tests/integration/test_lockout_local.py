"""The controller is the managed host itself, or its new connection is an old one: then a confirmation shows nothing.

Ansible runs on a host with a real sshd; administrators log in from another host, over real SSH.
"""

from __future__ import annotations

import os
import subprocess

import pytest

from ._firewall_host import policy, rule
from ._firewall_ssh import ADDRESS, CONTROLLER, SshLab

PEERS = {"agents": {"ipv4": ["192.0.2.2"]}, "office": {"ipv4": ["192.0.2.96/27"]}}
GOOD = policy("restrict", PEERS, [rule("tcp", "80", "agents")], [], [rule("tcp", "22", "office")])
LOCKED_OUT = policy("restrict", PEERS, [rule("tcp", "80", "agents")])
# It names no port at which sshd listens: the sessions of sshd count all the same.
OTHER_PORT = policy("restrict", PEERS, [rule("tcp", "80", "agents")], [], [rule("tcp", "2222", "office")])
NAME = os.uname()[1]


def task(asked: dict, **arguments) -> dict:
    # The policy of a role names no host.
    return {
        "name": "firewall",
        "determined.network.firewall": {"persist": False, "policy": dict(asked, host=""), **arguments},
    }


@pytest.fixture
def lab():
    with SshLab() as made:
        yield made


def local(lab: SshLab, asked: dict, *options: str, environment: dict | None = None, **arguments) -> dict:
    """Play on the managed host itself, as cron, ansible-pull and a detached terminal do."""
    return lab.play(
        [task(asked, **arguments)],
        *options,
        check=False,
        on=lab.host,
        environment=environment,
        ansible_connection="local",
        ansible_host="localhost",
    )


def ssh(lab: SshLab, *command: str) -> list[str]:
    """The command line of an administrator on the other host."""
    options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "ConnectTimeout=3", "ControlPath=none"]
    words = [word for option in options for word in ("-o", option)]
    return ["ssh", "-q", *words, "-i", str(lab.folder / "user_key"), f"root@{ADDRESS}", *command]


class Session:
    """An administrator's SSH session that stays open: says back what it is told."""

    def __init__(self, lab: SshLab):
        self._process = lab.controller.start(*ssh(lab, "exec cat"), stdin=subprocess.PIPE)
        assert self.lives()

    def lives(self) -> bool:
        self._process.stdin.write("word\n")
        self._process.stdin.flush()
        return self._process.stdout.readline() == "word\n"


def enters(lab: SshLab) -> bool:
    return subprocess.run(lab.controller.enter(*ssh(lab, "true")), check=False).returncode == 0


def assert_no_evidence(lab: SshLab, result: dict) -> None:
    assert result["failed"], result["output"]
    for word in ("Refused, nothing was changed", f"reach {NAME} ", "is logged in from another host", "allow_lockout"):
        assert word in result["msg"], result["msg"]
    assert "DETERMINED" not in lab.host.rules() and lab.host.left_in_run() == []


def test_a_host_that_closes_itself_while_nobody_is_logged_in_is_refused(lab):
    for options in ((), ("--check",)):
        assert_no_evidence(lab, local(lab, GOOD, *options))
    # The terminal of somebody who has gone: its variable names a connection that is no more.
    gone = {"SSH_CONNECTION": f"{CONTROLLER} 50000 {ADDRESS} 22"}
    assert_no_evidence(lab, local(lab, GOOD, environment=gone))


def test_ssh_from_the_host_to_itself_is_no_evidence(lab):
    assert_no_evidence(lab, lab.play([task(GOOD)], check=False, on=lab.host))


def test_a_connection_without_login_is_no_evidence(lab):
    """Anybody can open one: neither may it make a change possible, nor may it stop one."""
    program = f"import socket, time; s = socket.create_connection(('{ADDRESS}', 22)); print(s.recv(3)); time.sleep(999)"
    stranger = lab.controller.start("python3", "-uc", program)
    assert "SSH" in stranger.stdout.readline()
    assert_no_evidence(lab, local(lab, GOOD))


def test_without_the_refusal_the_change_looks_good_and_nobody_gets_in(lab):
    """The control: allow_lockout skips the refusal, and the confirmation of a host to itself always arrives."""
    assert enters(lab)
    result = local(lab, LOCKED_OUT, allow_lockout=True)
    assert result["confirmed"], result["output"]
    (warning,) = result["warnings"]
    assert "does not show that it is safe" in warning and NAME in warning
    assert not enters(lab)


def test_an_administrator_who_is_logged_in_counts(lab):
    session = Session(lab)
    for asked in (LOCKED_OUT, OTHER_PORT):
        result = local(lab, asked)
        assert result["failed"], result["output"]
        for word in (f"from {CONTROLLER} to TCP port 22 of {NAME}", "determined_management", "allow_lockout"):
            assert word in result["msg"], result["msg"]
        assert "DETERMINED" not in lab.host.rules()
    result = local(lab, GOOD)
    assert result["confirmed"] and not result.get("warnings"), result["output"]
    assert session.lives() and enters(lab)


def test_where_nothing_changes_nobody_has_to_be_logged_in(lab):
    """ansible-pull runs every half an hour, mostly without a change."""
    lab.host.apply(dict(GOOD, host=""), persist="false")
    assert not local(lab, GOOD)["changed"]
    assert local(lab, dict(GOOD, mode="permit"))["confirmed"], "nothing is dropped in mode permit"


def test_a_connection_that_was_open_before_the_change_does_not_confirm_it(lab):
    """A wrapper of ssh shares one connection and does not let Ansible close it: each new one rides on the old one."""
    config = lab.folder / "ssh_config"
    config.write_text(f"Host *\nControlMaster auto\nControlPersist 60\nControlPath {lab.folder}/own-%C\n")
    wrapper = lab.folder / "ssh-of-the-company"
    wrapper.write_text(f'#!/bin/sh\ncase " $* " in *" -O "*) exit 1 ;; esac\nexec ssh -F {config} "$@"\n')
    wrapper.chmod(0o755)
    environment = {"ANSIBLE_SSH_EXECUTABLE": str(wrapper), "ANSIBLE_SSH_ARGS": "-C"}
    asked = task(LOCKED_OUT, allow_lockout=True, confirm_timeout=8)
    result = lab.play([asked], check=False, environment=environment)
    assert result["failed"] and result["restored"] is True, result["output"]
    assert "ssh did not open a new connection" in result["msg"] and "ControlMaster=no" in result["msg"], result[
        "output"
    ]
    assert "DETERMINED" not in lab.host.rules() and lab.host.left_in_run() == []
    # What the message says helps.
    arguments = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o ControlMaster=no -o ControlPath=none"
    repaired = lab.play([task(GOOD)], environment=environment, ansible_ssh_common_args=arguments)
    assert repaired["confirmed"], repaired["output"]
