# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets of TCP or UDP ports, kept as sorted ranges.

A port set is a tuple of ``(first, last)`` pairs: sorted, disjoint and not adjacent, so that
two equal sets are equal tuples. Its text is compact: ``"1734,1750,2600-2900"``; the empty
set is ``""``. Everything here is pure.
"""

import re

FIRST_PORT = 1
LAST_PORT = 65535  # RFC 9293, section 3.1: a port is a 16-bit number; 0 is reserved.
ALL_PORTS = ((FIRST_PORT, LAST_PORT),)

# int() would take "+1", "1_0" and other scripts' digits too.
_DIGITS = re.compile(r"[0-9]+\Z")


def normalize(ranges):
    """Ranges of ``(first, last)`` in any order, overlapping or not -> a port set."""
    merged = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return tuple(merged)


def parse_ports(value):
    """What a person writes for ports -> a port set.

    ``value`` is an int, a text like ``"22,1024-65535"`` or a list of either.
    Raises ValueError with a sentence that quotes the bad part.
    """
    if isinstance(value, (list, tuple)):
        return normalize([pair for item in value for pair in parse_ports(item)])
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError("%r is not a port, a range like 1024-65535, or a list of them" % (value,))
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


def _port(text):
    if not _DIGITS.match(text):
        raise ValueError("not a number")
    number = int(text)
    if not FIRST_PORT <= number <= LAST_PORT:
        raise ValueError("ports are %d to %d" % (FIRST_PORT, LAST_PORT))
    return number


def format_ports(ports):
    """A port set -> its compact text, which :func:`parse_ports` reads back."""
    return ",".join("%d" % first if first == last else "%d-%d" % (first, last) for first, last in ports)


def from_numbers(numbers):
    """An iterable of port numbers -> a port set."""
    return normalize([(number, number) for number in numbers])


def numbers(ports):
    """A port set -> an iterator over its port numbers, ascending."""
    for first, last in ports:
        yield from range(first, last + 1)


def count(ports):
    """How many ports a port set holds."""
    return sum(last - first + 1 for first, last in ports)


def contains(ports, number):
    """Whether a port set holds the port ``number``."""
    return any(first <= number <= last for first, last in ports)


def union(*sets):
    """The ports that are in any of the sets."""
    return normalize([pair for ports in sets for pair in ports])


def subtract(ports, removed):
    """The ports of ``ports`` that are not in ``removed``; both are sorted, so one pass over both is enough."""
    kept = []
    index = 0
    for first, last in ports:
        while index < len(removed) and removed[index][1] < first:
            index += 1
        position = index
        while position < len(removed) and removed[position][0] <= last:
            gone_first, gone_last = removed[position]
            if gone_first > first:
                kept.append((first, gone_first - 1))
            first = gone_last + 1
            position += 1
        if first <= last:
            kept.append((first, last))
    return tuple(kept)


def intersect(left, right):
    """The ports that are in both sets."""
    return subtract(left, subtract(left, right))
