# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From one state of firewalld to another: as few calls as possible, and a reload only where nothing else does.

Source: firewalld.dbus(5). In force at once and without a reload: members of a set, rich rules of a
policy. A new policy object or set comes only by a reload from files. So that a reboot before a change is
confirmed boots the old state, the files lie there for the time of the reload only; once the change is
confirmed they are put in place with whatever else is stored.
"""

from ansible_collections.determined.network.plugins.module_utils._firewall.backends import members
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld import (
    bus,
    files,
    nft_table,
    reload,
)
from ansible_collections.determined.network.plugins.module_utils._host.commands import Command, HostError

# Up to this many changed members are added and removed one by one (10 ms each), so that a packet always meets the
# old members or the new ones. firewalld empties a set before it fills it with many.
ONE_BY_ONE = 100
_SHELL = "/bin/sh"
# A full disk must leave neither half a file nor what was to become one.
_PUT = """put() {
new=$1.new
mkdir -p "${1%/*}" && cat >"$new" && mv -f "$new" "$1" && return
rm -f "$new"
return 1
}"""


def commands(found, state, desired):
    """A Found, the State in it and the State to be -> list of Commands."""
    steps = []
    if desired.table is not None and state.table != desired.table:
        steps.append(Command((found.nft, "-f", "-"), nft_table.replacing(desired.table), "write the nft table"))
    if desired.table is None and state.table is not None:
        argv = (found.nft, "delete", "table", nft_table.FAMILY, nft_table.NAME)
        steps.append(Command(argv, purpose="remove the nft table"))
    if not found.running:
        return steps  # what firewalld begins with lies in its files
    if _frames(state) == _frames(desired):
        return steps + _in_force(found, state, desired)
    new = [key for key, frame in _frames(desired).items() if _frames(state).get(key) != frame]
    if not found.lost or (new and found.forced):
        return steps + [_reload(found, desired)]
    if new:
        raise HostError(reload.refusal(found.lost))
    # Only to be removed: emptied now, and gone with the next reload, which somebody else may time.
    policies = dict(state.policies)
    for name, policy in state.policies.items():
        kept = desired.policies.get(name, policy._replace(rules=()))
        policies[name] = policy._replace(rules=kept.rules)
    sets = {name: desired.sets.get(name, value) for name, value in state.sets.items()}
    return steps + _in_force(found, state, desired._replace(policies=policies, sets=sets))


def is_reload(command):
    """Whether a Command reloads firewalld."""
    return command.argv[0] == _SHELL


def emptied(state):
    """Whether what a State holds of firewalld's objects permits nothing any more."""
    return bool(state.policies) and not any(policy.rules for policy in state.policies.values())


def _frames(state):
    frames = {("policy", name): value.frame() for name, value in state.policies.items()}
    frames.update({("ipset", name): value.frame() for name, value in state.sets.items()})
    return frames


def _reload(found, desired):
    """One shell script: the files as they shall be, the reload, the files as they were."""
    wanted = files.files(desired)
    before, after = [], []
    for path in sorted(set(wanted) | set(found.files)):
        if wanted.get(path) != found.files.get(path):
            before.append(_place(path, wanted.get(path), " || exit"))
            after.append(_place(path, found.files.get(path)))
    script = ["umask 022", "new=", _PUT]
    script += ["after() {", 'rm -f "$new"'] + after + ["}", "trap after EXIT", "trap exit HUP INT TERM"] + before
    script.append(bus.reload_line(found.busctl))
    return Command(
        (_SHELL, "-s"),
        "\n".join(script + [""]),
        "reload firewalld with the policy objects",
        timeout=bus.RELOAD_SECONDS,
        loses=found.lost,
    )


def _place(path, text, otherwise=""):
    """The shell's line that makes a file hold a text (None: there is none)."""
    if text is None:
        return "rm -f %s%s" % (path, otherwise)
    return "put %s <<'END OF FILE'%s\n%s\nEND OF FILE" % (path, otherwise, text.rstrip("\n"))


def _in_force(found, state, desired):
    """What comes first, then what goes, so that nothing that is required is missing meanwhile."""
    come, go = [], []
    for name, value in sorted(desired.sets.items()):
        _change_set(found, name, state.sets[name].members, value.members, come, go)
    for name, policy in sorted(desired.policies.items()):
        was = state.policies[name].rules
        both = tuple(sorted(set(was) | set(policy.rules)))
        if both != was:
            come.append(_rules(found, "add rules to the policy %s" % name, name, both))
        if both != policy.rules:
            go.append(_rules(found, "remove rules from the policy %s" % name, name, policy.rules))
    return come + go


def _rules(found, purpose, name, rules):
    """A call that leaves all other settings of the policy as they are."""
    arguments = (name, "1", "rich_rules", "as") + bus.strings(rules)
    return _call(found, purpose, "policy", "setPolicySettings", "sa{sv}", *arguments)


def _change_set(found, name, was, wanted, come, go):
    new, old = sorted(set(wanted) - set(was)), sorted(set(was) - set(wanted))
    if len(new) + len(old) > ONE_BY_ONE or (new and old and members.overlap(new, old)):
        arguments = (name,) + bus.strings(wanted)
        come.append(_call(found, "fill the ipset %s" % name, "ipset", "setEntries", "sas", *arguments))
        return
    for member in new:
        come.append(_call(found, "add to the ipset %s" % name, "ipset", "addEntry", "ss", name, member))
    for member in old:
        go.append(_call(found, "remove from the ipset %s" % name, "ipset", "removeEntry", "ss", name, member))


def _call(found, purpose, interface, method, signature, *arguments):
    return bus.call(found.busctl, purpose, interface, method, signature, arguments)
