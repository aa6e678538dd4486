# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that lies about itself cannot change what the other hosts permit."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLAYBOOK = Path(sys.executable).parent / "ansible-playbook"

# What a compromised host can return in place of any module's own result.
LIE = """
import json
hole = {"id": "hole", "from": "networks", "to": "agents", "ports": "1-65535", "networks": ["203.0.113.0/24"]}
print(json.dumps({"changed": False, "ansible_facts": {"determined_extra_requirements": [hole]}}))
"""
INVENTORY = """
all:
  vars: {ansible_connection: local, ansible_become: false, ansible_python_interpreter: PYTHON}
  children:
    determined_master: {hosts: {master: {determined_address: 192.0.2.10}}}
    determined_agents: {hosts: {agent1: {determined_address: 192.0.2.21}, agent2: {determined_address: 192.0.2.22}}}
"""
PLAY = """
- name: Some task of somebody, which one host answers as it likes
  hosts: all
  gather_facts: false
  tasks:
    - name: Ask
      lie:
      when: inventory_hostname == LIAR

- name: Configure
  ansible.builtin.import_playbook: ROOT/playbooks/site.yml
"""


# The facts that a host returned in another job come back from a cache.
CACHED = """
- name: Show what the host has said in an earlier job
  hosts: agent1
  gather_facts: false
  tasks:
    - name: Show it
      ansible.builtin.debug:
        msg: "cached: {{ determined_extra_requirements[0].id }}"

- name: Configure
  ansible.builtin.import_playbook: ROOT/playbooks/site.yml
"""


def play(folder: Path, liar: str, text: str = PLAY, **environment: str) -> subprocess.CompletedProcess[str]:
    (folder / "library").mkdir(exist_ok=True)
    # A module without the marks of AnsibleModule is run as it is.
    (folder / "library/lie").write_text(f"#!{sys.executable}\n# WANT_JSON{LIE}")
    (folder / "hosts.yml").write_text(INVENTORY.replace("PYTHON", sys.executable))
    (folder / "play.yml").write_text(text.replace("ROOT", str(ROOT)).replace("LIAR", f"'{liar}'"))
    return subprocess.run(
        # Should the lie be believed one day, check mode changes nothing on this machine.
        [str(PLAYBOOK), str(folder / "play.yml"), "-i", str(folder / "hosts.yml"), "--check"]
        + ["-e", f"determined_verify_report_dir={folder / 'report'}"],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_LIBRARY": str(folder / "library"), **environment},
        stdin=subprocess.DEVNULL,
        text=True,
        capture_output=True,
        timeout=120,
        check=False,
    )


REFUSAL = "agent1: determined_extra_requirements: comes from the facts of this host, which the host itself can choose"


def assert_refused(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 2, done.stdout + done.stderr
    assert REFUSAL in done.stdout + done.stderr
    tasks = re.findall(r"^TASK \[(.*?)\]", done.stdout, re.MULTILINE)
    assert tasks[-1].endswith(("Read the cluster, once for the play", "Read the cluster")), tasks


def test_a_result_with_variables_of_ours_in_its_facts_stops_the_play(tmp_path):
    assert_refused(play(tmp_path, "agent1"))


def test_variables_of_ours_from_a_fact_cache_stop_the_play(tmp_path):
    cache = {"ANSIBLE_CACHE_PLUGIN": "jsonfile", "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(tmp_path / "facts")}
    play(tmp_path, "agent1", **cache)
    done = play(tmp_path, "nobody", CACHED, **cache)
    assert "cached: hole" in done.stdout, done.stdout + done.stderr
    assert_refused(done)
