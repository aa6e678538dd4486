# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands that change firewalld and nft from one state to another.

They are as few as possible, and they reload firewalld only if no other call has the same effect. Source:
firewalld.dbus(5). Members of an ipset and rich rules of a policy object change at once. A new policy object or ipset
needs a reload, which reads it from its file. The files exist only during the reload, so that a reboot before the
change is confirmed starts with the old state. Once the change is confirmed, they are written with everything else that
is stored.
"""

from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple, Union

from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld import (
    bus,
    nft_table,
    reload,
)
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld.errors import missing_tool
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld.files import files
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld.read import Found
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld.state import (
    Policy,
    Set,
    State,
)
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.members import overlap
from ansible_collections.determined.network.plugins.module_utils._host.commands import Command, HostError

# Up to this many changed members are added and removed one by one (10 ms each), so that a packet always meets the
# old members or the new ones. To replace all members at once, firewalld first empties the ipset.
ONE_BY_ONE = 100
_SHELL = "/bin/sh"
# If the disk is full, neither an incomplete file nor its temporary file may stay.
_PUT = """put() {
new=$1.new
mkdir -p "${1%/*}" && cat >"$new" && mv -f "$new" "$1" && return
rm -f "$new"
return 1
}"""


def commands(found: Found, state: State, desired: State) -> List[Command]:
    """The Found of a host, its State, and the desired State -> the Commands that lead to it.

    Raises HostError when a reload is necessary that would lose foreign settings, unless ``found.forced``.
    """
    steps = _change_table(found, state, desired)
    if not found.running or found.busctl is None:
        return steps  # firewalld starts with the content of its files, which are stored elsewhere
    old, new = _changed_by_reload_only(state), _changed_by_reload_only(desired)
    if old == new:
        return steps + _change_at_once(found.busctl, state, desired)
    must_reload = any(old.get(key) != value for key, value in new.items())
    if not found.lost or (must_reload and found.forced):
        return steps + [_reload(found.busctl, found, desired)]
    if must_reload:
        raise HostError(reload.refusal(found.lost))
    return steps + _change_at_once(found.busctl, state, _without_removals(state, desired))


def is_reload(command: Command) -> bool:
    """Whether a Command reloads firewalld."""
    return command.argv[0] == _SHELL


def is_emptied(state: State) -> bool:
    """Whether firewalld still has our policy objects, but none of them permits anything."""
    return bool(state.policies) and not any(policy.rules for policy in state.policies.values())


def _change_table(found: Found, state: State, desired: State) -> List[Command]:
    if state.table == desired.table:
        return []
    if found.nft is None:
        raise HostError("Could not change the nft table: %s" % missing_tool("nft"))
    if desired.table is not None:
        return [Command((found.nft, "-f", "-"), nft_table.replacing(desired.table), "write the nft table")]
    argv = (found.nft, "delete", "table", nft_table.FAMILY, nft_table.NAME)
    return [Command(argv, purpose="remove the nft table")]


def _changed_by_reload_only(state: State) -> Dict[Tuple[str, str], Union[Policy, Set]]:
    """(kind of object, its name) -> its settings that only a reload can change."""
    fixed: Dict[Tuple[str, str], Union[Policy, Set]] = {}
    for name, policy in state.policies.items():
        fixed["policy", name] = policy.changed_by_reload_only()
    for name, ipset in state.sets.items():
        fixed["ipset", name] = ipset.changed_by_reload_only()
    return fixed


def _without_removals(state: State, desired: State) -> State:
    """The desired State with the objects that only a reload can remove. The policy objects among them have no rules.

    The next reload removes these objects, whoever starts it.
    """
    policies: Dict[str, Policy] = {}
    for name, policy in state.policies.items():
        rules = desired.policies[name].rules if name in desired.policies else ()
        policies[name] = policy._replace(rules=rules)
    sets = {name: desired.sets.get(name, ipset) for name, ipset in state.sets.items()}
    return desired._replace(policies=policies, sets=sets)


def _reload(busctl: str, found: Found, desired: State) -> Command:
    """One shell script that writes the desired files, reloads firewalld, and restores the files."""
    wanted = files(desired)
    before: List[str] = []
    after: List[str] = []
    for path in sorted(set(wanted) | set(found.files)):
        if wanted.get(path) != found.files.get(path):
            before.append(_write_file(path, wanted.get(path), " || exit"))
            after.append(_write_file(path, found.files.get(path)))
    script = ["umask 022", "new=", _PUT]
    script += ["after() {", 'rm -f "$new"'] + after + ["}", "trap after EXIT", "trap exit HUP INT TERM"] + before
    script.append(bus.reload_line(busctl))
    return Command(
        (_SHELL, "-s"),
        "\n".join(script + [""]),
        "reload firewalld with the policy objects",
        timeout=bus.RELOAD_SECONDS,
        loses=found.lost,
    )


def _write_file(path: str, text: Optional[str], on_failure: str = "") -> str:
    """The lines of shell that give a file this text, or remove the file if ``text`` is None."""
    if text is None:
        return "rm -f %s%s" % (path, on_failure)
    return "put %s <<'END OF FILE'%s\n%s\nEND OF FILE" % (path, on_failure, text.rstrip("\n"))


class _Steps(NamedTuple):
    """All additions run before all removals, so that nothing that is required is missing in between."""

    additions: List[Command]
    removals: List[Command]


def _change_at_once(busctl: str, state: State, desired: State) -> List[Command]:
    """The Commands that change members and rules. Both states have the same objects."""
    steps = _Steps([], [])
    for name, ipset in sorted(desired.sets.items()):
        _change_set(busctl, name, state.sets[name].members, ipset.members, steps)
    for name, policy in sorted(desired.policies.items()):
        _change_rules(busctl, name, state.policies[name].rules, policy.rules, steps)
    return steps.additions + steps.removals


def _change_rules(busctl: str, name: str, old: Tuple[str, ...], new: Tuple[str, ...], steps: _Steps) -> None:
    """Add the calls that change the rules of one policy object. Its other settings stay as they are."""
    both = tuple(sorted(set(old) | set(new)))
    if both != old:
        steps.additions.append(_set_rules(busctl, "add rules to the policy %s" % name, name, both))
    if both != new:
        steps.removals.append(_set_rules(busctl, "remove rules from the policy %s" % name, name, new))


def _set_rules(busctl: str, purpose: str, name: str, rules: Sequence[str]) -> Command:
    arguments = (name, "1", "rich_rules", "as") + bus.strings(rules)
    return bus.call(busctl, purpose, "policy", "setPolicySettings", "sa{sv}", arguments)


def _change_set(busctl: str, name: str, old: Sequence[str], new: Sequence[str], steps: _Steps) -> None:
    """Add the calls that change the members of one ipset, one by one if they are few."""
    added, removed = sorted(set(new) - set(old)), sorted(set(old) - set(new))
    # firewalld refuses a member that overlaps with another, even if that one is removed next.
    if len(added) + len(removed) > ONE_BY_ONE or (added and removed and overlap(added, removed)):
        arguments = (name,) + bus.strings(new)
        steps.additions.append(bus.call(busctl, "fill the ipset %s" % name, "ipset", "setEntries", "sas", arguments))
        return
    for member in added:
        purpose = "add to the ipset %s" % name
        steps.additions.append(bus.call(busctl, purpose, "ipset", "addEntry", "ss", (name, member)))
    for member in removed:
        purpose = "remove from the ipset %s" % name
        steps.removals.append(bus.call(busctl, purpose, "ipset", "removeEntry", "ss", (name, member)))
