# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Watch the interfaces of this host for the packets of a run (packet(7)).

What arrives is seen before any firewall of this host, and what leaves only if every firewall of this host let it pass.
"""

import contextlib
import errno
import socket
import time
from typing import Dict, List

from ansible_collections.determined.network.plugins.module_utils._wire import (
    marks,
    packet_filter,
    packet_sockets,
    sightings,
)

MOST_SIGHTINGS = 8192  # of one capture, without repetitions; a packet is seen on each of several interfaces

_TO_ANOTHER_HOST = 3  # PACKET_OTHERHOST: a switch has flooded it, or an interface is promiscuous
_BUFFER = 1 << 20  # bytes
_LONGEST = 256  # bytes of a packet that are read
_MOST_AT_ONCE = 1024  # packets, so that a flood of them keeps the caller from nothing else
_LOOPBACK = "lo"


class Capture:
    """An open capture on all interfaces. ``lost``: how many packets the kernel could not keep for us."""

    def __init__(self, mark: marks.Mark) -> None:
        """Begin to capture. Raises PermissionError without CAP_NET_RAW, and OSError."""
        self._mark = mark
        self._began = time.monotonic()
        self._overrun = 0
        self._found: Dict[sightings.Sighting, sightings.Sighting] = {}
        kinds = socket.htons(packet_sockets.EVERY_KIND)
        self._sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, kinds)
        try:
            packet_sockets.attach(self._sock, packet_filter.of_packets(mark))
            with contextlib.suppress(PermissionError):  # CAP_NET_ADMIN: without it, the buffer stays as it is
                packet_sockets.enlarge_buffer(self._sock, _BUFFER)
            # Packets that came before the socket had its filter are not of this run, whether they were kept or not.
            self.lost()
        except OSError:
            self._sock.close()
            raise

    def fileno(self) -> int:
        """The descriptor, for poll(2)."""
        return self._sock.fileno()

    def receive(self) -> None:
        """Read what has come, or a part of it. Raises OSError when the capture itself is broken."""
        for _unused in range(_MOST_AT_ONCE):
            try:
                packet, origin = self._sock.recvfrom(_LONGEST)
            except BlockingIOError:
                return
            except OSError as problem:
                if problem.errno == errno.ENETDOWN:  # one interface went down; the others go on
                    continue
                raise
            interface, kind, direction = origin[:3]
            if direction == _TO_ANOTHER_HOST or (interface == _LOOPBACK and direction == packet_filter.OUTGOING):
                continue  # on the loopback interface every packet is seen twice
            way = sightings.OUT if direction == packet_filter.OUTGOING else sightings.IN
            since = round((time.monotonic() - self._began) * 1000, 1)
            sighting = sightings.read(self._mark, kind, packet, way, interface, since)
            if sighting is None:
                continue
            if not sightings.add(self._found, sighting, MOST_SIGHTINGS):
                self._overrun += 1

    @property
    def found(self) -> List[sightings.Sighting]:
        """What was seen until now, repetitions counted in one sighting, in the order of their first times."""
        return list(self._found.values())

    def lost(self) -> int:
        """How many packets were lost since the last call, because the buffer or the list of sightings was full."""
        overrun, self._overrun = self._overrun, 0
        return packet_sockets.dropped(self._sock) + overrun

    def close(self) -> None:
        """End the capture."""
        self._sock.close()
