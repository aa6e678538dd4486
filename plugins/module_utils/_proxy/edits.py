# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways to change a file so that the change can be taken out again: one table of kinds. Pure.

A file that nobody touched since gets its old bytes back from the record. Where somebody did, ``restore`` takes only
what is ours out of what is there now, and puts back what was there of it before.
"""

from typing import NamedTuple

from ansible_collections.determined.network.plugins.module_utils._proxy import json_edit, yaml_edit, yaml_reader
from ansible_collections.determined.network.plugins.module_utils._proxy import lines as proxy_lines

PROBLEMS = (yaml_reader.YamlProblem, json_edit.JsonProblem, proxy_lines.LineProblem)

OWN, BLOCK, YAML_KEYS, TASK_VARIABLES, JSON_MEMBER, INI, SHELL = (
    "own",
    "block",
    "yaml_keys",
    "task_variables",
    "json_member",
    "ini",
    "shell",
)


class Edit(NamedTuple):
    """``kind``: of the table below. ``section``: of an ini file, or the name of a JSON member, else "".
    ``keys``: all that edits of this kind may ever set, a tuple. ``content``: what to write; its shape is the kind's."""

    kind: str
    section: str
    keys: tuple
    content: object


def apply(edit, text):
    """An Edit, a file's text (None: no file) -> the new text. Raises one of PROBLEMS."""
    return _KINDS[edit.kind][0](edit, text or "") if edit.kind == OWN else _lines_kept(_KINDS[edit.kind][0], edit, text)


def restore(edit, text, original):
    """An Edit (its content does not count), the text now, the text before our first change (None: no file)
    -> the text without ours; None when nothing is left of a file that was not there before."""
    if edit.kind == OWN:
        return original
    restored = _lines_kept(_KINDS[edit.kind][1], edit, text, original)
    return None if original is None and not restored.strip() else restored


def _lines_kept(function, edit, text, *more):
    """Call it with LF as the end of lines, and give the file's own ends back."""
    text = text or ""
    windows = text.count("\r\n")
    if not windows:
        return function(edit, text, *more)
    if windows != text.count("\n"):
        raise proxy_lines.LineProblem(1, "some lines end with CR LF and some with LF. Write all alike")
    plain = [part.replace("\r\n", "\n") if part else part for part in more]
    return function(edit, text.replace("\r\n", "\n"), *plain).replace("\n", "\r\n")


def _put_block(edit, text):
    return proxy_lines.with_block(text, edit.content)


def _take_block(_edit, text, _original):
    return proxy_lines.without_block(text)


def _put_yaml_keys(edit, text):
    return yaml_edit.set_keys(text, edit.content)


def _take_yaml_keys(edit, text, original):
    before = yaml_edit.chunks(original or "", edit.keys)
    return yaml_edit.with_chunks(text, {key: before.get(key) for key in edit.keys})


def _put_task_variables(edit, text):
    return yaml_edit.set_task_variables(text, edit.content)


def _take_task_variables(_edit, text, original):
    return yaml_edit.restore_task_variables(text, original)


def _put_member(edit, text):
    return json_edit.set_member(text, edit.section, edit.content)


def _take_member(edit, text, original):
    text = json_edit.set_member(text, edit.section, json_edit.member_text(original or "", edit.section))
    return "" if original is None and not json_edit.members(text) else text


def _put_keys(edit, text):
    lines = {key: ["%s%s%s" % (key, " = " if edit.kind == INI else "=", value)] for key, value in edit.content.items()}
    return proxy_lines.with_chunks(text, edit.section or None, lines)


def _take_keys(edit, text, original):
    section = edit.section or None
    before = proxy_lines.chunks(original or "", section, edit.keys)
    text = proxy_lines.with_chunks(text, section, {key: before.get(key) for key in edit.keys})
    if section and "[%s]" % section not in (original or ""):
        text = proxy_lines.without_empty_section(text, section)
    return text


_KINDS = {
    OWN: (lambda edit, _text: edit.content, None),
    BLOCK: (_put_block, _take_block),
    YAML_KEYS: (_put_yaml_keys, _take_yaml_keys),
    TASK_VARIABLES: (_put_task_variables, _take_task_variables),
    JSON_MEMBER: (_put_member, _take_member),
    INI: (_put_keys, _take_keys),
    SHELL: (_put_keys, _take_keys),
}
