# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a captured packet is: which marked packet it belongs to, and which part it plays. Pure."""

import ipaddress
import struct
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Tuple

from ansible_collections.determined.network.plugins.module_utils._wire import marks

IN, OUT = "in", "out"  # from the view of the host that saw the packet

# The parts that a packet can play in a trace.
SYN, SYN_ACK, RESET = "syn", "syn_ack", "reset"
DATAGRAM, ECHO, ECHO_REPLY, ICMP_ERROR = "datagram", "echo", "echo_reply", "icmp_error"
QUESTIONS = (SYN, DATAGRAM, ECHO)
ANSWERS = (SYN_ACK, RESET, ECHO_REPLY, ICMP_ERROR)

_IPV4, _IPV6 = 0x0800, 0x86DD
_ICMP, _TCP, _UDP, _ICMPV6 = 1, 6, 17, 58
_FLAG_SYN, _FLAG_RESET, _FLAG_ACK = 2, 4, 16
_ECHO_KINDS = {(_ICMP, 8): ECHO, (_ICMP, 0): ECHO_REPLY, (_ICMPV6, 128): ECHO, (_ICMPV6, 129): ECHO_REPLY}
_ERRORS = {_ICMP: (3, 11), _ICMPV6: (1, 2, 3, 4)}


class Sighting(NamedTuple):
    """A packet that a host saw on an interface, once or repeatedly.

    ``number``: of the marked packet that it is, or that it answers. ``part``: one of QUESTIONS or ANSWERS. ``way``: IN
    or OUT. ``source_port`` and ``destination_port`` are 0 where the protocol has none. ``about``: what an ICMP error
    says, as (type, code); (0, 0) for other packets. ``milliseconds``: from the beginning of the capture to the first
    time. ``times``: how often.
    """

    number: int
    part: str
    way: str
    interface: str
    source: str
    source_port: int
    destination: str
    destination_port: int
    hop_limit: int
    about: Tuple[int, int]
    milliseconds: float
    times: int = 1

    def to_dict(self) -> Dict[str, Any]:
        """Plain data for a module's result."""
        return dict(self._asdict(), about=list(self.about))


class _Packet(NamedTuple):
    protocol: int
    source: str
    destination: str
    hop_limit: int
    body: bytes


class _Meaning(NamedTuple):
    number: int
    part: str
    ports: Tuple[int, int]
    about: Tuple[int, int] = (0, 0)


def read(
    mark: marks.Mark, kind: int, packet: bytes, way: str, interface: str, milliseconds: float
) -> Optional[Sighting]:
    """A captured packet -> what it is; None if it is not of this run. ``kind``: as in the Ethernet header."""
    headers = _read_headers(kind, packet)
    meaning = headers and _meaning(mark, kind, headers)
    if not headers or not meaning:
        return None
    return Sighting(
        number=meaning.number,
        part=meaning.part,
        way=way,
        interface=interface,
        source=headers.source,
        source_port=meaning.ports[0],
        destination=headers.destination,
        destination_port=meaning.ports[1],
        hop_limit=headers.hop_limit,
        about=meaning.about,
        milliseconds=milliseconds,
    )


def _meaning(mark: marks.Mark, kind: int, packet: _Packet) -> Optional[_Meaning]:
    body = packet.body
    if packet.protocol == _TCP and len(body) >= 14:
        return _of_segment(mark, body)
    if packet.protocol == _UDP and len(body) >= 8:
        number = mark.of_payload(body[8:])
        return None if number is None else _Meaning(number, DATAGRAM, _ports(body))
    if packet.protocol not in _ERRORS or len(body) < 8:
        return None
    echo = _ECHO_KINDS.get((packet.protocol, body[0]))
    if echo:
        number = mark.of_payload(body[8:])
        return None if number is None else _Meaning(number, echo, (0, 0))
    if body[0] not in _ERRORS[packet.protocol]:
        return None
    about = _read_headers(kind, body[8:])
    question = about and _meaning_of_repeated(mark, about)
    return _Meaning(question.number, ICMP_ERROR, (0, 0), (body[0], body[1])) if question else None


def _of_segment(mark: marks.Mark, body: bytes) -> Optional[_Meaning]:
    sequence, acknowledgement = struct.unpack_from("!II", body, 4)
    flags = body[13]
    if flags & _FLAG_ACK:
        number = mark.of_acknowledgement(acknowledgement)
        part = RESET if flags & _FLAG_RESET else SYN_ACK if flags & _FLAG_SYN else ""
    else:
        number, part = mark.of_sequence(sequence), SYN if flags & _FLAG_SYN else ""
    return _Meaning(number, part, _ports(body)) if part and number is not None else None


def _meaning_of_repeated(mark: marks.Mark, packet: _Packet) -> Optional[_Meaning]:
    """The packet that an ICMP error repeats. Routers repeat at least its first eight bytes (RFC 1812 4.3.2.3)."""
    if packet.protocol == _TCP and len(packet.body) >= 8:
        number = mark.of_sequence(struct.unpack_from("!I", packet.body, 4)[0])
    else:
        number = mark.of_payload(packet.body[8:])
    return None if number is None else _Meaning(number, ICMP_ERROR, (0, 0))


def _ports(body: bytes) -> Tuple[int, int]:
    source, destination = struct.unpack_from("!HH", body)
    return int(source), int(destination)


def _read_headers(kind: int, packet: bytes) -> Optional[_Packet]:
    if kind == _IPV4 and len(packet) >= 20 and packet[0] >> 4 == 4:
        start = 4 * (packet[0] & 15)
        is_later_fragment = struct.unpack_from("!H", packet, 6)[0] & 0x1FFF  # such a one has no header of its own
        if start < 20 or is_later_fragment:
            return None
        ends = [str(ipaddress.IPv4Address(packet[place : place + 4])) for place in (12, 16)]
        return _Packet(packet[9], ends[0], ends[1], packet[8], packet[start:])
    if kind == _IPV6 and len(packet) >= 40 and packet[0] >> 4 == 6:
        ends = [str(ipaddress.IPv6Address(packet[place : place + 16])) for place in (8, 24)]
        return _Packet(packet[6], ends[0], ends[1], packet[7], packet[40:])
    return None


def from_dict(item: Dict[str, Any]) -> Sighting:
    """What :meth:`Sighting.to_dict` made -> the sighting."""
    return Sighting(**dict(item, about=tuple(item["about"])))


def without_time(sighting: Sighting) -> Sighting:
    """What repetitions of a packet have in common."""
    return sighting._replace(milliseconds=0.0, times=1)


def merge(found: Iterable[Sighting]) -> List[Sighting]:
    """Sightings that differ in their time only become one, in the order of their first times."""
    merged: Dict[Sighting, Sighting] = {}
    for sighting in found:
        key = without_time(sighting)
        known = merged.get(key)
        merged[key] = known._replace(times=known.times + sighting.times) if known else sighting
    return list(merged.values())
