# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The questions that find out what this host has of firewalld, of our objects, and of our nft table."""

import re
from typing import Dict, List, NamedTuple, Optional, Tuple

from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld import (
    bus,
    errors,
    nft_listing,
    nft_table,
)
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld.client import Client
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld.files import (
    FOLDERS,
    is_named_like_ours,
    is_ours,
)
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld.running import (
    ForeignRule,
    read_running,
)
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld.state import Policy, Set
from ansible_collections.determined.network.plugins.module_utils._host.commands import (
    Command,
    Conversation,
    FindTool,
    HostError,
    ListDirectory,
    ReadFile,
)

# firewalld's release notes: the first release with policy objects, and the first in which a rich rule can have an
# ipset as its destination.
FIRST_WITH_POLICIES, FIRST_WITH_DESTINATION_SETS = (0, 9), (1, 0)


class Found(NamedTuple):
    """Everything that was read of this host.

    ``busctl``, ``nft``: the paths of these programs, None when they are missing. ``table``, ``counters``: our nft
    table. ``files``: path -> text of our files below /etc/firewalld. ``foreign_files``, ``foreign_table``: paths of
    files and an nft table that have names of ours and that we did not make.

    The other fields are empty unless firewalld runs. ``version``: of firewalld. ``status``: firewalld's own word for
    its state ("RUNNING", "FAILED"). ``variant``, ``policies``, ``sets``, ``lost``, ``before``: as in
    :class:`running.Running`, and likewise ``foreign``.

    ``forced``: whether a reload that is necessary is made even if it loses foreign settings.
    """

    installed: bool
    busctl: Optional[str]
    nft: Optional[str]
    table: Optional[nft_table.Table]
    counters: List[nft_listing.Counter]
    files: Dict[str, str]
    foreign_files: Tuple[str, ...] = ()
    foreign_table: bool = False
    running: bool = False
    version: str = ""
    status: str = ""
    variant: str = ""
    policies: Dict[str, Policy] = {}
    sets: Dict[str, Set] = {}
    lost: Tuple[str, ...] = ()
    before: Tuple[ForeignRule, ...] = ()
    foreign: Tuple[Tuple[str, str], ...] = ()
    forced: bool = False


def read() -> Conversation[Found]:
    """Return what this host has. Raises HostError when an answer cannot be trusted."""
    firewall_cmd = yield from FindTool("firewall-cmd").ask()
    busctl = yield from FindTool("busctl").ask()
    nft = yield from FindTool("nft").ask()
    table, counters = yield from _read_table(nft)
    foreign_table = table is not None and not nft_table.is_ours(table)
    if foreign_table:
        table, counters = None, []
    files, foreign_files = yield from _read_files()
    found = Found(bool(firewall_cmd), busctl, nft, table, counters, files, foreign_files, foreign_table)
    if not firewall_cmd or not busctl:
        return found
    client = Client(busctl)
    if not (yield from _is_running(client)):
        return found
    version, status = yield from client.properties("ask firewalld for its version", "", ("version", "state"))
    found = found._replace(running=True, version=version, status=status)
    if release(version) < FIRST_WITH_POLICIES:
        return found
    running = yield from read_running(client, release(version))
    return found._replace(**running._asdict())


def release(version: str) -> Tuple[int, int]:
    """firewalld's version -> (major, minor)."""
    numbers = [int(number) for number in re.findall(r"\d+", version)[:2]]
    major, minor = numbers + [0] * (2 - len(numbers))
    return major, minor


def _is_running(client: Client) -> Conversation[bool]:
    folder, socket = bus.SOCKET.rsplit("/", 1)
    if socket not in ((yield from ListDirectory(folder).ask()) or ()):
        return False  # firewalld cannot run without the system bus
    return (yield from client.has_owner(bus.NAME))


def _read_table(nft: Optional[str]) -> Conversation[Tuple[Optional[nft_table.Table], List[nft_listing.Counter]]]:
    """Return (our nft table or None, the counters of its rules)."""
    if nft is None:
        return None, []
    purpose = "list the nft tables"
    listing = yield from _list(nft, ("list", "tables"), purpose)
    if listing is None:
        return None, []
    try:
        if not nft_listing.has_table(listing):
            return None, []
        purpose = "read the nft table %s" % nft_table.NAME
        listing = yield from _list(nft, ("list", "table", nft_table.FAMILY, nft_table.NAME), purpose)
        if listing is None:
            raise ValueError("the kernel has lost nf_tables meanwhile")
        return nft_listing.parse(listing)
    except ValueError as problem:
        raise HostError("Could not %s: %s" % (purpose, problem)) from problem


def _list(nft: str, arguments: Tuple[str, ...], purpose: str) -> Conversation[Optional[str]]:
    """Return what nft prints; None when the kernel lacks nf_tables, and therefore has no table."""
    command = Command((nft, "-j") + arguments, purpose=purpose)
    output = yield from command.ask()
    if output.code != 0 and "rotocol not supported" in output.stderr:
        return None
    if output.code != 0:
        raise HostError(errors.explain(command, output))
    return output.stdout


def _read_files() -> Conversation[Tuple[Dict[str, str], Tuple[str, ...]]]:
    """Return (path -> text of our files below /etc/firewalld, the paths of foreign files with names of ours)."""
    files: Dict[str, str] = {}
    foreign: List[str] = []
    for kind, folder in sorted(FOLDERS.items()):
        for name in (yield from ListDirectory(folder).ask()) or ():
            if not is_named_like_ours(kind, name):
                continue
            path = "%s/%s" % (folder, name)
            text = yield from ReadFile(path).ask()
            if text is None:
                continue
            if is_ours(name, text):
                files[path] = text
            else:
                foreign.append(path)
    return files, tuple(foreign)
