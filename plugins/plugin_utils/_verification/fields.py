# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads values of a host's answer one by one, and refuses what no module returns. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ansible_collections.determined.network.plugins.module_utils import _ports
from ansible_collections.determined.network.plugins.plugin_utils import _escape
from ansible_collections.determined.network.plugins.plugin_utils._flows import PortSet

MOST_PORTS_TEXT = 1 << 18  # characters; every second port takes 190,000
MOST_KEYS = 200  # of a dictionary whose keys are texts of foreign origin

_KINDS: tuple[tuple[type, str], ...] = (
    (Mapping, "a dictionary"),
    (str, "a text"),
    (bool, "a truth value"),
    (int, "a number"),
    (float, "a number"),
    (list, "a list"),
)


class Malformed(ValueError):
    """A value is not what the module documents. The text says where it is and what is wrong."""


class Fields:
    """The values of one dictionary of an answer. ``where`` is its place, for messages.

    Each method raises Malformed if the value is missing or not of the kind that it reads, unless it says otherwise.
    """

    def __init__(self, where: str, value: Any) -> None:
        self.where = where
        if not isinstance(value, Mapping):
            raise Malformed(f"{where} is {_kind(value)}, not a dictionary")
        self._values = value

    def get(self, name: str) -> Any:
        """A value of any kind; None if it is missing."""
        return self._values.get(name)

    def wrong(self, name: str, what: str) -> Malformed:
        """The problem of a value: "observations[0].open names ports that were not probed"."""
        return Malformed(f"{self.where}.{name} {what}")

    def _value(self, name: str) -> Any:
        if name not in self._values:
            raise Malformed(f"{self.where}.{name} is missing")
        return self._values[name]

    def _not(self, name: str, value: Any, wanted: str) -> Malformed:
        return self.wrong(name, f"is {_kind(value)}, not {wanted}")

    def fields(self, name: str) -> Fields:
        """A dictionary."""
        return Fields(f"{self.where}.{name}", self._value(name))

    def items(self, name: str, most: int) -> Iterator[Fields]:
        """A list of at most ``most`` dictionaries."""
        for number, one in enumerate(self._list(name, most)):
            yield Fields(f"{self.where}.{name}[{number}]", one)

    def texts(self, name: str, most: int) -> list[str]:
        """A list of at most ``most`` texts, each as :meth:`text` returns it."""
        found = self._list(name, most)
        for one in found:
            if not isinstance(one, str):
                raise self._not(name, one, "a text")
        return [_escape.line(one) for one in found]

    def _list(self, name: str, most: int) -> list[Any]:
        value = self._value(name)
        if not isinstance(value, (list, tuple)):
            raise self._not(name, value, "a list")
        if len(value) > most:
            raise self.wrong(name, f"has {len(value)} entries; at most {most} are possible")
        return list(value)

    def text(self, name: str) -> str:
        """A text of foreign origin: one printable line, which is cut if it is long."""
        value = self._value(name)
        if not isinstance(value, str):
            raise self._not(name, value, "a text")
        return _escape.line(value)

    def choice(self, name: str, allowed: Collection[str]) -> str:
        """One of some words."""
        value = self._value(name)
        if not isinstance(value, str) or value not in allowed:
            raise self.wrong(name, f"is {_shown(value)}, not one of {', '.join(map(repr, allowed))}")
        return value

    def flag(self, name: str) -> bool:
        """True or false."""
        value = self._value(name)
        if not isinstance(value, bool):
            raise self._not(name, value, "true or false")
        return value

    def flag_or_none(self, name: str) -> bool | None:
        """True, false or null."""
        return None if self._value(name) is None else self.flag(name)

    def whole(self, name: str, most: int, least: int = 0) -> int:
        """A whole number from ``least`` to ``most``."""
        value = self._value(name)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._not(name, value, "a whole number")
        if not least <= value <= most:
            raise self.wrong(name, f"is {_shown(value)}, not a number from {least} to {most}")
        return value

    def number_or_none(self, name: str, most: float) -> float | None:
        """A number from 0 to ``most``, or null."""
        value = self._value(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self._not(name, value, "a number")
        if not 0 <= value <= most or not math.isfinite(value):
            raise self.wrong(name, f"is {_shown(value)}, not a number from 0 to {most:g}")
        return float(value)

    def ports(self, name: str, within: PortSet = _ports.ALL_PORTS) -> PortSet:
        """Ports in compact form, all of which are in ``within``."""
        return self._ports(name, self._value(name), within)

    def _ports(self, name: str, value: Any, within: PortSet) -> PortSet:
        if not isinstance(value, str):
            raise self._not(name, value, "a text of ports")
        if len(value) > MOST_PORTS_TEXT:
            raise self.wrong(name, f"is a text of {len(value)} characters, more than all ports take")
        try:
            ports = _ports.parse_ports(value)
        except ValueError as problem:
            raise self.wrong(name, f"is no list of ports: {_escape.line(str(problem))}") from problem
        others = _ports.subtract(ports, within)
        if others:
            raise self.wrong(name, f"has ports that it was not asked about: {_shown(_ports.format_ports(others))}")
        return ports

    def ports_by_text(self, name: str, within: PortSet) -> dict[str, PortSet]:
        """Texts of foreign origin, as :meth:`text` returns them -> ports in ``within``."""
        value = self._value(name)
        if not isinstance(value, Mapping):
            raise self._not(name, value, "a dictionary")
        if len(value) > MOST_KEYS:
            raise self.wrong(name, f"has {len(value)} keys; at most {MOST_KEYS} are possible")
        found: dict[str, PortSet] = {}
        for text, ports in value.items():
            if not isinstance(text, str):
                raise self._not(name, text, "a text")
            shown = _escape.line(text)
            # Texts that differ only after the cut are one.
            found[shown] = _ports.union(found.get(shown, ()), self._ports(name, ports, within))
        return found


def _kind(value: Any) -> str:
    return next((name for kind, name in _KINDS if isinstance(value, kind)), "null" if value is None else "no JSON")


def _shown(value: Any) -> str:
    """A value for a message, in a few characters."""
    if isinstance(value, int) and not -(1 << 64) < value < 1 << 64:
        return "a number of more than 64 bits"  # Python refuses to write very long ones
    if isinstance(value, (str, int, float)):
        return _escape.line(repr(value), 60)
    return _kind(value)
