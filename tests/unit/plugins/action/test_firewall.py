# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the controller reports about a change that was not confirmed."""

from types import SimpleNamespace

import pytest
from ansible_collections.determined.network.plugins.action import firewall
from ansible_collections.determined.network.plugins.plugin_utils._answers.confirmation import Settled


@pytest.fixture
def action():
    made = firewall.ActionModule.__new__(firewall.ActionModule)
    made._task = SimpleNamespace(args={"confirm_timeout": 7})
    made._problem = "timed out."
    return made


@pytest.mark.parametrize(
    "lost, sentence",
    [([], "has restored the old state. "), (["a ban; for now", "b"], "others have lost by that: a ban; for now; b. ")],
)
def test_what_others_lost_is_a_list_in_the_result_and_told(action, lost, sentence):
    settled = Settled("restored", "it says something else; x", tuple(lost))
    result = action._undone(settled)
    assert result["lost"] == lost and sentence in result["msg"]
    assert result["failed"] and result["restored"] and not result["changed"]
    assert "within 7 s (last attempt: timed out)" in result["msg"]


def test_a_failed_rollback_is_told_in_the_words_of_the_host(action):
    result = action._undone(Settled("failed", "no space", ()))
    assert "no space" in result["msg"] and not result["restored"] and result["changed"]


def test_a_host_that_is_not_reached_any_more_is_not_called_restored(action):
    result = action._undone(None)
    assert not result["restored"] and "console" in result["msg"]


@pytest.mark.parametrize(
    "answer, kept, problem",
    [
        ({"said": "kept"}, True, "timed out."),
        ({"said": "unstored"}, True, "timed out."),
        ({"said": "expired"}, False, "timed out."),
        ({"said": "old"}, None, firewall.OLD_CONNECTION),
        ({"failed": True, "msg": "kept"}, None, "kept"),  # a message never decides
    ],
)
def test_the_state_of_a_confirmation_decides_and_not_a_message(action, answer, kept, problem):
    action._module = lambda step: answer
    assert action._keep(None, "") is kept
    assert action._problem == problem
