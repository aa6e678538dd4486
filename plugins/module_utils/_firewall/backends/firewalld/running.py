# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a running firewalld holds: our objects, and the foreign settings that a reload would lose.

firewalld holds each object twice: its settings in force ("runtime"), and those in its file ("permanent").
Source: firewalld.dbus(5).
"""

from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.determined.network.plugins.module_utils._firewall.backends import members
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld import (
    bus,
    errors,
    iptables_rules,
    reload,
)
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld.bus_values import Value
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld.client import Client
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld.files import is_marked
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld.reload import Settings
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld.state import (
    OUR_SETS,
    POLICIES,
    PRIORITY,
    Policy,
    Set,
)
from ansible_collections.determined.network.plugins.module_utils._host.commands import (
    Command,
    Conversation,
    FindTool,
    HostError,
    ReadFile,
)

_NETWORK_MANAGER = "org.freedesktop.NetworkManager"
# The kernel lists the existing legacy tables here. A program that reads a table which does not exist creates it.
_LEGACY_TABLES = {"iptables": "/proc/net/ip_tables_names", "ip6tables": "/proc/net/ip6_tables_names"}
_DIRECT_PARTS = ("chains", "rules", "passthroughs")


# The answer of getIPSetSettings has the signature (ssssa{ss}as): version, short, description, type, options, entries.
_RawSet = Tuple[str, str, str, str, Dict[str, str], List[str]]


class ForeignRule(NamedTuple):
    """A foreign rule that packets meet before our policy objects. ``family``: "" for both families."""

    family: str
    chain: str
    rule: str


class Running(NamedTuple):
    """``variant``: firewalld's setting FirewallBackend. ``policies``, ``sets``: as in State.
    ``lost``: sentences about foreign settings that a reload would lose. ``foreign``: pairs (kind, name) of foreign
    objects that have a name of ours: "policy", "ipset", or "zone", since a policy and a zone cannot share a name."""

    variant: str
    policies: Dict[str, Policy]
    sets: Dict[str, Set]
    lost: Tuple[str, ...]
    before: Tuple[ForeignRule, ...]
    foreign: Tuple[Tuple[str, str], ...] = ()


class _Kind(NamedTuple):
    """The D-Bus methods of one kind of object. ``name``: also the name of its interfaces."""

    name: str
    runtime_names: str
    runtime_settings: str
    permanent_names: str
    permanent_path: str
    permanent_settings: str


_POLICY = _Kind("policy", "getPolicies", "getPolicySettings", "getPolicyNames", "getPolicyByName", "getSettings")
_IPSET = _Kind("ipset", "getIPSets", "getIPSetSettings", "getIPSetNames", "getIPSetByName", "getSettings")
_ZONE = _Kind("zone", "getZones", "getZoneSettings2", "getZoneNames", "getZoneByName", "getSettings2")


class _ForeignObject(NamedTuple):
    """``permanent``: None when the object is in none of firewalld's files."""

    name: str
    runtime: Value
    permanent: Optional[Value]


def read_running(client: Client, release: Tuple[int, int]) -> Conversation[Running]:
    """Ask a running firewalld for everything that matters here. ``release``: its (major, minor) version."""
    variant, flush_all = yield from client.properties(
        "ask firewalld for its settings", "config", ("FirewallBackend", "FlushAllOnReload"), bus.CONFIG
    )
    our_policies, policies = yield from _read_objects(client, _POLICY, _is_our_policy)
    our_sets, sets = yield from _read_objects(client, _IPSET, _is_our_set)
    manager_runs = yield from client.has_owner(_NETWORK_MANAGER)
    _no_zones, zones = yield from _read_objects(client, _ZONE, lambda name, settings: False)
    direct, permanent_direct = yield from _read_direct(client)
    lost = _lost_policies(policies) + _lost_sets(sets) + _lost_zones(zones, manager_runs, flush_all == "yes")
    lost += reload.runtime_only("firewalld's direct configuration", direct, permanent_direct)
    if reload.flushes_iptables(release, variant, any(direct.values())):
        lost += yield from _read_lost_iptables_rules(iptables_rules.direct(permanent_direct))
    return Running(
        variant=variant,
        policies={name: _policy(settings) for name, settings in our_policies.items()},
        sets={name: _set(settings) for name, settings in our_sets.items()},
        lost=tuple(lost),
        before=tuple(_rules_before_ours(policies, direct)),
        foreign=tuple(_named_like_ours(policies, sets, zones)),
    )


def _is_our_policy(name: str, settings: Settings) -> bool:
    return name in POLICIES and is_marked(str(settings.get("description", "")))


def _is_our_set(name: str, settings: _RawSet) -> bool:
    return bool(OUR_SETS.match(name)) and is_marked(settings[2])


def _named_like_ours(
    policies: Sequence[_ForeignObject], sets: Sequence[_ForeignObject], zones: Sequence[_ForeignObject]
) -> Iterator[Tuple[str, str]]:
    for kind, objects in (("policy", policies), ("zone", zones)):
        for found in objects:
            if found.name in POLICIES:
                yield kind, found.name
    for found in sets:
        if OUR_SETS.match(found.name):
            yield "ipset", found.name


def _read_objects(
    client: Client, kind: _Kind, is_ours: Callable[[str, Value], bool]
) -> Conversation[Tuple[Dict[str, Value], List[_ForeignObject]]]:
    """Return (our objects as name -> runtime settings, the foreign objects), both sorted by name.

    The files of our objects are read elsewhere.
    """
    ours: Dict[str, Value] = {}
    foreign: List[_ForeignObject] = []
    runtime_names = yield from client.call("list firewalld's objects", kind.name, kind.runtime_names)
    permanent_names = yield from client.call("list firewalld's files", "config", kind.permanent_names, path=bus.CONFIG)
    for name in sorted(runtime_names):
        purpose = "read firewalld's %s %s" % (kind.name, name)
        runtime = yield from client.call(purpose, kind.name, kind.runtime_settings, name)
        if is_ours(name, runtime):
            ours[name] = runtime
            continue
        permanent = None
        if name in permanent_names:
            permanent = yield from _read_permanent(client, kind, name)
        foreign.append(_ForeignObject(name, runtime, permanent))
    return ours, foreign


def _read_permanent(client: Client, kind: _Kind, name: str) -> Conversation[Value]:
    """Return the settings of an object in firewalld's files."""
    path = yield from client.call(
        "find firewalld's %s %s" % (kind.name, name), "config", kind.permanent_path, name, path=bus.CONFIG
    )
    purpose = "read firewalld's %s %s" % (kind.name, name)
    return (yield from client.call(purpose, "config.%s" % kind.name, kind.permanent_settings, path=path))


def _read_direct(client: Client) -> Conversation[Tuple[Settings, Settings]]:
    """Return the direct configuration as (runtime settings, permanent settings)."""
    purpose = "read firewalld's direct rules"
    chains = yield from client.call(purpose, "direct", "getAllChains")
    rules = yield from client.call(purpose, "direct", "getAllRules")
    passthroughs = yield from client.call(purpose, "direct", "getAllPassthroughs")
    permanent = yield from client.call(purpose, "config.direct", "getSettings", path=bus.CONFIG)
    return dict(zip(_DIRECT_PARTS, (chains, rules, passthroughs))), dict(zip(_DIRECT_PARTS, permanent))


def _read_lost_iptables_rules(direct: Sequence[Sequence[str]]) -> Conversation[List[str]]:
    """Return sentences about the foreign rules of iptables that a reload would flush."""
    lost: List[str] = []
    for tool, legacy_tables in sorted(_LEGACY_TABLES.items()):
        for variant in ("nft", "legacy"):
            if variant == "legacy" and not (yield from ReadFile(legacy_tables).ask()):
                continue
            path = yield from FindTool("%s-%s-save" % (tool, variant)).ask()
            if path is None:
                continue
            command = Command((path,), purpose="read the rules of %s-%s" % (tool, variant))
            output = yield from command.ask()
            if output.code != 0:
                raise HostError(errors.explain(command, output))
            lost += ["%s-%s %s" % (tool, variant, rule) for rule in iptables_rules.foreign(output.stdout, direct)]
    return lost


def _lost_policies(policies: Sequence[_ForeignObject]) -> List[str]:
    lost: List[str] = []
    for policy in policies:
        lost += reload.runtime_only("policy %s" % policy.name, policy.runtime, policy.permanent)
    return lost


def _lost_sets(sets: Sequence[_ForeignObject]) -> List[str]:
    lost: List[str] = []
    for item in sets:
        permanent = None if item.permanent is None else _set_settings(item.permanent)
        lost += reload.runtime_only("ipset %s" % item.name, _set_settings(item.runtime), permanent)
        options: Dict[str, str] = item.runtime[4]
        if options.get("timeout", "0") != "0":
            lost.append("ipset %s: its members with a timeout" % item.name)
    return lost


def _lost_zones(zones: Sequence[_ForeignObject], manager_runs: bool, flush_all: bool) -> List[str]:
    lost: List[str] = []
    for zone in zones:
        kept = reload.zone_keeps(zone.name, manager_runs, flush_all)
        lost += reload.runtime_only("zone %s" % zone.name, zone.runtime, zone.permanent, kept)
    return lost


def _rules_before_ours(policies: Sequence[_ForeignObject], direct: Settings) -> List[ForeignRule]:
    before = []
    for policy in policies:
        if policy.runtime.get("priority", 0) <= PRIORITY:
            rules = policy.runtime.get("rich_rules", ())
            before += [ForeignRule("", "policy %s" % policy.name, rule) for rule in rules]
    for family, _table, chain, _priority, arguments in direct["rules"]:
        if chain == "INPUT":
            before.append(ForeignRule(family, chain, " ".join(arguments)))
    return before


def _policy(settings: Settings) -> Policy:
    """The answer of getPolicySettings -> Policy."""
    known = ("target", "priority", "ingress_zones", "egress_zones", "rich_rules", "short", "description", "version")
    other = ["%s %r" % (key, value) for key, value in sorted(settings.items()) if key not in known and value]
    return Policy(
        target=settings.get("target", "CONTINUE"),
        priority=settings.get("priority", 0),
        ingress=tuple(settings.get("ingress_zones", ())),
        egress=tuple(settings.get("egress_zones", ())),
        rules=tuple(sorted(settings.get("rich_rules", ()))),
        other=tuple(other),
    )


def _set(settings: _RawSet) -> Set:
    """The answer of getIPSetSettings -> Set."""
    kind, options, entries = settings[3:6]
    return Set(kind, tuple(sorted(options.items())), members.ordered(entries))


def _set_settings(settings: _RawSet) -> Settings:
    """The answer of getIPSetSettings -> what :func:`reload.runtime_only` compares."""
    kind, options, entries = settings[3:6]
    return {"type": kind, "options": sorted(options.items()), "entries": sorted(entries)}
