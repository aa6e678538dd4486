# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which names of variables are refused, and which belong to others."""

import re
from pathlib import Path

import pytest
import yaml
from ansible_collections.determined.network.plugins.plugin_utils._cluster import variables

ROOT = Path(__file__).resolve().parents[5]
HOSTS = ("master", "agent1", "agent2")

# Variables of well-known roles and inventories of others whose names begin like ours.
FOREIGN = (ROOT / "tests/unit/data/foreign-variables.txt").read_text().split()


def problems(*names, where=HOSTS[:1], in_play=()):
    return [str(found) for found in variables.problems({name: list(where) for name in names}, in_play, HOSTS)]


def specified(role):
    return yaml.safe_load((ROOT / f"roles/{role}/meta/argument_specs.yml").read_text())["argument_specs"]


@pytest.mark.parametrize("role", sorted(path.name for path in (ROOT / "roles").iterdir()))
def test_the_variables_of_a_role_are_those_of_its_specification(role):
    names = {f"determined_{role}_{name}" for name in variables.ROLE_VARIABLES[role]}
    assert {name for entry in specified(role).values() for name in entry["options"]} == names


def test_the_variables_of_the_rehearsal_are_those_of_its_playbook():
    found = re.findall(r"\bdetermined_rehearse_(\w+)", (ROOT / "playbooks/rehearse.yml").read_text())
    assert set(found) == set(variables.ROLE_VARIABLES["rehearse"])


def test_only_roles_and_the_rehearsal_have_a_prefix():
    assert set(variables.ROLE_VARIABLES) == {path.name for path in (ROOT / "roles").iterdir()} | {"rehearse"}


@pytest.mark.parametrize("name", variables.KNOWN)
def test_right_names_are_accepted(name):
    assert problems(name) == []
    assert problems(in_play=[name]) == []


def test_a_variable_that_never_had_an_old_name_refuses_no_name_of_others():
    names = ["determined_firewall_forward", "firewall_forward", "firewall_froward"]
    assert list(variables.problems({name: ["agent1"] for name in names}, [], ["agent1"])) == []
    (found,) = variables.problems({"determined_firewall_forwards": ["agent1"]}, [], ["agent1"])
    assert "determined_firewall_forward" in str(found)


@pytest.mark.parametrize(("old", "new"), variables.RENAMED.items())
def test_every_old_name_is_refused_with_its_new_name(old, new):
    assert new == f"determined_{old}"
    (told,) = problems(old, where=HOSTS)
    assert told.startswith(f"master and 2 more: {old}: is the old name of {new} and has no effect any more. Remedy: ")
    assert f"Remedy: write {new}; " in told
    (told,) = problems(in_play=[old])
    assert told.startswith(f"the play: {old}: is the old name of {new} ")


@pytest.mark.parametrize(
    ("misspelt", "right"),
    [
        ("determined_proxy_htps", "determined_proxy_https"),
        ("determined_verify_sweeep", "determined_verify_sweep"),
        ("determined_firewall_mod", "determined_mode"),
        ("determined_firewall_stat", "determined_firewall_state"),
        ("determined_proxy_host", "determined_proxy_http"),
        ("determined_rehearse_names", "determined_rehearse_name"),
        ("determined_mod", "determined_mode"),
        ("determined_clients_networks", "determined_client_networks"),
        ("proxy_htps", "determined_proxy_https"),
        ("proxy_no_porxy", "determined_proxy_no_proxy"),
        ("verify_sweeep", "determined_verify_sweep"),
        ("firewall_backeend", "determined_firewall_backend"),
        ("rehearse_swep", "determined_rehearse_sweep"),
        ("firewall_mod", "determined_mode"),
        ("firewall_mode", "determined_mode"),
    ],
)
def test_misspelt_names_are_refused_with_the_nearest_right_name(misspelt, right):
    (told,) = problems(misspelt)
    assert told.startswith(f"master: {misspelt}: is no variable of this collection. Remedy: write {right}")


def test_a_name_that_is_like_none_is_refused_with_all_of_its_prefix():
    (told,) = problems("determined_rehearse_xyz")
    names = "determined_rehearse_name, determined_rehearse_timeout, determined_rehearse_sweep"
    assert told.endswith(f"Remedy: take it out, or write one of: {names}.")


@pytest.mark.parametrize("name", FOREIGN)
def test_variables_of_others_are_accepted(name):
    assert problems(name) == []
    assert problems(in_play=[name]) == []


def test_a_value_tells_to_whom_a_shared_name_belongs():
    assert variables.is_ours("firewall_state", "present") and variables.is_ours("firewall_state", "absent")
    assert not variables.is_ours("firewall_state", "started")
    assert variables.is_ours("firewall_mod", "restrict") and not variables.is_ours("firewall_mod", "strict")
    assert variables.is_ours("proxy_https", "started")


@pytest.mark.parametrize("old", ["proxy_https", "proxy_htps"])
def test_an_old_name_is_accepted_where_the_new_name_is_set(old):
    """It belongs to another role then, whose value may be ours, too."""
    both = {old: ["agent1", "agent2"], "determined_proxy_https": ["agent1", "agent2"]}
    assert variables.problems(both, [], HOSTS) == []
    assert variables.problems({"determined_proxy_https": list(HOSTS)}, [old], HOSTS) == []
    # Somewhere the new name has been forgotten.
    both["determined_proxy_https"] = ["agent1"]
    assert [found.variable for found in variables.problems(both, [], HOSTS)] == [old]
    assert [found.variable for found in variables.problems({"determined_proxy_https": ["agent1"]}, [old], HOSTS)] == [
        old
    ]


def test_all_problems_are_told_at_once():
    assert (
        len(problems("proxy_https", "verify_seed", "determined_proxy_htps", "proxy_url", in_play=["verify_sweep"])) == 4
    )
