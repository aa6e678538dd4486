# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Change a few keys of a YAML file, and leave every other byte. Pure.

A *chunk* is the lines of one top key: ``{"http_proxy": ["http_proxy: \"http://...\""]}``.
"""

import json

from ansible_collections.determined.network.plugins.module_utils._proxy import yaml_reader as yaml
from ansible_collections.determined.network.plugins.module_utils._proxy.description import VARIABLES

_DEFAULTS, _LIST = "task_container_defaults", "environment_variables"


def quote(text):
    """A text -> a double-quoted scalar. JSON's is YAML's (YAML 1.2.2, 7.3.1), but for what YAML cannot print."""
    return json.dumps(text)


def chunks(text, keys):
    """The lines of each of the keys that the file has."""
    lines = text.split("\n")
    return {entry.key: lines[entry.first : entry.last] for entry in yaml.read(text) if entry.key in keys}


def with_chunks(text, wanted):
    """A file's text, key -> its lines, or None to remove it -> the new text.

    A key that is there stays where it is; a new one comes behind the last of its kind, else at the end.
    """
    lines = text.split("\n")
    entries = [entry for entry in yaml.read(text) if entry.key in wanted]
    place = entries[-1].last if entries else _end(lines, text)
    new = [line for key, chunk in wanted.items() if chunk and key not in {e.key for e in entries} for line in chunk]
    _insert(lines, place, new)
    for entry in reversed(entries):
        lines[entry.first : entry.last] = wanted[entry.key] or []
    return "\n".join(lines)


def set_keys(text, values):
    """A file's text, key -> text value -> the new text. Comments beside a value stay."""
    tails = {entry.key: entry.tail for entry in yaml.read(text)}
    wanted = {key: ["%s: %s%s" % (key, quote(value), tails.get(key, "").rstrip())] for key, value in values.items()}
    return with_chunks(text, wanted)


def _end(lines, text):
    """The line before which something new at the end of the file goes."""
    if lines[-1] == "":
        return len(lines) - 1
    # A block of text as the file's last value would change if its last line got an end.
    entries = yaml.read(text)
    return entries[-1].first if entries and _ends_in_block(entries[-1].node) else len(lines)


def _ends_in_block(node):
    while node.kind in (yaml.MAPPING, yaml.SEQUENCE):
        node = node.value[-1].node
    return node.kind == yaml.BLOCK


def _insert(lines, place, new):
    """Put new lines before the line ``place``; at the end of a file, the last line gets an end."""
    if new:
        lines[place:place] = new
        if place + len(new) == len(lines):
            lines.append("")


# --- the master's task_container_defaults.environment_variables ------------------------------------------


def task_lines(variables):
    """[(name, value)] -> the lines for master.yaml, a list, to show or to append."""
    return [_DEFAULTS + ":"] + _list_lines(variables, 2)


def _list_lines(variables, indent):
    lead = " " * indent
    items = ["%s  - %s" % (lead, _item(name, value)) for name, value in variables]
    return ["%s%s:" % (lead, _LIST)] + items


def _item(name, value):
    return quote("%s=%s" % (name, value))


def set_task_variables(text, variables):
    """master.yaml's text, [(name, value)] -> the new text: items of these variables go, ours are added at the end.

    Raises YamlProblem where the list is written in a way that this cannot extend.
    """
    lines = _without_variables(text).split("\n")
    entry, found = _find("\n".join(lines))
    if found is None:
        if entry is None:
            _insert(lines, _end(lines, "\n".join(lines)), task_lines(variables))
        elif entry.node.kind == yaml.EMPTY:
            lines[entry.first : entry.last] = task_lines(variables)
        else:
            indent = entry.node.value[0].indent
            _insert(lines, entry.node.value[-1].last, _list_lines(variables, indent))
    elif found.node.kind == yaml.SEQUENCE:
        last = found.node.value[-1]
        _insert(lines, last.last, ["%s- %s" % (" " * last.indent, _item(name, value)) for name, value in variables])
    else:
        lines[found.first : found.last] = _list_lines(variables, found.indent)
    return "\n".join(lines)


def restore_task_variables(text, original):
    """The file's text now and as it once was (None: it was not there) -> the text without ours, with what was
    there of these variables before."""
    text = _without_variables(text)
    before = _item_lines(original) if original else []
    lines = text.split("\n")
    entry, found = _find(text)
    if found is not None and found.node.kind == yaml.SEQUENCE:
        last = found.node.value[-1]
        _insert(lines, last.last, [" " * last.indent + line.lstrip(" ") for line in before])
        return "\n".join(lines)
    old_entry, old_list = _find(original) if original else (None, None)
    old_lines = original.split("\n") if original else []
    if found is not None and old_list is not None:
        lines[found.first : found.last] = old_lines[old_list.first : old_list.last]
    elif found is not None and found.node.kind == yaml.EMPTY:
        alone = len(entry.node.value) == 1
        place = entry if alone else found
        lines[place.first : place.last] = old_lines[old_entry.first : old_entry.last] if alone and old_entry else []
    return "\n".join(lines)


def _find(text):
    """-> (the Entry of task_container_defaults, that of its list), each None when it is not there."""
    for entry in yaml.read(text):
        if entry.key != _DEFAULTS:
            continue
        if entry.node.kind == yaml.EMPTY:
            return entry, None
        if entry.node.kind != yaml.MAPPING:
            raise yaml.YamlProblem(entry.first + 1, "%s is no mapping with one key a line" % _DEFAULTS)
        for inner in entry.node.value:
            if inner.key == _LIST:
                empty = inner.node.kind == yaml.FLOW_SEQUENCE and not inner.node.value
                if inner.node.kind not in (yaml.SEQUENCE, yaml.EMPTY) and not empty:
                    raise yaml.YamlProblem(inner.first + 1, "%s is no list with one item a line" % _LIST)
                return entry, inner
        return entry, None
    return None, None


def _ours(item):
    return item.node.kind == yaml.SCALAR and item.node.value.partition("=")[0] in VARIABLES


def _item_lines(text):
    _unused, found = _find(text)
    lines = text.split("\n")
    if found is None or found.node.kind != yaml.SEQUENCE:
        return []
    return [line for item in found.node.value if _ours(item) for line in lines[item.first : item.last]]


def _without_variables(text):
    """The text without the items that set one of our variables; a list that held nothing else is left empty."""
    _unused, found = _find(text)
    if found is None or found.node.kind != yaml.SEQUENCE:
        return text
    lines = text.split("\n")
    for item in reversed(found.node.value):
        if _ours(item):
            del lines[item.first : item.last]
    return "\n".join(lines)
