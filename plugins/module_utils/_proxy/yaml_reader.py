# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A reader of the plain part of YAML 1.2 that configuration files use: which key is on which lines. Pure.

Managed hosts have no YAML library, and a library would not keep comments and order. This reader tells for each key on
which lines it is, so that a few lines can be replaced while all others stay as they are.

It reads less than YAML allows, and never reads anything differently. What it does not support (anchors, tags, texts
over several lines without ``|`` or ``>``, tabs, several documents) it refuses with the number of the line.
"""

import re
from typing import List, NoReturn, Optional, Set, Tuple

from ansible_collections.determined.network.plugins.module_utils._proxy.errors import FormatError
from ansible_collections.determined.network.plugins.module_utils._proxy.yaml_nodes import (
    BlockScalar,
    Empty,
    Entry,
    FlowMapping,
    FlowSequence,
    Item,
    Mapping,
    Node,
    Scalar,
    Sequence,
)
from ansible_collections.determined.network.plugins.module_utils._proxy.yaml_scalars import (
    KEY,
    flow_scalar,
    key_text,
    scalar,
)

_BLOCK_HEADER = re.compile(r"[|>][+-]?(?= *(?: #.*)?$)")
_DOCUMENT_START = re.compile(r"---(?: *| +#.*)\Z")
_TAIL = re.compile(r"(?: *| +#.*)\Z")
# All but the characters of YAML 1.2.2, section 5.1. Line breaks that only some readers know count as unreadable, too.
_UNREADABLE = re.compile("[^\t\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_MAX_DEPTH = 50


def read(text: str) -> Tuple[Entry, ...]:
    """Return the entries of the top mapping of a file; none of a file without keys.

    ``text``: its lines end with LF. Raises FormatError.
    """
    found = _UNREADABLE.search(text)
    if found:
        line = text.count("\n", 0, found.start()) + 1
        raise FormatError(line, "the character U+%04X is not allowed in YAML" % ord(found.group()))
    return _Reader(text.split("\n")).document()


class _Reader:
    """``at``: the line that is read next. ``end``: the line after the last one that belongs to what was read; comments
    and empty lines may lie between them. ``depth``: how many collections the reader is in."""

    def __init__(self, lines: List[str]) -> None:
        self.lines = lines
        self.at = 0
        self.end = 0
        self.depth = 0

    def fail(self, reason: str, line: Optional[int] = None) -> NoReturn:
        raise FormatError((self.at if line is None else line) + 1, reason)

    def enter(self) -> None:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            self.fail("values are nested more than %d levels deep" % _MAX_DEPTH)

    # --- lines ---------------------------------------------------------------------------------

    def skip(self) -> int:
        """Go to the next line with content. Returns its indent, -1 at the end."""
        while self.at < len(self.lines):
            line = self.lines[self.at]
            content = line.lstrip(" ")
            if content and not content.startswith("#"):
                if "\t" in line:
                    self.fail("the line holds a tab; write spaces")
                return len(line) - len(content)
            self.at += 1
        return -1

    def document(self) -> Tuple[Entry, ...]:
        indent = self.skip()
        if indent == 0 and _DOCUMENT_START.match(self.lines[self.at]):
            self.at += 1
            indent = self.skip()
        if indent == -1:
            return ()
        if indent:
            self.fail("the first key is indented; write it at the start of the line")
        if not KEY.match(self.lines[self.at]):
            self.fail("the line is not `key: value`")
        entries = self.mapping(0).entries
        if self.skip() != -1:
            self.fail("the line does not begin with `key: value`")
        return entries

    # --- block collections -----------------------------------------------------------------------

    def mapping(self, indent: int) -> Mapping:
        """Read the mapping whose keys have this indent."""
        entries: List[Entry] = []
        seen: Set[str] = set()
        while self.skip() == indent:
            line, first = self.lines[self.at], self.at
            found = KEY.match(line, indent)
            if not found:
                if line[indent:].startswith(("- ", "---", "...")) or line[indent:] == "-":
                    break
                self.fail("the line is not `key: value`")
            key = key_text(found.group(1))
            if key in seen:
                self.fail("the mapping holds the key %s twice" % key)
            seen.add(key)
            node, tail = self.value(line, found.end(), indent, dash_allowed=True)
            entries.append(Entry(key, node, first, self.end, indent, tail))
        return Mapping(tuple(entries))

    def sequence(self, indent: int) -> Sequence:
        """Read the sequence whose dashes have this indent."""
        items = []
        while self.skip() == indent:
            line, first = self.lines[self.at], self.at
            if not (line.startswith("- ", indent) or line[indent:] == "-"):
                break
            start = indent + 1
            while line[start : start + 1] == " ":
                start += 1
            rest = line[start:]
            if KEY.match(rest) or rest.startswith("- ") or rest == "-":
                # A collection begins on the line of the dash: its indent is its column.
                self.lines[self.at] = " " * start + rest
                node = self.collection(start)
                self.lines[first] = line
            else:
                node, _unused = self.value(line, indent + 1, indent, dash_allowed=False)
            items.append(Item(node, first, self.end, indent))
        return Sequence(tuple(items))

    def collection(self, indent: int) -> Node:
        """Read the block collection that begins on this line and has this indent."""
        self.enter()
        line = self.lines[self.at][indent:]
        if line.startswith("- ") or line == "-":
            node: Node = self.sequence(indent)
        else:
            if not KEY.match(line):
                self.fail("the line is neither `key: value` nor `- item`; a text over several lines needs | or >")
            node = self.mapping(indent)
        self.depth -= 1
        if self.skip() > indent:
            self.fail("the line has more indent than what it belongs to")
        return node

    def value(self, line: str, start: int, indent: int, dash_allowed: bool) -> Tuple[Node, str]:
        """Read what follows a key or dash with this indent, and go behind it.

        ``start``: the column behind the key or dash. ``dash_allowed``: whether a sequence may have the same indent.
        Returns the value and what follows it on its only line.
        """
        rest = line[start:]
        content = rest.lstrip(" ")
        if not content or (content.startswith("#") and rest.startswith(" ")):
            self.at += 1
            self.end = self.at
            return self.below(indent, dash_allowed), rest
        start += len(rest) - len(content)
        if content[0] in "|>":
            return self.block_scalar(line, start, indent), ""
        if content[0] in "[{":
            first = self.at
            node, end = self.flow_collection(start, indent)
            tail = self.tail(end)
            return node, tail if self.at - 1 == first else ""
        text, end = scalar(line, start, self.at)
        tail = self.tail(end)
        if self.skip() > indent:
            self.fail("a text continues over several lines, or the line has more indent than what it belongs to")
        return Scalar(text), tail

    def below(self, indent: int, dash_allowed: bool) -> Node:
        """Read the value of a key or dash that has nothing on its own line."""
        deeper = self.skip()
        if deeper > indent:
            return self.collection(deeper)
        if deeper == indent and dash_allowed:
            content = self.lines[self.at][indent:]
            if content.startswith("- ") or content == "-":
                return self.sequence(indent)
        return Empty()

    def tail(self, end: int) -> str:
        """Return what follows a value on the current line, and go to the next line."""
        tail = self.lines[self.at][end:]
        if not _TAIL.match(tail):
            self.fail("%r follows the value" % tail.strip())
        self.at += 1
        self.end = self.at
        return tail

    # --- block scalars -----------------------------------------------------------------------------

    def block_scalar(self, line: str, start: int, indent: int) -> BlockScalar:
        """Read the block scalar whose header begins at this column and belongs to a key or dash with this indent."""
        if not _BLOCK_HEADER.match(line, start):
            self.fail("the header of the text is not supported; write | or >, followed by + or - if necessary")
        self.at += 1
        first = self.at
        text_indent: Optional[int] = None
        blank_indent = 0  # of the empty lines above the text
        while self.at < len(self.lines):
            text = self.lines[self.at]
            content = text.lstrip(" ")
            columns = len(text) - len(content)
            if content:
                if text_indent is None:
                    if columns <= indent:
                        break
                    if blank_indent > columns:
                        self.fail("an empty line has more spaces than the text below it", first)
                    text_indent = columns
                elif columns < text_indent:
                    break
                if "\t" in text:
                    self.fail("the line holds a tab; write spaces")
            elif text_indent is None:
                blank_indent = max(blank_indent, columns)
            self.at += 1
        end = self.at
        while end > first and not self.lines[end - 1].strip(" "):
            end -= 1
        self.at = self.end = end
        if self.skip() > indent:
            self.fail("the line has less indent than the text above it, and more than its key")
        return BlockScalar(tuple(self.lines[first:end]))

    # --- flow collections --------------------------------------------------------------------------

    def flow_space(self, column: int, indent: int) -> int:
        """Go over spaces, comments and line ends between brackets. Returns the column of what follows."""
        while True:
            line = self.lines[self.at]
            while line[column : column + 1] == " ":
                column += 1
            if line[column : column + 1] == "#" and (column == 0 or line[column - 1] == " "):
                column = len(line)
            if column < len(line):
                return column
            self.at += 1
            if self.skip() <= indent:
                self.at = min(self.at, len(self.lines) - 1)
                self.fail("a bracket above is not closed, or its further lines have no indent")
            column = 0

    def flow_collection(self, start: int, indent: int) -> Tuple[Node, int]:
        """Read the flow collection that begins at this column. Returns it and the column behind it."""
        self.enter()
        read_inside = self.flow_mapping if self.lines[self.at][start] == "{" else self.flow_sequence
        node, column = read_inside(self.flow_space(start + 1, indent), indent)
        self.depth -= 1
        return node, column + 1

    def flow_sequence(self, column: int, indent: int) -> Tuple[Node, int]:
        """Read from behind ``[`` to ``]``. Returns the sequence and the bracket's column."""
        nodes: List[Node] = []
        while self.lines[self.at][column] != "]":
            node, column = self.flow_node(column, indent)
            nodes.append(node)
            column = self.flow_comma(column, indent, "]")
        return FlowSequence(tuple(nodes)), column

    def flow_mapping(self, column: int, indent: int) -> Tuple[Node, int]:
        """Read from behind ``{`` to ``}``. Returns the mapping and the bracket's column."""
        pairs: List[Tuple[str, Node]] = []
        seen: Set[str] = set()
        while self.lines[self.at][column] != "}":
            key, column = self.flow_node(column, indent)
            if not isinstance(key, Scalar) or not self.lines[self.at].startswith(": ", column):
                self.fail("what is between { and } is not `key: value`")
            if key.text in seen:
                self.fail("the mapping holds the key %s twice" % key.text)
            seen.add(key.text)
            column = self.flow_space(column + 1, indent)
            if self.lines[self.at][column] in ",}":
                self.fail("a key between { and } has no value")
            value, column = self.flow_node(column, indent)
            pairs.append((key.text, value))
            column = self.flow_comma(column, indent, "}")
        return FlowMapping(tuple(pairs)), column

    def flow_comma(self, column: int, indent: int, close: str) -> int:
        """Go over the comma behind a value between brackets. Returns the column of the next value or of ``close``."""
        column = self.flow_space(column, indent)
        if self.lines[self.at][column] == ",":
            return self.flow_space(column + 1, indent)
        if self.lines[self.at][column] != close:
            self.fail("a comma or %s is missing" % close)
        return column

    def flow_node(self, column: int, indent: int) -> Tuple[Node, int]:
        """Read the value that begins at this column between brackets. Returns it and the column behind it."""
        line = self.lines[self.at]
        if line[column] in "[{":
            return self.flow_collection(column, indent)
        text, end = flow_scalar(line, column, self.at)
        return Scalar(text), end
