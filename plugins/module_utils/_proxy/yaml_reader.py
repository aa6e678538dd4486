# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where things stand in a YAML file: a reader of the plain part of YAML 1.2 that configuration files use. Pure.

Managed hosts have no YAML library, and a library would not keep comments and order. This reader tells for each
key on which lines it stands, so that a few lines can be exchanged and all others stay as they are.

It reads less than YAML allows, and never reads anything differently: what it does not know for sure
(anchors, tags, texts over several lines without ``|`` or ``>``, tabs, several documents) it refuses with the line's
number. Texts are the values as written: ``yes`` and ``0x1f`` stay what they are.
"""

import re
from typing import NamedTuple

MAPPING, SEQUENCE, SCALAR, EMPTY, FLOW_MAPPING, FLOW_SEQUENCE, BLOCK = (
    "mapping",
    "sequence",
    "scalar",
    "empty",
    "flow mapping",
    "flow sequence",
    "block scalar",
)

_KEY = re.compile(r"""([A-Za-z0-9_./][A-Za-z0-9_./+-]*(?: [A-Za-z0-9_./+-]+)*|'[^']*'|"[^"\\]*") *:(?= |$)""")
_SINGLE = re.compile(r"'((?:[^']|'')*)'")
_DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(r'\\(?:["\\/abefnrtv0 ]|x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8}))')
_SIMPLE_ESCAPES = dict(
    zip('"\\/abefnrtv0 ', ['"', "\\", "/", "\a", "\b", "\x1b", "\f", "\n", "\r", "\t", "\v", "\0", " "])
)
_BLOCK_HEADER = re.compile(r"[|>][+-]?(?= *(?: #.*)?$)")
_TAIL = re.compile(r"(?: *| +#.*)\Z")
_FLOW_PLAIN = re.compile(r"[\w./+~-](?:[\w./+~=@%;()$^<#'\"-]|:(?=[\w./+~-])| +(?=[\w./+~-]))*")
# YAML 1.2.2, section 5.1, less the line breaks that only some readers know.
_UNREADABLE = re.compile("[^\t\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_MAX_DEPTH = 50


class YamlProblem(ValueError):
    """Text that is no YAML, or more than this reader knows. ``line`` counts from 1."""

    def __init__(self, line, reason):
        super().__init__("line %d: %s" % (line, reason))
        self.line = line
        self.reason = reason


class Node(NamedTuple):
    """A value. ``value``: the text of a scalar, a tuple of Nodes of a flow sequence, of Items of a
    sequence, of Entries of a mapping, of (key, Node) of a flow mapping, of lines of a block scalar; None of nothing."""

    kind: str
    value: object


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
    """One item of a sequence, with lines as in Entry; ``indent``: columns before the dash."""

    node: Node
    first: int
    last: int
    indent: int


def read(text):
    """A file's text (with LF ends) -> the Entries of its top mapping, a tuple; empty without any key.

    Raises YamlProblem.
    """
    found = _UNREADABLE.search(text)
    if found:
        line = text.count("\n", 0, found.start()) + 1
        raise YamlProblem(line, "the character U+%04X has no place in YAML" % ord(found.group()))
    return _Reader(text.split("\n")).document()


class _Reader:
    def __init__(self, lines):
        self.lines = lines
        self.at = 0  # the line that is read next
        self.end = 0  # behind the last line that belongs to what was read; comments and empty lines may follow
        self.depth = 0

    def fail(self, reason, line=None):
        raise YamlProblem((self.at if line is None else line) + 1, reason)

    # --- lines ---------------------------------------------------------------------------------

    def skip(self):
        """Go to the next line with content -> its indent, or -1 at the end."""
        while self.at < len(self.lines):
            line = self.lines[self.at]
            content = line.lstrip(" ")
            if content and not content.startswith("#"):
                if "\t" in line:
                    self.fail("a tab; write spaces")
                return len(line) - len(content)
            self.at += 1
        return -1

    def document(self):
        indent = self.skip()
        if indent == 0 and re.match(r"---(?: *| +#.*)\Z", self.lines[self.at]):
            self.at += 1
            indent = self.skip()
        if indent == -1:
            return ()
        if indent:
            self.fail("the first key is indented; write it at the start of the line")
        if not _KEY.match(self.lines[self.at]):
            self.fail("not `key: value`")
        entries = self.mapping(0)
        if self.skip() != -1:
            self.fail("not `key: value` at the start of the line")
        return entries

    # --- block collections -----------------------------------------------------------------------

    def mapping(self, indent):
        """The mapping whose keys stand ``indent`` columns in -> its Entries."""
        entries, seen = [], set()
        while self.skip() == indent:
            line, first = self.lines[self.at], self.at
            found = _KEY.match(line, indent)
            if not found:
                if line[indent:].startswith(("- ", "---", "...")) or line[indent:] == "-":
                    break
                self.fail("not `key: value`")
            key = self.key_text(found.group(1))
            if key in seen:
                self.fail("the key %s stands here a second time" % key)
            seen.add(key)
            node, tail = self.value(line, found.end(), indent, dash_allowed=True)
            entries.append(Entry(key, node, first, self.end, indent, tail))
        return tuple(entries)

    def sequence(self, indent):
        """The sequence whose dashes stand ``indent`` columns in -> its Items."""
        items = []
        while self.skip() == indent:
            line, first = self.lines[self.at], self.at
            if not (line.startswith("- ", indent) or line[indent:] == "-"):
                break
            start = indent + 1
            while line[start : start + 1] == " ":
                start += 1
            rest = line[start:]
            if _KEY.match(rest) or rest.startswith("- ") or rest == "-":
                # What begins beside the dash is a collection as deep as it stands.
                self.lines[self.at] = " " * start + rest
                node = self.collection(start)
                self.lines[first] = line
            else:
                node, _unused = self.value(line, indent + 1, indent, dash_allowed=False)
            items.append(Item(node, first, self.end, indent))
        return tuple(items)

    def collection(self, indent):
        """The block collection that begins on this line, ``indent`` columns in -> its Node."""
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            self.fail("nested more than %d levels deep" % _MAX_DEPTH)
        line = self.lines[self.at][indent:]
        if line.startswith("- ") or line == "-":
            node = Node(SEQUENCE, self.sequence(indent))
        else:
            if not _KEY.match(line):
                self.fail("neither `key: value` nor `- item`; texts over several lines need | or >")
            node = Node(MAPPING, self.mapping(indent))
        self.depth -= 1
        if self.skip() > indent:
            self.fail("indented further than what it belongs to")
        return node

    def value(self, line, start, indent, dash_allowed):
        """What follows a key or dash that stands ``indent`` columns in -> (Node, tail). Leaves self.at behind it."""
        rest = line[start:]
        content = rest.lstrip(" ")
        if not content or (content.startswith("#") and rest.startswith(" ")):
            self.at += 1
            self.end = self.at
            return self.below(indent, dash_allowed), rest
        start += len(rest) - len(content)
        if content[0] in "|>":
            return self.block(line, start, indent), ""
        if content[0] in "[{":
            first = self.at
            node, end = self.flow(start, indent)
            tail = self.tail(end)
            return node, tail if self.at - 1 == first else ""
        text, end = self.scalar(line, start)
        tail = self.tail(end)
        if self.skip() > indent:
            self.fail("a text goes on over several lines, or is indented further than what it belongs to")
        return Node(SCALAR, text), tail

    def below(self, indent, dash_allowed):
        """The value of a key or dash beside which nothing stands."""
        deeper = self.skip()
        if deeper > indent:
            return self.collection(deeper)
        if deeper == indent and dash_allowed:
            content = self.lines[self.at][indent:]
            if content.startswith("- ") or content == "-":
                return Node(SEQUENCE, self.sequence(indent))
        return Node(EMPTY, None)

    def tail(self, end):
        """What stands behind a value on the current line; goes to the next one."""
        tail = self.lines[self.at][end:]
        if not _TAIL.match(tail):
            self.fail("%r follows the value" % tail.strip())
        self.at += 1
        self.end = self.at
        return tail

    # --- scalars -----------------------------------------------------------------------------------

    def key_text(self, written):
        return written[1:-1] if written[0] in "'\"" else written

    def scalar(self, line, start):
        """A scalar on one line -> (its text, where it ends)."""
        if line[start] in "'\"":
            return self.quoted(line, start)
        if line[start] in ",[]{}#&*!|>%@`" or (line[start] in "-?:" and line[start + 1 : start + 2] in ("", " ")):
            self.fail("%r cannot begin a value here; anchors, aliases and tags are not understood" % line[start])
        text = re.split(r" +#", line[start:], maxsplit=1)[0].rstrip(" ")
        if re.search(r":(?: |\Z)", text):
            self.fail("a colon in a text; put the text into quotes")
        return text, start + len(text)

    def quoted(self, line, start):
        found = (_SINGLE if line[start] == "'" else _DOUBLE).match(line, start)
        if not found:
            self.fail("a quote is not closed on its line")
        text = found.group(1)
        if line[start] == "'":
            return text.replace("''", "'"), found.end()
        return self.unescape(text), found.end()

    def unescape(self, text):
        if "\\" in _ESCAPE.sub("", text):
            self.fail("an unknown escape (backslash) between double quotes")

        def plain(match):
            digits = match.group(1) or match.group(2) or match.group(3)
            if not digits:
                return _SIMPLE_ESCAPES[match.group()[1]]
            if int(digits, 16) > 0x10FFFF or 0xD800 <= int(digits, 16) <= 0xDFFF:
                self.fail("an escape between double quotes that stands for no character")
            return chr(int(digits, 16))

        return _ESCAPE.sub(plain, text)

    def block(self, line, start, indent):
        """A block scalar, whose header stands at ``start`` -> its Node."""
        if not _BLOCK_HEADER.match(line, start):
            self.fail("a header of a block of text that is not understood; write | or >, with + or - if need be")
        self.at += 1
        first, deep, blank = self.at, None, 0
        while self.at < len(self.lines):
            text = self.lines[self.at]
            content = text.lstrip(" ")
            columns = len(text) - len(content)
            if content:
                if deep is None:
                    if columns <= indent:
                        break
                    if blank > columns:
                        self.fail("an empty line with more spaces than the text below it", first)
                    deep = columns
                elif columns < deep:
                    break
                if "\t" in text:
                    self.fail("a tab; write spaces")
            elif deep is None:
                blank = max(blank, columns)
            self.at += 1
        end = self.at
        while end > first and not self.lines[end - 1].strip(" "):
            end -= 1
        self.at = self.end = end
        if self.skip() > indent:
            self.fail("indented less than the text above it, and more than its key")
        return Node(BLOCK, tuple(self.lines[first:end]))

    # --- flow collections --------------------------------------------------------------------------

    def flow_space(self, column, indent):
        """Go over spaces, comments and line ends inside brackets -> the column of what comes next."""
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
                self.fail("a bracket above is not closed, or its rest is not indented")
            column = 0

    def flow(self, start, indent):
        """The flow collection that begins at column ``start`` of this line -> (Node, the column behind it)."""
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            self.fail("nested more than %d levels deep" % _MAX_DEPTH)
        mapping = self.lines[self.at][start] == "{"
        close, found, seen = ("}" if mapping else "]"), [], set()
        column = self.flow_space(start + 1, indent)
        while self.lines[self.at][column] != close:
            node, column = self.flow_node(column, indent)
            if mapping:
                line = self.lines[self.at]
                if node.kind != SCALAR or not line.startswith((": ", ":\n"), column):
                    self.fail("not `key: value` between { and }")
                if node.value in seen:
                    self.fail("the key %s stands here a second time" % node.value)
                seen.add(node.value)
                column = self.flow_space(column + 1, indent)
                if self.lines[self.at][column] in ",}":
                    self.fail("a key without a value between { and }")
                value, column = self.flow_node(column, indent)
                found.append((node.value, value))
            else:
                found.append(node)
            column = self.flow_space(column, indent)
            if self.lines[self.at][column] == ",":
                column = self.flow_space(column + 1, indent)
            elif self.lines[self.at][column] != close:
                self.fail("a comma or %s is missing" % close)
        self.depth -= 1
        return Node(FLOW_MAPPING if mapping else FLOW_SEQUENCE, tuple(found)), column + 1

    def flow_node(self, column, indent):
        line = self.lines[self.at]
        if line[column] in "[{":
            return self.flow(column, indent)
        if line[column] in "'\"":
            text, end = self.quoted(line, column)
            return Node(SCALAR, text), end
        found = _FLOW_PLAIN.match(line, column)
        if not found or re.match(r"-(?:[ ,\[\]{}]|$)", line[column:]):
            self.fail("%r is not understood between brackets; put it into quotes" % line[column])
        end = found.end()
        # A plain text could go on in the next line; then what follows is no comma, and is refused.
        return Node(SCALAR, found.group().rstrip(" ")), end
