# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs of iptables and ipset on a host: which there are, and what is missing."""

from typing import NamedTuple

from ansible_collections.determined.network.plugins.module_utils._firewall.backends.iptables import errors, state
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.iptables import (
    variant as iptables_variant,
)
from ansible_collections.determined.network.plugins.module_utils._host.commands import Command, FindTool, HostError

COMMANDS = {"ipv4": "iptables", "ipv6": "ip6tables"}


class Tools(NamedTuple):
    """``save``, ``restore``: (variant, family) -> path. ``ipset``: path or None."""

    save: dict
    restore: dict
    ipset: object


def find(families):
    """Generator: families -> (Tools, what ``iptables`` itself is or None, sentences about what is missing)."""
    tools = Tools({}, {}, (yield FindTool("ipset")))
    for family in families:
        for variant in state.VARIANTS:
            save = yield FindTool("%s-%s-save" % (COMMANDS[family], variant))
            restore = yield FindTool("%s-%s-restore" % (COMMANDS[family], variant))
            if save and restore:
                tools.save[variant, family] = save
                tools.restore[variant, family] = restore
    missing = [] if tools.ipset else [errors.missing_tool("ipset")]
    default = None
    plain = yield FindTool("iptables")
    if plain:
        command = Command((plain, "--version"), purpose="ask iptables for its version")
        output = yield command
        if output.code != 0:
            raise HostError(errors.explain(command, output))
        default = iptables_variant.of_version(output.stdout)
        for family in families:
            if not any(found_family == family for dummy, found_family in tools.save):
                save = yield FindTool("%s-save" % COMMANDS[family])
                restore = yield FindTool("%s-restore" % COMMANDS[family])
                if save and restore:
                    tools.save[default, family] = save
                    tools.restore[default, family] = restore
    if not tools.save:
        missing.append(errors.missing_tool("iptables"))
    return tools, default, missing
