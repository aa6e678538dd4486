# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever a module returns, only clean values of documented names are used."""

import importlib
import json
import pkgutil

import pytest
import yaml
from ansible_collections.determined.network.plugins import modules
from ansible_collections.determined.network.plugins.plugin_utils._answers import clean, confirmation
from ansible_collections.determined.network.plugins.plugin_utils._answers.action import CleanAnswers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.plugins.plugin_utils.inventories import CHECKED

# These two run on the controller only.
ON_HOSTS = sorted(
    {name for _unused, name, _unused in pkgutil.iter_modules(modules.__path__)} - {"namespaces", "report"}
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=15,
)
KEYS = st.sampled_from(["changed", "failed", "msg", "warnings", "diff", "rc", "a", "ansible_facts", "add_host"])


@pytest.mark.parametrize("name", ON_HOSTS)
def test_every_module_of_hosts_has_an_action_plugin_that_cleans_its_answer(name):
    action = importlib.import_module(f"ansible_collections.determined.network.plugins.action.{name}").ActionModule
    module = importlib.import_module(f"{modules.__name__}.{name}")
    assert issubclass(action, CleanAnswers)
    assert set(action.RETURNED) - set(confirmation.RETURNED) == set(yaml.safe_load(module.RETURN))


@pytest.mark.parametrize(
    "key", ["ansible_facts", "add_host", "add_group", "ansible_stats", "results", "_ansible_no_log"]
)
def test_keys_that_ansible_acts_on_are_left_out(key):
    assert clean.clean({"changed": True, key: {"determined_mode": "off"}, "a": 1}, ("a",)) == {"changed": True, "a": 1}


@pytest.mark.parametrize(
    "answer",
    [
        [],
        {"changed": "no"},
        {"msg": 7},
        {"a": float("nan")},
        {"a": 1 << 70},
        {"a": "x" * (clean.MOST_TEXT + 1)},
        {"a": json.loads("[" * 30 + "]" * 30)},
        {"diff": [7]},
        {"diff": {"before": {}}},
        {"warnings": "a"},
        {"warnings": [7]},
        {"a": b"bytes"},
        {"a": {7: 1}},
    ],
)
def test_what_no_module_returns_is_refused(answer):
    with pytest.raises(clean.Malformed) as told:
        clean.clean(answer, ("a",))
    assert str(told.value).isprintable() and len(str(told.value)) < 300


def printable(value):
    if isinstance(value, str):
        return value.replace("\n", "").isprintable()
    if isinstance(value, dict):
        return all(key.isprintable() and printable(one) for key, one in value.items())
    return all(map(printable, value)) if isinstance(value, list) else True


@settings(**CHECKED, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(KEYS, JSON, max_size=6))
def test_an_arbitrary_answer_is_clean_or_refused(answer):
    try:
        found = clean.clean(answer, ("a",))
    except clean.Malformed:
        return
    assert printable(found) and set(found) <= {"changed", "failed", "msg", "warnings", "diff", "rc", "a"}
    json.dumps(found, allow_nan=False)


@settings(**CHECKED, suppress_health_check=list(HealthCheck))
@given(st.text(max_size=60), st.text(max_size=30))
def test_ansible_sees_one_printable_line_of_a_modules_output(junk, more):
    # A terminal writes a carriage return before each end of a line.
    for end in ("\n", "\r\n"):
        output = f'{junk}{end}{end}{{"a": 1}}{end}{more}'
        assert clean.json_line(output).isprintable()
        if "{" not in junk + more:
            assert json.loads(clean.json_line(output)) == {"a": 1}


FILES = {state: f"/run/determined-network/{state}-0a" for state in confirmation.STATES}


@pytest.mark.parametrize(
    "told, seconds, files",
    [
        ({"seconds_left": 41.5, "files": FILES}, 41.5, FILES),
        ({"seconds_left": 61, "files": FILES}, 60, FILES),
        ({"seconds_left": -1, "files": FILES}, 60, FILES),
        ({"seconds_left": float("nan"), "files": FILES}, 60, FILES),
        ({"seconds_left": "7", "files": None}, 60, None),
        ({"seconds_left": True, "files": {**FILES, "armed": "/run/a; reboot"}}, 60, None),
        ({"seconds_left": 7, "files": {**FILES, "armed": "/run/../etc"}}, 7, None),
        ({"seconds_left": 7, "files": {"armed": "/run/a"}}, 7, None),
        ("soon", 60, None),
    ],
)
def test_a_confirmation_waits_as_long_as_was_asked_and_no_longer(told, seconds, files):
    assert confirmation.waiting(told, 60) == (seconds, files, "")


def test_the_connection_of_a_change_is_a_text_or_not_known():
    told = {"seconds_left": 7, "files": FILES, "connection": "192.0.2.1 50000 192.0.2.2 22"}
    assert confirmation.waiting(told, 60).connection == told["connection"]
    assert confirmation.waiting({**told, "connection": ["192.0.2.1"]}, 60).connection == ""


@settings(**CHECKED, suppress_health_check=list(HealthCheck))
@given(JSON)
def test_an_arbitrary_result_of_a_change_is_read_or_none(told):
    found = confirmation.settled(told)
    assert found is None or found.message.isprintable()
    waiting = confirmation.waiting(told, 60)
    assert 0 <= waiting.seconds_left <= 60
