# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of lines: ``key = value`` in sections, variables of a shell, and blocks of our own between two marks. Pure."""

import re

_SECTION = re.compile(r"[ \t]*\[(.*)\][ \t]*(?:[#;].*)?\Z")
_MARK = "# determined.network: the proxy, %s. Written by Ansible; what stands between the marks is overwritten."
_START, _END = _MARK % "start", _MARK % "end"


class LineProblem(ValueError):
    """A line that is not understood. ``line`` counts from 1."""

    def __init__(self, line, reason):
        super().__init__("line %d: %s" % (line, reason))
        self.line = line
        self.reason = reason


# --- key = value, in a section, or (section None) in a file without sections ------------------------------------


def chunks(text, section, keys):
    """The lines of each of the keys that stand in the section: key -> lines."""
    lines = text.split("\n")
    return {key: lines[first:last] for key, first, last in _entries(lines, section) if key in keys}


def with_chunks(text, section, wanted):
    """A file's text, key -> its lines, or None to remove it -> the new text.

    A key that is there stays where it is (of several, the last, which is the one that counts, and the others go).
    A new one becomes the first of its section, or the last of a file without sections.
    """
    lines = text.split("\n")
    entries = [entry for entry in _entries(lines, section) if entry[0] in wanted]
    last_of = {key: first for key, first, _unused in entries}
    for key, first, last in reversed(entries):
        lines[first:last] = (wanted[key] or []) if last_of[key] == first else []
    new = [line for key, chunk in wanted.items() if chunk and key not in last_of for line in chunk]
    if not new:
        return "\n".join(lines)
    place = _header(lines, section)
    if place is None:
        place = len(lines) - 1 if lines[-1] == "" else len(lines)
        if section is not None:
            new.insert(0, "[%s]" % section)
    lines[place:place] = new
    if place + len(new) == len(lines):
        lines.append("")
    return "\n".join(lines)


def without_empty_section(text, section):
    """The text without the header of a section that holds nothing."""
    lines = text.split("\n")
    header = _header(lines, section)
    if header is not None and (header == len(lines) or not lines[header].strip() or _SECTION.match(lines[header])):
        rest = next((line for line in lines[header:] if line.strip()), "[")
        if _SECTION.match(rest) or rest == "[":
            del lines[header - 1]
    return "\n".join(lines)


def _header(lines, section):
    """The line behind a section's header; None when it has none."""
    for number, line in enumerate(lines):
        found = _SECTION.match(line)
        if section is not None and found and found.group(1).strip() == section:
            return number + 1
    return None


def _entries(lines, section):
    """-> [(key, first line, line behind its last)] of one section. Indented lines continue what is above."""
    found, current = [], None
    for number, line in enumerate(lines):
        content = line.strip()
        header = _SECTION.match(line) if section is not None else None
        if header:
            current = header.group(1).strip()
        elif content and not content.startswith(("#", ";")):
            if section is not None and line[0] in " \t" and found and found[-1][0] == current:
                found[-1][3] = number + 1
                continue
            key = re.match(r"\s*(?:export\s+)?([^=:\s]+)\s*[=:]" if section is not None else r"\s*([^=\s]+)=", line)
            if section is not None and current is None:
                raise LineProblem(number + 1, "stands before the first [section]")
            if key:
                found.append([current, key.group(1), number, number + 1])
    return [(key, first, last) for place, key, first, last in found if place == section]


# --- a block between two marks -----------------------------------------------------------------------------------


def with_block(text, lines):
    """A file's text, lines -> the text with our block at its end, in place of any other block of ours."""
    text = without_block(text)
    if text and not text.endswith("\n"):
        text += "\n"
    return text + "\n".join([_START] + list(lines) + [_END]) + "\n"


def without_block(text):
    """The text without our block. Raises LineProblem when only one of its marks is there."""
    lines = text.split("\n")
    starts = [number for number, line in enumerate(lines) if line == _START]
    ends = [number for number, line in enumerate(lines) if line == _END]
    if not starts and not ends:
        return text
    if len(starts) != len(ends) or any(start > end for start, end in zip(starts, ends)):
        raise LineProblem((starts + ends)[0] + 1, "of the two marks of our block one is missing. Remove the other")
    for start, end in reversed(list(zip(starts, ends))):
        del lines[start : end + 1]
    return "\n".join(lines)
