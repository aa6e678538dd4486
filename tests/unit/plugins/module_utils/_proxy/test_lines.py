# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of lines: keys in sections, variables of a shell, and our block."""

import pytest
from ansible_collections.determined.network.plugins.module_utils._proxy import lines
from ansible_collections.determined.network.plugins.module_utils._proxy.errors import FormatError


@pytest.mark.parametrize(
    "text, section, expected",
    [
        ("", "main", "[main]\nproxy = x\n"),
        ("[main]\na=1\n", "main", "[main]\nproxy = x\na=1\n"),
        ("[main]\na=1", "other", "[main]\na=1\n[other]\nproxy = x\n"),
        (
            "# c\n[a]\nproxy=1\n[main] # c\nproxy : y\n  goes on\nb=1\n",
            "main",
            "# c\n[a]\nproxy=1\n[main] # c\nproxy = x\nb=1\n",
        ),
        ("[main]\n#proxy=y\n", "main", "[main]\nproxy = x\n#proxy=y\n"),
        ("[main]\nproxy=1\nproxy=2\n", "main", "[main]\nproxy = x\n"),
        ("[main]", "main", "[main]\nproxy = x\n"),
        ("", None, "proxy=x\n"),
        ("a=1", None, "a=1\nproxy=x\n"),
        ("a=1\n proxy='y'\nb\n", None, "a=1\nproxy=x\nb\n"),
    ],
)
def test_keys(text, section, expected):
    wanted = {"proxy": ["proxy = x" if section else "proxy=x"]}
    assert lines.with_chunks(text, section, wanted) == expected
    assert lines.with_chunks(expected, section, wanted) == expected


def test_keys_are_put_back_and_removed():
    text = "[main]\nproxy = x\nb = 1\n[o]\n"
    assert lines.with_chunks(text, "main", {"proxy": None}) == "[main]\nb = 1\n[o]\n"
    assert lines.with_chunks(text, "main", {"proxy": ["proxy=y", " z"]}) == "[main]\nproxy=y\n z\nb = 1\n[o]\n"
    assert lines.chunks("[main]\nproxy=y\n z\nb=1\n", "main", ("proxy",)) == {"proxy": ["proxy=y", " z"]}


@pytest.mark.parametrize(
    "text, expected",
    [
        ("a=1\n[main]\n", "a=1\n"),
        ("[main]\n\n[o]\n", "\n[o]\n"),
        ("[main]\n# c\n", "[main]\n# c\n"),
        ("[main]\nb=1\n", "[main]\nb=1\n"),
        ("", ""),
    ],
)
def test_an_empty_section_is_removed(text, expected):
    assert lines.without_empty_section(text, "main") == expected


def test_a_file_without_its_section_header_is_refused():
    with pytest.raises(FormatError) as problem:
        lines.with_chunks("# c\nproxy=1\n[main]\n", "main", {"proxy": ["proxy = x"]})
    assert problem.value.line == 2


@pytest.mark.parametrize("text", ["", "a=1\n", "# c\n\nb='x'\n"])
def test_a_block_is_written_and_removed(text):
    found = lines.with_block(text, ["x=1"])
    assert found.startswith(text) and "\nx=1\n" in "\n" + found
    assert lines.with_block(found, ["x=1"]) == found
    assert lines.with_block(found + "mine=2\n", ["x=3"]).count("\nx=3\n") == 1
    assert lines.without_block(found) == text


def test_a_block_without_one_of_its_marks_is_refused():
    found = lines.with_block("a=1\n", ["x=1"]).split("\n")
    with pytest.raises(FormatError) as problem:
        lines.without_block("\n".join(found[:-2]))
    assert problem.value.line == 2
