# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rehearsal overrides of the inventory, so that a namespace can play it."""

from pathlib import Path

import yaml

PLAYBOOK = Path(__file__).resolve().parents[2] / "playbooks/rehearse.yml"


def test_what_asks_for_a_booted_host_is_overridden():
    plays = yaml.safe_load(PLAYBOOK.read_text())
    variables = next(play["vars"] for play in plays if play.get("import_playbook") == "site.yml")
    assert variables["determined_firewall_persist"] is False and variables["determined_firewall_backend"] == "auto"
