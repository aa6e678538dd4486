# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module returns from a managed host, before anything on the controller uses it. Pure.

Ansible acts on some keys of a result, whatever the module was asked: facts override the inventory, and
``ansible_stats`` are published with the job. A compromised host can return any of them. So only the keys that the
module documents are kept, and those that every module has.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from ansible_collections.determined.network.plugins.plugin_utils import _escape

MOST_DEPTH = 16
MOST_VALUES = 1_000_000  # a thousand hosts with 1,000 values each
MOST_TEXT = 1 << 18  # characters; the longest port list, every second port, has 190,000
MOST_DIFF = 4 << 20  # characters
MOST_CHARACTERS = 1 << 26  # of all texts of an answer
MOST_NAME = 50  # characters of a key in a message
MOST_WARNINGS = 50
MOST_MESSAGE = 1 << 14  # characters

_FLAGS = ("changed", "failed", "skipped")
_MESSAGES = ("msg", "module_stderr", "module_stdout")
_OTHERS = ("rc", "invocation")


class Malformed(ValueError):
    """A host returned what its module never returns. The text says where and what."""


def clean(answer: Any, returned: Collection[str]) -> dict[str, Any]:
    """What a host answered, and the names that its module returns -> the same with these names alone.

    Texts are printable afterwards (see ``_escape``), and numbers are finite. Raises Malformed.
    """
    if not isinstance(answer, Mapping):
        raise Malformed(f"is a {_kind(answer)}, not a dictionary")
    kept: dict[str, Any] = {}
    for name in _FLAGS:
        if name in answer:
            kept[name] = _flag(name, answer[name])
    for name in _MESSAGES:
        if answer.get(name) is not None:
            kept[name] = _escape.block(_text(name, answer[name]), MOST_MESSAGE)
    if answer.get("warnings"):
        kept["warnings"] = _warnings(answer["warnings"])
    if answer.get("diff"):
        kept["diff"] = _diffs(answer["diff"])
    walk = _Walk()
    for name in (*_OTHERS, *returned):
        if name in answer and name not in kept:
            kept[name] = walk.value(name, answer[name], 0)
    return kept


def refused(host: str, module: str, problem: str) -> dict[str, Any]:
    """The result of a task whose answer cannot be used."""
    text = _escape.line(problem)
    return {
        "failed": True,
        "changed": False,
        "msg": f"{host} returned a malformed answer for the module {module}, so nothing of it is used: {text}. "
        f"Find out on {host} whether its Python or its Ansible files were changed; the host may be compromised.",
    }


def json_line(output: str) -> str:
    """The output of a module -> its last line of JSON, with every character that is not printable made visible.

    A module of this collection prints one line of JSON in ASCII. Ansible shows other lines to the user as they are. A
    text without such a line is returned as one printable line.
    """
    # On a terminal (ssh -tt, which Ansible uses for become without pipelining) a line also ends with a carriage return.
    lines = [one.strip() for one in output.split("\n") if one.lstrip().startswith("{")]
    return _escape.line(lines[-1] if lines else output.strip(), None if lines else MOST_MESSAGE)


class _Walk:
    """Goes through a value of any shape once, and counts what it has seen."""

    def __init__(self) -> None:
        self._values = 0
        self._characters = 0

    def value(self, where: str, value: Any, depth: int) -> Any:
        self._values += 1
        if depth > MOST_DEPTH or self._values > MOST_VALUES:
            what = f"nested more than {MOST_DEPTH} deep" if depth > MOST_DEPTH else f"more than {MOST_VALUES} values"
            raise Malformed(f"{_escape.line(where)} is too large: {what}")
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            return _integer(where, value)
        if isinstance(value, float):
            if not math.isfinite(value):
                raise Malformed(f"{_escape.line(where)} is {value}, not a number")
            return float(value)
        if isinstance(value, str):
            return self._text(where, value)
        if isinstance(value, Mapping):
            return {
                self._key(where, key): self.value(_inside(where, key), one, depth + 1) for key, one in value.items()
            }
        if isinstance(value, (list, tuple)):
            return [self.value(f"{where}[{number}]", one, depth + 1) for number, one in enumerate(value)]
        raise Malformed(f"{_escape.line(where)} is a {_kind(value)}")

    def _key(self, where: str, key: Any) -> str:
        return _escape.line(self._text(where, key), None)

    def _text(self, where: str, value: Any) -> str:
        text = _text(where, value)
        self._characters += len(text)
        if len(text) > MOST_TEXT or self._characters > MOST_CHARACTERS:
            raise Malformed(f"{_escape.line(where)} is too large: a text of {len(text)} characters")
        return _escape.lines(text, MOST_DIFF)


def _inside(where: str, key: Any) -> str:
    return f"{where}.{str(key)[:MOST_NAME]}"


def _integer(where: str, value: int) -> int:
    if not -(1 << 64) < value < 1 << 64:
        raise Malformed(f"{_escape.line(where)} is a number of more than 64 bits")
    return int(value)


def _flag(where: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise Malformed(f"{where} is a {_kind(value)}, not true or false")
    return value


def _text(where: str, value: Any) -> str:
    if not isinstance(value, str):
        raise Malformed(f"{_escape.line(where)} is a {_kind(value)}, not a text")
    return str(value)


def _kind(value: Any) -> str:
    names: dict[type, str] = {dict: "dictionary", list: "list", str: "text", bool: "truth value", int: "number"}
    return next((name for kind, name in names.items() if isinstance(value, kind)), type(value).__name__)


def _warnings(warnings: Any) -> list[str]:
    if not isinstance(warnings, Sequence) or isinstance(warnings, str):
        raise Malformed(f"warnings is a {_kind(warnings)}, not a list")
    texts = [_escape.block(_warning(one), MOST_MESSAGE) for one in warnings[:MOST_WARNINGS]]
    more = len(warnings) - MOST_WARNINGS
    return texts + ([f"and {more} more warnings"] if more > 0 else [])


def _warning(warning: Any) -> str:
    # Since ansible-core 2.19 a warning is an object, and its event holds the text.
    return _text("warnings", getattr(getattr(warning, "event", None), "msg", warning))


def _diffs(diffs: Any) -> Any:
    if isinstance(diffs, Mapping):
        return _one_diff(diffs)
    if not isinstance(diffs, (list, tuple)):
        raise Malformed(f"diff is a {_kind(diffs)}, not a dictionary or a list")
    if len(diffs) > MOST_VALUES:
        raise Malformed(f"diff has {len(diffs)} parts")
    return [_one_diff(one) for one in diffs]


_DIFF_PARTS: dict[str, Callable[[str], str]] = {
    "prepared": lambda text: _escape.diff(text, MOST_DIFF),
    "before": lambda text: _escape.lines(text, MOST_DIFF),
    "after": lambda text: _escape.lines(text, MOST_DIFF),
    "before_header": _escape.line,
    "after_header": _escape.line,
}


def _one_diff(diff: Any) -> dict[str, str]:
    if not isinstance(diff, Mapping):
        raise Malformed(f"diff has a {_kind(diff)}, not a dictionary")
    return {name: shown(_text(f"diff.{name}", diff[name])) for name, shown in _DIFF_PARTS.items() if name in diff}
