# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The questions that tell what firewalld holds: ours, and what a reload would lose of others."""

import re
from typing import NamedTuple

from ansible_collections.determined.network.plugins.module_utils._firewall.backends import members
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld import (
    bus,
    errors,
    nft_listing,
    nft_table,
    reload,
    state,
)
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld import (
    files as firewalld_files,
)
from ansible_collections.determined.network.plugins.module_utils._host.commands import (
    Command,
    FindTool,
    HostError,
    ListDirectory,
    ReadFile,
)

_NETWORK_MANAGER = "org.freedesktop.NetworkManager"
# Where the kernel names the legacy tables that exist; asking for another would create it.
_LEGACY_TABLES = {"iptables": "/proc/net/ip_tables_names", "ip6tables": "/proc/net/ip6_tables_names"}


class Found(NamedTuple):
    """``installed``, ``running``: bool. ``version``: text, "" unless running, ``status``: as firewalld calls it.
    ``variant``: its FirewallBackend. ``busctl``, ``nft``: paths or None. ``policies``, ``sets``, ``table``:
    as in State. ``counters``: of the table. ``files``: path -> text of our files. ``lost``: sentences, what
    a reload would lose. ``before``: list of (family, chain, rule) of others that come before our policies.
    ``forced``: whether a reload that is needed is made whatever others lose."""

    installed: bool
    running: bool
    version: str
    status: str
    variant: str
    busctl: object
    nft: object
    policies: dict
    sets: dict
    table: object
    counters: list
    files: dict
    lost: tuple
    before: list
    forced: bool = False


def read():
    """Generator -> Found."""
    command = yield FindTool("firewall-cmd")
    busctl = yield FindTool("busctl")
    nft = yield FindTool("nft")
    table, counters = yield from _read_table(nft)
    files = yield from _read_files()
    found = Found(bool(command), False, "", "", "", busctl, nft, {}, {}, table, counters, files, (), [])
    if not command or not busctl:
        return found
    folder, socket = bus.SOCKET.rsplit("/", 1)
    if socket not in ((yield ListDirectory(folder)) or ()):
        return found  # without a bus there is no firewalld
    if not (yield from _ask(bus.has_owner(busctl, bus.NAME))):
        return found
    lines = yield from _ask(bus.properties(busctl, "ask firewalld for its version", "", ("version", "state")), True)
    found = found._replace(running=True, version=lines[0], status=lines[1])
    if release(found.version) < FIRST_WITH_POLICIES:
        return found
    return (yield from _read_running(found))


# firewalld's release notes: policy objects; a set as destination of a rich rule.
FIRST_WITH_POLICIES, FIRST_WITH_DESTINATION_SETS = (0, 9), (1, 0)


def release(version):
    """firewalld's version -> (major, minor)."""
    numbers = [int(number) for number in re.findall(r"\d+", version)[:2]]
    return tuple(numbers + [0] * (2 - len(numbers)))


def _ask(command, lines=False):
    output = yield command
    if output.code != 0:
        raise HostError(errors.explain(command, output))
    try:
        return bus.parse_lines(output.stdout) if lines else bus.parse(output.stdout)
    except (KeyError, ValueError) as problem:
        raise HostError("Could not %s: the answer cannot be read: %s" % (command.purpose, problem)) from problem


def _read_table(nft):
    """Generator -> (Table or None, counters)."""
    if nft is None:
        return None, []
    purpose = "list the nft tables"
    text = yield from _list(nft, ("list", "tables"), purpose)
    if text is None:
        return None, []
    try:
        if not nft_listing.has_table(text):
            return None, []
        purpose = "read the nft table %s" % nft_table.NAME
        text = yield from _list(nft, ("list", "table", nft_table.FAMILY, nft_table.NAME), purpose)
        if text is None:
            raise ValueError("the kernel has lost nf_tables meanwhile")
        return nft_listing.parse(text)
    except ValueError as problem:
        raise HostError("Could not %s: %s" % (purpose, problem)) from problem


def _list(nft, words, purpose):
    """Generator -> what nft lists; None where the kernel has no nf_tables, and so no table."""
    command = Command((nft, "-j") + words, purpose=purpose)
    output = yield command
    if output.code != 0 and "rotocol not supported" in output.stderr:
        return None
    if output.code != 0:
        raise HostError(errors.explain(command, output))
    return output.stdout


def _read_files():
    """Generator -> path -> text of our files below /etc/firewalld."""
    files = {}
    for kind, folder in sorted(firewalld_files.FOLDERS.items()):
        for name in (yield ListDirectory(folder)) or ():
            if firewalld_files.is_ours(kind, name):
                path = "%s/%s" % (folder, name)
                text = yield ReadFile(path)
                if text is not None:
                    files[path] = text
    return files


def _read_running(found):
    def call(purpose, interface, method, *arguments, **options):
        command = bus.call(found.busctl, purpose, interface, method, "s" * len(arguments), arguments, **options)
        return (yield from _ask(command))

    variant, flush_all = yield from _ask(
        bus.properties(
            found.busctl,
            "ask firewalld for its settings",
            "config",
            ("FirewallBackend", "FlushAllOnReload"),
            bus.CONFIG,
        ),
        True,
    )
    policies, sets, lost, before = {}, {}, [], []
    runtime, on_disk_too = {}, {}
    for kind, method, word in (
        ("policy", "getPolicies", "getPolicyNames"),
        ("ipset", "getIPSets", "getIPSetNames"),
        ("zone", "getZones", "getZoneNames"),
    ):
        runtime[kind] = yield from call("list firewalld's objects", kind, method)
        on_disk_too[kind] = yield from call("list firewalld's files", "config", word, path=bus.CONFIG)
    for name in sorted(runtime["policy"]):
        settings = yield from call("read firewalld's policy %s" % name, "policy", "getPolicySettings", name)
        if name in state.POLICIES:
            policies[name] = _policy(settings)
            continue
        on_disk = yield from _on_disk(call, on_disk_too, "policy", "Policy", name)
        lost += reload.runtime_only("policy", name, settings, on_disk)
        if settings.get("priority", 0) <= state.PRIORITY:
            before += [("", "policy %s" % name, rule) for rule in settings.get("rich_rules", ())]
    for name in sorted(runtime["ipset"]):
        settings = yield from call("read firewalld's ipset %s" % name, "ipset", "getIPSetSettings", name)
        if state.OUR_SETS.match(name):
            sets[name] = state.Set(settings[3], tuple(sorted(settings[4].items())), members.ordered(settings[5]))
            continue
        on_disk = yield from _on_disk(call, on_disk_too, "ipset", "IPSet", name)
        on_disk = on_disk and _set_settings(on_disk)
        lost += reload.runtime_only("ipset", name, _set_settings(settings), on_disk)
        if settings[4].get("timeout", "0") != "0":
            lost.append("ipset %s: its members with a timeout" % name)
    manager = yield from _ask(bus.has_owner(found.busctl, _NETWORK_MANAGER))
    for name in sorted(runtime["zone"]):
        settings = yield from call("read firewalld's zone %s" % name, "zone", "getZoneSettings2", name)
        on_disk = yield from _on_disk(call, on_disk_too, "zone", "Zone", name, "getSettings2")
        kept = reload.zone_keeps(name, manager, flush_all == "yes")
        lost += reload.runtime_only("zone", name, settings, on_disk, kept)
    direct = yield from _read_direct(call)
    lost += reload.runtime_only("firewalld's", "direct configuration", direct[0], direct[1])
    before += [(rule[0], rule[2], " ".join(rule[4])) for rule in direct[0]["rules"] if rule[2] == "INPUT"]
    if reload.flushes_iptables(release(found.version), variant, any(direct[0].values())):
        lost += yield from _read_iptables(reload.direct_rules(direct[1]))
    return found._replace(variant=variant, policies=policies, sets=sets, lost=tuple(lost), before=before)


def _on_disk(call, names, kind, word, name, method="getSettings"):
    """Generator -> the settings of an object in firewalld's files, None when there is none."""
    if name not in names[kind]:
        return None
    path = yield from call(
        "find firewalld's %s %s" % (kind, name), "config", "get%sByName" % word, name, path=bus.CONFIG
    )
    return (yield from call("read firewalld's %s %s" % (kind, name), "config.%s" % kind, method, path=path))


def _read_direct(call):
    """Generator -> (what is in force, what is on disk), of the direct configuration."""
    purpose = "read firewalld's direct rules"
    now = {}
    for key, method in (
        ("chains", "getAllChains"),
        ("rules", "getAllRules"),
        ("passthroughs", "getAllPassthroughs"),
    ):
        now[key] = yield from call(purpose, "direct", method)
    then = yield from call(purpose, "config.direct", "getSettings", path=bus.CONFIG)
    return now, dict(zip(("chains", "rules", "passthroughs"), then))


def _read_iptables(direct):
    """Generator -> sentences about rules of others in iptables, which a reload of this release flushes."""
    lost = []
    for tool, names in sorted(_LEGACY_TABLES.items()):
        for variant in ("nft", "legacy"):
            if variant == "legacy" and not (yield ReadFile(names)):
                continue
            path = yield FindTool("%s-%s-save" % (tool, variant))
            if path is None:
                continue
            command = Command((path,), purpose="read the rules of %s-%s" % (tool, variant))
            output = yield command
            if output.code != 0:
                raise HostError(errors.explain(command, output))
            lost += ["%s-%s %s" % (tool, variant, rule) for rule in reload.foreign_rules(output.stdout, direct)]
    return lost


def _policy(settings):
    known = ("target", "priority", "ingress_zones", "egress_zones", "rich_rules", "short", "description", "version")
    other = ["%s %r" % (key, value) for key, value in sorted(settings.items()) if key not in known and value]
    return state.Policy(
        settings.get("target", "CONTINUE"),
        settings.get("priority", 0),
        tuple(settings.get("ingress_zones", ())),
        tuple(settings.get("egress_zones", ())),
        tuple(sorted(settings.get("rich_rules", ()))),
        tuple(other),
    )


def _set_settings(settings):
    return {"type": settings[3], "options": sorted(settings[4].items()), "entries": sorted(settings[5])}
