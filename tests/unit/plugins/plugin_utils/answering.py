# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way of a module's output on the controller: Ansible's own reading, between the two halves of our cleaning."""

import importlib
import inspect
from types import SimpleNamespace

from ansible.plugins.action import ActionBase

# Since ansible-core 2.19 it is also told how the module writes values that JSON does not have.
PROFILES = ("legacy", "modern") if len(inspect.signature(ActionBase._parse_returned_data).parameters) > 2 else ()


def action(name):
    """The class of the action plugin of a module."""
    return importlib.import_module(f"ansible_collections.determined.network.plugins.action.{name}").ActionModule


def result(name, output, profile="legacy"):
    """What the module ``name`` wrote on a host -> the result of its task."""
    plugin = object.__new__(action(name))
    plugin._task = SimpleNamespace(action=f"determined.network.{name}", args={})
    plugin._used_interpreter = None
    found = plugin._parse_returned_data({"stdout": output, "stderr": "", "rc": 0}, *[profile][: len(PROFILES)])
    found.pop("_ansible_parsed")
    return found


def places(value, path=()):
    """The path of every value inside a value."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from places(one, (*path, key))
