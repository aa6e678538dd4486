# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text about foreign settings that a rollback has removed."""

import pytest
from ansible_collections.determined.network.plugins.module_utils._firewall import lost_settings


@pytest.mark.parametrize("lost", [None, [], ()])
def test_nothing_lost_is_not_mentioned(lost):
    assert lost_settings.describe(lost) == ""


def test_lost_settings_end_the_sentence_also_when_they_hold_semicolons():
    assert lost_settings.describe(["a ban; for now", "b"]) == "; others have lost by that: a ban; for now; b"


def test_a_long_list_of_lost_settings_is_cut():
    text = lost_settings.describe(["x"] * 25)
    assert text.count("x;") == 20 and text.endswith("; x; and 5 more")
