# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts of foreign origin are printable, bounded, and safe for each of the formats that they are written to."""

import json
import xml.etree.ElementTree as xml

import pytest
from ansible_collections.determined.network.plugins.plugin_utils import _escape
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.plugins.plugin_utils.inventories import CHECKED

TEXTS = st.text(st.characters(exclude_categories=()), max_size=400) | st.text(
    "\x1b\n\x9b\u202e\ud800\ufffe a", max_size=40
)


@pytest.mark.parametrize(
    "text, shown",
    [
        ("plain text, ä and 中", "plain text, ä and 中"),
        ("\x1b[2J", "\\x1b[2J"),
        ("a\nb\r\x00\x7f", "a\\x0ab\\x0d\\x00\\x7f"),
        ("\x9b31m\x85", "\\x9b31m\\x85"),
        ("\u202egpj.exe\u2066", "\\u202egpj.exe\\u2066"),
        ("\ufffe\ud800\U000e0041", "\\ufffe\\ud800\\U000e0041"),
    ],
)
def test_what_is_not_printable_becomes_visible(text, shown):
    assert _escape.line(text) == shown
    assert _escape.line(shown) == shown


@settings(**CHECKED, suppress_health_check=list(HealthCheck))
@given(TEXTS, st.integers(5, 300))
def test_a_line_is_printable_and_bounded(text, most):
    shown = _escape.line(text, most)
    assert shown.isprintable() and len(shown) <= most
    assert _escape.line(shown, most) == shown


@settings(**CHECKED, suppress_health_check=list(HealthCheck))
@given(TEXTS)
def test_a_line_is_valid_in_xml_and_json(text):
    shown = _escape.line(text, None)
    element = xml.Element("a", {"b": shown})
    element.text = shown
    read = xml.fromstring(xml.tostring(element))
    assert (read.text or "", read.get("b")) == (shown, shown)
    assert json.loads(_escape.as_json([text])) == [text]
    assert _escape.as_json([text]).isascii() and "\x1b" not in _escape.as_json([text])


@settings(**CHECKED, suppress_health_check=list(HealthCheck))
@given(TEXTS)
def test_only_indented_lines_of_a_message_stay_lines(text):
    first, *others = _escape.block(text, 10_000).split("\n")
    assert first.isprintable() and all(one.isprintable() for one in others)
    assert all(one.startswith("  ") or (not one and one is others[-1]) for one in others)


def test_a_message_cannot_forge_a_line():
    assert _escape.block("a\n  1. b\n28 checks: 28 correct\n", 100) == "a\n  1. b\\n28 checks: 28 correct\n"
    assert _escape.block("a" * 500, 100) == "a" * 97 + "..."


def test_each_line_of_a_diff_begins_as_lines_of_a_diff_do():
    text = "--- /etc/a\n+++ /etc/a\n@@ -1 +1 @@\n-a\n+b\x1b\n28 checks: 28 correct\n"
    assert _escape.diff(text, 1000) == ("--- /etc/a\n+++ /etc/a\n@@ -1 +1 @@\n-a\n+b\\x1b\n 28 checks: 28 correct\n")


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_what_json_does_not_have_is_no_json(number):
    with pytest.raises(ValueError):
        _escape.as_json({"a": number})
