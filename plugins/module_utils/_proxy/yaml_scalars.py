# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts on one line of a YAML file: plain, in single quotes or in double quotes. Pure.

``number`` is the number of the line, counted from 0; it is for the error. All functions raise FormatError.
"""

import re
from typing import Tuple

from ansible_collections.determined.network.plugins.module_utils._proxy.errors import FormatError

# A key and its colon.
KEY = re.compile(r"""([A-Za-z0-9_./][A-Za-z0-9_./+-]*(?: [A-Za-z0-9_./+-]+)*|'[^']*'|"[^"\\]*") *:(?= |$)""")

_SINGLE = re.compile(r"'((?:[^']|'')*)'")
_DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(r'\\(?:["\\/abefnrtv0 ]|x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8}))')
_SIMPLE_ESCAPES = dict(
    zip('"\\/abefnrtv0 ', ['"', "\\", "/", "\a", "\b", "\x1b", "\f", "\n", "\r", "\t", "\v", "\0", " "])
)
# A plain text between brackets.
_FLOW_PLAIN = re.compile(r"[\w./+~$-](?:[\w./+~=@%;()$^<#'\"-]|:(?=[\w./+~$-])| +(?=[\w./+~=@%;()$^<'\"-]))*")
_COMMENT = re.compile(r" +#")


def key_text(written: str) -> str:
    """Return a key, as KEY matches it, without its quotes."""
    return written[1:-1] if written[0] in "'\"" else written


def scalar(line: str, start: int, number: int) -> Tuple[str, int]:
    """Read the text that begins at this column, outside of brackets. Returns it and the column behind it."""
    if line[start] in "'\"":
        return _quoted(line, start, number)
    if line[start] in ",[]{}#&*!|>%@`" or (line[start] in "-?:" and line[start + 1 : start + 2] in ("", " ")):
        reason = "%r cannot begin a value here; anchors, aliases and tags are not supported" % line[start]
        raise FormatError(number + 1, reason)
    text = _COMMENT.split(line[start:], maxsplit=1)[0].rstrip(" ")
    if re.search(r":(?: |\Z)", text):
        raise FormatError(number + 1, "a text holds a colon; put the text into quotes")
    return text, start + len(text)


def flow_scalar(line: str, start: int, number: int) -> Tuple[str, int]:
    """Read the text that begins at this column, between brackets. Returns it and the column behind it."""
    if line[start] in "'\"":
        return _quoted(line, start, number)
    found = _FLOW_PLAIN.match(line, start)
    if not found or re.match(r"-(?:[ ,\[\]{}]|$)", line[start:]):
        reason = "%r is not supported between brackets; put it into quotes" % line[start]
        raise FormatError(number + 1, reason)
    # A plain text could continue on the next line; then what follows is no comma, and is refused.
    return found.group().rstrip(" "), found.end()


def _quoted(line: str, start: int, number: int) -> Tuple[str, int]:
    is_single = line[start] == "'"
    found = (_SINGLE if is_single else _DOUBLE).match(line, start)
    if not found:
        raise FormatError(number + 1, "a quote is not closed on its line")
    text = found.group(1)
    return text.replace("''", "'") if is_single else _unescape(text, number), found.end()


def _unescape(text: str, number: int) -> str:
    if "\\" in _ESCAPE.sub("", text):
        raise FormatError(number + 1, "an unknown escape (backslash) between double quotes")
    return _ESCAPE.sub(lambda found: _unescaped(found, number), text)


def _unescaped(found: "re.Match[str]", number: int) -> str:
    digits = found.group(1) or found.group(2) or found.group(3)
    if not digits:
        return _SIMPLE_ESCAPES[found.group()[1]]
    code = int(digits, 16)
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        raise FormatError(number + 1, "an escape between double quotes does not stand for a character")
    return chr(code)
