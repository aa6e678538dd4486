# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Change one member of a JSON file (RFC 8259), and leave every other byte. Pure."""

import json
import re
from typing import NamedTuple

_SPACE = re.compile(r"[ \t\r\n]*")


class JsonProblem(ValueError):
    """Text that is no JSON object. ``line`` counts from 1."""

    def __init__(self, line, reason):
        super().__init__("line %d: %s" % (line, reason))
        self.line = line
        self.reason = reason


class Member(NamedTuple):
    """A member of the top object: its name and value, and where name and value begin and end in the text."""

    name: str
    value: object
    start: int
    value_start: int
    end: int


def members(text):
    """A file's text -> the Members of its top object, a list; none of an empty text. Raises JsonProblem."""
    if not text.strip(" \t\r\n"):
        return []
    decoder = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=_refuse_twice)
    try:
        whole = decoder.decode(text)
    except json.JSONDecodeError as problem:
        raise JsonProblem(problem.lineno, problem.msg) from problem
    except RecursionError:
        raise JsonProblem(1, "nested too deep") from None
    except ValueError as problem:
        raise JsonProblem(_line_of(text, problem), str(problem)) from problem
    if not isinstance(whole, dict):
        raise JsonProblem(1, "the file holds no object ({ ... })")
    found = []
    at = _after_space(text, _after_space(text, 0) + 1)
    while text[at] != "}":
        name, after = decoder.raw_decode(text, at)
        value_start = _after_space(text, _after_space(text, after) + 1)  # behind the colon
        value, end = decoder.raw_decode(text, value_start)
        found.append(Member(name, value, at, value_start, end))
        at = _after_space(text, end)
        if text[at] == ",":
            at = _after_space(text, at + 1)
    return found


def _after_space(text, at):
    return _SPACE.match(text, at).end()


def _refuse_constant(name):
    raise ValueError("%s is no JSON" % name)


def _refuse_twice(pairs):
    seen = set()
    for name, _unused in pairs:
        if name in seen:
            raise ValueError("the name %s stands twice in one object" % json.dumps(name))
        seen.add(name)
    return dict(pairs)


def _line_of(text, problem):
    """The line on which the last of what a ValueError of ours names stands."""
    word = re.search(r"name (\".*\") stands|(\S+) is no JSON", str(problem))
    place = text.rfind(word.group(1) or word.group(2)) if word else -1
    return text.count("\n", 0, max(place, 0)) + 1


def member_text(text, name):
    """The value of a member as it is written, None when there is none."""
    for member in members(text):
        if member.name == name:
            return text[member.value_start : member.end]
    return None


def set_member(text, name, value):
    """A file's text, a member's name, its value as JSON text (None removes the member) -> the new text."""
    found = members(text)
    index = next((place for place, member in enumerate(found) if member.name == name), None)
    if value is None:
        return text if index is None else _without(text, found, index)
    if index is not None:
        return text[: found[index].value_start] + value + text[found[index].end :]
    if not found:
        return "{\n  %s: %s\n}\n" % (json.dumps(name), value)
    # Written as the member before it is: on a line of its own, or behind it.
    last = found[-1]
    before = re.search(r"(\r?\n[ \t]*)\Z", text[: last.start])
    return "%s,%s%s: %s%s" % (
        text[: last.end],
        before.group(1) if before else " ",
        json.dumps(name),
        value,
        text[last.end :],
    )


def _without(text, found, index):
    if len(found) == 1:
        return text[: found[0].start].rstrip(" \t\r\n") + text[found[0].end :].lstrip(" \t\r\n")
    if index:
        return text[: found[index - 1].end] + text[found[index].end :]
    return text[: found[0].start] + text[found[1].start :]
