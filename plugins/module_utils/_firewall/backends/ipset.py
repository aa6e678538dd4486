# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Peers as ipsets: names, what ``ipset save`` prints, what ``ipset restore`` reads.

Source: ipset(8), type ``hash:net``. A set holds one family. The look-up for a packet costs the same for ten peers and
for ten thousand.

A set cannot carry a comment, but its members can. Each member of a set of ours has the mark of :mod:`ownership` as its
comment, so a set of ours is told from a foreign one with such a name.
"""

import ipaddress
import re
from typing import Collection, Dict, FrozenSet, Iterable, List, NamedTuple, Sequence, Tuple

from ansible_collections.determined.network.plugins.module_utils._firewall.backends.ownership import MARK
from ansible_collections.determined.network.plugins.module_utils._host.commands import HostError
from ansible_collections.determined.network.plugins.module_utils._policy import HostPolicy

KIND = "hash:net"
SMALLEST_MAXELEM = 65536  # the default of ipset; only a larger cluster needs more
_ANYBODY = ("0.0.0.0/0", "::/0")
_SUFFIX = {"ipv4": "4", "ipv6": "6"}
# _v4 and _v6 are in use, and _t4 and _t6 are being filled. A name has at most 30 of the 31 characters.
NAMED_LIKE_OURS = re.compile(r"determined_[a-z][a-z0-9_]{0,15}_[vt][46]\Z")
_WITH_COMMENTS = " comment"  # the option of a set whose members may have comments
_MARKED = ' comment "%s"' % MARK  # the end of a member's line
# Options that the kernel chose by itself do not matter for what a set permits.
_CHOSEN_BY_KERNEL = ("hashsize", "bucketsize", "initval")


class Set(NamedTuple):
    """An ipset: its type ("hash:net"), options ("family inet maxelem 65536 comment"), sorted members.

    The mark is not a part of a member's text. With the option "comment" every member is written with it.
    """

    kind: str
    options: str
    members: Tuple[str, ...]


Sets = Dict[str, Set]  # by name


class Saved(NamedTuple):
    """All ``sets`` with a name like ours, and the names of those with a ``marked`` member."""

    sets: Sets
    marked: FrozenSet[str]


def is_anybody(addresses: Iterable[str]) -> bool:
    """Whether addresses of one family include the whole family, which hash:net cannot hold."""
    return any(address in _ANYBODY for address in addresses)


def set_name(peers: str, family: str) -> str:
    """The name of a group of peers, and a family -> the name of their set."""
    return "determined_%s_v%s" % (peers, _SUFFIX[family])


def is_temporary(name: str) -> bool:
    """Whether a name is one under which a set is filled before it is swapped."""
    return bool(NAMED_LIKE_OURS.match(name)) and name[-2] == "t"


def temporary_name(name: str) -> str:
    """The name of a set -> the name under which its next content is filled."""
    return name[:-2] + "t" + name[-1]


def make_set(addresses: Sequence[str], family: str) -> Set:
    """Addresses and networks of one family -> the Set that holds them."""
    maxelem = SMALLEST_MAXELEM
    while maxelem < len(addresses):
        maxelem *= 2
    options = "family %s maxelem %d" % ("inet" if family == "ipv4" else "inet6", maxelem)
    return Set(KIND, options, _sorted_members(addresses))


def sets_of(policy: HostPolicy, families: Iterable[str]) -> Sets:
    """A policy and families -> the sets of the peers that a rule needs."""
    rules = policy.inbound + policy.outbound
    if policy.mode == "restrict":
        rules += policy.management
    found: Sets = {}
    for peers in sorted({rule.peers for rule in rules}):
        for family in families:
            addresses = policy.peers[peers][family]
            if addresses and not is_anybody(addresses):
                plain = make_set(addresses, family)
                found[set_name(peers, family)] = plain._replace(options=plain.options + _WITH_COMMENTS)
    return found


def parse_save(text: str) -> Saved:
    """The text of ``ipset save`` -> Saved; raises ValueError for any other text."""
    created: Dict[str, Tuple[str, str]] = {}
    members: Dict[str, List[str]] = {}
    marked = set()
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words:
            continue
        if words[0] == "create" and len(words) >= 3:
            options = list(words[3:])
            for option in _CHOSEN_BY_KERNEL:
                if option in options:
                    index = options.index(option)
                    del options[index : index + 2]
            created[words[1]] = (words[2], " ".join(options))
            members[words[1]] = []
        elif words[0] == "add" and len(words) >= 3 and words[1] in members:
            member = " ".join(words[2:])
            if member.endswith(_MARKED):
                marked.add(words[1])
                member = member[: -len(_MARKED)]
            members[words[1]].append(member)
        else:
            raise ValueError("line %d of ipset save is unknown: %r" % (number, line))
    sets = {
        name: Set(kind, options, _sorted_members(members[name]))
        for name, (kind, options) in created.items()
        if NAMED_LIKE_OURS.match(name)
    }
    return Saved(sets, frozenset(marked))


def ours(saved: Saved, used: Collection[str]) -> Sets:
    """The sets that we made. ``used``: names of the sets that rules of ours use.

    A set without members has no mark. It is ours if only its missing members tell it from a new set of ours, as after a
    run that was killed. Versions 0.2 and 0.3 wrote no mark: their sets are known by the rules that use them.
    """
    return {
        name: value
        for name, value in saved.sets.items()
        if name in saved.marked or name in used or (not value.members and value.options.endswith(_WITH_COMMENTS))
    }


def _sorted_members(members: Iterable[str]) -> Tuple[str, ...]:
    """Members in any order -> canonical members, sorted by address; other kinds of entries come last."""
    addresses, others = [], []
    for member in members:
        try:
            addresses.append(ipaddress.ip_network(member))
        except ValueError:
            others.append(member)
    return tuple(
        [
            str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)
            for network in sorted(
                addresses, key=lambda network: (network.version, int(network.network_address), network.prefixlen)
            )
        ]
        + sorted(others)
    )


def restore_text(current: Sets, desired: Sets) -> str:
    """The current and the desired sets -> the input of ``ipset restore`` before the rules change.

    An existing set is filled under another name and swapped: a packet meets the old members or the new ones, and rules
    still name the same set. Sets that are no longer needed stay, because rules may still use them. Returns "" when
    nothing has to be done.
    """
    lines = []
    for name in sorted(desired):
        new, old = desired[name], current.get(name)
        if new == old:
            continue
        if old is None:
            lines += _fill(name, new)
            continue
        if (old.kind, _family(old)) != (new.kind, _family(new)):
            raise HostError(
                "the ipset %s exists already as %s %s, which cannot become %s %s. This collection did not "
                "create it: find out what uses it, then remove it with: ipset destroy %s"
                % (name, old.kind, old.options, new.kind, new.options, name)
            )
        temporary = temporary_name(name)
        if temporary in current:
            lines.append("destroy %s" % temporary)  # a run that was killed did not finish it
        lines += _fill(temporary, new)
        lines += ["swap %s %s" % (temporary, name), "destroy %s" % temporary]
    return "\n".join(lines + [""]) if lines else ""


def outdated(current: Sets, desired: Sets) -> List[str]:
    """The current and the desired sets -> sorted names of the sets to destroy once no rule uses them."""
    replaced = {temporary_name(name) for name in desired if name in current and current[name] != desired[name]}
    return sorted(set(current) - set(desired) - replaced)


def _fill(name: str, value: Set) -> List[str]:
    return ["create %s %s %s" % (name, value.kind, value.options)] + [
        add_line(name, value, member) for member in value.members
    ]


def add_line(name: str, value: Set, member: str) -> str:
    """The line of ``ipset restore`` that adds a member to a set, with the mark if the set can hold comments."""
    return "add %s %s%s" % (name, member, _MARKED if value.options.endswith(_WITH_COMMENTS) else "")


def _family(value: Set) -> str:
    words = value.options.split()
    return words[words.index("family") + 1] if "family" in words else ""
