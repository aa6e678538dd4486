# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook rehearse.yml: any inventory in namespaces, and nothing of it anywhere else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time

import pytest

from . import _rehearsing as rehearsing

# Everything that could lead out of the rehearsal.
INVENTORY = """
all:
  vars:
    ansible_connection: ssh
    ansible_user: nobody
    ansible_port: 2222
    ansible_become: true
    ansible_become_user: nobody
    ansible_become_password: secret
    ansible_python_interpreter: /nowhere/python
    ansible_remote_tmp: /nowhere
    ansible_shell_executable: /nowhere/sh
    ansible_ssh_common_args: -o ProxyCommand=false
    determined_verify_sweep: sample
  children:
    determined_master: {hosts: {boss: {determined_address: [192.0.2.1, "2001:db8::1"]}}}
    determined_agents: {hosts: {agent1: {ansible_host: 198.51.100.7}, agent2: {ansible_host: 203.0.113.9}}}
    determined_clients: {hosts: {"2001:db8:9::1": {determined_address: ["2001:db8:9::1", 192.0.2.77]}}}
    others: {hosts: {printer: {ansible_host: 192.0.2.200}}}
"""

SITE = """
- name: Configure
  hosts: determined_master:determined_agents:determined_clients
  gather_facts: false
  become: true
  tags: [configure]
  tasks:
    - ansible.builtin.command: hostname
      register: own
      changed_when: false
      check_mode: false
    - ansible.builtin.command: hostname
      delegate_to: agent2
      register: delegated
      changed_when: false
      check_mode: false
    - ansible.builtin.command: hostname
      delegate_to: localhost
      register: control_node
      changed_when: false
      check_mode: false
    - ansible.builtin.copy: {content: private, dest: /etc/rehearsed, mode: "0600", owner: root, group: root}
    - ansible.builtin.command: sleep {{ sleep | default(0) }}
      check_mode: false
      changed_when: false
    - ansible.builtin.debug:
        msg: >-
          SEEN {{ inventory_hostname }} {{ own.stdout }} {{ delegated.stdout }}
          {{ control_node.stdout }} {{ determined_verify_sweep }}
    - ansible.builtin.fail: {msg: as asked}
      when: fail | default(false)
"""


@pytest.fixture
def site(person):
    person.write("plays/site.yml", SITE)
    person.write("plays/inventory.yml", INVENTORY)
    return person.write("plays/rehearse.yml", (rehearsing.ROOT / "playbooks/rehearse.yml").read_text())


def rehearse(person, site, name, *arguments):
    return person.playbook(
        site, "-i", str(site.parent / "inventory.yml"), "-e", f"determined_rehearse_name={name}", *arguments
    )


def seen(done):
    return sorted(
        line.partition("SEEN ")[2].rstrip('"').split()
        for line in done.stdout.splitlines()
        # Where a play fails, Ansible shows the text of the task as well.
        if "SEEN" in line and "{{" not in line
    )


ALL = ["2001:db8:9::1", "agent1", "agent2", "boss"]


@pytest.mark.parametrize(
    "arguments, hosts, sweep",
    [
        ([], ALL, "full"),
        (["-e", "determined_rehearse_sweep=sample"], ALL, "sample"),
        (["--limit", "agent1,boss"], ["agent1", "boss"], "full"),
        (["--limit", "agent1", "--tags", "configure"], ["agent1"], "full"),
        (["--check"], ALL, "full"),
        (["-e", "ansible_become_password=other"], ALL, "full"),
    ],
    ids=["all", "sweep", "limit", "tags", "check", "password"],
)
def test_any_inventory_is_played_in_namespaces(person, site, name, arguments, hosts, sweep):
    done = rehearse(person, site, name, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    machine = os.uname().nodename
    assert seen(done) == [[host, host, "agent2", machine, sweep] for host in hosts]
    assert not os.path.exists("/etc/rehearsed")
    assert person.state_files(name) == []


@pytest.mark.parametrize(
    "arguments, code, expected",
    [
        (["-e", "ansible_connection=local"], 2, "would lead out of the rehearsal"),
        (["-e", "ansible_connection=ssh"], 2, "the namespaces are built on the control node"),
        (["--skip-tags", "always"], 4, "there is no namespace for boss"),
        (["--start-at-task", "ansible.builtin.command"], 4, "there is no namespace for boss"),
    ],
    ids=["local", "ssh", "skip", "start"],
)
def test_no_argument_leads_to_the_real_hosts(person, site, name, arguments, code, expected):
    done = rehearse(person, site, name, *arguments)
    assert done.returncode == code
    assert expected in (done.stdout + done.stderr).lower()
    assert seen(done) == []
    assert not os.path.exists("/etc/rehearsed")


def test_a_failing_play_leaves_nothing(person, site, name):
    done = rehearse(person, site, name, "-e", "fail=true")
    assert done.returncode == 2
    assert len(seen(done)) == len(ALL)
    wait_until_nothing_is_left(person, name)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL, signal.SIGTERM])
def test_an_interrupted_play_leaves_nothing(person, site, name, number):
    seconds = str(600 + number)
    command = [
        person.python,
        "-m",
        "ansible",
        "playbook",
        str(site),
        "-i",
        str(site.parent / "inventory.yml"),
    ]
    process = subprocess.Popen(
        # A shell's background, where tests may run, ignores SIGINT.
        [
            "env",
            "--default-signal=INT",
            *person.command(*command, "-e", f"determined_rehearse_name={name} sleep={seconds}"),
        ],
        env=person.environment(),
        cwd=person.home,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 60
        while len(rehearsing.processes_with(seconds)) < len(ALL):
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.05)
        state = json.loads(person.state_files(name)[0].read_text())
        lab = rehearsing.Lab(person, state)
        assert lab.traces()
        if number == signal.SIGINT:
            os.killpg(process.pid, number)  # as the terminal does
        else:
            process.send_signal(number)
        process.wait(timeout=30)
        lab.wait_until_gone()
        assert rehearsing.processes_with(seconds) == []
    finally:
        rehearsing.end(process)
    wait_until_nothing_is_left(person, name)


def wait_until_nothing_is_left(person, name):
    deadline = time.monotonic() + 5
    while person.state_files(name):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_an_inventory_without_a_cluster_is_told_and_builds_nothing(root, site, name):
    inventory = root.write("empty.yml", "all: {hosts: {lonely: {}}}\n")
    done = root.playbook(site, "-i", str(inventory), "-e", f"determined_rehearse_name={name}")
    assert done.returncode == 2
    assert "determined_master" in done.stdout + done.stderr
    assert root.state_files(name) == []


@pytest.mark.parametrize(
    "setting, told",
    [
        (
            "determined_rehearse_sweep=everything",
            "value of determined_verify_sweep must be one of: full, sample, got: everything",
        ),
        ("determined_rehearse_timeout=soon", "determined_verify_timeout"),
        ("determined_verify_sample_size=some", "determined_verify_sample_size"),
        ("determined_verify_report_dir=/proc/nowhere", "The report cannot be written"),
        ("determined_rehearse_name=../other", "a rehearsal's name is at most"),
    ],
)
def test_bad_settings_are_told_before_anything_is_built(root, site, name, setting, told):
    done = rehearse(root, site, name, "-e", setting)
    assert done.returncode == 2
    assert told in done.stdout
    assert "Connect to every host through its namespace" not in done.stdout and seen(done) == []
    assert root.state_files(name) == []
