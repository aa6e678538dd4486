# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Change one member of a JSON file (RFC 8259), and keep every other byte. Pure."""

import json
import re
from typing import Any, Dict, List, NamedTuple, NoReturn, Optional, Tuple

from ansible_collections.determined.network.plugins.module_utils._proxy.errors import FormatError

_SPACE = " \t\r\n"


class Member(NamedTuple):
    """A member of the top object: its name and value, and where name and value begin and end in the text."""

    name: str
    value: object
    start: int
    value_start: int
    end: int


class _Forbidden(ValueError):
    """The parser takes it, and RFC 8259 does not. ``token``: how it is written in the file."""

    def __init__(self, token: str, reason: str) -> None:
        super().__init__(reason)
        self.token = token


def members(text: str) -> List[Member]:
    """Return the members of the top object in their order; none of an empty text. Raises FormatError."""
    if not text.strip(_SPACE):
        return []
    decoder = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=_refuse_duplicate_names)
    try:
        whole = decoder.decode(text)
    except json.JSONDecodeError as problem:
        raise FormatError(problem.lineno, problem.msg) from problem
    except _Forbidden as problem:
        # The parser does not say where it is. A name that is there twice is refused at its last occurrence.
        line = text.count("\n", 0, max(text.rfind(problem.token), 0)) + 1
        raise FormatError(line, str(problem)) from problem
    except RecursionError:
        raise FormatError(1, "values are nested too deep") from None
    except ValueError as problem:  # such as a number with more digits than Python converts
        raise FormatError(1, str(problem)) from problem
    if not isinstance(whole, dict):
        raise FormatError(1, "the file holds no object ({ ... })")
    found = []
    position = _after_space(text, _after_space(text, 0) + 1)
    while text[position] != "}":
        name, name_end = decoder.raw_decode(text, position)
        value_start = _after_space(text, _after_space(text, name_end) + 1)  # behind the colon
        value, end = decoder.raw_decode(text, value_start)
        found.append(Member(name, value, position, value_start, end))
        position = _after_space(text, end)
        if text[position] == ",":
            position = _after_space(text, position + 1)
    return found


def _after_space(text: str, position: int) -> int:
    while text[position : position + 1] and text[position] in _SPACE:
        position += 1
    return position


def _refuse_constant(name: str) -> NoReturn:
    raise _Forbidden(name, "%s is not JSON" % name)


def _refuse_duplicate_names(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    seen = set()
    for name, _unused in pairs:
        if name in seen:
            token = json.dumps(name)
            raise _Forbidden(token, "an object holds the name %s twice" % token)
        seen.add(name)
    return dict(pairs)


def member_text(text: str, name: str) -> Optional[str]:
    """Return the value of a member as it is written in the file, None when there is no such member."""
    for member in members(text):
        if member.name == name:
            return text[member.value_start : member.end]
    return None


def set_member(text: str, name: str, value: Optional[str]) -> str:
    """Return the file's text with this member. ``value``: JSON text; None removes the member. Raises FormatError."""
    found = members(text)
    index = next((place for place, member in enumerate(found) if member.name == name), None)
    if value is None:
        return text if index is None else _without(text, found, index)
    if index is not None:
        return text[: found[index].value_start] + value + text[found[index].end :]
    if not found:
        return "{\n  %s: %s\n}\n" % (json.dumps(name), value)
    # The new member is written like the one before it: on a line of its own, or on the same line.
    last = found[-1]
    line_start = re.search(r"(\r?\n[ \t]*)\Z", text[: last.start])
    return "%s,%s%s: %s%s" % (
        text[: last.end],
        line_start.group(1) if line_start else " ",
        json.dumps(name),
        value,
        text[last.end :],
    )


def _without(text: str, found: List[Member], index: int) -> str:
    if len(found) == 1:
        return text[: found[0].start].rstrip(_SPACE) + text[found[0].end :].lstrip(_SPACE)
    if index:
        return text[: found[index - 1].end] + text[found[index].end :]
    return text[: found[0].start] + text[found[1].start :]
