# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The base of a file, and what has to change: to write settings, and to remove them after others changed the file."""

import pytest
from ansible_collections.determined.network.plugins.module_utils._proxy import edits, plan, record
from ansible_collections.determined.network.plugins.module_utils._proxy.file_change import FileState
from ansible_collections.determined.network.plugins.module_utils._proxy.request import RequestedFile

OWN = edits.Edit(edits.OWN, "", (), "ours\n")
KEYS = ("http_proxy", "no_proxy")
EDITS = {
    "own": OWN,
    "block": edits.Edit(edits.BLOCK, "", (), ["http_proxy=x"]),
    "yaml": edits.Edit(edits.YAML_KEYS, "", KEYS, {"http_proxy": "x"}),
    "tasks": edits.Edit(edits.TASK_VARIABLES, "", (), [("http_proxy", "x")]),
    "json": edits.Edit(edits.JSON_MEMBER, "proxies", (), '{"a": "x"}'),
    "ini": edits.Edit(edits.INI, "main", ("proxy", "cert"), {"proxy": "x"}),
    "shell": edits.Edit(edits.SHELL, "", ("HTTP_PROXY",), {"HTTP_PROXY": '"x"'}),
}
ORIGINALS = {
    "own": [None, "theirs\n"],
    "block": [None, "", "A=1\n", "A=1"],
    "yaml": [None, "a: 1\n", "http_proxy: old # c\n\na: 1\n", "a: 1\r\nb: 2\r\n"],
    "tasks": ["a: 1\n", "task_container_defaults:\n  environment_variables:\n    - B=1\n    - http_proxy=old\n"],
    "json": [None, "{}\n", '{"a": 1}', '{\n  "proxies": {},\n  "a": 1\n}\n'],
    "ini": [None, "[main]\na=1\n", "[main]\nproxy = old\na=1\n", "[o]\nb=1\n"],
    "shell": [None, 'A="1"\n', 'HTTP_PROXY="old"\nA="1"\n'],
}
# What somebody else adds to the file, and how it looks when ours is gone again.
FOREIGN = {
    "json": None,
    "own": None,
    "block": "B=2\n",
    "yaml": "z: 1\n",
    "tasks": "z: 1\n",
    "ini": "[z]\n",
    "shell": "Z=1\n",
}
CASES = [(kind, original) for kind in EDITS for original in ORIGINALS[kind]]


def state(text, mode=0o644):
    return None if text is None else FileState(text.encode("utf-8"), mode, 0, 0)


def requested(kind, **more):
    return RequestedFile("t", "/f", EDITS[kind], **more)


def make(files, recorded, now):
    found = plan.make(files, recorded, {"/f": now})
    assert found.problems == {}
    return found


@pytest.mark.parametrize("kind, original", CASES)
def test_settings_are_written_and_removed_byte_for_byte(kind, original):
    before = state(original, 0o640)
    first = make([requested(kind, secret=True)], {}, before)
    assert len(first.changes) == 1 and first.changes[0].before == before
    written = first.changes[0].after
    assert written.mode == 0o600 and b"x" in written.data or kind == "own"
    # Again: nothing, and the same record, also when it was stored in between.
    recorded, folders = record.load(record.dump(record.of(first.recorded, ["/d"])))
    assert recorded == first.recorded and folders == ("/d",)
    again = make([requested(kind, secret=True)], recorded, written)
    assert again.changes == () and again.recorded == first.recorded
    # Away: byte for byte, mode and all.
    away = make([], recorded, written)
    assert away.recorded == {}
    assert [change.after for change in away.changes] == [before]


@pytest.mark.parametrize("kind, original", CASES)
def test_a_changed_value_is_removed_as_well(kind, original):
    first = make([requested(kind)], {}, state(original))
    content = {"own": "new\n", "block": ["y"], "yaml": {"no_proxy": "y"}, "tasks": [("no_proxy", "y")], "json": "1"}
    other = requested(kind)._replace(edit=EDITS[kind]._replace(content=content.get(kind, {})))
    second = make([other], first.recorded, first.changes[0].after)
    now = second.changes[0].after if second.changes else first.changes[0].after
    # As if it had been the first.
    assert now == make([other], {}, state(original)).changes[0].after if kind not in ("ini", "shell") else True
    away = make([], second.recorded, now)
    assert [change.after for change in away.changes] == [state(original)] or now == state(original)


@pytest.mark.parametrize("kind, original", [case for case in CASES if FOREIGN[case[0]]])
def test_changes_by_others_are_kept(kind, original):
    ends = "\r\n" if "\r\n" in (original or "") else "\n"
    foreign = FOREIGN[kind].replace("\n", ends)
    first = make([requested(kind)], {}, state(original))
    changed = first.changes[0].after.data.decode() + foreign
    # A second run keeps theirs and writes nothing of ours anew.
    second = make([requested(kind)], first.recorded, state(changed))
    after = second.changes[0].after if second.changes else state(changed)
    assert foreign.strip() in after.data.decode()
    for now, recorded in ((state(changed), first.recorded), (after, second.recorded)):
        away = make([], recorded, now).changes[0].after.data.decode()
        expected = original or ""
        expected += ends if expected and not expected.endswith("\n") else ""
        assert away == expected + foreign


def test_changes_by_others_in_json_are_kept():
    first = make([requested("json")], {}, state('{"a": 1}'))
    away = make([], first.recorded, state('{"b": 2, "proxies": {"a": "x"}, "a": 1}'))
    assert away.changes[0].after.data == b'{"b": 2, "a": 1}'
    made = make([requested("json")], {}, None)
    assert make([], made.recorded, state('{"proxies": 1}\n')).changes[0].after is None


def test_a_file_that_others_removed_is_not_restored():
    first = make([requested("own")], {}, state("theirs\n"))
    assert make([], first.recorded, None).changes == ()
    assert make([requested("own")], first.recorded, None).changes[0].after.data == b"ours\n"


@pytest.mark.parametrize(
    "mode, gid, secret, shared, expected",
    [
        (0o644, 0, False, False, 0o644),
        (0o644, 0, True, False, 0o600),
        (0o644, 0, True, True, 0o644),
        (0o640, 0, True, False, 0o600),
        (0o640, 7, True, False, 0o640),
        (0o664, 7, True, False, 0o640),
        (0o600, 0, False, False, 0o600),
        (0o400, 0, True, False, 0o400),
    ],
)
def test_modes(mode, gid, secret, shared, expected):
    before = FileState(b"a: 1\n", mode, 5, gid)
    after = make([requested("yaml", secret=secret, shared=shared)], {}, before).changes[0].after
    assert (after.mode, after.uid, after.gid) == (expected, 5, gid)


def test_all_broken_files_are_named_at_once():
    files = [
        requested("yaml")._replace(path="/a"),
        requested("json")._replace(path="/b"),
        requested("own")._replace(path="/c"),
    ]
    found = plan.make(files, {}, {"/a": state("a: [\n"), "/b": state("{"), "/c": None})
    assert list(found.problems) == ["/a", "/b"]
    assert [problem.split(":")[0] for problem in found.problems.values()] == ["/a, line 2", "/b, line 1"]


def test_bytes_that_are_not_utf8_are_kept():
    before = FileState(b"A=\xff\n", 0o644, 0, 0)
    first = make([requested("block")], {}, before)
    assert first.changes[0].after.data.startswith(b"A=\xff\n")
    changed = first.changes[0].after._replace(data=b"B=\xfe\n" + first.changes[0].after.data)
    assert make([], first.recorded, changed).changes[0].after.data == b"B=\xfe\nA=\xff\n"
