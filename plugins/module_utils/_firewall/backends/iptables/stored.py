# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A state of the backend ``iptables`` -> the script with which a boot restores it.

The script is POSIX sh with ``ipset restore`` and ``iptables-restore``, so a host boots without Python.
"""

import re
from typing import Iterator, Optional, Tuple

from ansible_collections.determined.network.plugins.module_utils._firewall.backends import ipset, iptables_chains
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.base import Boot
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.iptables import (
    state as iptables_state,
)
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.iptables import (
    text as iptables_text,
)
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.iptables import (
    tools as iptables_tools,
)

_Pair = Tuple[str, str]  # variant and family

IPV6 = "/proc/sys/net/ipv6/conf/all/disable_ipv6"
LOCK_SECONDS = 30  # a boot may wait longer for the xtables lock than a play
_MATCH_SET = re.compile(r"-m set --match-set (\S+) src\b")

# Reads rules that are written for an empty table. If a jump of ours exists already (the unit was restarted, or the
# check runs after another service), the same transaction first removes it. So there is always exactly one jump.
_RESTORE = """\
restore() { # SAVE RESTORE
while IFS= read -r line; do
case $line in
'*'*) table=${line#?} ;;
'-I '*)
base=${line#-I }
"$1" -t "$table" </dev/null | grep -e "^-A ${base%% *} .*-j ${line##* }\\$" | sed 's/^-A/-D/' ;;
esac
printf '%s\\n' "$line"
done | "$2" --noflush --wait=LOCK_SECONDS
}""".replace("LOCK_SECONDS", "%d" % LOCK_SECONDS)


def boot(desired: iptables_state.State, fallback: Optional[iptables_state.State], tools: iptables_tools.Tools) -> Boot:
    """The desired state, the state of the fallback rules (None: the policy drops nothing) and the Tools -> Boot."""
    pairs = sorted({key[:2] for key in desired.tables})
    load = [_RESTORE]
    sets = "".join("%s\n" % line for line in _sets(desired.sets))
    if sets:
        load.append("%s -exist restore <<'END' || return 1\n%sEND" % (tools.ipset, sets))
    closed = [_RESTORE, "code=0"]
    for pair in pairs:
        load.append(_restore(tools, pair, _text(desired, pair)))
        if fallback is not None:
            # A failure in one family must not leave the other one open.
            closed.append(_restore(tools, pair, _without_sets(_text(fallback, pair), fallback.sets), "code=1"))
    return Boot(
        load="\n".join(load + ["return 0"]),
        holds="\n".join(_holds(tools, pair, desired) for pair in pairs) + "\nreturn 0",
        fallback="" if fallback is None else "\n".join(closed + ["return $code"]),
        flushed_by=("firewalld",),
    )


def _sets(sets: ipset.Sets) -> Iterator[str]:
    """Lines for ``ipset -exist restore``: each set is filled under another name and swapped, as in a change."""
    for name, value in sorted(sets.items()):
        temporary = ipset.temporary_name(name)
        for created in (name, temporary):
            yield "create %s %s %s" % (created, value.kind, value.options)
        yield "flush %s" % temporary
        for member in value.members:
            yield ipset.add_line(temporary, value, member)
        yield "swap %s %s" % (temporary, name)
        yield "destroy %s" % temporary


def _text(state: iptables_state.State, pair: _Pair) -> str:
    """A state and its (variant, family) -> the input of iptables-restore on a host that has nothing of ours."""
    empty = iptables_state.Table()
    return iptables_text.restore_text(
        [
            iptables_text.Change(name, empty, state.tables.get(pair + (name,), empty), {})
            for name in iptables_chains.TABLES
        ]
    )


def _without_sets(text: str, sets: ipset.Sets) -> str:
    """The same rules with literal addresses: the fallback rules must not depend on a set."""
    lines = []
    for line in text.splitlines():
        match = _MATCH_SET.search(line)
        if match:
            lines += [_MATCH_SET.sub("-s %s" % member, line) for member in sets[match.group(1)].members]
        else:
            lines.append(line)
    return "\n".join(lines + [""])


def _restore(tools: iptables_tools.Tools, pair: _Pair, text: str, otherwise: str = "return 1") -> str:
    rest = _unless_absent(pair, otherwise)
    return "restore %s %s <<'END'%s\n%sEND" % (tools.save[pair], tools.restore[pair], rest, text)


def _unless_absent(pair: _Pair, otherwise: str = "return 1") -> str:
    """A kernel without IPv6 needs no rules for it."""
    return " || %s%s" % ("[ ! -e %s ] || " % IPV6 if pair[1] == "ipv6" else "", otherwise)


def _holds(tools: iptables_tools.Tools, pair: _Pair, desired: iptables_state.State) -> str:
    lines = []
    for name in iptables_chains.TABLES:
        table = desired.tables.get(pair + (name,), iptables_state.Table())
        for jump in table.jumps:
            chain = iptables_text.leads_to(jump.rule)
            pattern = "^-A %s .*-j %s$" % (jump.chain, chain)
            lines.append("%s -t %s | grep -q -e '%s'%s" % (tools.save[pair], name, pattern, _unless_absent(pair)))
    return "\n".join(lines)
