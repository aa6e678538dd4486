# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a captured packet is: which marked packet it belongs to, and which part it plays. Pure."""

import struct
from typing import Any, Dict, NamedTuple, Optional, Tuple

from ansible_collections.determined.network.plugins.module_utils._wire import marks, packets

IN, OUT = "in", "out"  # from the view of the host that saw the packet

# The parts that a packet can play in a trace.
SYN, SYN_ACK, RESET = "syn", "syn_ack", "reset"
DATAGRAM, ECHO, ECHO_REPLY, ICMP_ERROR = "datagram", "echo", "echo_reply", "icmp_error"
QUESTIONS = (SYN, DATAGRAM, ECHO)
ANSWERS = (SYN_ACK, RESET, ECHO_REPLY, ICMP_ERROR)

_ECHO_KINDS = {
    (packets.ICMP, 8): ECHO,
    (packets.ICMP, 0): ECHO_REPLY,
    (packets.ICMPV6, 128): ECHO,
    (packets.ICMPV6, 129): ECHO_REPLY,
}
_ERRORS = {packets.ICMP: (3, 11), packets.ICMPV6: (1, 2, 3, 4)}


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


class _Meaning(NamedTuple):
    number: int
    part: str
    ports: Tuple[int, int]
    about: Tuple[int, int] = (0, 0)


def read(
    mark: marks.Mark, kind: int, packet: bytes, way: str, interface: str, milliseconds: float
) -> Optional[Sighting]:
    """A captured packet -> what it is; None if it is not of this run. ``kind``: as in the Ethernet header."""
    headers = packets.read_headers(kind, packet)
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


def _meaning(mark: marks.Mark, kind: int, packet: packets.Headers) -> Optional[_Meaning]:
    body = packet.body
    if packet.protocol == packets.TCP and len(body) >= 14:
        return _of_segment(mark, body)
    if packet.protocol == packets.UDP and len(body) >= 8:
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
    about = packets.read_headers(kind, body[8:])
    question = about and _meaning_of_repeated(mark, about)
    return _Meaning(question.number, ICMP_ERROR, (0, 0), (body[0], body[1])) if question else None


def _of_segment(mark: marks.Mark, body: bytes) -> Optional[_Meaning]:
    sequence, acknowledgement = struct.unpack_from("!II", body, 4)
    flags = body[13]
    if flags & packets.ACK:
        number = mark.of_acknowledgement(acknowledgement)
        part = RESET if flags & packets.RST else SYN_ACK if flags & packets.SYN else ""
    else:
        number, part = mark.of_sequence(sequence), SYN if flags & packets.SYN else ""
    return _Meaning(number, part, _ports(body)) if part and number is not None else None


def _meaning_of_repeated(mark: marks.Mark, packet: packets.Headers) -> Optional[_Meaning]:
    """The packet that an ICMP error repeats. Routers repeat at least its first eight bytes (RFC 1812 4.3.2.3)."""
    if packet.protocol == packets.TCP and len(packet.body) >= 8:
        number = mark.of_sequence(struct.unpack_from("!I", packet.body, 4)[0])
    else:
        number = mark.of_payload(packet.body[8:])
    return None if number is None else _Meaning(number, ICMP_ERROR, (0, 0))


def _ports(body: bytes) -> Tuple[int, int]:
    source, destination = struct.unpack_from("!HH", body)
    return int(source), int(destination)


def from_dict(item: Dict[str, Any]) -> Sighting:
    """What :meth:`Sighting.to_dict` made -> the sighting."""
    return Sighting(**dict(item, about=tuple(item["about"])))


def without_time(sighting: Sighting) -> Sighting:
    """What repetitions of a packet have in common."""
    return sighting._replace(milliseconds=0.0, times=1)


def add(found: Dict[Sighting, Sighting], sighting: Sighting, most: int) -> bool:
    """Count a sighting among those that were ``found``; False if it is a new one and there are ``most`` already.

    Repetitions of a packet differ in their time only, and become one sighting with the time of the first.
    """
    key = without_time(sighting)
    known = found.get(key)
    if known is None and len(found) >= most:
        return False
    found[key] = known._replace(times=known.times + sighting.times) if known else sighting
    return True
