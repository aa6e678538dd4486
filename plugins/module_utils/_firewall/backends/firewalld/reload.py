# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The foreign settings that a reload of firewalld would lose: those in force that are in none of its files.

firewalld loads a new policy object or ipset only during a reload, and a reload starts from the files. It loses
zones, ipsets and direct rules that somebody changed without ``--permanent``. Before release 2.0, or if there are
direct rules, or with ``FirewallBackend=iptables``, a reload also flushes all rules of iptables, including those that
firewalld never made; :mod:`iptables_rules` finds those that nobody restores. Source: firewalld.conf(5), measured with
1.3 and 2.3.
"""

import re
from typing import Any, Dict, List, Optional, Sequence, Tuple

# Setting -> value. The values are those that firewalld returns over D-Bus; each setting has its own type.
Settings = Dict[str, Any]

FLUSHES_BEFORE = (2, 0)  # since this release a reload keeps iptables if firewalld has no rules in it
_NEVER_COMPARED = ("short", "description", "version")
_SHOWN_ITEMS = 5
_SHOWN_SETTINGS = 20

# Docker and libvirt notice a reload of firewalld and then restore their own zones.
_RESTORED_ZONES = re.compile(r"(docker|libvirt[a-z-]*)\Z")


def runtime_only(label: str, runtime: Settings, permanent: Optional[Settings], kept: Sequence[str] = ()) -> List[str]:
    """The settings of one object in force and those in its file -> sentences about those that are in force only.

    ``label``: names the object. ``permanent``: None when the object has no file. ``kept``: settings that a reload
    keeps.
    """
    if permanent is None:
        return ["%s is in none of firewalld's files" % label]
    lost = []
    for key in sorted(set(runtime) | set(permanent)):
        now, stored = runtime.get(key) or None, permanent.get(key) or None
        if key in kept or key in _NEVER_COMPARED or _without_order(now) == _without_order(stored):
            continue
        lost.append("%s: %s" % (label, _difference(key.replace("_", " "), now, stored)))
    return lost


def zone_keeps(name: str, manager_runs: bool, flush_all: bool) -> Tuple[str, ...]:
    """A zone's name, whether NetworkManager runs, firewalld's FlushAllOnReload -> settings that a reload keeps."""
    return ("interfaces",) if manager_runs or not flush_all or _RESTORED_ZONES.match(name) else ()


def flushes_iptables(release: Tuple[int, int], variant: str, has_direct: bool) -> bool:
    """Whether a reload flushes all tables of iptables.

    ``release``: firewalld's (major, minor) version. ``variant``: its FirewallBackend. ``has_direct``: whether it has
    direct rules, chains or passthroughs.
    """
    return release < FLUSHES_BEFORE or variant == "iptables" or has_direct


def refusal(lost: Sequence[str]) -> str:
    """Sentences about settings that would be lost -> why nothing was changed, and what to do."""
    shown = list(lost[:_SHOWN_SETTINGS])
    if len(lost) > len(shown):
        shown.append("and %d more" % (len(lost) - len(shown)))
    return (
        "Refused, nothing was changed: firewalld must be reloaded once to load the policy object, and a reload "
        "loses foreign settings that are in force but not in firewalld's files: %s. To keep them, run: firewall-cmd "
        "--runtime-to-permanent. If a program made them (for example fail2ban), stop that program, run this again, "
        "then start the program. If they may be lost, run: firewall-cmd --reload. After that run this again"
        % "; ".join(shown)
    )


def _without_order(value: Any) -> Any:
    """A setting in a form in which the order of a list does not matter, because firewalld does not keep it."""
    return sorted(repr(item) for item in value) if isinstance(value, list) else value


def _difference(key: str, now: Any, stored: Any) -> str:
    if not isinstance(now, list) and not isinstance(stored, list):
        return "%s is %r, and %r in its file" % (key, now, stored)
    now, stored = now or [], stored or []
    added = [item for item in now if item not in stored]
    missing = [item for item in stored if item not in now]
    parts = ["%s %s" % (verb, _items(items)) for verb, items in (("has", added), ("lacks", missing)) if items]
    return "%s (%s)" % (key, "; ".join(parts))


def _items(items: Sequence[Any]) -> str:
    texts = [" ".join(str(part) for part in item) if isinstance(item, tuple) else str(item) for item in items]
    return ", ".join(texts[:_SHOWN_ITEMS] + (["..."] if len(texts) > _SHOWN_ITEMS else []))
