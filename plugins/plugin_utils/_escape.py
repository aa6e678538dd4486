# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts of foreign origin, made safe to show and to store. Pure.

A host, a service or a firewall chooses such a text, so it may hold escape sequences of a terminal (ECMA-48), line
breaks that forge a line of the report, characters that turn the direction of a line (UAX #9), and characters that
XML 1.0 forbids (section 2.2). Here these characters become visible: ESC is shown as ``\\x1b``. What is left is
printable, so it is safe in a terminal, in JSON, and in XML and HTML after the usual escape of their own characters
(``&``, ``<``, ``>`` and quotes), which the library that writes the file does.
"""

from __future__ import annotations

import json
from typing import Any

MOST_CHARACTERS = 300  # of a text of one line
CUT = "..."
_DIFF_MARKS = " +-@\\"  # the first characters of the lines of a unified diff


def line(text: str, most: int | None = MOST_CHARACTERS) -> str:
    """A text -> one line of at most ``most`` printable characters (None: without a limit).

    Nothing changes in a text that is already such a line, so it does no harm to call this twice.
    """
    if text.isprintable() and (most is None or len(text) <= most):
        return text
    # A text of many millions of characters is not walked through to its end.
    shown = "".join(map(_visible, text if most is None else text[: most + 1]))
    return shown if most is None or len(shown) <= most else shown[: most - len(CUT)] + CUT


def block(text: str, most: int) -> str:
    """A text of several lines -> the same with printable lines, of at most ``most`` characters altogether.

    A line break stays only before an indented line. Elsewhere it becomes visible, so that no line looks like one of
    the report or of Ansible.
    """
    lines = text[: most + 1].split("\n")
    shown = line(lines[0], None)
    for number, one in enumerate(lines[1:], 1):
        last = number == len(lines) - 1
        # A text may end with a line break.
        shown += ("\n" if one.startswith("  ") or (last and not one) else "\\n") + line(one, None)
    return shown if len(shown) <= most else shown[: most - len(CUT)] + CUT


def diff(text: str, most: int) -> str:
    """The text of a unified diff -> the same with printable lines, each of which begins as lines of a diff do."""
    lines = [line(one, None) for one in text[: most + 1].split("\n")]
    shown = "\n".join(one if not one or one[0] in _DIFF_MARKS else " " + one for one in lines)
    return shown if len(shown) <= most else shown[: most - len(CUT)] + CUT


def lines(text: str, most: int) -> str:
    """The content of a file -> the same with printable lines. Whoever shows it marks each of its lines."""
    shown = "\n".join(line(one, None) for one in text[: most + 1].split("\n"))
    return shown if len(shown) <= most else shown[: most - len(CUT)] + CUT


def as_json(value: Any) -> str:
    """A value -> JSON in ASCII (RFC 8259). ValueError for a number that JSON does not have, such as NaN."""
    return json.dumps(value, indent=2, ensure_ascii=True, allow_nan=False) + "\n"


def _visible(char: str) -> str:
    if char.isprintable():
        return char
    number = ord(char)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
