# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ICMP echo (RFC 792, RFC 4443 4.1), by a ping socket where allowed, else by a raw one."""

import os
import select
import socket
import struct
import time

from ansible_collections.determined.network.plugins.module_utils._probe import errors, sockets

ATTEMPTS = 3
_PROTOCOLS = {"ipv4": socket.IPPROTO_ICMP, "ipv6": socket.IPPROTO_ICMPV6}
_REQUEST = {"ipv4": 8, "ipv6": 128}
_REPLY = {"ipv4": 0, "ipv6": 129}
_FIRST_LOOK = 0.1  # seconds
_COOKIE = 8  # bytes that tell our requests from everybody else's


def checksum(data):
    """The internet checksum of RFC 1071 over some bytes -> int."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def build_request(family, identifier, sequence, payload):
    """An echo request; the kernel fills in the checksum of ICMPv6 (RFC 3542 3.1)."""
    header = struct.pack("!BBHHH", _REQUEST[family], 0, 0, identifier, sequence)
    if family == "ipv4":
        header = struct.pack("!BBHHH", _REQUEST[family], 0, checksum(header + payload), identifier, sequence)
    return header + payload


def parse_reply(family, raw, packet):
    """What an ICMP socket received -> the payload of an echo reply, or None for anything else.

    ``raw``: the socket was a raw one, whose IPv4 packets start with their IP header (raw(7)).
    """
    if raw and family == "ipv4" and packet:
        packet = packet[4 * (packet[0] & 15) :]
    if len(packet) < 8 or packet[0] != _REPLY[family]:
        return None
    return packet[8:]


class Echo:
    """Echo requests to one address; :attr:`result` is JSON-ready at any time."""

    def __init__(self, address, source, timeout):
        """``timeout``: seconds for one attempt."""
        self.address, self.source, self.timeout = address, source, timeout
        self.family = "ipv6" if ":" in address else "ipv4"
        self.cookie = os.urandom(_COOKIE)
        self.sent_at = []
        self.sock = None
        self.result = {"answered": None, "milliseconds": None, "reason": ""}
        try:
            self._open()
            self._send()
        except OSError as problem:
            self._fail(problem)

    def _open(self):
        family, protocol = sockets.FAMILIES[self.family], _PROTOCOLS[self.family]
        try:
            self.sock, self.raw = socket.socket(family, socket.SOCK_DGRAM, protocol), False
        except OSError:  # EACCES: the group is not in net.ipv4.ping_group_range (icmp(7))
            self.sock, self.raw = socket.socket(family, socket.SOCK_RAW, protocol), True
        self.sock.setblocking(False)
        if self.source:
            self.sock.bind(sockets.socket_address(self.source, 0))
        self.sock.connect(sockets.socket_address(self.address, 0))

    def _send(self):
        sequence = len(self.sent_at) + 1
        payload = self.cookie + struct.pack("!H", sequence)
        self.sent_at.append(time.monotonic())
        self.sock.send(build_request(self.family, os.getpid() & 0xFFFF, sequence, payload))

    def readable(self):
        """Take what has come; call when the socket is readable."""
        while self.sock is not None:
            try:
                payload = parse_reply(self.family, self.raw, self.sock.recv(2048))
            except BlockingIOError:
                return
            except OSError as problem:
                self._fail(problem)
                return
            if payload is not None and payload[:_COOKIE] == self.cookie and len(payload) == _COOKIE + 2:
                sequence = struct.unpack("!H", payload[_COOKIE:])[0]
                elapsed = time.monotonic() - self.sent_at[sequence - 1]
                self.result = {"answered": True, "milliseconds": round(1000 * elapsed, 3), "reason": ""}
                self.close()

    def tick(self, now):
        """Ask again, or give up, when the time has come; call often."""
        if self.sock is None or now - self.sent_at[-1] < self.timeout:
            return
        if len(self.sent_at) == ATTEMPTS:
            self.result["answered"] = False
            self.result["reason"] = "no answer to %d echo requests" % ATTEMPTS
            self.close()
            return
        try:
            self._send()
        except OSError as problem:
            self._fail(problem)

    def _fail(self, problem):
        words = errors.describe_errno(problem.errno)
        if self.sock is None:
            words += "; an echo request needs root, or a group in net.ipv4.ping_group_range"
        elif not self.sent_at:
            words += "; this host cannot send from %s" % self.source if self.source else ""
        else:
            state, reason = errors.classify(problem.errno, None, "", at_once=True)
            words = "%s: %s" % (state, reason or words)
            self.result["answered"] = False
        self.result["reason"] = words
        self.close()

    def close(self):
        if self.sock is not None:
            self.sock.close()
            self.sock = None


class Echoes:
    """One echo each to some addresses, all at once, beside other work."""

    def __init__(self, pairs, timeout):
        """``pairs``: (address, source or None); ``timeout``: seconds for all attempts together.

        Sends the first requests and waits a moment, so that near hosts are timed exactly.
        """
        self.echoes = {pair: Echo(pair[0], pair[1], timeout / ATTEMPTS) for pair in pairs}
        self.watched = {}
        self.selector = select.poll()  # not select(): descriptors may be above 1023
        for echo in self.echoes.values():
            if echo.sock is not None:
                self.watched[echo.sock.fileno()] = echo
                self.selector.register(echo.sock.fileno(), select.POLLIN)
        until = time.monotonic() + _FIRST_LOOK
        while self.watched and time.monotonic() < until:
            self.poll(_FIRST_LOOK / 4)

    def poll(self, seconds=0.0):
        """Take what has come, repeat what is due; waits at most ``seconds``."""
        if not self.watched:
            return
        for descriptor, _unused in self.selector.poll(1000 * seconds):
            self.watched[descriptor].readable()
        now = time.monotonic()
        for descriptor, echo in list(self.watched.items()):
            echo.tick(now)
            if echo.sock is None:
                self.selector.unregister(descriptor)
                del self.watched[descriptor]

    def finish(self):
        """Wait for the last answers -> ``{(address, source): result}``."""
        while self.watched:
            self.poll(0.02)
        return {pair: echo.result for pair, echo in self.echoes.items()}

    def close(self):
        for echo in self.echoes.values():
            echo.close()
