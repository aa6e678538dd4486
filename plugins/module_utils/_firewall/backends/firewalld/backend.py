# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The backend ``firewalld``: policy objects and ipsets of our own, and an nft table for mode ``restrict``.

firewalld only accepts, the table only drops. So both modes mean what they mean on iptables: what the
cluster requires is accepted before the host's own zones; in ``restrict`` what neither the cluster nor the
host needs is dropped; management, ICMP, DHCP and established connections are left to the host's zones.
The table is not firewalld's: it stays while firewalld reloads, restarts or fails, and covers ports that
containers publish, which firewalld lets pass whatever its policies say (``ct status dnat accept``).
"""

from ansible_collections.determined.network.plugins.module_utils._firewall.backends.base import Backend, Boot, Reading
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld import (
    change,
    errors,
    nft_table,
)
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld import (
    files as firewalld_files,
)
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld import (
    read as firewalld_read,
)
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld import (
    state as firewalld_state,
)
from ansible_collections.determined.network.plugins.module_utils._host.commands import HostError, ReadFile

_IPV6 = "/proc/sys/net/ipv6/conf/all/disable_ipv6"


class Firewalld(Backend):
    """See :class:`Backend`. ``container_interfaces``: patterns of the interfaces of this host's containers."""

    name = "firewalld"
    programs = ("busctl", "nft", "sh")
    folders = tuple(sorted(firewalld_files.FOLDERS.values()))

    def __init__(self, container_interfaces=()):
        self.container_interfaces = tuple(container_interfaces)

    def read(self):
        families = ("ipv4", "ipv6") if (yield ReadFile(_IPV6)) is not None else ("ipv4",)
        found = yield from firewalld_read.read()
        return Reading(
            state=firewalld_state.State(found.policies, found.sets, found.table),
            variant=found.variant,
            reason="firewalld %s runs" % found.version if found.running else "firewalld does not run",
            families=families,
            warnings=tuple(_warnings(found, families)),
            missing=tuple(_missing(found)),
            details=found,
        )

    def render(self, policy, reading):
        if policy is None:
            return firewalld_state.NOTHING
        missing = list(reading.missing)
        if policy.mode == "restrict" and reading.details.nft is None:
            missing.append(errors.missing_tool("nft"))
        if missing:
            raise HostError("This host cannot hold the policy yet: %s. Nothing was changed" % "; ".join(missing))
        return firewalld_state.render(
            policy, reading.families, _names_destinations(reading.details), self.container_interfaces
        )

    def transactions(self, reading, desired):
        return change.commands(reading.details, reading.state, desired)

    def force(self, reading):
        return reading._replace(details=reading.details._replace(forced=True))

    def flushes_others(self, command):
        return change.is_reload(command)

    def describe(self, state):
        return firewalld_state.describe(state)

    def explain(self, command, output):
        return errors.explain(command, output)

    def inspect(self):
        reading = yield from self.read()
        return reading, _facts(reading)

    def dump(self, state):
        return firewalld_state.dump(state)

    def load(self, data):
        return firewalld_state.load(data)

    def stored(self, policy, desired, reading):
        """firewalld begins with its own files; what loads the table is ours."""
        wanted = firewalld_files.files(desired) if policy is not None else {}
        paths = sorted(set(wanted) | set(reading.details.files))
        files = tuple((path, wanted.get(path)) for path in paths)
        if policy is None or desired.table is None:
            return Boot(load="", holds="", files=files) if files else None
        nft = reading.details.nft
        last = nft_table.fallback(policy, reading.families, self.container_interfaces)
        return Boot(
            load=_loading(nft, desired.table),
            holds=_holding(nft, desired.table),
            fallback=_loading(nft, last),
            files=files,
        )


def _loading(nft, table):
    """The shell's words that put the table in place, whatever was there before."""
    return "%s -f - <<'END OF TABLE'\n%sEND OF TABLE" % (nft, nft_table.replacing(table))


def _holding(nft, table):
    """The shell's words that end with code 0 exactly when every chain of the table is there."""
    listing = "%s list chain %s %s %%s >/dev/null 2>&1" % (nft, nft_table.FAMILY, nft_table.NAME)
    return " &&\n".join(listing % chain.name for chain in table.chains)


def _names_destinations(found):
    return firewalld_read.release(found.version) >= firewalld_read.FIRST_WITH_DESTINATION_SETS


def _missing(found):
    if not found.installed:
        return [errors.missing_tool("firewall-cmd")]
    if found.busctl is None:
        return [errors.missing_tool("busctl")]
    if not found.running:
        return [
            "firewalld is installed, but does not run (systemctl unmask firewalld; systemctl enable --now firewalld; "
            "or use backend iptables)"
        ]
    if firewalld_read.release(found.version) < firewalld_read.FIRST_WITH_POLICIES:
        return [
            "firewalld %s is too old: policy objects came with %d.%d. Upgrade it, or stop and mask it and use "
            "backend iptables" % ((found.version,) + firewalld_read.FIRST_WITH_POLICIES)
        ]
    if found.status == "FAILED":
        return [
            "firewalld could not load its own configuration and runs in state FAILED (find the reason with: "
            "firewall-cmd --check-config; journalctl -u firewalld; correct it, then: systemctl restart firewalld)"
        ]
    return []


def _warnings(found, families):
    if "ipv6" not in families:
        yield "this kernel has no IPv6: only IPv4 is handled"
    if found.running and not _missing(found) and not _names_destinations(found):
        yield (
            "firewalld %s cannot name a set as destination (that came with 1.0): nothing is said about outgoing "
            "traffic, which it lets out unless it was told otherwise" % found.version
        )
    state = firewalld_state.State(found.policies, found.sets, found.table)
    if found.lost and change.is_emptied(state):
        yield (
            "firewalld keeps our policy objects, emptied, until its next reload. It was not reloaded for that, since "
            "others would have lost: %s" % "; ".join(found.lost[:20])
        )


def _facts(reading):
    found = reading.details
    rules = []
    for chain, rule, packets, octets in found.counters:
        rules.append(_fact("", "%s %s %s" % (nft_table.FAMILY, nft_table.NAME, chain), rule, packets, octets))
    for name, policy in sorted(found.policies.items()):
        for rule in policy.rules:
            family = "ipv6" if 'family="ipv6"' in rule else "ipv4"
            rules.append(_fact(family, "policy %s" % name, rule, None, None))
    for row in rules:
        row["variant"] = reading.variant
    sets = [
        {
            "name": name,
            "type": value.kind,
            "options": " ".join("%s %s" % pair for pair in value.options),
            "entries": len(value.members),
        }
        for name, value in sorted(found.sets.items())
    ]
    before = [
        {"variant": reading.variant, "family": family, "chain": chain, "rule": rule}
        for family, chain, rule in found.before
    ]
    return {"rules": rules, "sets": sets, "foreign_before": before, "foreign_variants": {}}


def _fact(family, chain, rule, packets, octets):
    return {"family": family, "chain": chain, "rule": rule, "packets": packets, "bytes": octets}
