# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the collection says about itself in several places is the same in all of them."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def lines(name):
    """A list file's entries, without comments."""
    return [line for line in text(name).splitlines() if line and not line.startswith("#")]


GALAXY = yaml.safe_load(text("galaxy.yml"))
ENVIRONMENT = yaml.safe_load(text("meta/execution-environment.yml"))


def test_the_oldest_ansible():
    (floor,) = re.findall(r">=(\d+\.\d+)\.0", yaml.safe_load(text("meta/runtime.yml"))["requires_ansible"])
    assert f"ansible-core>={floor}" in lines("requirements/demo.txt")
    assert f"`ansible-core` {floor} or newer" in text("README.md")
    roles = sorted(ROOT.glob("roles/*/meta/main.yml"))
    assert len(roles) >= 2
    for role in roles:
        assert yaml.safe_load(role.read_text())["galaxy_info"]["min_ansible_version"] == floor, role


def test_the_version_has_its_changes():
    assert re.findall(r"^## (\S+)", text("CHANGELOG.md"), re.MULTILINE)[0] == GALAXY["version"]


def test_nothing_is_newer_than_the_version():
    def release(version):
        return tuple(map(int, version.split(".")))

    for place in ("plugins", "roles"):
        for path in [*(ROOT / place).rglob("*.py"), *(ROOT / place).rglob("*.yml")]:
            for version in re.findall(r"^\s*version_added: ['\"]?([\d.]+)", path.read_text(), re.MULTILINE):
                assert release(version) <= release(GALAXY["version"]), path


@pytest.mark.parametrize("kind", ["python", "system"])
def test_what_an_execution_environment_needs_is_shipped(kind):
    name = ENVIRONMENT["dependencies"][kind]
    assert lines(name)
    assert name.split("/")[0] not in GALAXY["build_ignore"]


def test_python_packages_are_listed_once():
    assert "-r ../meta/requirements.txt" in lines("requirements/demo.txt")
    assert "-r demo.txt" in lines("requirements/test.txt")
    packages = {re.split(r"[<>=]", line)[0] for line in lines("meta/requirements.txt")}
    # The one library that the controller's side imports and Ansible does not bring.
    assert packages == {"netaddr"}


def test_a_rehearsals_commands_come_from_the_same_packages_everywhere():
    """scripts/setup installs them on a developer's machine, and meta/bindep.txt in an execution environment."""
    table = text("scripts/setup").split('commands="\n')[1].split('"')[0]
    rows = [line.split() for line in table.splitlines() if line]
    wanted = {kind: {row[column] for row in rows if row[0] != "python3"} for kind, column in (("dpkg", 1), ("rpm", 2))}
    entries = [line.split() for line in lines("meta/bindep.txt")]
    for kind, packages in wanted.items():
        assert {name for name, *where in entries if not where or where == [f"[platform:{kind}]"]} == packages


PLAYED = sorted(path for place in ("playbooks", "roles") for path in (ROOT / place).rglob("*.yml"))


@pytest.mark.parametrize("path", PLAYED, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_asks_or_waits_for_somebody(path):
    """A job has nobody who could answer."""
    assert not re.search(r"\bvars_prompt:|\bpause:", path.read_text(encoding="utf-8"))


def test_site_refuses_bad_settings_of_the_verification_before_it_configures():
    plays = [play for play in yaml.safe_load(text("playbooks/site.yml")) if "hosts" in play]
    assert [play for play in plays if "roles" in play] == plays[1:]
    (task,) = plays[0]["tasks"]
    assert task["ansible.builtin.import_role"] == {"name": "determined.network.verify", "tasks_from": "settings"}
