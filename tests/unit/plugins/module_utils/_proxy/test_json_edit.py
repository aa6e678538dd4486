# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One member of a JSON file: set, replaced, removed, and every other byte left."""

import json
import sys

import pytest
from ansible_collections.determined.network.plugins.module_utils._proxy import json_edit
from ansible_collections.determined.network.plugins.module_utils._proxy.errors import FormatError

OURS = '{"http-proxy": "x"}'


@pytest.mark.parametrize(
    "text, expected",
    [
        ("", '{\n  "proxies": {"http-proxy": "x"}\n}\n'),
        ("{}", '{\n  "proxies": {"http-proxy": "x"}\n}\n'),
        ('{"a": 1}', '{"a": 1, "proxies": {"http-proxy": "x"}}'),
        (
            '{\n\t"a": [1,\n2],\n\t"b": {"proxies": 1}\n}\n',
            '{\n\t"a": [1,\n2],\n\t"b": {"proxies": 1},\n\t"proxies": {"http-proxy": "x"}\n}\n',
        ),
        ('{"proxies" :  null , "a": 1}', '{"proxies" :  {"http-proxy": "x"} , "a": 1}'),
        ('{"a": "}", "proxies": {"b": {}}}', '{"a": "}", "proxies": {"http-proxy": "x"}}'),
    ],
)
def test_a_member_is_set(text, expected):
    assert json_edit.set_member(text, "proxies", OURS) == expected
    assert json_edit.set_member(expected, "proxies", OURS) == expected
    assert json.loads(expected)["proxies"] == json.loads(OURS)


@pytest.mark.parametrize(
    "text, expected",
    [
        ('{"a": 1}', '{"a": 1}'),
        ('{"a": 1, "proxies": 2}', '{"a": 1}'),
        ('{"proxies": 2, "a": 1}', '{"a": 1}'),
        ('{\n  "a": 1,\n  "proxies": 2,\n  "b": 3\n}\n', '{\n  "a": 1,\n  "b": 3\n}\n'),
        ('{\n  "proxies": 2\n}\n', "{}\n"),
    ],
)
def test_a_member_is_removed(text, expected):
    assert json_edit.set_member(text, "proxies", None) == expected


@pytest.mark.parametrize(
    "text, line",
    [
        ("{", 1),
        ('{\n "a" 1}', 2),
        # Newer releases of Python name the comma's line, older ones that of what follows it.
        ('{\n "a": 1,}', 2),
        ('{\n "a": 1 // c\n}', 2),
        ("[1]", 1),
        ("1", 1),
        ('{"a": 1} x', 1),
        ('{"a": 1,\n "b": {"c": 1,\n "c": 2}}', 3),
        ('{"a":\n NaN}', 2),
        ('{"a":\n NaN, "b": "NaN is not JSON"}', 2),
        ('{"NaN":\n {"NaN is not JSON": 1,\n "NaN is not JSON": 2}}', 3),
        ("[" * 100000, 1),
    ],
)
def test_what_is_refused(text, line):
    with pytest.raises(FormatError) as problem:
        json_edit.set_member(text, "proxies", OURS)
    assert problem.value.line == line


def test_a_member_as_it_is_written():
    assert json_edit.member_text('{"a": [ 1 ], "b": 2}', "a") == "[ 1 ]"
    assert json_edit.member_text('{"a": 1}', "b") is None


def test_a_number_with_more_digits_than_python_converts():
    text = '{"a": %s}' % ("1" * 5000)
    if hasattr(sys, "get_int_max_str_digits"):  # Python 3.11, and newer releases of older versions
        with pytest.raises(FormatError):
            json_edit.members(text)
    else:
        assert [member.name for member in json_edit.members(text)] == ["a"]
