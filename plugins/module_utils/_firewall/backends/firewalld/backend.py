# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The backend ``firewalld``: policy objects and ipsets of our own, and an nft table for mode ``restrict``.

Our objects in firewalld only accept, and the nft table only drops. Both modes have the same meaning as with iptables:
what the cluster requires is accepted before the host's own zones apply. In ``restrict``, everything is dropped that
neither the cluster nor the host needs. The host's zones decide about management, ICMP, DHCP and established
connections. The table does not belong to firewalld: it stays while firewalld reloads, restarts or fails. It also
covers the ports that containers publish, which firewalld accepts whatever its policies say
(``ct status dnat accept``).
"""

from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

from ansible_collections.determined.network.plugins.module_utils._firewall.backends import ownership
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.base import (
    Backend,
    Boot,
    Facts,
    Reading,
)
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld import (
    change,
    errors,
    foreign,
    nft_table,
)
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld.facts import facts
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld.files import (
    FOLDERS,
    files,
)
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld.read import (
    FIRST_WITH_DESTINATION_SETS,
    FIRST_WITH_POLICIES,
    Found,
    read,
    release,
)
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld.state import (
    NOTHING,
    State,
    describe,
    dump,
    load,
    render,
)
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.forwarding import (
    PATTERNS_ONLY,
    Forwarding,
)
from ansible_collections.determined.network.plugins.module_utils._host.commands import (
    Command,
    Conversation,
    HostError,
    Output,
    ReadFile,
)
from ansible_collections.determined.network.plugins.module_utils._policy import HostPolicy

_IPV6 = "/proc/sys/net/ipv6/conf/all/disable_ipv6"
_SHOWN_SETTINGS = 20


class Firewalld(Backend):
    """See :class:`Backend`. ``container_interfaces``: patterns for the interfaces of this host's containers.
    ``forwarding``: a Forwarding.

    The state is a :class:`State`, the details of a Reading are a :class:`Found`.
    """

    name = "firewalld"
    programs = ("busctl", "nft", "sh")
    folders = tuple(sorted(FOLDERS.values()))

    def __init__(self, container_interfaces: Sequence[str] = (), forwarding: Forwarding = PATTERNS_ONLY) -> None:
        self.container_interfaces = tuple(container_interfaces)
        self.forwarding = forwarding

    def read(self) -> Conversation[Reading]:
        has_ipv6 = (yield from ReadFile(_IPV6).ask()) is not None
        found = yield from read()
        return Reading(
            state=_state(found),
            variant=found.variant,
            reason="firewalld %s runs" % found.version if found.running else "firewalld does not run",
            families=("ipv4", "ipv6") if has_ipv6 else ("ipv4",),
            warnings=tuple(_warnings(found, has_ipv6)),
            missing=tuple(_missing(found)),
            details=found,
        )

    def render(self, policy: Optional[HostPolicy], reading: Reading) -> State:
        if policy is None:
            return NOTHING
        found: Found = reading.details
        missing = list(reading.missing)
        if policy.mode == "restrict" and found.nft is None:
            missing.append(errors.missing_tool("nft"))
        if missing:
            raise HostError("This host cannot hold the policy yet: %s. Nothing was changed" % "; ".join(missing))
        outbound = _has_destination_sets(found)
        desired = render(policy, reading.families, outbound, self.container_interfaces, self.forwarding)
        in_the_way = foreign.in_the_way_of(desired, found)
        if in_the_way:
            raise HostError(ownership.refusal(in_the_way))
        return desired

    def transactions(self, reading: Reading, desired: State) -> List[Command]:
        return change.commands(reading.details, reading.state, desired)

    def force(self, reading: Reading) -> Reading:
        found: Found = reading.details
        return reading._replace(details=found._replace(forced=True))

    def flushes_others(self, command: Command) -> bool:
        return change.is_reload(command)

    def describe(self, state: State) -> str:
        return describe(state)

    def explain(self, command: Command, output: Output) -> str:
        return errors.explain(command, output)

    def inspect(self) -> Conversation[Tuple[Reading, Facts]]:
        reading = yield from self.read()
        return reading, facts(reading.details)

    def dump(self, state: State) -> Dict[str, Any]:
        return dump(state)

    def load(self, data: Dict[str, Any]) -> State:
        return load(data)

    def stored(self, policy: Optional[HostPolicy], desired: State, reading: Reading) -> Optional[Boot]:
        """firewalld loads its own files at boot. The shell scripts of the Boot load the nft table."""
        found: Found = reading.details
        wanted = files(desired) if policy is not None else {}
        stored = tuple((path, wanted.get(path)) for path in sorted(set(wanted) | set(found.files)))
        if policy is None or desired.table is None or found.nft is None:
            return Boot(load="", holds="", files=stored) if stored else None
        fallback = nft_table.fallback(policy, reading.families, self.container_interfaces, self.forwarding)
        return Boot(
            load=_load_script(found.nft, desired.table),
            holds=_check_script(found.nft, desired.table),
            fallback=_load_script(found.nft, fallback),
            files=stored,
        )


def _load_script(nft: str, table: nft_table.Table) -> str:
    """The shell script that puts the table in place, whatever was there before."""
    return "%s -f - <<'END OF TABLE'\n%sEND OF TABLE" % (nft, nft_table.replacing(table))


def _check_script(nft: str, table: nft_table.Table) -> str:
    """The shell script that ends with code 0 exactly when all chains of the table exist."""
    listing = "%s list chain %s %s %%s >/dev/null 2>&1" % (nft, nft_table.FAMILY, nft_table.NAME)
    return " &&\n".join(listing % chain.name for chain in table.chains)


def _state(found: Found) -> State:
    return State(found.policies, found.sets, found.table)


def _has_destination_sets(found: Found) -> bool:
    return release(found.version) >= FIRST_WITH_DESTINATION_SETS


def _missing(found: Found) -> List[str]:
    """Sentences that say why firewalld cannot hold a policy; empty if it can."""
    if not found.installed:
        return [errors.missing_tool("firewall-cmd")]
    if found.busctl is None:
        return [errors.missing_tool("busctl")]
    if not found.running:
        return [
            "firewalld is installed, but does not run (start it: systemctl unmask firewalld; systemctl enable --now "
            "firewalld; or use backend iptables)"
        ]
    if release(found.version) < FIRST_WITH_POLICIES:
        return [
            "firewalld %s is too old: release %d.%d is the first with policy objects. Upgrade firewalld, or stop and "
            "mask it and use backend iptables" % ((found.version,) + FIRST_WITH_POLICIES)
        ]
    if found.status == "FAILED":
        return [
            "firewalld could not load its own configuration and runs in state FAILED (find the reason with: "
            "firewall-cmd --check-config; journalctl -u firewalld; correct it, then: systemctl restart firewalld)"
        ]
    return []


def _warnings(found: Found, has_ipv6: bool) -> Iterator[str]:
    if not has_ipv6:
        yield "this kernel has no IPv6: only IPv4 is handled"
    if found.running and not _missing(found) and not _has_destination_sets(found):
        yield (
            "firewalld %s cannot use an ipset as a destination (release %d.%d is the first that can). Therefore no "
            "rules for outgoing traffic are written. firewalld permits it, unless somebody configured otherwise"
            % ((found.version,) + FIRST_WITH_DESTINATION_SETS)
        )
    yield from ownership.warnings(foreign.all_objects(found))
    if found.lost and change.is_emptied(_state(found)):
        yield (
            "firewalld keeps our policy objects, without rules, until its next reload. It was not reloaded now, "
            "because a reload would lose foreign settings: %s" % "; ".join(found.lost[:_SHOWN_SETTINGS])
        )
