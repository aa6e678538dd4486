# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell whether the Network Requirements page still says what the requirements table was written from.

    tests/document.py network-requirements.rst

compares a copy of the page with the outline that this repository keeps of it: a key, the figures and a
digest for every bullet and paragraph. Exit status: 0 if they agree, 1 with one line for each difference,
2 if a file cannot be read.

Keys. A section's items are its bullets, its notes, and its paragraphs except those that end in a colon,
which only introduce what follows. Items are numbered from 1 in every section ("master/2"); bullets inside
a bullet or a note are numbered after it ("agents/4.1").
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

OUTLINE = Path(__file__).with_name("unit") / "data" / "requirements-document-outline.yml"

_BULLET = re.compile(r"([-*+])(\s+)(?=\S)")
_UNDERLINE = re.compile(r"([=\-`:.'\"~^_*+#])\1{2,}\Z")
_DIRECTIVE = re.compile(r"\.\. [\w-]+::\Z")
# A number, or two with a dash between; not the digit of a name such as S3, nor a part of a word.
_FIGURE = re.compile(r"(?<![\w./-])(\d+)(?:\s*-\s*(\d+))?(?![\w/-])")


class Item(NamedTuple):
    """One bullet, note or paragraph: its key, and its own text as one line, without that of inner bullets."""

    key: str
    text: str

    @property
    def digest(self) -> str:
        """SHA-256 of the text, in hexadecimal: white space and line breaks do not count."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def figures(self) -> list[str]:
        """The numbers and ranges of the text, in its order: ["8443", "1024-65536"]."""
        return ["-".join(filter(None, match.groups())) for match in _FIGURE.finditer(self.text)]


def parse(text: str) -> list[Item]:
    """A page in reStructuredText (titles, paragraphs, nested bullets, notes) -> its items, in its order."""
    items: list[Item] = []
    for title, lines in _sections(text.expandtabs().splitlines()):
        slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
        items += _items(lines, f"{slug}/", top=True)
    return items


def _sections(lines: list[str]) -> Iterable[tuple[str, list[str]]]:
    """Title -> the lines up to the next title. What stands before the first title belongs to none."""
    starts = [
        number
        for number in range(len(lines) - 1)
        if lines[number].strip()
        and _UNDERLINE.match(lines[number + 1].rstrip())
        and not _UNDERLINE.match(lines[number])
    ]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        body = lines[start + 2 : end]
        # The next title may have a line above it, too.
        if end < len(lines) and body and _UNDERLINE.match(body[-1].rstrip()):
            body = body[:-1]
        yield lines[start].strip(), body


def _items(lines: list[str], prefix: str, top: bool = False) -> list[Item]:
    items: list[Item] = []
    number = 0
    for block in _blocks(lines):
        bullet = _BULLET.match(block[0])
        directive = _DIRECTIVE.match(block[0].rstrip())
        if bullet or directive:
            inner = block[1:] if directive else [" " * bullet.end() + block[0][bullet.end() :], *block[1:]]
        elif block[0].startswith("..") or not top or block[-1].rstrip().endswith(":"):
            continue  # a comment or a link's target; text that belongs to the item around; an introduction
        else:
            inner = block
        number += 1
        inner = _dedent(inner)
        key = f"{prefix}{number}"
        items.append(Item(key, _own_text(inner)))
        if bullet or directive:
            items += _items(inner, f"{key}.")
    return items


def _blocks(lines: list[str]) -> Iterable[list[str]]:
    """Lines -> blocks that belong together: a paragraph, or a bullet or directive with what is indented below."""
    block: list[str] = []
    for line in lines:
        starts_anew = line.strip() and not line.startswith(" ")
        if starts_anew and block:
            contained = bool(_BULLET.match(block[0])) or block[0].startswith("..")
            if contained or _BULLET.match(line) or line.startswith("..") or not block[-1].strip():
                yield _stripped(block)
                block = []
        if block or line.strip():
            block.append(line)
    if block:
        yield _stripped(block)


def _stripped(block: list[str]) -> list[str]:
    while not block[-1].strip():
        block = block[:-1]
    return block


def _dedent(lines: list[str]) -> list[str]:
    depth = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return [line[depth:] for line in lines]


def _own_text(lines: list[str]) -> str:
    own = [block for block in _blocks(lines) if not _BULLET.match(block[0]) and not block[0].startswith("..")]
    return " ".join(" ".join(line for block in own for line in block).split())


def compare(items: Iterable[Item], outline: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Items of a page, and the outline as the YAML file has it -> one line for each difference."""
    found = {item.key: item for item in items}
    differences = []
    for key, item in found.items():
        figures = ", ".join(item.figures) or "no figures"
        if key not in outline:
            differences.append(f"{key}: new ({figures}; digest {item.digest}): {item.text}")
        elif item.figures != outline[key]["figures"]:
            before = ", ".join(outline[key]["figures"]) or "no figures"
            differences.append(f"{key}: the figures were {before}, now {figures}: {item.text}")
        elif item.digest != outline[key]["digest"]:
            differences.append(f"{key}: the wording changed (digest now {item.digest}): {item.text}")
    return differences + [f"{key}: gone" for key in outline if key not in found]


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        text = Path(arguments[0]).read_text(encoding="utf-8")
        outline = yaml.safe_load(OUTLINE.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as problem:
        print(f"cannot read: {problem}", file=sys.stderr)
        return 2
    differences = compare(parse(text), outline)
    for difference in differences:
        print(difference)
    print(f"{len(outline)} items in the outline, {len(differences)} differences")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
