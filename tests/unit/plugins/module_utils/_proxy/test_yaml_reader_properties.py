# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reader of plain YAML against PyYAML: it may refuse what PyYAML reads, and never reads anything differently."""

import string

import yaml as pyyaml
from ansible_collections.determined.network.plugins.module_utils._proxy import yaml_edit as edit
from ansible_collections.determined.network.plugins.module_utils._proxy import yaml_reader as yaml
from ansible_collections.determined.network.plugins.module_utils._proxy.errors import FormatError
from hypothesis import event, given, settings
from hypothesis import strategies as st

checked = settings(derandomize=True, deadline=None, max_examples=200)
KEYS = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy")

SEED = """# The agent
master_host: 192.0.2.1
port: 8080  # c
pool: "de\\"f"
label: 'it''s'
security:
  tls:
    enabled: false

list:
- a
- b: 1
  c: [1, 2, {x: "y"}]
-   - deep
text: |
  some
    text

  # no comment
folded: >-
   abc
other:
  - "HTTP=x"
empty:
fluent: {image: "x:1", list: [a, b,]}
no_proxy: a,b # mine
"""
PIECES = st.one_of(
    st.sampled_from([*" :-#\n'\"[]{},|>&*!%@`?abc=\\/~\t.0", "\n  ", "\n- ", ": ", " #", "---", "- ", "{a: b}", "[x]"]),
    st.text(max_size=3),
)


def same(mine, theirs):
    """Whether the reader's value is that of PyYAML. A block of text (a tuple of lines) must be a text there."""
    if mine is None:
        return theirs == ""
    if isinstance(mine, tuple):
        return isinstance(theirs, str)
    if isinstance(mine, dict):
        return isinstance(theirs, dict) and list(mine) == list(theirs) and all(same(mine[k], theirs[k]) for k in mine)
    if isinstance(mine, list):
        return isinstance(theirs, list) and len(mine) == len(theirs) and all(map(same, mine, theirs))
    return mine == theirs


def by_pyyaml(text):
    return pyyaml.load(text, Loader=pyyaml.BaseLoader) or {}


@st.composite
def damaged(draw):
    """The seed, or some of its lines, with pieces put in, taken out and lines repeated."""
    lines = SEED.split("\n")
    first = draw(st.integers(0, len(lines) - 1))
    lines = lines[first : draw(st.integers(first + 1, len(lines)))] if draw(st.booleans()) else lines
    text = "\n".join(lines)
    for _unused in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(PIECES) + text[at + draw(st.integers(0, 3)) :]
    return text


@settings(checked, max_examples=800)
@given(damaged())
def test_what_is_read_is_read_like_pyyaml(plain, text):
    try:
        mine = plain(yaml.read(text))
    except FormatError as problem:
        event("refused")
        assert 1 <= problem.line <= text.count("\n") + 1
        return
    event("read")
    assert same(mine, by_pyyaml(text))


words = st.text(string.ascii_letters + string.digits + " -_./:'\"#%@$ü", min_size=1, max_size=12)
values = st.recursive(
    st.one_of(words, st.integers(), st.booleans(), st.none()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(string.ascii_lowercase, min_size=1), inner, max_size=3)
    ),
    max_leaves=8,
)
documents = st.dictionaries(st.sampled_from(["a", "bc", "d_e", "f.g", *KEYS]), values, max_size=6)


@checked
@given(documents, st.sampled_from([None, False]))
def test_what_pyyaml_writes_is_read(plain, document, flow):
    text = pyyaml.dump(document, default_flow_style=flow, allow_unicode=True, width=10**6, sort_keys=False)
    if not document or text.startswith("{"):
        return
    assert same(plain(yaml.read(text)), by_pyyaml(text))


@checked
@given(st.one_of(documents.map(lambda found: pyyaml.dump(found, width=10**6, sort_keys=False)), damaged()), st.data())
def test_keys_are_set_and_all_else_is_kept(text, data):
    """What PyYAML reads afterwards is what it read before, with our keys; every other line is where it was."""
    wanted = data.draw(st.dictionaries(st.sampled_from(KEYS), words, min_size=1))
    try:
        before = edit.chunks(text, KEYS)
        entries = yaml.read(text)
    except FormatError:
        return
    after = edit.set_keys(text, wanted)
    expected = by_pyyaml(text)
    assert by_pyyaml(after) == {**expected, **wanted}
    ours = {number for entry in entries if entry.key in wanted for number in range(entry.first, entry.last)}
    others = [line for number, line in enumerate(text.split("\n")) if number not in ours]
    remaining = iter(after.split("\n"))
    assert all(line in remaining for line in others), "a line of others was removed or has moved"
    # And back: the same keys and lines as before.
    restored = edit.with_chunks(after, {key: before.get(key) for key in KEYS})
    assert by_pyyaml(restored) == expected
    assert restored in (text, text + "\n")
