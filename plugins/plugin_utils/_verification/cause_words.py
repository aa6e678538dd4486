# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sentences about causes, for an administrator: what happens, and what to do. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ansible_collections.determined.network.plugins.module_utils._internet import targets as internet_targets
from ansible_collections.determined.network.plugins.plugin_utils._verification import stops
from ansible_collections.determined.network.plugins.plugin_utils._verification.cells import Cell
from ansible_collections.determined.network.plugins.plugin_utils._verification.checks import MOST_NAMES
from ansible_collections.determined.network.plugins.plugin_utils._verification.traces import Packet

HOST = internet_targets.HOST
SITE = "ansible-playbook determined.network.site"
ABSENT_REMEDY = (
    "Make sure that Ansible reaches this host (ansible HOST -m ping) and that its tasks above do not fail, and verify "
    "again."
)


class Words(NamedTuple):
    """``sentence``: what happens. ``remedy``: what to do."""

    sentence: str
    remedy: str


class _Owner(NamedTuple):
    """Who makes chains or tables whose names begin with ``start``, and how to change them."""

    start: str
    name: str
    remedy: str


_OWNERS = (
    _Owner("DOCKER", "Docker", "Publish the port with docker run -p, or change the rules of DOCKER-USER."),
    _Owner("FIREWALLD", "firewalld", "Look at the zones and policies: firewall-cmd --list-all-zones."),
    _Owner("F2B-", "fail2ban", "Lift the ban: fail2ban-client unban ADDRESS."),
    _Owner("UFW", "ufw", "Look at the rules: ufw status numbered; then ufw allow or ufw delete."),
    _Owner("KUBE-", "kube-proxy", "Look at the services and network policies of Kubernetes."),
    _Owner("TS-", "Tailscale", "Look at the settings of Tailscale: tailscale debug prefs (NetfilterMode)."),
    _Owner("CALI-", "Calico", "Look at the network policies of Calico."),
    _Owner("CILIUM", "Cilium", "Look at the network policies of Cilium."),
    _Owner("LIBVIRT", "libvirt", "Look at the networks of libvirt: virsh net-list."),
)


def where(place: stops.Place | None) -> tuple[str, str]:
    """A place -> (where it is, the rule verbatim); ("", "") for None."""
    if place is None:
        return "", ""
    parts = [place.program, f"family {place.family}", f"table {place.table}", f"chain {place.chain}"]
    if place.position:
        parts.append(f"rule {place.position}")
    return ", ".join(parts), place.text or "(the rule cannot be shown)"


def describe(stop: stops.Stop, packets: Sequence[Packet], unnamed: str) -> Words:
    """Where packets stopped -> words.

    ``unnamed``: the address from which the source speaks, if a rule of ours stopped it because the inventory does not
    name this address.
    """
    what = _what(packets)
    if stop.kind == stops.HOST_DROPS and stop.place is not None:
        return _host_drops(stop, stop.place, packets, unnamed)
    if stop.kind == stops.LET_IN:
        return _let_in(stop, what)
    if stop.kind == stops.HOST_LOSES:
        why, remedy = _LOSSES[stop.loss]
        return Words(f"{stop.host} loses {what}: {why}.", f"On {stop.host}: {remedy}")
    if stop.kind == stops.NETWORK:
        return _network(stop, packets)
    first = packets[0]
    return {
        stops.HOST_SILENT: Words(
            f"{what} arrives at {stop.host} and passes its rules, but nothing answers.",
            f"Find out which program should answer on {stop.host}, and whether it hangs: ss -lntup.",
        ),
        stops.NO_ROUTE: Words(
            f"{stop.host} cannot send {what}: {stop.error}.",
            f"Correct the routes of {stop.host}: ip route get {first.address}",
        ),
        stops.OTHER_HOST: Words(
            f"{what} arrives at {stop.host}, which is another host.",
            f"Find out whether {first.destination} or {stop.host} has the address {first.address}, and correct "
            "determined_address or the network.",
        ),
        stops.PASSES_NOW: Words(
            f"When it was sent again, {what} was treated as the requirements ask.",
            "Verify again. If the result changes again, something changes the network while it is verified.",
        ),
        stops.UNSEEN: Words(
            f"Where {what} stops is not known, because {stop.host} "
            + ("could not keep all that it saw." if stop.error == stops.INCOMPLETE else "did not watch."),
            ("Verify again. " if stop.error == stops.INCOMPLETE else f"Let Ansible become root on {stop.host}. ")
            + "Otherwise look for a rule in OUTPUT of the source, between the hosts, and in INPUT of the destination.",
        ),
    }[stop.kind]


_LOSSES = {
    stops.BEFORE_FILTER: (
        "it arrives at the interface and never comes to the packet filter",
        "look for a filter of traffic control or a program of XDP: tc filter show dev INTERFACE ingress; ip link show.",
    ),
    stops.CONNTRACK_FULL: (
        "the table of connections is full",
        "raise net.netfilter.nf_conntrack_max, and find out what fills the table: conntrack -L | head.",
    ),
    stops.REVERSE_PATH: (
        "the reverse path filter drops it, because the host would answer over another interface",
        "correct the routes, or set net.ipv4.conf.INTERFACE.rp_filter=2.",
    ),
    stops.NO_ROUTE_IN: (
        "the host has no route for it",
        "look at the routes: ip route show table all.",
    ),
    stops.NO_ROUTE_BACK: (
        "the host has no route back to the source",
        "look at the routes: ip route show table all.",
    ),
    stops.BACKLOG: (
        "the queue of the program that listens there is full",
        "find out why the program does not accept connections: ss -lnt (Recv-Q).",
    ),
    "": (
        "no rule that can be seen stops it",
        "look for what else filters packets: nft list ruleset; iptables-legacy-save; tc filter show; bpftool net.",
    ),
}


def _host_drops(stop: stops.Stop, place: stops.Place, packets: Sequence[Packet], unnamed: str) -> Words:
    what = f"the answer to {_what(packets)}" if stop.back else _what(packets)
    by = "as the counters of its rules say" if place.concluded else "by this rule"
    source = packets[0].source
    if unnamed:
        return Words(
            f"{stop.host} stops {what}, because {source} speaks from {unnamed}, which the inventory does not name.",
            f"Add {unnamed} to determined_address of {source} and run: {SITE}. Or let {source} speak from the address "
            "that the inventory names (ip route get).",
        )
    if stops.is_ours(place):
        return Words(
            f"The firewall that this collection made on {stop.host} stops {what}: it is older than the inventory.",
            f"Run: {SITE}",
        )
    owner = _owner(place)
    sentence = f"{stop.host} stops {what}, {by}{f' of {owner.name}' if owner else ''}."
    if stop.set_up is False:
        return Words(f"{sentence} The firewall of {stop.host} is not set up by this collection.", f"Run: {SITE}")
    return Words(sentence, owner.remedy if owner else _removal(stop.host, place))


def _removal(host: str, place: stops.Place) -> str:
    if place.program.startswith("ip") and place.position:
        family = place.program.partition("-")[0]
        command = f"{family} -w -t {place.table} -D {place.text.partition(' ')[2]}"
        return f"If nobody needs this rule, remove it on {host}: {command}"
    if place.position:
        return f"If nobody needs this rule, remove it on {host}: nft -a list chain {_nft(place)}; nft delete rule ..."
    return f"Add a rule that accepts it on {host}, or ask who made this chain: nft list chain {_nft(place)}"


def _nft(place: stops.Place) -> str:
    return f"{place.family} {place.table} {place.chain}"


def _owner(place: stops.Place) -> _Owner | None:
    texts = (place.chain.upper(), place.table.upper())
    return next((owner for owner in _OWNERS if any(text.startswith(owner.start) for text in texts)), None)


def _let_in(stop: stops.Stop, what: str) -> Words:
    sentence = f"{stop.host} lets in {what}, which must be blocked."
    if stop.set_up is False:
        return Words(f"{sentence} The firewall of {stop.host} is not set up by this collection.", f"Run: {SITE}")
    if stop.place is not None and stops.is_ours(stop.place):
        return Words(sentence, f"The rule is older than the inventory. Run: {SITE}")
    return Words(sentence, f"Find out who made this rule on {stop.host}, and run: {SITE}")


def _network(stop: stops.Stop, packets: Sequence[Packet]) -> Words:
    first = packets[0]
    what, start, end = _what(packets), first.source, first.destination
    if stop.back:
        what, start, end = f"the answer to {what}", end, start
    return Words(
        f"{what[0].upper()}{what[1:]} leaves {start} and never arrives at {end}: the network between them stops it.",
        f"Tell the team of the network or of the cloud: {what} (to the address {first.address}) leaves {start} and "
        f"does not arrive at {end}.",
    )


def describe_outside(cells: Sequence[Cell]) -> Words:
    """Wrong checks of services outside with one cause -> words.

    The evidence of the first one says what failed and what to do, so there is no other remedy.
    """
    sources = _names(dict.fromkeys(cell.source for cell in cells))
    services = _names(dict.fromkeys(cell.destination for cell in cells))
    return Words(f"{sources} to {services}: {'; '.join(cells[0].evidence)}.", "")


def _what(packets: Sequence[Packet]) -> str:
    """ "TCP 1734 and 1750 from agent1 to agent2"."""
    protocols = "/".join(dict.fromkeys(packet.protocol.upper() for packet in packets))
    ports = _names(dict.fromkeys(str(port) for port in sorted({packet.port for packet in packets if packet.port})))
    sources = _names(dict.fromkeys(packet.source for packet in packets))
    destinations = _names(dict.fromkeys(packet.destination for packet in packets))
    return f"{protocols} {ports} from {sources} to {destinations}"


def _names(names: dict[str, None]) -> str:
    shown = list(names)[:MOST_NAMES]
    if len(names) > MOST_NAMES:
        shown.append(f"{len(names) - MOST_NAMES} more")
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)
