# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Conversations with a running firewalld: each method calls firewalld over the system bus and returns its answer.

Every method raises HostError when the call fails or when its answer cannot be read.
"""

from typing import Callable, List, Sequence, TypeVar

from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld import (
    bus,
    bus_values,
    errors,
)
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld.bus_values import Value
from ansible_collections.determined.network.plugins.module_utils._host.commands import Command, Conversation, HostError

_T = TypeVar("_T")


class Client:
    """``busctl``: the path of the program. ``path``: the D-Bus path of the object that is asked."""

    def __init__(self, busctl: str) -> None:
        self._busctl = busctl

    def call(
        self, purpose: str, interface: str, method: str, *arguments: str, path: str = bus.PATH
    ) -> Conversation[Value]:
        """Return the answer of a method that takes strings only. ``interface``: as in :func:`bus.call`."""
        signature = "s" * len(arguments)
        command = bus.call(self._busctl, purpose, interface, method, signature, arguments, path)
        return (yield from _ask(command, bus_values.parse))

    def properties(
        self, purpose: str, interface: str, names: Sequence[str], path: str = bus.PATH
    ) -> Conversation[List[Value]]:
        """Return the values of properties in the order of their names."""
        command = bus.properties(self._busctl, purpose, interface, names, path)
        return (yield from _ask(command, bus_values.parse_lines))

    def has_owner(self, name: str) -> Conversation[bool]:
        """Return whether a service is on the system bus."""
        return (yield from _ask(bus.has_owner(self._busctl, name), bus_values.parse)) is True


def _ask(command: Command, parse: Callable[[str], _T]) -> Conversation[_T]:
    output = yield from command.ask()
    if output.code != 0:
        raise HostError(errors.explain(command, output))
    try:
        return parse(output.stdout)
    except (KeyError, ValueError) as problem:
        raise HostError("Could not %s: the answer cannot be read: %s" % (command.purpose, problem)) from problem
