"""The README says what is there."""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import requirements_table  # noqa: E402  (a script of this checkout, not a package)

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_table_of_requirements_is_the_data():
    assert requirements_table.with_table(README) == README, "run: python scripts/requirements_table.py"


def test_every_requirement_has_its_line():
    rows = yaml.safe_load((ROOT / "plugins/plugin_utils/_cluster/requirements.yml").read_text())["requirements"]
    assert all(f"| `{row['id']}` |" in README for row in rows)


def test_every_playbook_is_named():
    # inventory.yml is a part of the others.
    playbooks = {path.stem for path in (ROOT / "playbooks").glob("*.yml")} - {"inventory"}
    assert {name for name in playbooks if f"`determined.network.{name}`" in README} == playbooks


def test_every_setting_is_named():
    from ansible_collections.determined.network.plugins.plugin_utils._cluster import cluster, settings

    names = {*settings.VARIABLES.values(), *cluster.GROUPS, "determined_address", "determined_gpus"}
    assert {name for name in names if f"`{name}`" in README} == names


def test_every_link_leads_somewhere():
    import re

    targets = [target for target in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in target]
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []
