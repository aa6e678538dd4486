# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Change the variables of task containers in master.yaml, and keep every other byte. Pure.

They are items ``NAME=value`` of the list ``environment_variables`` in ``task_container_defaults``. *Our items* are
those that set one of description.VARIABLES. All functions raise FormatError for a file that yaml_reader refuses, and
for a list that is written in a way that cannot be extended.
"""

from typing import List, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.determined.network.plugins.module_utils._proxy import yaml_edit, yaml_nodes, yaml_reader
from ansible_collections.determined.network.plugins.module_utils._proxy.description import VARIABLES
from ansible_collections.determined.network.plugins.module_utils._proxy.errors import FormatError

_DEFAULTS, _LIST = "task_container_defaults", "environment_variables"


def task_lines(variables: Sequence[Tuple[str, str]]) -> List[str]:
    """Return the lines of the whole key ``task_container_defaults``. ``variables``: (name, value)."""
    return [_DEFAULTS + ":"] + _list_lines(variables, 2)


def set_task_variables(text: str, variables: Sequence[Tuple[str, str]]) -> str:
    """Return the file's text with these variables at the end of the list, in place of all our items."""
    text = _without_our_items(text)
    defaults, variable_list = _locate(text)
    if defaults is None:
        return _inserted(text, yaml_edit.end_of_file(text), task_lines(variables))
    if not isinstance(defaults.node, yaml_nodes.Mapping):  # nothing follows the key
        return _replaced(text, defaults, task_lines(variables))
    keys = defaults.node.entries
    if variable_list is None:
        return _inserted(text, keys[-1].last, _list_lines(variables, keys[0].indent))
    if isinstance(variable_list.node, yaml_nodes.Sequence):
        items = ["- " + _item_text(name, value) for name, value in variables]
        return _with_items(text, variable_list.node, items)
    return _replaced(text, variable_list, _list_lines(variables, variable_list.indent))


def restore_task_variables(text: str, original: Optional[str]) -> str:
    """Return the file's text without our items, and with those that the original held.

    ``text``: the file now. ``original``: the file before our first change, None for no file.
    """
    text = _without_our_items(text)
    original = original or ""
    defaults, variable_list = _locate(text)
    original_defaults, original_list = _locate(original)
    if defaults is None or variable_list is None:
        return text  # somebody has removed the list since
    if isinstance(variable_list.node, yaml_nodes.Sequence):
        return _with_items(text, variable_list.node, _our_items(original))
    # The list has no items any more, so it becomes what it was.
    if original_list:
        return _replaced(text, variable_list, _lines_of(original, original_list))
    if not isinstance(variable_list.node, yaml_nodes.Empty):
        return text  # somebody else has written []
    if not _is_only_key(variable_list, defaults):
        return _replaced(text, variable_list, [])
    return _replaced(text, defaults, _lines_of(original, original_defaults) if original_defaults else [])


# --- where the list is -------------------------------------------------------------------------------------------


class _Location(NamedTuple):
    """``defaults``: the entry of task_container_defaults. ``variable_list``: that of environment_variables in it.
    None for what is not there."""

    defaults: Optional[yaml_nodes.Entry]
    variable_list: Optional[yaml_nodes.Entry]


def _locate(text: str) -> _Location:
    """Find the list. Its node is a Sequence, Empty or an empty FlowSequence; anything else is a FormatError."""
    defaults = next((entry for entry in yaml_reader.read(text) if entry.key == _DEFAULTS), None)
    if defaults is None or isinstance(defaults.node, yaml_nodes.Empty):
        return _Location(defaults, None)
    if not isinstance(defaults.node, yaml_nodes.Mapping):
        raise FormatError(defaults.first + 1, "%s is not a mapping with each key on a line of its own" % _DEFAULTS)
    variable_list = next((entry for entry in defaults.node.entries if entry.key == _LIST), None)
    if variable_list is not None and not _can_be_extended(variable_list.node):
        raise FormatError(variable_list.first + 1, "%s is not a list with each item on a line of its own" % _LIST)
    return _Location(defaults, variable_list)


def _can_be_extended(node: yaml_nodes.Node) -> bool:
    if isinstance(node, yaml_nodes.FlowSequence):
        return not node.nodes
    return isinstance(node, (yaml_nodes.Sequence, yaml_nodes.Empty))


def _is_only_key(entry: yaml_nodes.Entry, of: yaml_nodes.Entry) -> bool:
    return isinstance(of.node, yaml_nodes.Mapping) and of.node.entries == (entry,)


# --- items -------------------------------------------------------------------------------------------------------


def _item_text(name: str, value: str) -> str:
    return yaml_edit.quote("%s=%s" % (name, value))


def _list_lines(variables: Sequence[Tuple[str, str]], indent: int) -> List[str]:
    margin = " " * indent
    items = ["%s  - %s" % (margin, _item_text(name, value)) for name, value in variables]
    return ["%s%s:" % (margin, _LIST)] + items


def _is_ours(item: yaml_nodes.Item) -> bool:
    return isinstance(item.node, yaml_nodes.Scalar) and item.node.text.partition("=")[0] in VARIABLES


def _items(text: str) -> Tuple[yaml_nodes.Item, ...]:
    variable_list = _locate(text).variable_list
    if variable_list is None or not isinstance(variable_list.node, yaml_nodes.Sequence):
        return ()
    return variable_list.node.items


def _our_items(text: str) -> List[str]:
    """Return the lines of our items in this text, without their indent."""
    lines = text.split("\n")
    ours = [item for item in _items(text) if _is_ours(item)]
    return [line.lstrip(" ") for item in ours for line in lines[item.first : item.last]]


def _without_our_items(text: str) -> str:
    """Return the text without our items. A list that holds no other items becomes an empty one."""
    lines = text.split("\n")
    for item in reversed(_items(text)):
        if _is_ours(item):
            del lines[item.first : item.last]
    return "\n".join(lines)


# --- lines -------------------------------------------------------------------------------------------------------


def _lines_of(text: str, entry: yaml_nodes.Entry) -> List[str]:
    return text.split("\n")[entry.first : entry.last]


def _replaced(text: str, entry: yaml_nodes.Entry, new: List[str]) -> str:
    lines = text.split("\n")
    lines[entry.first : entry.last] = new
    return "\n".join(lines)


def _inserted(text: str, place: int, new: List[str]) -> str:
    lines = text.split("\n")
    yaml_edit.insert(lines, place, new)
    return "\n".join(lines)


def _with_items(text: str, sequence: yaml_nodes.Sequence, items: List[str]) -> str:
    """Return the text with these items, lines without an indent, at the end of a sequence that has items."""
    last = sequence.items[-1]
    return _inserted(text, last.last, [" " * last.indent + item for item in items])
