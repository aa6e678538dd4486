# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The backend ``iptables``: our chains in tables filter and mangle, peers in ipsets.

Rules are written with ``iptables-restore --noflush``, in one transaction per family, and never with nft: iptables-nft
calls a table with native rules incompatible and does not print it.
"""

from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.determined.network.plugins.module_utils._firewall.backends import (
    ipset,
    iptables_chains,
    ownership,
)
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.base import (
    Backend,
    Boot,
    Facts,
    Reading,
)
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.forwarding import (
    PATTERNS_ONLY,
    Forwarding,
)
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.iptables import (
    errors,
    facts,
    foreign,
)
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.iptables import (
    rules as iptables_rules,
)
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.iptables import (
    state as iptables_state,
)
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.iptables import (
    stored as iptables_stored,
)
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.iptables import (
    text as iptables_text,
)
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.iptables import (
    tools as iptables_tools,
)
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.iptables import (
    variant as iptables_variant,
)
from ansible_collections.determined.network.plugins.module_utils._host.commands import (
    Command,
    Conversation,
    HostError,
    Output,
    ReadFile,
)
from ansible_collections.determined.network.plugins.module_utils._policy import HostPolicy

_FAMILY_NAMES = {"ipv4": "IPv4", "ipv6": "IPv6"}
# These files name the legacy tables that exist. Reading another one with a tool would create it.
_LEGACY_TABLES = {"ipv4": "/proc/net/ip_tables_names", "ipv6": "/proc/net/ip6_tables_names"}


# What iptables-nft says on a kernel without nf_tables.
_NO_NF_TABLES = ("Could not fetch rule set generation id: Invalid", "Protocol not supported")

_SavedRules = foreign.SavedRules
_Broken = Dict[str, str]  # variant -> why it does not work


class _Details(NamedTuple):
    tools: iptables_tools.Tools
    saved: _SavedRules
    foreign_sets: Tuple[str, ...]  # names


class Iptables(Backend):
    """See :class:`Backend`. ``lock_timeout``: seconds to wait for the xtables lock (int).
    ``container_interfaces``: names of the bridges of this host's containers; a "+" at the end stands for any ending, as
    in iptables(8). ``forwarding``: a Forwarding."""

    name = "iptables"

    def __init__(
        self,
        lock_timeout: int = 10,
        container_interfaces: Sequence[str] = (),
        forwarding: Forwarding = PATTERNS_ONLY,
    ) -> None:
        self.lock_timeout = lock_timeout
        self.container_interfaces = tuple(container_interfaces)
        self.forwarding = forwarding

    def read(self) -> Conversation[Reading]:
        return self._read(counters=False)

    def _read(self, counters: bool) -> Conversation[Reading]:
        families = ("ipv4", "ipv6") if (yield from ReadFile(iptables_stored.IPV6).ask()) is not None else ("ipv4",)
        tools, default, missing = yield from iptables_tools.find(families)
        warnings = [] if "ipv6" in families else ["this kernel has no IPv6: only IPv4 is handled"]
        warnings += yield from _hidden_legacy_tables(tools, families)
        saved, broken = yield from self._read_rules(tools, counters)
        usable = {variant for variant, dummy in tools.save} - set(broken)
        if not usable:
            missing = missing + sorted(broken.values())
        tables = _our_tables(saved)
        variant, reason, more = iptables_variant.choose(
            usable, {key[0] for key in tables}, _foreign_rules(saved), default
        )
        for family in families:
            if variant and (variant, family) not in tools.restore:
                missing.append(errors.missing_tool(iptables_tools.COMMANDS[family]))
        saved_sets = yield from self._read_sets(tools)
        sets = ipset.ours(saved_sets, foreign.used_sets(saved))
        details = _Details(tools, saved, tuple(sorted(set(saved_sets.sets) - set(sets))))
        warnings += ownership.warnings(foreign.all_objects(tools, saved, details.foreign_sets))
        return Reading(
            state=iptables_state.State(tables, sets),
            variant=variant,
            reason=reason,
            families=families,
            warnings=tuple(warnings) + more,
            missing=tuple(missing),
            details=details,
        )

    def _read_rules(self, tools: iptables_tools.Tools, counters: bool) -> Conversation[Tuple[_SavedRules, _Broken]]:
        """All rules of all variants and families, and the variants that do not work here, with the reason."""
        saved: _SavedRules = {}
        broken: _Broken = {}
        for variant, family in sorted(tools.save):
            text = yield from self._save(tools, variant, family, counters)
            if text is None:
                broken[variant] = "iptables-%s is installed, but this kernel does not support it" % variant
                continue
            try:
                saved[variant, family] = iptables_text.parse_save(text)
            except ValueError as problem:
                raise HostError(
                    "the output of %s cannot be read: %s" % (tools.save[variant, family], problem)
                ) from problem
            _refuse_unreadable(saved[variant, family], family)
        return saved, broken

    def _save(
        self, tools: iptables_tools.Tools, variant: str, family: str, counters: bool
    ) -> Conversation[Optional[str]]:
        """The output of iptables-save, None when this kernel does not support the variant."""
        if variant == "legacy" and not (yield from ReadFile(_LEGACY_TABLES[family]).ask()):
            return ""  # no legacy table exists, and reading one with the tool might create it
        command = Command(
            (tools.save[variant, family],) + (("-c",) if counters else ()),
            purpose="read the %s rules of iptables-%s" % (_FAMILY_NAMES[family], variant),
        )
        output = yield from command.ask()
        if output.code == 0:
            text: str = output.stdout
            return text
        if variant == "nft" and any(sign in output.stderr for sign in _NO_NF_TABLES):
            return None
        raise HostError(self.explain(command, output))

    def _read_sets(self, tools: iptables_tools.Tools) -> Conversation[ipset.Saved]:
        if tools.ipset is None:
            return ipset.parse_save("")
        names = yield from self._ask((tools.ipset, "list", "-n"), "list the ipsets")
        like_ours = [name for name in names.split() if ipset.NAMED_LIKE_OURS.match(name)]
        # A foreign set may hold a hundred thousand entries. If there is one, the others are saved one by one.
        all_alike = len(like_ours) == len(names.split())
        selections: List[Tuple[str, ...]] = [()] if all_alike else [(name,) for name in like_ours]
        texts = []
        for selection in selections if like_ours else ():
            texts.append((yield from self._ask((tools.ipset, "save") + selection, "read the ipsets")))
        try:
            return ipset.parse_save("".join(texts))
        except ValueError as problem:
            raise HostError("the output of ipset save cannot be read: %s" % problem) from problem

    def _ask(self, argv: Tuple[str, ...], purpose: str) -> Conversation[str]:
        command = Command(argv, purpose=purpose)
        output = yield from command.ask()
        if output.code != 0:
            raise HostError(self.explain(command, output))
        text: str = output.stdout
        return text

    def render(self, policy: Optional[HostPolicy], reading: Reading) -> iptables_state.State:
        if policy is None:
            return iptables_state.NOTHING
        if reading.missing or reading.variant is None:
            raise HostError(
                "This host cannot hold the policy yet: %s. Nothing was changed" % "; ".join(reading.missing)
            )
        tables = {}
        for family in reading.families:
            found = iptables_rules.chains(policy, family, self.container_interfaces, self.forwarding)
            for name, chains in found.items():
                if name in reading.details.saved[reading.variant, family].unreadable:
                    raise HostError(_unreadable(name, family))
                tables[reading.variant, family, name] = iptables_state.Table(chains, iptables_state.jumps(chains))
        desired = iptables_state.State(tables, ipset.sets_of(policy, reading.families))
        details: _Details = reading.details
        in_the_way = foreign.in_the_way_of(desired, details.tools, details.saved, details.foreign_sets)
        if in_the_way:
            raise HostError(ownership.refusal(in_the_way))
        return desired

    def transactions(self, reading: Reading, desired: iptables_state.State) -> List[Command]:
        current, tools = reading.state, reading.details.tools
        desired_sets = {name: value for name, value in desired.sets.items() if not ipset.is_temporary(name)}
        commands = []
        sets = ipset.restore_text(current.sets, desired_sets)
        if sets:
            commands.append(Command((_tool(tools.ipset, "ipset"), "restore"), sets, "write the ipsets"))
        # New rules are written before old ones are removed: a host that changes its variant is never without rules.
        pairs = {key[:2] for key in set(current.tables) | set(desired.tables)}
        new_pairs = {key[:2] for key in desired.tables}
        for variant, family in sorted(pairs, key=lambda pair: (pair not in new_pairs, pair)):
            text = iptables_text.restore_text(
                [_change(reading, desired, variant, family, name) for name in iptables_chains.TABLES]
            )
            if text:
                tool = _tool(tools.restore.get((variant, family)), "%s-restore" % iptables_tools.COMMANDS[family])
                commands.append(
                    Command(
                        (tool, "--noflush", "--wait=%d" % self.lock_timeout),
                        text,
                        "write the %s rules of iptables-%s" % (_FAMILY_NAMES[family], variant),
                        timeout=60.0 + self.lock_timeout,
                    )
                )
        for name in ipset.outdated(current.sets, desired_sets):
            # nf_tables releases the set of a removed rule only a moment later.
            commands.append(
                Command(
                    (_tool(tools.ipset, "ipset"), "destroy", name),
                    purpose="remove the ipset %s" % name,
                    retry_on="in use by a kernel component",
                )
            )
        return commands

    def describe(self, state: iptables_state.State) -> str:
        lines: List[str] = []
        for (variant, family, name), table in sorted(state.tables.items()):
            lines.append("# iptables-%s, %s, table %s" % (variant, _FAMILY_NAMES[family], name))
            lines += ["-I %s %d %s" % (jump.chain, jump.position, jump.rule) for jump in table.jumps]
            for chain, rules in table.chains:
                lines.append(":%s" % chain)
                lines += ["-A %s %s" % (chain, rule) for rule in rules]
            lines.append("")
        for name, value in sorted(state.sets.items()):
            lines.append("# ipset")
            lines.append("create %s %s %s" % (name, value.kind, value.options))
            lines += ["add %s %s" % (name, member) for member in value.members]
            lines.append("")
        return "\n".join(lines)

    def explain(self, command: Command, output: Output) -> str:
        return errors.explain(command, output)

    def inspect(self) -> Conversation[Tuple[Reading, Facts]]:
        reading = yield from self._read(counters=True)
        return reading, facts.facts(reading)

    def dump(self, state: iptables_state.State) -> Dict[str, Any]:
        return iptables_state.dump(state)

    def load(self, data: Dict[str, Any]) -> iptables_state.State:
        return iptables_state.load(data)

    def stored(self, policy: Optional[HostPolicy], desired: iptables_state.State, reading: Reading) -> Optional[Boot]:
        if policy is None:
            return None
        fallback = None
        if policy.mode == "restrict":
            fallback = self.render(policy._replace(inbound=(), outbound=()), reading)
        return iptables_stored.boot(desired, fallback, reading.details.tools)


def _hidden_legacy_tables(tools: iptables_tools.Tools, families: Sequence[str]) -> Conversation[List[str]]:
    """Warnings about legacy tables of the kernel that no installed program can read."""
    warnings = []
    for family in families:
        if ("legacy", family) not in tools.save and (yield from ReadFile(_LEGACY_TABLES[family]).ask()):
            warnings.append(
                "the kernel holds legacy tables of %s, which cannot be read here: iptables-legacy is not "
                "installed" % _FAMILY_NAMES[family]
            )
    return warnings


def _our_tables(saved: _SavedRules) -> Dict[Tuple[str, str, str], iptables_state.Table]:
    tables = {}
    for (variant, family), value in saved.items():
        for name, found in value.tables.items():
            table = iptables_text.our_table(found)
            if table != iptables_state.Table():
                tables[variant, family, name] = table
    return tables


def _foreign_rules(saved: _SavedRules) -> Dict[str, int]:
    """Variant -> the number of its foreign rules."""
    foreign: Dict[str, int] = {}
    for (variant, _family), value in saved.items():
        foreign[variant] = foreign.get(variant, 0) + iptables_text.foreign_weight(value)
    return foreign


def _change(
    reading: Reading, desired: iptables_state.State, variant: str, family: str, name: str
) -> iptables_text.Change:
    saved, key = reading.details.saved.get((variant, family)), (variant, family, name)
    foreign = iptables_text.foreign_rules(saved.tables[name]) if saved else {}
    return iptables_text.Change(
        name,
        reading.state.tables.get(key, iptables_state.Table()),
        desired.tables.get(key, iptables_state.Table()),
        {chain: len(rules) for chain, rules in foreign.items()},
    )


def _refuse_unreadable(saved: iptables_text.Saved, family: str) -> None:
    """A table that iptables cannot print matters only if it may hold rules of ours."""
    table = saved.tables["filter"]
    restricts = iptables_chains.INPUT_CHAIN in table.ours and any(
        rule.endswith("-j DROP") for rule in table.rules[iptables_chains.INPUT_CHAIN]
    )
    for name in saved.unreadable:
        if name == "filter" or name in iptables_chains.TABLES and restricts:
            raise HostError(_unreadable(name, family))


def _unreadable(name: str, family: str) -> str:
    return (
        "Table %s of %s holds native nftables rules that iptables cannot show. Move those rules to a table of "
        "their own, because iptables and nft must not share one (see: nft list ruleset). Nothing was changed"
        % (name, _FAMILY_NAMES[family])
    )


def _tool(path: Optional[str], name: str) -> str:
    if path is None:
        raise HostError(errors.missing_tool(name))
    return path
