# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reader of plain YAML: what it reads, and what it refuses with which line."""

import pytest
from ansible_collections.determined.network.plugins.module_utils._proxy import yaml_reader as yaml
from ansible_collections.determined.network.plugins.module_utils._proxy.errors import FormatError


@pytest.mark.parametrize(
    "text, expected",
    [
        ("", {}),
        ("# only a comment\n", {}),
        ("---\n", {}),
        ("--- # begin\na: 1\n", {"a": "1"}),
        ("a: 1\n\n# c\nb: two words # c\n", {"a": "1", "b": "two words"}),
        ("a: it's #1\n", {"a": "it's"}),
        ("a: x#y\n", {"a": "x#y"}),
        ("a: 'it''s: # x'  # c\n", {"a": "it's: # x"}),
        (r'a: "q\"\u00fc\x41\\ \n"' + "\n", {"a": 'q"üA\\ \n'}),
        ("'a b': 1\n\"c\": 2\nd e : 3\n", {"a b": "1", "c": "2", "d e": "3"}),
        ("a:\nb:   # nothing\nc: 1", {"a": None, "b": None, "c": "1"}),
        ("a:\n  b:\n    c: 1\n  d: 2\ne: 3\n", {"a": {"b": {"c": "1"}, "d": "2"}, "e": "3"}),
        ("a:\n- 1\n- x: 1\n  y: 2\n-\n  - 3\nb: 4\n", {"a": ["1", {"x": "1", "y": "2"}, ["3"]], "b": "4"}),
        ("a:\n  - - 1\n    - 2\n  - 3\n", {"a": [["1", "2"], "3"]}),
        ("a: [1, 'b, c', {d: e}, [],]\n", {"a": ["1", "b, c", {"d": "e"}, []]}),
        ("a: [$x, a $b, it ' is, x @y % (z)]\n", {"a": ["$x", "a $b", "it ' is", "x @y % (z)"]}),
        ("a: {b: 1,\n  c: [x,  # c\n  y]}\nd: 1\n", {"a": {"b": "1", "c": ["x", "y"]}, "d": "1"}),
        ("a: |\n  x: y\n\n    # no comment\n\nb: 1\n", {"a": ("  x: y", "", "    # no comment"), "b": "1"}),
        ("a: >-  # c\n x\nb: 1\n", {"a": (" x",), "b": "1"}),
        ("url: http://u:p@h:1/?a=b\ntime: 12:30\n", {"url": "http://u:p@h:1/?a=b", "time": "12:30"}),
        ("a: -1\nb: -x\nc: ?x\n", {"a": "-1", "b": "-x", "c": "?x"}),
    ],
)
def test_what_is_read(plain, text, expected):
    assert plain(yaml.read(text)) == expected


@pytest.mark.parametrize(
    "text, line",
    [
        ("a 1\n", 1),
        ("- a\n", 1),
        (" a: 1\n", 1),
        ("a: 1\n b: 2\n", 2),
        ("a: 1\nb 2\n", 2),
        ("a: 1\n\n\n  goes on\n", 4),
        ("a: b: c\n", 1),
        ("a: b:\n", 1),
        ("a: [1\nb: 2\n", 2),
        ("a: [1\n", 2),
        ("a: [1, 2\n  b: 2\n", 2),
        ("a: {b}\n", 1),
        ("a: {b: 1, b: 2}\n", 1),
        ("a: [1] 2\n", 1),
        ("a: 'x\nb: 1\n", 1),
        ('a: "x\n  y"\n', 1),
        ('a: "\\q"\n', 1),
        ('a: "\\ud800"\n', 1),
        ("a: 'x' y\n", 1),
        ("a: 1\na: 2\n", 2),
        ("a:\n  b: 1\n  c: 2\n  b: 3\n", 4),
        ("a:\n\tb: 1\n", 2),
        ("a: \tb\n", 1),
        ("a:\n    b: 1\n  c: 2\n", 3),
        ("a:\n  - 1\n - 2\n", 3),
        ("a:\n  x\n  y\n", 2),
        ("a: &x 1\n", 1),
        ("a: *x\n", 1),
        ("a: !vault x\n", 1),
        ("<<: 1\n", 1),
        ("? a\n: b\n", 1),
        ("a: %x\n", 1),
        ("a: @x\n", 1),
        ("a: |2\n  x\n", 1),
        ("a: |\n   x\n  y\n", 3),
        ("a: |\n     \n   x\n", 2),
        ("%YAML 1.2\n---\na: 1\n", 1),
        ("a: 1\n---\nb: 2\n", 2),
        ("a: 1\n...\n", 2),
        ("a: x\x00y\n", 1),
        ("a: 1\nb: \x85\n", 2),
        ("\ufeffa: 1\n", 1),
        ("a: 1\r\n", 1),
        ("{a: 1}\n", 1),
        ("a: " + "[" * 99 + "]" * 99 + "\n", 1),
    ],
)
def test_what_is_refused(text, line):
    with pytest.raises(FormatError) as problem:
        yaml.read(text)
    assert problem.value.line == line
    assert problem.value.reason and str(problem.value).startswith(f"line {line}: ")


def test_the_lines_of_each_key():
    text = "# c\na: 1 # one\n\n# about b\nb:\n- x\n\n# about c\nc: [1,\n 2]\nd: |\n  t\n\n\ne:\n"
    found = [(entry.key, entry.first, entry.last, entry.tail) for entry in yaml.read(text)]
    assert found == [
        ("a", 1, 2, " # one"),
        ("b", 4, 6, ""),
        ("c", 8, 10, ""),
        ("d", 10, 12, ""),
        ("e", 14, 15, ""),
    ]
