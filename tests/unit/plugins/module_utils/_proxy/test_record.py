# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record, the base of a file, the plan, and what is shown of it."""

import pytest
from ansible_collections.determined.network.plugins.module_utils._proxy import edits, record
from ansible_collections.determined.network.plugins.module_utils._proxy.targets import Wish

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
    return None if text is None else record.State(text.encode("utf-8"), mode, 0, 0)


def wish(kind, **more):
    return Wish("t", "/f", EDITS[kind], **more)


def plan(wishes, kept, now):
    return record.plan(wishes, kept, {"/f": now})


@pytest.mark.parametrize("kind, original", CASES)
def test_there_and_back(kind, original):
    before = state(original, 0o640)
    first = plan([wish(kind, secret=True)], {}, before)
    assert len(first.steps) == 1 and first.steps[0].before == before
    written = first.steps[0].after
    assert written.mode == 0o600 and b"x" in written.data or kind == "own"
    # Again: nothing, and the same record, also when it was stored in between.
    kept, folders = record.load(record.dump(first.record, ["/d"]))
    assert kept == first.record and folders == ["/d"]
    again = plan([wish(kind, secret=True)], kept, written)
    assert again.steps == () and again.record == first.record
    # Away: byte for byte, mode and all.
    away = plan([], kept, written)
    assert away.record == {}
    assert [step.after for step in away.steps] == [before]


@pytest.mark.parametrize("kind, original", CASES)
def test_a_new_value_still_leads_back(kind, original):
    first = plan([wish(kind)], {}, state(original))
    content = {"own": "new\n", "block": ["y"], "yaml": {"no_proxy": "y"}, "tasks": [("no_proxy", "y")], "json": "1"}
    other = wish(kind)._replace(edit=EDITS[kind]._replace(content=content.get(kind, {})))
    second = plan([other], first.record, first.steps[0].after)
    now = second.steps[0].after if second.steps else first.steps[0].after
    # As if it had been the first.
    assert now == plan([other], {}, state(original)).steps[0].after if kind not in ("ini", "shell") else True
    away = plan([], second.record, now)
    assert [step.after for step in away.steps] == [state(original)] or now == state(original)


@pytest.mark.parametrize("kind, original", [case for case in CASES if FOREIGN[case[0]]])
def test_what_others_changed_since_stays(kind, original):
    ends = "\r\n" if "\r\n" in (original or "") else "\n"
    foreign = FOREIGN[kind].replace("\n", ends)
    first = plan([wish(kind)], {}, state(original))
    changed = first.steps[0].after.data.decode() + foreign
    # A second run keeps theirs and writes nothing of ours anew.
    second = plan([wish(kind)], first.record, state(changed))
    after = second.steps[0].after if second.steps else state(changed)
    assert foreign.strip() in after.data.decode()
    for now, kept in ((state(changed), first.record), (after, second.record)):
        away = plan([], kept, now).steps[0].after.data.decode()
        expected = original or ""
        expected += ends if expected and not expected.endswith("\n") else ""
        assert away == expected + foreign


def test_json_that_others_changed_since():
    first = plan([wish("json")], {}, state('{"a": 1}'))
    away = plan([], first.record, state('{"b": 2, "proxies": {"a": "x"}, "a": 1}'))
    assert away.steps[0].after.data == b'{"b": 2, "a": 1}'
    made = plan([wish("json")], {}, None)
    assert plan([], made.record, state('{"proxies": 1}\n')).steps[0].after is None


def test_a_file_that_others_removed_stays_away():
    first = plan([wish("own")], {}, state("theirs\n"))
    assert plan([], first.record, None).steps == ()
    assert plan([wish("own")], first.record, None).steps[0].after.data == b"ours\n"


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
    before = record.State(b"a: 1\n", mode, 5, gid)
    after = plan([wish("yaml", secret=secret, shared=shared)], {}, before).steps[0].after
    assert (after.mode, after.uid, after.gid) == (expected, 5, gid)


def test_all_broken_files_are_told_at_once():
    wishes = [wish("yaml")._replace(path="/a"), wish("json")._replace(path="/b"), wish("own")._replace(path="/c")]
    with pytest.raises(record.Problems) as found:
        record.plan(wishes, {}, {"/a": state("a: [\n"), "/b": state("{"), "/c": None})
    assert [problem.split(":")[0] for problem in found.value.problems] == ["/a, line 2", "/b, line 1"]


def test_bytes_that_are_no_utf8_stay():
    before = record.State(b"A=\xff\n", 0o644, 0, 0)
    first = plan([wish("block")], {}, before)
    assert first.steps[0].after.data.startswith(b"A=\xff\n")
    changed = first.steps[0].after._replace(data=b"B=\xfe\n" + first.steps[0].after.data)
    assert plan([], first.record, changed).steps[0].after.data == b"B=\xfe\nA=\xff\n"


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"version": 2, "files": {}, "folders": []}', '{"version": 1, "files": {"/a": {}}}']
)
def test_a_damaged_record_is_an_error(text):
    with pytest.raises(ValueError):
        record.load(text)


def test_nothing_to_keep():
    assert record.dump({}, []) == "" and record.load("") == ({}, [])


def test_differences_hide_credentials_and_what_stands_around():
    before = "a: 1\ndb:\n  password: theirs\nhttp_proxy: http://u:old@h:1\nsecret_key: x\n"
    step = plan([wish("yaml", secret=True)], {}, state(before)).steps[0]
    step = step._replace(after=step.after._replace(data=step.after.data.replace(b'"x"', b'"http://me:p%25w@h:1"')))
    text = record.difference(step, ["p%25w"])
    assert text == (
        "--- before: /f\n+++ after: /f\n@@ -4 +4 @@\n-http_proxy: http://********@h:1\n"
        '+http_proxy: "http://********@h:1"\n-mode 0644\n+mode 0600\n'
    )


def test_differences_of_new_and_removed_files():
    assert record.difference(plan([wish("own")], {}, None).steps[0], []) == (
        "--- before: /f\n+++ after: /f\n@@ -0,0 +1 @@\n+ours\n+mode 0644\n"
    )


@pytest.mark.parametrize(
    "before, after, expected",
    [
        ("a: 1\nno_proxy: a\n", "a: 1\nno_proxy: a,b\n", True),
        ('- "NO_PROXY=a"\n', "  - no_proxy=b # why\n", True),
        ("no_proxy: a\nb: 1\n", "no_proxy: a\nb: 2\n", False),
        ("http_proxy: http://no_proxy.example.com\n", "http_proxy: http://p # no_proxy: a\n", False),
    ],
)
def test_only_lists_differ(before, after, expected):
    states = [record.State(text.encode(), 0o644, 0, 0) for text in (before, after)]
    assert record.only_lists_differ(record.Step("/x", *states, "t", (), "")) is expected


@pytest.mark.parametrize(
    "text, expected",
    [
        ("password: x y", "password: ********"),
        ('"api_token" = "x"', '"api_token" = ********'),
        ("proxy_password=x", "proxy_password=********"),
        ("http://a:b@c/ http://d", "http://********@c/ http://d"),
        ("http_proxy: http://u:it's@c:1", "http_proxy: http://********@c:1"),
        ("http_proxy: http://u:p/w@c", "http_proxy: http://********@c"),
        ("http_proxy: http://u:p w@c", "http_proxy: http://********@c"),
        ("http_proxy: 'http://u:p@c'", "http_proxy: 'http://********@c'"),
        ('{"http-proxy": "http://a:b\\"@c", "no-proxy": "a"}', '{"http-proxy": "http://********@c", "no-proxy": "a"}'),
        (
            '"http-proxy": "http://a:b@c", "x": "http://d:e@f"',
            '"http-proxy": "http://********@c", "x": "http://********@f"',
        ),
        ("proxy = u:p@c:3128", "proxy = ********@c:3128"),
        ('"https_proxy": "u:p@c"', '"https_proxy": "********@c"'),
        ("bypass the tokens", "bypass the tokens"),
        ("a pw b", "a ******** b"),
    ],
)
def test_masks(text, expected):
    assert record.masked(text, ["pw"]) == expected
