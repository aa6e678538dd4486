# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The values that a YAML file holds, with the lines on which they are. Pure.

Every kind of value is a class of its own, so that ``isinstance`` tells them apart.
"""

from typing import NamedTuple, Tuple, Union


class Scalar(NamedTuple):
    """A text on one line, without its quotes: ``yes`` and ``0x1f`` are texts, too."""

    text: str


class Empty(NamedTuple):
    """No value: nothing follows the key or the dash."""


class BlockScalar(NamedTuple):
    """A text over several lines, below ``|`` or ``>``. ``lines``: as they are in the file."""

    lines: Tuple[str, ...]


class FlowSequence(NamedTuple):
    """``[a, b]``."""

    nodes: Tuple["Node", ...]


class FlowMapping(NamedTuple):
    """``{a: b}``. ``pairs``: (key, value)."""

    pairs: Tuple[Tuple[str, "Node"], ...]


class Sequence(NamedTuple):
    """A list with a dash before each item."""

    items: Tuple["Item", ...]


class Mapping(NamedTuple):
    """``key: value`` on lines of their own."""

    entries: Tuple["Entry", ...]


Node = Union[Scalar, Empty, BlockScalar, FlowSequence, FlowMapping, Sequence, Mapping]


class Entry(NamedTuple):
    """A key with its value on the lines ``first`` to ``last`` (counted from 0, ``last`` excluded).

    ``indent``: columns before the key. ``tail``: what follows the value on its only line, such as a comment.
    """

    key: str
    node: Node
    first: int
    last: int
    indent: int
    tail: str


class Item(NamedTuple):
    """One item of a sequence, with lines as in Entry. ``indent``: columns before the dash."""

    node: Node
    first: int
    last: int
    indent: int
