# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The values that ``busctl`` prints. Source: busctl(1), the D-Bus specification (type signatures)."""

import re
from typing import Any, Dict, List, Match, Sequence, Tuple

# The signature that is printed before a value decides its type: str, int, float, bool, list, dict or tuple.
Value = Any

_TOKEN = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')
_ESCAPE = re.compile(r"\\(?:([0-7]{3})|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|(.))")
_LETTERS = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "s": " "}
_STRINGS = "sog"
_INTEGERS = "ynqiuxth"
_BRACKETS = {"(": ")", "{": "}"}


def parse(text: str) -> Value:
    """What busctl prints of one answer (``as 2 "a" "b"``) -> its value; None for a method that returns nothing.

    An array is a list, an array of pairs a dict, a structure a tuple. Raises ValueError or KeyError when the text
    is not such an answer.
    """
    tokens = [(found.group(1), found.group(2)) for found in _TOKEN.finditer(text)]
    if not tokens:
        return None
    reader = _Reader(tokens)
    signature = reader.bare_word()
    values = reader.values(signature)
    if reader.remaining():
        raise ValueError("busctl printed more than its signature %r says" % signature)
    return values[0] if len(values) == 1 else values


def parse_lines(text: str) -> List[Value]:
    """What busctl prints of several properties -> their values."""
    return [parse(line) for line in text.splitlines() if line.strip()]


class _Reader:
    """``tokens``: pairs, of which the first is a string in quotation marks and the second any other word."""

    def __init__(self, tokens: Sequence[Tuple[str, str]]) -> None:
        self._tokens = tokens
        self._next = 0

    def remaining(self) -> int:
        return len(self._tokens) - self._next

    def _take(self) -> Tuple[str, str]:
        if not self.remaining():
            raise ValueError("the output of busctl ends too early")
        self._next += 1
        return self._tokens[self._next - 1]

    def bare_word(self) -> str:
        quoted, bare = self._take()
        if bare is None:
            raise ValueError("busctl printed the string %r where none is expected" % quoted)
        return bare

    def string(self) -> str:
        quoted, bare = self._take()
        if quoted is None:
            raise ValueError("busctl printed %r where a string is expected" % bare)
        return _unescape(quoted)

    def values(self, signature: str) -> Tuple[Value, ...]:
        """The values of all the types that a signature lists."""
        values = []
        while signature:
            first, signature = _first_type(signature)
            values.append(self.value(first))
        return tuple(values)

    def value(self, signature: str) -> Value:
        """The value of one complete type."""
        kind = signature[0]
        if kind in _STRINGS:
            return self.string()
        if kind in _INTEGERS:
            return int(self.bare_word())
        if kind == "b":
            return {"true": True, "false": False}[self.bare_word()]
        if kind == "d":
            return float(self.bare_word())
        if kind == "v":
            return self.value(self.bare_word())
        if kind == "(":
            return self.values(signature[1:-1])
        if kind == "a":
            return self._array(signature[1:])
        raise ValueError("busctl printed a value of the unknown type %r" % signature)

    def _array(self, element: str) -> Value:
        """A list, or a dict when ``element``, the elements' signature, is that of a pair."""
        count = int(self.bare_word())
        if element[0] != "{":
            return [self.value(element) for _unused in range(count)]
        pairs: Dict[Value, Value] = {}
        for _unused in range(count):
            key, value = self.values(element[1:-1])
            pairs[key] = value
        return pairs


def _first_type(signature: str) -> Tuple[str, str]:
    """A D-Bus signature -> (its first complete type, the rest)."""
    if signature[0] == "a":
        element, rest = _first_type(signature[1:]) if len(signature) > 1 else ("", "")
        return "a" + element, rest
    if signature[0] not in _BRACKETS:
        return signature[0], signature[1:]
    depth = 0
    for index, letter in enumerate(signature):
        depth += (letter in "({") - (letter in ")}")
        if depth == 0:
            return signature[: index + 1], signature[index + 1 :]
    raise ValueError("busctl printed the broken signature %r" % signature)


def _unescape(text: str) -> str:
    """The inner part of a quoted string -> the string. Escapes stand for octets of UTF-8, a Unicode code point, or
    a control character."""
    if "\\" not in text:
        return text
    octets = bytearray()
    position = 0
    for found in _ESCAPE.finditer(text):
        octets += text[position : found.start()].encode("utf-8") + _escaped(found)
        position = found.end()
    octets += text[position:].encode("utf-8")
    return octets.decode("utf-8", "replace")


def _escaped(found: Match[str]) -> bytes:
    octal, hexadecimal, code_point, letter = found.groups()
    if octal:
        return bytes([int(octal, 8) & 0xFF])
    if hexadecimal:
        return bytes([int(hexadecimal, 16)])
    if code_point:
        return chr(int(code_point, 16)).encode("utf-8")
    return _LETTERS.get(letter, letter).encode("utf-8")
