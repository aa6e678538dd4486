# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rehearsals through Ansible: the module, the connection plugin and the playbook rehearse.yml."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from . import _rehearsing as rehearsing

ORDINARY = 64203

LOCAL = """
    ansible_connection: local
    ansible_become: false
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
"""

MODULE = """
- name: The module's whole life
  hosts: localhost
  connection: local
  gather_facts: false
  vars:
    first: {a: [192.0.2.1, "2001:db8::1"], b: [198.51.100.2]}
    second: {a: [192.0.2.1, "2001:db8:0::2"]}
  tasks:
    - determined.network.namespaces: {name: "{{ own }}", hosts: "{{ first }}"}
      check_mode: true
      diff: true
      register: dry
    - determined.network.namespaces: {name: "{{ own }}", state: absent}
      register: nothing
    - determined.network.namespaces: {name: "{{ own }}", hosts: "{{ first }}"}
      register: built
    - determined.network.namespaces: {name: "{{ own }}", hosts: "{{ first }}"}
      register: again
    - determined.network.namespaces: {name: "{{ own }}", hosts: "{{ first }}"}
      check_mode: true
      register: dry_again
    - determined.network.namespaces: {name: "{{ own }}", hosts: "{{ second }}"}
      check_mode: true
      register: dry_other
    - determined.network.namespaces: {name: "{{ own }}", hosts: "{{ first }}"}
      register: untouched
    - determined.network.namespaces: {name: "{{ own }}", hosts: "{{ second }}"}
      diff: true
      register: other
    - determined.network.namespaces: {name: "{{ own }}", state: absent}
      check_mode: true
      register: dry_gone
    - determined.network.namespaces: {name: "{{ own }}", hosts: "{{ second }}"}
      register: still
    - determined.network.namespaces: {name: "{{ own }}", state: absent}
      register: gone
    - determined.network.namespaces: {name: "{{ own }}", state: absent}
      register: gone_again
    - ansible.builtin.copy:
        dest: "{{ results }}"
        mode: "0644"
        content: "{{ dict(dry=dry, nothing=nothing, built=built, again=again, dry_again=dry_again,
                          dry_other=dry_other, untouched=untouched, other=other, dry_gone=dry_gone,
                          still=still, gone=gone, gone_again=gone_again) | to_json }}"
"""


@pytest.fixture(scope="module")
def desk():
    place = Path(tempfile.mkdtemp(prefix="determined-network-tests-", dir="/tmp"))
    try:
        rehearsing.furnish(place)
        for user in (0, ORDINARY):
            rehearsing.Person(user, place).move_in()
        yield place
    finally:
        shutil.rmtree(place)


@pytest.fixture(params=[0, ORDINARY], ids=["root", "ordinary user"])
def person(request, desk):
    return rehearsing.Person(request.param, desk)


@pytest.fixture
def root(desk):
    return rehearsing.Person(0, desk)


@pytest.fixture
def name(request):
    return "test-" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:12]


def left(person, name):
    return [path for path in person.state_files() if path.name.startswith(name)]


def test_the_module_changes_what_it_says_and_says_what_it_changes(person, name):
    results = person.home / "results.json"
    done = person.playbook(person.write("module.yml", MODULE), "-e", f"own={name} results={results}")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(results.read_text())
    changed = {step: result["changed"] for step, result in found.items()}
    assert changed == {
        "dry": True,
        "nothing": False,
        "built": True,
        "again": False,
        "dry_again": False,
        "dry_other": True,
        "untouched": False,
        "other": True,
        "dry_gone": True,
        "still": False,
        "gone": True,
        "gone_again": False,
    }
    assert found["dry"]["diff"] == {"before": "", "after": "a: 192.0.2.1, 2001:db8::1\nb: 198.51.100.2\n"}
    assert found["other"]["diff"]["after"] == "a: 192.0.2.1, 2001:db8::2\n"
    assert found["dry"]["namespaces"] == found["dry_other"]["namespaces"] == found["gone"]["namespaces"] == {}
    assert found["built"]["namespaces"] == found["again"]["namespaces"] == found["untouched"]["namespaces"]
    assert set(found["built"]["namespaces"]) == {"a", "b"}
    assert found["other"]["namespaces"]["a"]["keeper"] != found["built"]["namespaces"]["a"]["keeper"]
    assert left(person, name) == []


@pytest.mark.parametrize(
    "arguments, keywords, expected",
    [
        ("hosts: {a: []}", "", "a has no address"),
        ("hosts: {a: [192.0.2.1]}, name: ../x", "", "a rehearsal's name is"),
        ("hosts: {a: [192.0.2.1]}, owner_pid: 4194304", "", "no such process runs"),
        ("hosts: {a: [192.0.2.1]}", "become: true", "run ansible-playbook itself with sudo"),
        ("hosts: {a: [192.0.2.1]}", "vars: {ansible_connection: ssh}", "add 'delegate_to: localhost'"),
        ("state: present", "", "state is present but all of the following are missing: hosts"),
    ],
)
def test_a_wrong_task_is_refused(root, arguments, keywords, expected):
    plays = root.write(
        "wrong.yml",
        f"- hosts: localhost\n  gather_facts: false\n  tasks:\n"
        f"    - determined.network.namespaces: {{{arguments}}}\n"
        f"      {keywords}\n",
    )
    done = root.playbook(plays)
    assert done.returncode == 2
    assert expected in done.stdout + done.stderr


def test_a_rehearsal_that_another_run_holds_is_not_taken_from_it(root, name):
    lab = root.build(name, {"a": ["192.0.2.1"]}, os.getpid())
    try:
        text = json.dumps({"name": name, "hosts": {"a": ["192.0.2.1"]}})
        done = root.run(
            root.python,
            "-m",
            "ansible",
            "adhoc",
            "localhost",
            "-m",
            "determined.network.namespaces",
            "-a",
            text,
        )
        assert done.returncode == 2
        assert f"belongs to process {os.getpid()}, which still runs" in done.stdout
        assert "rehearse_name" in done.stdout
        assert lab.shell("a", "hostname") == "a\n"
    finally:
        lab.stop()


def test_files_arrive_as_they_are(person, name):
    content = bytes(range(256)) * 3000
    person.write("source dir's/bin ary", "").write_bytes(content)
    lab = person.build(name, {"a": ["192.0.2.1"]}, os.getpid())
    inventory = person.write("files.ini", "a ansible_connection=determined.network.namespace\n")
    plays = person.write(
        "files.yml",
        """
- hosts: a
  gather_facts: false
  vars:
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
    ansible_remote_tmp: /run/ansible
    here: "{{ playbook_dir }}"
  tasks:
    - ansible.builtin.copy:
        src: "{{ here }}/source dir's/bin ary"
        dest: "/etc/it's a file"
        mode: "0600"
    - ansible.builtin.fetch:
        src: "/etc/it's a file"
        dest: "{{ here }}/fetched"
        flat: true
    - ansible.builtin.meta: reset_connection
    - ansible.builtin.command: cat /nothing/at/all
      register: failed
      failed_when: failed.rc != 1 or 'No such file' not in failed.stderr
    - ansible.builtin.shell: printf 'out\\n'; printf 'err\\n' >&2; exit 3
      register: codes
      failed_when: codes.rc != 3 or codes.stdout != 'out' or codes.stderr != 'err'
    - ansible.builtin.fetch:
        src: /nothing
        dest: "{{ here }}/never"
        flat: true
        fail_on_missing: false
""",
    )
    try:
        for pipelining in ("true", "false"):
            done = person.playbook(
                plays,
                "-i",
                str(inventory),
                "-e",
                f"determined_rehearsal={name} ansible_pipelining={pipelining}",
            )
            assert done.returncode == 0, done.stdout + done.stderr
            assert (person.home / "fetched").read_bytes() == content
            (person.home / "fetched").unlink()
        assert not (person.home / "never").exists()
        assert not os.path.exists("/etc/it's a file")
        # Modules that are not piped go to the private /run and are removed from there.
        assert lab.shell("a", "ls /run/ansible").split() == []
    finally:
        lab.stop()


def test_a_rehearsal_that_is_gone_makes_its_hosts_unreachable(root, name):
    lab = root.build(name, {"a": ["192.0.2.1"]}, os.getpid())
    lab.stop()
    variables = {
        "ansible_connection": "determined.network.namespace",
        "determined_namespace": lab.state["namespaces"]["a"],
    }
    done = root.run(
        root.python, "-m", "ansible", "adhoc", "a", "-i", "a,", "-m", "ping", "-e", json.dumps(variables)
    )
    assert done.returncode == 4
    assert f"The namespace of a is gone: the rehearsal '{name}' has ended" in done.stdout
    assert "Play determined.network.rehearse again" in done.stdout


# ---- rehearse.yml

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
    verify_sweep: sample
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
          {{ control_node.stdout }} {{ verify_sweep }}
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
        site, "-i", str(site.parent / "inventory.yml"), "-e", f"rehearse_name={name}", *arguments
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
        (["-e", "rehearse_sweep=sample"], ALL, "sample"),
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
    assert left(person, name) == []


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
        person.command(*command, "-e", f"rehearse_name={name} sleep={seconds}"),
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
        state = json.loads(left(person, name)[0].read_text())
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
    while left(person, name):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_an_inventory_without_a_cluster_is_told_and_builds_nothing(root, site, name):
    inventory = root.write("empty.yml", "all: {hosts: {lonely: {}}}\n")
    done = root.playbook(site, "-i", str(inventory), "-e", f"rehearse_name={name}")
    assert done.returncode == 2
    assert "determined_master" in done.stdout + done.stderr
    assert left(root, name) == []
