# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets of TCP or UDP ports, kept as sorted ranges.

A port set is a tuple of ``(first, last)`` pairs: sorted, disjoint and not adjacent, so that
two equal sets are equal tuples. Its text is compact: ``"1734,1750,2600-2900"``; the empty
set is ``""``. Everything here is pure.
"""

import re
from functools import lru_cache
from typing import Any, Iterable, Iterator, List, Sequence, Tuple, TypeVar, Union

PortSet = Tuple[Tuple[int, int], ...]
_Item = TypeVar("_Item")

FIRST_PORT = 1
LAST_PORT = 65535  # RFC 9293, section 3.1: a port is a 16-bit number; 0 is reserved.
ALL_PORTS: PortSet = ((FIRST_PORT, LAST_PORT),)

# int() would take "+1", "1_0" and other scripts' digits too.
_DIGITS = re.compile(r"[0-9]+\Z")


def normalize(ranges: Iterable[Tuple[int, int]]) -> PortSet:
    """Ranges of ``(first, last)`` in any order, overlapping or not -> a port set."""
    merged: List[Tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return tuple(merged)


def parse_ports(value: Any) -> PortSet:
    """The ports that a user wrote -> a port set.

    ``value`` is an int, a text like ``"22,1024-65535"`` or a list of either.
    Raises ValueError with a sentence that quotes the bad part.
    """
    if isinstance(value, (list, tuple)):
        return normalize([pair for item in value for pair in parse_ports(item)])
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError("%r is not a port, a range like 1024-65535, or a list of them" % (value,))
    return _parse_text(value)


# The same few texts are read again for every pair of hosts. A text may name 65,535 ports, hence the small number.
@lru_cache(maxsize=256)
def _parse_text(value: Union[int, str]) -> PortSet:
    ranges = []
    text = str(value).strip()
    for part in text.split(",") if text else []:
        first, dash, last = part.strip().partition("-")
        try:
            pair = (_port(first.strip()), _port(last.strip() if dash else first.strip()))
        except ValueError as problem:
            raise ValueError("%r in ports %r: %s" % (part.strip(), value, problem)) from problem
        if pair[0] > pair[1]:
            raise ValueError("%r in ports %r: the range runs backwards" % (part.strip(), value))
        ranges.append(pair)
    return normalize(ranges)


def _port(text: str) -> int:
    if not _DIGITS.match(text):
        raise ValueError("not a number")
    number = int(text)
    if not FIRST_PORT <= number <= LAST_PORT:
        raise ValueError("ports are %d to %d" % (FIRST_PORT, LAST_PORT))
    return number


def format_ports(ports: PortSet) -> str:
    """A port set -> its compact text, which :func:`parse_ports` reads back."""
    return ",".join("%d" % first if first == last else "%d-%d" % (first, last) for first, last in ports)


def from_numbers(numbers: Iterable[int]) -> PortSet:
    """An iterable of port numbers -> a port set."""
    return normalize([(number, number) for number in numbers])


def numbers(ports: PortSet) -> Iterator[int]:
    """A port set -> an iterator over its port numbers, ascending."""
    for first, last in ports:
        yield from range(first, last + 1)


def count(ports: PortSet) -> int:
    """How many ports a port set holds."""
    return sum(last - first + 1 for first, last in ports)


def contains(ports: PortSet, number: int) -> bool:
    """Whether a port set holds the port ``number``."""
    return any(first <= number <= last for first, last in ports)


def union(*sets: PortSet) -> PortSet:
    """The ports that are in any of the sets."""
    return normalize([pair for ports in sets for pair in ports])


def subtract(ports: PortSet, removed: PortSet) -> PortSet:
    """The ports of ``ports`` that are not in ``removed``; both are sorted, so one pass over both is enough."""
    kept = []
    index = 0
    for first, last in ports:
        while index < len(removed) and removed[index][1] < first:
            index += 1
        position = index
        while position < len(removed) and removed[position][0] <= last:
            removed_first, removed_last = removed[position]
            if removed_first > first:
                kept.append((first, removed_first - 1))
            first = removed_last + 1
            position += 1
        if first <= last:
            kept.append((first, last))
    return tuple(kept)


def intersect(left: PortSet, right: PortSet) -> PortSet:
    """The ports that are in both sets."""
    return subtract(left, subtract(left, right))


def evenly(items: Sequence[_Item], most: int) -> List[_Item]:
    """At most ``most`` of the items, evenly over their whole length; the first and the last one are among them."""
    if len(items) <= most:
        return list(items)
    if most < 2:
        return list(items[:most])
    return [items[index * (len(items) - 1) // (most - 1)] for index in range(most)]


def spread(ports: PortSet, most: int) -> PortSet:
    """A port set -> at most ``most`` of its ports, evenly spread; the first and the last one are among them."""
    if count(ports) <= most:
        return ports
    return from_numbers(evenly(list(numbers(ports)), most))
