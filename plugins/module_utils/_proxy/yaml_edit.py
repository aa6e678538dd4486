# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Change top keys of a YAML file, and keep every other byte. Pure.

A *chunk* is the list of the lines of one top key: ``{"http_proxy": ["http_proxy: \"http://...\""]}``. All functions
raise FormatError for a file that yaml_reader refuses.
"""

import json
from typing import Container, Dict, List, Mapping, Optional

from ansible_collections.determined.network.plugins.module_utils._proxy import yaml_nodes, yaml_reader


def quote(text: str) -> str:
    """Return the text as a double-quoted scalar. JSON's strings are YAML's (YAML 1.2.2, 7.3.1)."""
    return json.dumps(text)


def chunks(text: str, keys: Container[str]) -> Dict[str, List[str]]:
    """Return key -> chunk, for those of the keys that the file holds."""
    lines = text.split("\n")
    return {entry.key: lines[entry.first : entry.last] for entry in yaml_reader.read(text) if entry.key in keys}


def with_chunks(text: str, wanted: Mapping[str, Optional[List[str]]]) -> str:
    """Return the file's text with these chunks.

    ``wanted``: key -> its chunk, or None to remove the key. A key that the file holds keeps its place. A new one comes
    after the last of the wanted keys that the file holds, else at the end of the file.
    """
    lines = text.split("\n")
    present = [entry for entry in yaml_reader.read(text) if entry.key in wanted]
    present_keys = {entry.key for entry in present}
    new = [line for key, chunk in wanted.items() if chunk and key not in present_keys for line in chunk]
    insert(lines, present[-1].last if present else end_of_file(text), new)
    for entry in reversed(present):
        lines[entry.first : entry.last] = wanted[entry.key] or []
    return "\n".join(lines)


def set_keys(text: str, values: Mapping[str, str]) -> str:
    """Return the file's text with these values (key -> text). A comment beside a value is kept."""
    tails = {entry.key: entry.tail for entry in yaml_reader.read(text)}
    wanted: Dict[str, Optional[List[str]]] = {
        key: ["%s: %s%s" % (key, quote(value), tails.get(key, "").rstrip())] for key, value in values.items()
    }
    return with_chunks(text, wanted)


def end_of_file(text: str) -> int:
    """Return the number of the line before which a new top key at the end of the file is inserted."""
    lines = text.split("\n")
    if lines[-1] == "":
        return len(lines) - 1
    # If the last value is a block scalar, its text would change once its last line ends with LF. So the key comes
    # before it.
    entries = yaml_reader.read(text)
    return entries[-1].first if entries and _ends_with_block_scalar(entries[-1].node) else len(lines)


def _ends_with_block_scalar(node: yaml_nodes.Node) -> bool:
    while isinstance(node, (yaml_nodes.Mapping, yaml_nodes.Sequence)):
        node = node.entries[-1].node if isinstance(node, yaml_nodes.Mapping) else node.items[-1].node
    return isinstance(node, yaml_nodes.BlockScalar)


def insert(lines: List[str], place: int, new: List[str]) -> None:
    """Insert new lines before the line with the number ``place``. At the end of a file, the last line gets an LF."""
    if new:
        lines[place:place] = new
        if place + len(new) == len(lines):
            lines.append("")
