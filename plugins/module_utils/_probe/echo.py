# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ICMP echo (RFC 792, RFC 4443 4.1): by a ping socket if that is permitted, otherwise by a raw one."""

import os
import select
import socket
import struct
import time
from typing import Any, Dict, Iterable, List, Optional, Tuple

from ansible_collections.determined.network.plugins.module_utils._sockets import checksum, errors, sockets

ATTEMPTS = 3
_PROTOCOLS = {"ipv4": socket.IPPROTO_ICMP, "ipv6": socket.IPPROTO_ICMPV6}
_REQUEST = {"ipv4": 8, "ipv6": 128}
_REPLY = {"ipv4": 0, "ipv6": 129}
_FIRST_WAIT = 0.1  # seconds
_COOKIE = 8  # bytes that mark our requests
_BURST = 64  # packets read at once, so that a flood does not keep the probe from its other work


def build_request(family: str, identifier: int, sequence: int, payload: bytes) -> bytes:
    """An echo request; the kernel fills in the checksum of ICMPv6 (RFC 3542 3.1)."""
    header = struct.pack("!BBHHH", _REQUEST[family], 0, 0, identifier, sequence)
    if family == "ipv4":
        header = struct.pack("!BBHHH", _REQUEST[family], 0, checksum.of(header + payload), identifier, sequence)
    return header + payload


def parse_reply(family: str, raw: bool, packet: bytes) -> Optional[bytes]:
    """The payload of an echo reply, or None for any other packet.

    ``raw``: the socket is a raw one, whose IPv4 packets start with their IP header (raw(7)).
    """
    if raw and family == "ipv4" and packet:
        packet = packet[4 * (packet[0] & 15) :]
    if len(packet) < 8 or packet[0] != _REPLY[family]:
        return None
    return packet[8:]


class Echo:
    """Echo requests to one address; :attr:`result` is ready for JSON at any time."""

    def __init__(self, address: str, source: Optional[str], timeout: float) -> None:
        """Send the first request. ``timeout``: seconds for one attempt."""
        self.address, self.source, self.timeout = address, source, timeout
        self.family = "ipv6" if ":" in address else "ipv4"
        self.cookie = os.urandom(_COOKIE)
        self.sent_at: List[float] = []
        self.sock: Optional[socket.socket] = None
        self.raw = False
        self.result: Dict[str, Any] = {"answered": None, "milliseconds": None, "reason": ""}
        try:
            self.sock = self._open()
            self._connect(self.sock)
            self._send(self.sock)
        except OSError as problem:
            self._fail(problem)

    def _open(self) -> socket.socket:
        family, protocol = sockets.FAMILIES[self.family], _PROTOCOLS[self.family]
        try:
            return socket.socket(family, socket.SOCK_DGRAM, protocol)
        except OSError:  # EACCES: the group is not in net.ipv4.ping_group_range (icmp(7))
            self.raw = True
            return socket.socket(family, socket.SOCK_RAW, protocol)

    def _connect(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        if self.source:
            sock.bind(sockets.socket_address(self.source, 0))
        sock.connect(sockets.socket_address(self.address, 0))

    def _send(self, sock: socket.socket) -> None:
        sequence = len(self.sent_at) + 1
        payload = self.cookie + struct.pack("!H", sequence)
        self.sent_at.append(time.monotonic())
        sock.send(build_request(self.family, os.getpid() & 0xFFFF, sequence, payload))

    def readable(self) -> None:
        """Read what has come. Call this when the socket is readable."""
        for _unused in range(_BURST):
            if self.sock is None:
                return
            try:
                payload = parse_reply(self.family, self.raw, self.sock.recv(2048))
            except BlockingIOError:
                return
            except OSError as problem:
                self._fail(problem)
                return
            if payload is not None and payload[:_COOKIE] == self.cookie and len(payload) == _COOKIE + 2:
                sequence = struct.unpack("!H", payload[_COOKIE:])[0]
                if not 1 <= sequence <= len(self.sent_at):
                    continue  # whoever answers may have changed it
                elapsed = time.monotonic() - self.sent_at[sequence - 1]
                self.result = {"answered": True, "milliseconds": round(1000 * elapsed, 3), "reason": ""}
                self.close()

    def retry_if_due(self, now: float) -> None:
        """Send the next request, or end the last attempt, if its time is over. Call this often."""
        if self.sock is None or now - self.sent_at[-1] < self.timeout:
            return
        if len(self.sent_at) == ATTEMPTS:
            self.result["answered"] = False
            self.result["reason"] = "no answer to %d echo requests" % ATTEMPTS
            self.close()
            return
        try:
            self._send(self.sock)
        except OSError as problem:
            self._fail(problem)

    def _fail(self, problem: OSError) -> None:
        number = problem.errno or 0
        reason = errors.describe_errno(number)
        if self.sock is None:
            reason += "; an echo request needs root, or a group in net.ipv4.ping_group_range"
        elif not self.sent_at:
            reason += "; this host cannot send from %s" % self.source if self.source else ""
        else:
            finding = errors.classify(number, None, "", at_once=True)
            reason = "%s: %s" % (finding.state, finding.reason or reason)
            self.result["answered"] = False
        self.result["reason"] = reason
        self.close()

    def close(self) -> None:
        """Close the socket; no further request is sent."""
        if self.sock is not None:
            self.sock.close()
            self.sock = None


class Echoes:
    """One echo to each of several addresses, all at the same time and beside other work."""

    def __init__(self, pairs: Iterable[Tuple[str, Optional[str]]], timeout: float) -> None:
        """Send the first requests, and wait a moment so that the times of near hosts are exact.

        ``pairs``: (address, source or None). ``timeout``: seconds for all attempts together.
        """
        self.echoes = {pair: Echo(pair[0], pair[1], timeout / ATTEMPTS) for pair in pairs}
        self.in_flight: Dict[int, Echo] = {}  # by file descriptor
        self.selector = select.poll()  # select() does not take descriptors above 1023
        for echo in self.echoes.values():
            if echo.sock is not None:
                self.in_flight[echo.sock.fileno()] = echo
                self.selector.register(echo.sock.fileno(), select.POLLIN)
        until = time.monotonic() + _FIRST_WAIT
        while self.in_flight and time.monotonic() < until:
            self.poll(_FIRST_WAIT / 4)

    def poll(self, seconds: float = 0.0) -> None:
        """Read what has come and send the requests that are due. Waits for at most ``seconds``."""
        if not self.in_flight:
            return
        for descriptor, _unused in self.selector.poll(1000 * seconds):
            self.in_flight[descriptor].readable()
        now = time.monotonic()
        for descriptor, echo in list(self.in_flight.items()):
            echo.retry_if_due(now)
            if echo.sock is None:
                self.selector.unregister(descriptor)
                del self.in_flight[descriptor]

    def finish(self) -> Dict[Tuple[str, Optional[str]], Dict[str, Any]]:
        """Wait for the last answers, and return the result for each pair of address and source."""
        while self.in_flight:
            self.poll(0.02)
        return {pair: echo.result for pair, echo in self.echoes.items()}

    def close(self) -> None:
        """Close all sockets."""
        for echo in self.echoes.values():
            echo.close()
