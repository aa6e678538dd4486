# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that call firewalld's D-Bus interface through ``busctl``.

Source: firewalld.dbus(5), busctl(1). One call takes 10 ms; ``firewall-cmd`` takes 250 ms. No command starts
firewalld (``--auto-start=no``).
"""

from typing import Sequence, Tuple

from ansible_collections.determined.network.plugins.module_utils._host.commands import Command

NAME = "org.fedoraproject.FirewallD1"
PATH = "/org/fedoraproject/FirewallD1"
CONFIG = PATH + "/config"
SOCKET = "/run/dbus/system_bus_socket"
_RELOAD_SECONDS = 300  # a reload with thousands of foreign rules takes long
RELOAD_SECONDS = _RELOAD_SECONDS + 30.0  # busctl's own limit is reached first


def call(
    busctl: str,
    purpose: str,
    interface: str,
    method: str,
    signature: str = "",
    arguments: Sequence[str] = (),
    path: str = PATH,
) -> Command:
    """A Command that calls a method. ``interface``: the part after firewalld's name, "" for the main interface.

    ``signature``: the D-Bus types of the arguments. ``arguments``: as busctl(1) reads them.
    """
    argv = (busctl, "--auto-start=no", "call", NAME, path, _full_name(interface), method)
    typed_arguments = (signature,) + tuple(arguments) if signature else ()
    return Command(argv + typed_arguments, purpose=purpose)


def properties(busctl: str, purpose: str, interface: str, names: Sequence[str], path: str = PATH) -> Command:
    """A Command that asks for properties. busctl prints one line for each."""
    argv = (busctl, "--auto-start=no", "get-property", NAME, path, _full_name(interface)) + tuple(names)
    return Command(argv, purpose=purpose)


def has_owner(busctl: str, name: str) -> Command:
    """A Command that asks whether a service is on the system bus."""
    bus = "org.freedesktop.DBus"
    argv = (busctl, "--auto-start=no", "call", bus, "/org/freedesktop/DBus", bus, "NameHasOwner", "s", name)
    return Command(argv, purpose="ask the system bus for %s" % name)


def reload_line(busctl: str) -> str:
    """A line of shell that reloads firewalld and waits until the reload is complete."""
    return "%s --auto-start=no --timeout=%d call %s %s %s reload </dev/null" % (
        busctl,
        _RELOAD_SECONDS,
        NAME,
        PATH,
        NAME,
    )


def strings(values: Sequence[str]) -> Tuple[str, ...]:
    """Strings -> the arguments that pass them as one array of strings."""
    return ("%d" % len(values),) + tuple(values)


def _full_name(interface: str) -> str:
    return (NAME + "." + interface).rstrip(".")
