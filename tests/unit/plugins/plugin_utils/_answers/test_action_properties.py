# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever a module writes on a host, the controller gets a clean answer, or a failure that names the host."""

import copy
import importlib
import json
import pkgutil

import pytest
import yaml
from ansible_collections.determined.network.plugins import modules
from ansible_collections.determined.network.plugins.plugin_utils._answers import confirmation
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.plugins.plugin_utils import answering
from tests.unit.plugins.plugin_utils.inventories import CHECKED

# These two run on the controller only.
ON_HOSTS = sorted(
    {name for _unused, name, _unused in pkgutil.iter_modules(modules.__path__)} - {"namespaces", "report"}
)
FUZZED = {**CHECKED, "suppress_health_check": list(HealthCheck)}
COMMON = {
    "changed",
    "failed",
    "skipped",
    "msg",
    "module_stderr",
    "module_stdout",
    "warnings",
    "diff",
    "rc",
    "invocation",
}

# Ansible makes objects of dictionaries with this key.
TYPES = st.sampled_from(
    ["PluginType", "AnsibleSerializableDate", "AnsibleSerializableDateTime", "AnsibleSerializableTime", "Deprecation",
     "_AnsibleTaggedStr", "_AnsibleTaggedInt", "_AnsibleTaggedDict", "Event", "WarningSummary", "ErrorSummary", "no"]
)  # fmt: skip
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.just("\x1b[2J\n9 checks")
ANY = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5), inner, max_size=3)
        | st.builds(
            lambda kind, more: {"__ansible_type": kind, **more},
            TYPES,
            st.dictionaries(
                st.sampled_from(["value", "tags", "iso8601", "event", "msg", "details"]), inner, max_size=3
            ),
        )
    ),
    max_leaves=8,
)
KEYS = [
    *("changed", "failed", "skipped", "msg", "warnings", "deprecations", "exception", "diff", "rc", "invocation"),
    *("ansible_facts", "add_host", "ansible_stats", "_ansible_no_log", "module_stdout"),
]


def printable(value):
    if isinstance(value, str):
        return value.replace("\n", "").isprintable()
    if isinstance(value, dict):
        return all(key.isprintable() and printable(one) for key, one in value.items())
    return all(map(printable, value)) if isinstance(value, list) else True


def check(name, output):
    for profile in answering.PROFILES or ("",):
        found = answering.result(name, output, profile)
        assert set(found) <= COMMON | set(answering.action(name).RETURNED), found
        assert printable(found), found
        json.dumps(found, allow_nan=False)


def sample(name):
    """What the module returns by its documentation."""
    documented = yaml.safe_load(importlib.import_module(f"{modules.__name__}.{name}").RETURN)
    return {"changed": False, **{key: one.get("sample", "") for key, one in documented.items()}}


def put(value, path, new):
    """A value with another one at a path."""
    if not path:
        return new
    value = copy.deepcopy(value)
    place = value
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = new
    return value


@pytest.mark.parametrize("name", ON_HOSTS)
@settings(max_examples=40, **FUZZED)
@given(st.integers(0, 10_000), ANY)
def test_a_documented_answer_with_anything_at_one_place(name, number, value):
    honest = sample(name)
    paths = list(answering.places(honest))
    check(name, json.dumps(put(honest, paths[number % len(paths)], value)))


@settings(max_examples=120, **FUZZED)
@given(st.sampled_from(ON_HOSTS), st.dictionaries(st.sampled_from(KEYS), ANY, max_size=4))
def test_anything_under_the_keys_that_ansible_acts_on(name, answer):
    check(name, json.dumps({**sample(name), **answer}))


@settings(max_examples=60, **FUZZED)
@given(st.sampled_from(ON_HOSTS), st.text(max_size=40), ANY, st.text(max_size=20))
def test_anything_around_and_instead_of_json(name, before, value, after):
    check(name, f"{before}\n{json.dumps(value)}{after}")
    check(name, f"{before}\n{{{after}")


def test_a_value_that_claims_to_be_of_a_type_of_ansibles_is_refused_by_name():
    answer = {"observations": [{"__ansible_type": "PluginType"}]}
    found = answering.result("probe", json.dumps(answer))
    if answering.PROFILES:
        assert "the host returned a malformed answer for the module probe" in found["msg"]
        assert "claims to be of a type of Ansible's lacks 'value'" in found["msg"]
    else:
        assert found == answer


@pytest.mark.parametrize("name", ON_HOSTS)
def test_the_documented_answer_itself_is_kept(name):
    """Otherwise the tests above would compare nothing."""
    honest = sample(name)
    assert answering.result(name, json.dumps(honest)) == honest
    assert set(answering.action(name).RETURNED) - set(confirmation.RETURNED) == set(honest) - {"changed"}
