# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A role's defaults are what its specification says, and its variables have its prefix."""

import re
from pathlib import Path

import pytest
import yaml
from ansible_collections.determined.network.plugins.module_utils._firewall import container_interfaces

ROLES = Path(__file__).resolve().parents[3] / "roles"
NAMES = sorted(path.name for path in ROLES.iterdir())
# Unset, they stand for "computed" and "a new one each run".
WITHOUT_DEFAULT = {"determined_proxy_no_proxy", "determined_verify_seed"}
# Their default depends on whether the play is a rehearsal, which a specification cannot say.
COMPUTED = dict.fromkeys(
    ("determined_verify_internet", "determined_verify_attack"), "{{ determined_rehearsal is not defined }}"
)


def read(role, file):
    path = ROLES / role / file
    return yaml.safe_load(path.read_text()) if path.exists() else {}


def options(role):
    return read(role, "meta/argument_specs.yml")["argument_specs"]["main"]["options"]


@pytest.mark.parametrize("role", NAMES)
def test_defaults_are_what_the_specification_says(role):
    specified = {name: option["default"] for name, option in options(role).items() if "default" in option}
    defaults = read(role, "defaults/main.yml")
    computed = {name: value for name, value in COMPUTED.items() if name in options(role)}
    assert {**specified, **computed} == defaults
    assert not set(specified) & set(computed)
    assert set(options(role)) - set(defaults) == WITHOUT_DEFAULT & set(options(role))


@pytest.mark.parametrize("role", NAMES)
def test_public_variables_have_the_prefix_of_the_collection_and_the_role(role):
    assert [name for name in options(role) if not re.fullmatch(rf"determined_{role}_[a-z_]+", name)] == []


@pytest.mark.parametrize("role", NAMES)
def test_internal_variables_have_two_underscores_and_the_name_of_the_role(role):
    allowed = re.compile(rf"__{role}_[a-z_]+")
    tasks = [
        task
        for path in [*(ROLES / role).glob("tasks/*.yml"), *(ROLES / role).glob("handlers/*.yml")]
        for task in every_task(yaml.safe_load(path.read_text()))
    ]
    names = [
        *read(role, "vars/main.yml"),
        *(task["register"] for task in tasks if "register" in task),
        *(name for task in tasks for name in task.get("ansible.builtin.set_fact", {})),
        *(name for task in tasks for name in task.get("vars", {})),
    ]
    assert names
    assert [name for name in names if not allowed.fullmatch(name)] == []


def every_task(tasks):
    for task in tasks:
        yield task
        for part in ("block", "rescue", "always"):
            yield from every_task(task.get(part, []))


def test_the_container_interfaces_are_those_of_the_module():
    default = options("firewall")["determined_firewall_container_interfaces"]["default"]
    assert default == list(container_interfaces.DEFAULT)
