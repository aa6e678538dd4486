# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a change of a file is called, what it touches, and how it is taken back."""

import pytest
from ansible_collections.determined.network.plugins.module_utils._proxy.file_change import (
    FileChange,
    FileState,
    changes_only_no_proxy,
    to_bytes,
)

OLD, NEW = FileState(b"a", 0o644, 0, 0), FileState(b"b", 0o600, 0, 0)


@pytest.mark.parametrize(
    "before, after, action, back",
    [(None, NEW, "created", "removed"), (OLD, NEW, "changed", "changed"), (OLD, None, "removed", "created")],
)
def test_actions(before, after, action, back):
    change = FileChange("/x", before, after, "t", ("docker",), "p")
    assert change.action == action and change.reversed().action == back
    assert change.reversed() == FileChange("/x", after, before, "t", ("docker",), "p")
    assert change.reversed().reversed() == change


def test_bytes_that_are_not_utf8_survive_as_text():
    assert to_bytes(FileState(b"\xff\xc3\xbc", 0o644, 0, 0).text()) == b"\xff\xc3\xbc"


@pytest.mark.parametrize("before, after", [(None, NEW), (NEW, None)])
def test_a_new_or_removed_file_changes_more_than_no_proxy(before, after):
    assert not changes_only_no_proxy(FileChange("/x", before, after, "t", (), ""))


@pytest.mark.parametrize(
    "before, after, expected",
    [
        ("a: 1\nno_proxy: a\n", "a: 1\nno_proxy: a,b\n", True),
        ('- "NO_PROXY=a"\n', "  - no_proxy=b # why\n", True),
        ("no_proxy: a\nb: 1\n", "no_proxy: a\nb: 2\n", False),
        ("http_proxy: http://no_proxy.example.com\n", "http_proxy: http://p # no_proxy: a\n", False),
    ],
)
def test_changes_of_no_proxy_alone(before, after, expected):
    states = [FileState(text.encode(), 0o644, 0, 0) for text in (before, after)]
    assert changes_only_no_proxy(FileChange("/x", *states, "t", (), "")) is expected
