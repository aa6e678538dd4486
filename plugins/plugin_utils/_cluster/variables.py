# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The names of the collection's variables: which exist, which are outdated, and which are misspelt. Pure.

Ansible ignores a variable that nobody reads, so a wrong name would silently mean the default. The prefixes of the roles
(``determined_proxy_`` and the like) belong to this collection, so every unknown name with such a prefix is refused.
Every other name may belong to somebody else. It is refused only if it is an old name of this collection, or a slip in a
name.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.determined.network.plugins.module_utils._policy import MODES
from ansible_collections.determined.network.plugins.plugin_utils._cluster import cluster, settings
from ansible_collections.determined.network.plugins.plugin_utils._cluster.problems import Problem

PREFIX = "determined_"

# Role, or playbook (rehearse) -> its public variables, without the prefix "determined_<role>_".
ROLE_VARIABLES: dict[str, tuple[str, ...]] = {
    "firewall": (
        "state",
        "backend",
        "confirm_timeout",
        "lock_timeout",
        "allow_lockout",
        "container_interfaces",
        "forward",
        "persist",
    ),
    "proxy": (
        "state",
        "http",
        "https",
        "ftp",
        "username",
        "password",
        "no_proxy_extra",
        "no_proxy",
        "ca_certificate",
        "targets",
        "docker_method",
        "task_environment",
        "share_credentials",
        "restart_docker",
        "restart_agent",
        "restart_master",
        "restart_throttle",
    ),
    "verify": (
        "sweep",
        "sample_size",
        "seed",
        "max_peers",
        "timeout",
        "lifetime",
        "report_dir",
        "internet",
        "internet_timeout",
        "attack",
    ),
    "rehearse": ("name", "timeout", "sweep"),
}

# The playbooks set these themselves; users read them.
OWN_VARIABLES = ("determined_rehearsal", "determined_namespace", "determined_network_verification")

# Variables of roles that are newer than the names with a prefix, so they never had an old name.
WITHOUT_OLD_NAME = ("determined_firewall_forward",)

# Old name (until 0.2.0) -> new name.
RENAMED: dict[str, str] = {
    f"{role}_{name}": f"{PREFIX}{role}_{name}"
    for role, names in ROLE_VARIABLES.items()
    for name in names
    if f"{PREFIX}{role}_{name}" not in WITHOUT_OLD_NAME
}

KNOWN: tuple[str, ...] = (
    *settings.VARIABLES.values(),
    *cluster.HOST_VARIABLES,
    *RENAMED.values(),
    *WITHOUT_OLD_NAME,
    *OWN_VARIABLES,
)

# Names that are expected among the firewall's variables -> the variable of the cluster that is meant.
_TAKEN_FOR_THE_FIREWALLS = {"firewall_mode": "determined_mode", "firewall_mod": "determined_mode"}

# A name that roles of others have as well (geerlingguy.firewall: firewall_state is the state of a service, such as
# "started") -> the values that it has with us. With another value the variable is not ours.
SHARED_NAMES: dict[str, tuple[str, ...]] = {
    "firewall_state": ("present", "absent"),
    **dict.fromkeys(_TAKEN_FOR_THE_FIREWALLS, MODES),
}

# A variable with another beginning is nothing to this collection.
PREFIXES = (PREFIX, *(f"{role}_" for role in ROLE_VARIABLES))
PLAY = "the play"

_ROLE_PREFIXES = tuple(f"{PREFIX}{role}_" for role in ROLE_VARIABLES)
# A word that lost a letter and became another word is no slip. Complete for the words of the old names.
_OTHER_WORDS = frozenset({"backed", "pees", "sate", "seep", "sed"})
_SHORTEST_THAT_LOSES_A_LETTER = 4
# How alike two names are, from 0 to 1, by difflib.SequenceMatcher.ratio.
_ALMOST_EQUAL = 0.9
_SIMILAR = 0.6


def is_ours(name: str, value: Any) -> bool:
    """Whether a variable that has one of our names and this value was written for this collection."""
    return name not in SHARED_NAMES or value in SHARED_NAMES[name]


def problems(on_hosts: Mapping[str, Sequence[str]], in_play: Iterable[str], hosts: Sequence[str]) -> list[Problem]:
    """Variable -> the hosts that set it, the variables that only a play, role or task sets, and all hosts
    -> a problem for each name that is outdated or misspelt.

    An old name is accepted where the same hosts set the new name, too: then the old one belongs to another role.
    """
    places = [(name, where, where) for name, where in on_hosts.items()]
    places += [(name, [PLAY], hosts) for name in in_play]
    found = []
    for name, where, needed in places:
        new = RENAMED.get(name) or _SLIPS.get(name)
        if new and needed and set(needed) <= set(on_hosts.get(new, ())):
            continue
        wrong = _wrong(name)
        if wrong:
            found.append(Problem(_in_short(where), name, *wrong))
    return found


def almost(name: str, known: Iterable[str]) -> str | None:
    """The known name that an unknown one almost equals; None if it is known itself, or like none."""
    known = tuple(known)
    matches = [] if name in known else difflib.get_close_matches(name, known, n=1, cutoff=_ALMOST_EQUAL)
    return matches[0] if matches else None


def _wrong(name: str) -> tuple[str, str] | None:
    """What is wrong with a name, and the remedy; None if it is right, or may belong to somebody else."""
    unknown = "is no variable of this collection"
    new = RENAMED.get(name) or _SLIPS.get(name)
    if new:
        outdated = f"is the old name of {new} and has no effect any more"
        remedy = f"write {new}; if {name} belongs to another role, set {new} on the same hosts, too"
        return outdated if name in RENAMED else unknown, remedy
    prefix = next((prefix for prefix in _ROLE_PREFIXES if name.startswith(prefix)), None)
    if name in KNOWN or not name.startswith(PREFIX):
        return None
    meant = almost(name, KNOWN) or (_nearest(name[len(prefix) :], prefix) if prefix else None)
    if meant:
        return unknown, f"write {meant}"
    if prefix:
        all_of_it = ", ".join(known for known in KNOWN if known.startswith(prefix))
        return unknown, f"take it out, or write one of: {all_of_it}"
    return None


def _nearest(rest: str, prefix: str) -> str | None:
    """What follows a role's prefix in an unknown name -> the known name whose own rest is most alike, if any is.

    The same prefix comes first. After it, a cluster-wide variable may have been taken for the role's.
    """
    for group in (prefix, PREFIX):
        rests = {known[len(group) :]: known for known in KNOWN if known.startswith(group)}
        matches = difflib.get_close_matches(rest, rests, n=1, cutoff=_SIMILAR)
        if matches:
            return rests[matches[0]]
    return None


def _in_short(where: Sequence[str]) -> str:
    return where[0] if len(where) == 1 else f"{where[0]} and {len(where) - 1} more"


def _slips_of_word(word: str) -> set[str]:
    """A word with one letter lost or two exchanged inside it, or with one letter written twice."""
    lost = {word[:i] + word[i + 1 :] for i in range(1, len(word) - 1)}
    doubled = {word[:i] + word[i] + word[i:] for i in range(len(word))}
    swapped = {word[:i] + word[i + 1] + word[i] + word[i + 2 :] for i in range(1, len(word) - 2)}
    if len(word) < _SHORTEST_THAT_LOSES_A_LETTER:
        lost = set()
    return (lost | doubled | swapped) - {word} - _OTHER_WORDS


def _slips() -> dict[str, str]:
    """Slips in old names -> new name. Apart from the shared names, no slip makes a word of English, so none is a name
    that another role would have."""
    found: dict[str, str] = {}
    for role, names in ROLE_VARIABLES.items():
        for name in names:
            if f"{role}_{name}" not in RENAMED:
                continue
            words = name.split("_")
            for number, word in enumerate(words):
                for slip in _slips_of_word(word):
                    misspelt = "_".join([role, *words[:number], slip, *words[number + 1 :]])
                    found[misspelt] = f"{PREFIX}{role}_{name}"
    return {**{misspelt: new for misspelt, new in found.items() if misspelt not in RENAMED}, **_TAKEN_FOR_THE_FIREWALLS}


_SLIPS = _slips()
