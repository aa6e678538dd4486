# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a packet of a trace is known on every host that it passes. Pure.

A run of traces has a tag, and every packet of the run has a number. A TCP packet carries both in its sequence number,
which stays the same on its whole way, also through address translation (RFC 9293 3.10.7: a SYN/ACK or a reset of a
stack acknowledges it). A datagram and an echo request carry both at the start of their payload. An ICMP error repeats
the start of the packet that it is about (RFC 792, RFC 4443).
"""

import struct
from typing import Optional

MOST_NUMBERS = 0xFFFE  # so that the acknowledgement of the last number has the same tag
_MAGIC = 0xD7E3  # the payload of a datagram starts with it; no protocol that we know starts so
_PAYLOAD = struct.Struct("!HHH")
PAYLOAD_LENGTH = 24  # bytes; a longer echo payload than any stack's minimum, and far below any MTU


class Mark:
    """Makes and reads the marks of one run."""

    def __init__(self, tag: int) -> None:
        """``tag``: 1 to 65535. Raises ValueError for any other number."""
        if not 0 < tag <= 0xFFFF:
            raise ValueError("the tag of a trace is %r, not a number from 1 to 65535" % tag)
        self.tag = tag

    @property
    def first_sequence(self) -> int:
        """The sequence number of packet 0. The last one of the run is 65535 later."""
        return self.tag << 16

    @property
    def payload_start(self) -> int:
        """The first four bytes of every marked payload, as a number in network order."""
        return _MAGIC << 16 | self.tag

    def sequence(self, number: int) -> int:
        """The sequence number of a TCP packet."""
        return self.first_sequence | number

    def payload(self, number: int) -> bytes:
        """The payload of a datagram or of an echo request."""
        return _PAYLOAD.pack(_MAGIC, self.tag, number).ljust(PAYLOAD_LENGTH, b"\0")

    def of_sequence(self, sequence: int) -> Optional[int]:
        """A sequence number -> the number of the packet, None if it has another tag."""
        return sequence & 0xFFFF if sequence >> 16 == self.tag and sequence & 0xFFFF <= MOST_NUMBERS else None

    def of_acknowledgement(self, acknowledgement: int) -> Optional[int]:
        """The acknowledgement of a SYN -> the number of the SYN, None if it has another tag."""
        return self.of_sequence((acknowledgement - 1) & 0xFFFFFFFF)

    def of_payload(self, payload: bytes) -> Optional[int]:
        """A payload -> the number of the packet, None if it is not marked by this run."""
        if len(payload) < _PAYLOAD.size:
            return None
        magic, tag, number = _PAYLOAD.unpack_from(payload)
        return int(number) if (magic, tag) == (_MAGIC, self.tag) and number <= MOST_NUMBERS else None
