# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs of iptables and ipset on a host: which of them exist, and which are missing."""

from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.determined.network.plugins.module_utils._firewall.backends.iptables import errors, state
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.iptables import (
    variant as iptables_variant,
)
from ansible_collections.determined.network.plugins.module_utils._host.commands import (
    Command,
    Conversation,
    FindTool,
    HostError,
)

COMMANDS = {"ipv4": "iptables", "ipv6": "ip6tables"}


class Tools(NamedTuple):
    """``save``, ``restore``: (variant, family) -> path. ``ipset``: path or None."""

    save: Dict[Tuple[str, str], str]
    restore: Dict[Tuple[str, str], str]
    ipset: Optional[str]


def find(families: Sequence[str]) -> Conversation[Tuple[Tools, Optional[str], List[str]]]:
    """Families -> Tools, the variant of the command ``iptables`` (None without it), sentences on missing programs."""
    tools = Tools({}, {}, (yield from FindTool("ipset").ask()))
    for family in families:
        for variant in state.VARIANTS:
            yield from _find_pair(tools, variant, family, "%s-%s" % (COMMANDS[family], variant))
    missing = [] if tools.ipset else [errors.missing_tool("ipset")]
    default = yield from _default_variant()
    if default:
        for family in families:
            if not any(found_family == family for dummy, found_family in tools.save):
                yield from _find_pair(tools, default, family, COMMANDS[family])
    if not tools.save:
        missing.append(errors.missing_tool("iptables"))
    return tools, default, missing


def _find_pair(tools: Tools, variant: str, family: str, name: str) -> Conversation[None]:
    """Add NAME-save and NAME-restore to ``tools`` if both exist."""
    save = yield from FindTool(name + "-save").ask()
    restore = yield from FindTool(name + "-restore").ask()
    if save and restore:
        tools.save[variant, family] = save
        tools.restore[variant, family] = restore


def _default_variant() -> Conversation[Optional[str]]:
    plain = yield from FindTool("iptables").ask()
    if not plain:
        return None
    command = Command((plain, "--version"), purpose="ask iptables for its version")
    output = yield from command.ask()
    if output.code != 0:
        raise HostError(errors.explain(command, output))
    return iptables_variant.of_version(output.stdout)
