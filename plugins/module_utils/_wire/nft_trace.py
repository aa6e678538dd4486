# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which rules of nf_tables a marked packet met (nft(8), "meta nftrace"). Pure.

A table of our own tells the kernel to trace the marked packets. It has the first place of its hooks, decides nothing,
and is removed after the trace. The kernel tells about each rule that a traced packet meets, whoever made the rule: nft,
iptables-nft, firewalld or Docker. The rules of iptables-legacy are none of nf_tables, see :mod:`legacy_counters`.
"""

import struct
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.determined.network.plugins.module_utils._sockets import netlink
from ansible_collections.determined.network.plugins.module_utils._wire import marks, packet_filter, packets, sightings

TABLE_PREFIX = "determined_trace_"
GROUP = 9  # NFNLGRP_NFTRACE (linux/netfilter/nfnetlink.h)
_TRACE = 10 << 8 | 17  # NFNL_SUBSYS_NFTABLES, NFT_MSG_TRACE
_GENERAL_HEADER = 4  # bytes of struct nfgenmsg

# enum nft_trace_attributes (linux/netfilter/nf_tables.h)
_TABLE, _CHAIN, _HANDLE, _TYPE, _VERDICT, _ID = 1, 2, 3, 4, 5, 6
_NETWORK_HEADER, _TRANSPORT_HEADER, _FAMILY, _POLICY = 8, 9, 15, 16
_VERDICT_CODE, _VERDICT_CHAIN = 1, 2
_CODE = struct.Struct("!i")
_TYPES = {1: "policy", 2: "return", 3: "rule"}
_FAMILIES = {1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}
_VERDICTS = {
    0: "drop",
    1: "accept",
    2: "stolen",
    3: "queue",
    -1: "continue",
    -2: "break",
    -3: "jump",
    -4: "goto",
    -5: "return",
}
ENDING = ("drop", "accept", "queue", "stolen")  # verdicts after which no more rules of a chain of the kernel follow
_KINDS = {4: packets.IPV4, 6: packets.IPV6}  # by the first four bits of a packet


class Event(NamedTuple):
    """A marked packet met a rule, or came to the end of a chain.

    ``number`` and ``part``: as in a Sighting. ``packet``: tells the packets of one number apart, as each repetition is
    a packet of its own. ``family``: of the packet, "ip" or "ip6", also where the table is of family "inet".
    ``what``: "rule", "policy" (of a base chain) or "return" (the end of another chain). ``handle``: of the rule, 0
    without one. ``verdict``: as in nft(8); ``target``: the chain of a jump.
    """

    number: int
    part: str
    packet: int
    family: str
    table: str
    chain: str
    what: str
    handle: int
    verdict: str
    target: str

    def to_dict(self) -> Dict[str, Any]:
        """Plain data for a module's result."""
        return dict(self._asdict())


def table_name(token: str) -> str:
    """The name of the table of a run."""
    return TABLE_PREFIX + token


def is_own(event: Event) -> bool:
    """Whether an event is of the table of a trace: it shows only that the packet came to this hook."""
    return event.table.startswith(TABLE_PREFIX)


def tells(event: Event) -> bool:
    """Whether an event tells what became of a packet: a rule or a policy that ended it in a chain of the kernel.

    Of our own table the end of a chain does, because it shows that the packet came to this hook. A packet may jump
    through hundreds of chains of firewalld or Kubernetes; these events would only take room.
    """
    return event.what == "policy" if is_own(event) else event.verdict in ENDING


def decisive(events: Sequence[Event]) -> List[Event]:
    """The events that tell what became of each packet, in order.

    Every repetition of a packet takes the same way, so one of them is enough: the last one, because by then the
    neighbours know each other. Of our own table, one event for each hook shows that the packet came there.
    """
    last = {(event.number, event.part): event.packet for event in events}
    found: Dict[Event, None] = {}
    for event in events:
        if last[event.number, event.part] != event.packet:
            continue
        if is_own(event):
            found[event._replace(what="rule", handle=0, verdict="continue")] = None
        elif tells(event):
            found[event] = None
    return list(found)


def table(token: str, mark: marks.Mark) -> str:
    """The commands of nft(8) that add the table of a run."""
    first, last = mark.first_sequence, mark.first_sequence + 0xFFFF
    marked = "meta nftrace set 1"
    rules = "\n".join(
        "    %s %s" % (match, marked)
        for match in (
            "tcp flags & syn == syn tcp sequence %d-%d" % (first, last),
            "tcp flags & ack == ack tcp ackseq %d-%d" % (first, last),
            "meta l4proto udp @th,64,32 %d" % mark.payload_start,
            "meta l4proto { icmp, ipv6-icmp } @th,64,32 %d" % mark.payload_start,
        )
    )
    chains = "\n".join(
        "  chain %s {\n    type filter hook %s priority -350; policy accept;\n%s\n  }" % (hook, hook, rules)
        for hook in ("prerouting", "output")
    )
    return "table inet %s {\n%s\n}\n" % (table_name(token), chains)


def message_filter() -> bytes:
    """The program by which the kernel leaves out the messages that do not tell what became of a packet."""
    return packet_filter.of_messages(_NETWORK_HEADER, _VERDICT)


class Reader:
    """Reads the kernel's messages about traced packets.

    Only the first message of a packet in a base chain holds its headers. Later ones have the same id.
    """

    def __init__(self, mark: marks.Mark) -> None:
        self._mark = mark
        self._packets: Dict[int, Tuple[int, str]] = {}

    def read(self, datagram: bytes) -> List[Event]:
        """The events of one datagram."""
        found = []
        for kind, body in netlink.messages(datagram):
            event = self._event(netlink.attributes(body[_GENERAL_HEADER:])) if kind == _TRACE else None
            if event is not None:
                found.append(event)
        return found

    def _event(self, about: Dict[int, bytes]) -> Optional[Event]:
        if not {_TABLE, _CHAIN, _TYPE, _ID, _FAMILY} <= set(about):
            return None
        packet = _number(about[_ID])
        if _NETWORK_HEADER in about and _TRANSPORT_HEADER in about:
            self._remember(packet, about[_NETWORK_HEADER], about[_TRANSPORT_HEADER])
        what = _TYPES.get(_number(about[_TYPE]))
        if packet not in self._packets or what is None:
            return None
        number, part = self._packets[packet]
        verdict, target = _verdict(about)
        return Event(
            number=number,
            part=part,
            packet=packet,
            family=_FAMILIES.get(_number(about[_FAMILY]), "?"),
            table=netlink.text(about[_TABLE]),
            chain=netlink.text(about[_CHAIN]),
            what=what,
            handle=_number(about.get(_HANDLE, b"\0")),
            verdict=verdict,
            target=target,
        )

    def _remember(self, packet: int, network: bytes, transport: bytes) -> None:
        kind = _KINDS.get(network[0] >> 4) if network else None
        seen = kind and sightings.read(self._mark, kind, network + transport, sightings.IN, "", 0.0)
        if seen:
            self._packets[packet] = (seen.number, seen.part)
        else:  # somebody else traces, too, and the kernel uses an id again after a while
            self._packets.pop(packet, None)


def _verdict(about: Dict[int, bytes]) -> Tuple[str, str]:
    if _VERDICT in about:
        parts = netlink.attributes(about[_VERDICT])
        if len(parts.get(_VERDICT_CODE, b"")) != _CODE.size:
            return "?", ""
        (code,) = _CODE.unpack(parts[_VERDICT_CODE])
        # The upper half holds the error number of a drop, or the number of a queue.
        verdict = _VERDICTS.get(code) or _VERDICTS.get(code & 0xFF, str(code))
        return verdict, netlink.text(parts.get(_VERDICT_CHAIN, b""))
    if _POLICY in about:
        return _VERDICTS.get(_number(about[_POLICY]), "?"), ""
    return "", ""


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big")
