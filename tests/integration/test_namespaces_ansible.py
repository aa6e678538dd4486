# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rehearsals through Ansible: the module, the connection plugin and the playbook rehearse.yml."""

from __future__ import annotations

import json
import os

import pytest

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
    assert person.state_files(name) == []


@pytest.mark.parametrize(
    "arguments, keywords, expected",
    [
        ("hosts: {a: []}", "", "a has no address"),
        ("hosts: {a: [192.0.2.1]}, name: ../x", "", "a rehearsal's name is"),
        ("hosts: {a: [192.0.2.1]}, owner_pid: 4194304", "", "no process with this id runs"),
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
        assert "determined_rehearse_name" in done.stdout
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
    done = root.run(root.python, "-m", "ansible", "adhoc", "a", "-i", "a,", "-m", "ping", "-e", json.dumps(variables))
    assert done.returncode == 4
    assert f"The namespace of a no longer exists: the rehearsal '{name}' has ended" in done.stdout
    assert "Play determined.network.rehearse again" in done.stdout
