# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of edits, each of which can be taken out of a file again: one table. Pure.

A file that nobody else has changed gets its old bytes back from the record. If somebody has changed it, ``restore``
removes only our settings from the present text, and puts back what the file held of them before.
"""

from typing import Any, Callable, NamedTuple, Optional, Tuple

from ansible_collections.determined.network.plugins.module_utils._proxy import json_edit, lines, master_yaml, yaml_edit
from ansible_collections.determined.network.plugins.module_utils._proxy.errors import FormatError

# The kinds. (The record holds these texts, too.)
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
    """How settings are written to a file.

    ``section``: the section of an ini file, or the name of a JSON member, else "". ``keys``: all keys that edits
    of this file may ever set. ``content``: what to write, None in the record. Its type depends on ``kind``: the text of
    the whole file (own), a list of lines (block), the members' JSON text (json_member), a list of (variable, value)
    (task_variables), else key -> value.
    """

    kind: str
    section: str
    keys: Tuple[str, ...]
    content: Any  # as the kind says


def apply(edit: Edit, text: Optional[str]) -> str:
    """Return the text of a file with the edit in it. ``text``: None for no file. Raises FormatError."""
    if edit.kind == OWN:
        own: str = edit.content
        return own
    kind, present = _KINDS[edit.kind], _Text(text)
    return present.with_its_line_ends(kind.apply(edit, present.lf))


def restore(edit: Edit, text: str, original: Optional[str]) -> Optional[str]:
    """Return the text without our settings; None when nothing remains of a file that did not exist before.

    ``edit``: its content does not matter. ``text``: the file now. ``original``: the file before our first change, None
    for no file. Raises FormatError.
    """
    if edit.kind == OWN:
        return original
    kind, present = _KINDS[edit.kind], _Text(text)
    # A file that uses CR LF now is edited with LF, so the original must have the same ends.
    before = original.replace("\r\n", "\n") if original and present.is_crlf else original
    restored = present.with_its_line_ends(kind.restore(edit, present.lf, before))
    return None if original is None and not restored.strip() else restored


class _Text:
    """A file's text with LF at the ends of its lines, whatever they are in the file."""

    def __init__(self, text: Optional[str]) -> None:
        text = text or ""
        crlf = text.count("\r\n")
        if crlf and crlf != text.count("\n"):
            raise FormatError(1, "some lines end with CR LF and some with LF. Use the same end for all lines")
        self.is_crlf = bool(crlf)
        self.lf = text.replace("\r\n", "\n") if crlf else text

    def with_its_line_ends(self, text: str) -> str:
        return text.replace("\n", "\r\n") if self.is_crlf else text


def _apply_block(edit: Edit, text: str) -> str:
    return lines.with_block(text, edit.content)


def _restore_block(_edit: Edit, text: str, _original: Optional[str]) -> str:
    return lines.without_block(text)


def _apply_yaml_keys(edit: Edit, text: str) -> str:
    return yaml_edit.set_keys(text, edit.content)


def _restore_yaml_keys(edit: Edit, text: str, original: Optional[str]) -> str:
    before = yaml_edit.chunks(original or "", edit.keys)
    return yaml_edit.with_chunks(text, {key: before.get(key) for key in edit.keys})


def _apply_task_variables(edit: Edit, text: str) -> str:
    return master_yaml.set_task_variables(text, edit.content)


def _restore_task_variables(_edit: Edit, text: str, original: Optional[str]) -> str:
    return master_yaml.restore_task_variables(text, original)


def _apply_json_member(edit: Edit, text: str) -> str:
    return json_edit.set_member(text, edit.section, edit.content)


def _restore_json_member(edit: Edit, text: str, original: Optional[str]) -> str:
    text = json_edit.set_member(text, edit.section, json_edit.member_text(original or "", edit.section))
    return "" if original is None and not json_edit.members(text) else text


def _apply_assignments(edit: Edit, text: str) -> str:
    equals = " = " if edit.kind == INI else "="
    chunks = {key: ["%s%s%s" % (key, equals, value)] for key, value in edit.content.items()}
    return lines.with_chunks(text, edit.section or None, chunks)


def _restore_assignments(edit: Edit, text: str, original: Optional[str]) -> str:
    section = edit.section or None
    before = lines.chunks(original or "", section, edit.keys)
    text = lines.with_chunks(text, section, {key: before.get(key) for key in edit.keys})
    if section and "[%s]" % section not in (original or ""):
        text = lines.without_empty_section(text, section)
    return text


class _Kind(NamedTuple):
    """``apply``: (Edit, text) -> text. ``restore``: (Edit, text, original text) -> text. Lines end with LF."""

    apply: Callable[[Edit, str], str]
    restore: Callable[[Edit, str, Optional[str]], str]


# An OWN file is written and restored as a whole, so that it needs no row.
_KINDS = {
    BLOCK: _Kind(_apply_block, _restore_block),
    YAML_KEYS: _Kind(_apply_yaml_keys, _restore_yaml_keys),
    TASK_VARIABLES: _Kind(_apply_task_variables, _restore_task_variables),
    JSON_MEMBER: _Kind(_apply_json_member, _restore_json_member),
    INI: _Kind(_apply_assignments, _restore_assignments),
    SHELL: _Kind(_apply_assignments, _restore_assignments),
}
