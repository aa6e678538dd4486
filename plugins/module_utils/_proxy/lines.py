# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of lines: ``key = value`` in sections, variables of a shell, and blocks of ours between two marks. Pure.

A *chunk* is the list of the lines of one key.
"""

import re
from typing import Container, Dict, List, Mapping, NamedTuple, Optional, Sequence

from ansible_collections.determined.network.plugins.module_utils._proxy.errors import FormatError

_SECTION = re.compile(r"[ \t]*\[(.*)\][ \t]*(?:[#;].*)?\Z")
_KEY_IN_SECTION = re.compile(r"\s*(?:export\s+)?([^=:\s]+)\s*[=:]")
_KEY_OF_SHELL = re.compile(r"\s*([^=\s]+)=")
# Files of users hold these marks, so they stay as they are.
_MARK = "# determined.network: the proxy, %s. Written by Ansible; what stands between the marks is overwritten."
_START, _END = _MARK % "start", _MARK % "end"


# --- key = value, in a section, or (section None) in a file without sections ------------------------------------


class _Assignment(NamedTuple):
    """A key with its value on the lines ``first`` to ``last`` (counted from 0, ``last`` excluded)."""

    section: Optional[str]
    key: str
    first: int
    last: int


def chunks(text: str, section: Optional[str], keys: Container[str]) -> Dict[str, List[str]]:
    """Return key -> chunk, for those of the keys that the section holds. Raises FormatError."""
    lines = text.split("\n")
    return {found.key: lines[found.first : found.last] for found in _assignments(lines, section) if found.key in keys}


def with_chunks(text: str, section: Optional[str], wanted: Mapping[str, Optional[List[str]]]) -> str:
    """Return the file's text with these chunks. Raises FormatError.

    ``wanted``: key -> its chunk, or None to remove the key. A key that the file holds keeps its place. If the file
    holds it several times, only the last one is kept, which is the one that counts. A new key becomes the first of its
    section, or the last of a file without sections.
    """
    lines = text.split("\n")
    present = [found for found in _assignments(lines, section) if found.key in wanted]
    last_of = {found.key: found.first for found in present}
    for found in reversed(present):
        lines[found.first : found.last] = (wanted[found.key] or []) if last_of[found.key] == found.first else []
    new = [line for key, chunk in wanted.items() if chunk and key not in last_of for line in chunk]
    if not new:
        return "\n".join(lines)
    place = _section_start(lines, section)
    if place is None:
        place = len(lines) - 1 if lines[-1] == "" else len(lines)
        if section is not None:
            new.insert(0, "[%s]" % section)
    lines[place:place] = new
    if place + len(new) == len(lines):
        lines.append("")
    return "\n".join(lines)


def without_empty_section(text: str, section: str) -> str:
    """Return the text without the header of this section, if the section holds nothing."""
    lines = text.split("\n")
    start = _section_start(lines, section)
    if start is not None and (start == len(lines) or not lines[start].strip() or _SECTION.match(lines[start])):
        following = next((line for line in lines[start:] if line.strip()), None)
        if following is None or _SECTION.match(following):
            del lines[start - 1]
    return "\n".join(lines)


def _section_start(lines: Sequence[str], section: Optional[str]) -> Optional[int]:
    """Return the number of the line after a section's header, None when there is no header."""
    for number, line in enumerate(lines):
        found = _SECTION.match(line)
        if section is not None and found and found.group(1).strip() == section:
            return number + 1
    return None


def _assignments(lines: Sequence[str], section: Optional[str]) -> List[_Assignment]:
    """Return the assignments of one section, or of a file without sections."""
    found = _all_assignments(lines) if section is not None else _shell_assignments(lines)
    return [one for one in found if one.section == section]


def _shell_assignments(lines: Sequence[str]) -> List[_Assignment]:
    found = []
    for number, line in enumerate(lines):
        key = None if _is_comment(line) else _KEY_OF_SHELL.match(line)
        if key:
            found.append(_Assignment(None, key.group(1), number, number + 1))
    return found


def _all_assignments(lines: Sequence[str]) -> List[_Assignment]:
    """Return the assignments of all sections. An indented line continues the assignment above it."""
    found: List[_Assignment] = []
    current = None
    for number, line in enumerate(lines):
        header = _SECTION.match(line)
        if header:
            current = header.group(1).strip()
        elif _is_comment(line):
            continue
        elif line[0] in " \t" and found and found[-1].section == current:
            found[-1] = found[-1]._replace(last=number + 1)
        elif current is None:
            raise FormatError(number + 1, "the line is before the first [section]")
        else:
            key = _KEY_IN_SECTION.match(line)
            if key:
                found.append(_Assignment(current, key.group(1), number, number + 1))
    return found


def _is_comment(line: str) -> bool:
    """Whether the line is empty or a comment."""
    return not line.strip() or line.strip().startswith(("#", ";"))


# --- a block between two marks -----------------------------------------------------------------------------------


def with_block(text: str, lines: Sequence[str]) -> str:
    """Return the file's text with these lines as our block at its end, in place of any other block of ours."""
    text = without_block(text)
    if text and not text.endswith("\n"):
        text += "\n"
    return text + "\n".join([_START] + list(lines) + [_END]) + "\n"


def without_block(text: str) -> str:
    """Return the text without our block. Raises FormatError when only one of its marks is there."""
    lines = text.split("\n")
    starts = [number for number, line in enumerate(lines) if line == _START]
    ends = [number for number, line in enumerate(lines) if line == _END]
    if not starts and not ends:
        return text
    if len(starts) != len(ends) or any(start > end for start, end in zip(starts, ends)):
        raise FormatError((starts + ends)[0] + 1, "one of the two marks of our block is missing. Remove the other mark")
    for start, end in reversed(list(zip(starts, ends))):
        del lines[start : end + 1]
    return "\n".join(lines)
