# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks refuse old names of variables before anything changes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HARMLESS = {
    "Validating arguments against arg spec",
    "Read the cluster",
    "Read the cluster, once for the play",
    "Refuse variables with outdated or misspelt names",
}
INVENTORY = """
all:
  vars:
    # Nobody would be reached.
    ansible_connection: local
    ansible_become: false
    proxy_https: http://proxy.example.com:3128
    firewall_enabled_at_boot: true
  children:
    determined_master:
      hosts:
        master: {determined_address: 192.0.2.10, determined_verify_sweeep: full}
    determined_agents:
      hosts:
        agent1: {determined_address: 192.0.2.21, firewall_state: absent}
        agent2: {determined_address: 192.0.2.22, firewall_state: started}
"""


@pytest.mark.parametrize("playbook", ["site", "verify", "remove", "rehearse"])
def test_old_names_are_refused_before_anything_changes(playbook, tmp_path):
    inventory, report = tmp_path / "hosts.yml", tmp_path / "report"
    inventory.write_text(INVENTORY)
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "ansible-playbook"),
            f"playbooks/{playbook}.yml",
            "-i",
            str(inventory),
            # Should they be accepted one day, this changes nothing on this machine.
            *(["--check"] if playbook in ("site", "remove") else []),
            "-e",
            f"verify_report_dir={report} determined_verify_report_dir={report} determined_proxy_https=",
        ],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_NOCOLOR": "1"},
        stdin=subprocess.DEVNULL,
        text=True,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2, done.stdout + done.stderr
    tasks = {name.split(" : ")[-1] for name in re.findall(r"^TASK \[(.*?)\]", done.stdout, re.MULTILINE)}
    assert {task for task in tasks if not task.startswith(tuple(HARMLESS))} == set()
    assert "The inventory has 2 problems; nothing was changed:" in done.stdout
    assert "agent1: firewall_state: is the old name of determined_firewall_state" in done.stdout
    assert (
        "master: determined_verify_sweeep: is no variable of this collection. Remedy: write determined_verify_s"
        in done.stdout
    )
    assert not report.exists()
