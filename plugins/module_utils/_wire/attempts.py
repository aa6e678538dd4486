# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The attacks of one host on many others: few frames for each, all at the same time.

Every attack on a link is framed by a control: before and after it, the attacked address must answer an echo request
that is sent in the same way. Its hop limit is 1, so no router passes it on.

- The middle of a connection: an ACK that a stack drops without a reset, a reply with the address of the attacked host
  itself as its source, and a SYN with the same ports. Connection tracking that believes the first two calls the SYN a
  part of an established connection. A SYN alone, from another port, tells whether the port is open anyway.
- A SYN to a container's address, sent to the attacked host as if it were the router to it.
- A datagram that bears the address of the attacked host itself as its source.
- A datagram of this host.

At the end each connection is reset, so that neither host keeps anything of it. Neither routes nor neighbours of this
host are changed: who has an address on the link is asked by frames, too.
"""

import os
import select
import socket
import struct
import time
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.determined.network.plugins.module_utils._sockets import errors, proof, sockets
from ansible_collections.determined.network.plugins.module_utils._wire import kernel, packets
from ansible_collections.determined.network.plugins.module_utils._wire import link as links
from ansible_collections.determined.network.plugins.module_utils._wire import target as targets

AT_ONCE = 64  # addresses that are attacked at the same time
ATTEMPTS = 3  # of each attack, because nobody reports a lost frame
_PAUSE = 0.1  # seconds between them
_QUESTION_SECONDS = 0.4  # how long a neighbour or a control may take, each of ATTEMPTS times
_ANSWER_SECONDS = 0.3  # how long the answers to the last attempt may take, before the second control is asked
_UNCHANGED_LIMITS = (64, 128, 255)  # hop limits with which systems send
_SYN_ACK = packets.SYN | packets.ACK


class _Answer(NamedTuple):
    """By which an answer is known. Hosts may have containers with the same address, but each SYN has a number of its
    own."""

    flow: packets.Flow
    acknowledgement: int


class _Expected(NamedTuple):
    """Whose answer an attack waits for. ``container``: "" for the attacked host itself. ``is_plain``: the SYN was sent
    without the middle of a connection."""

    line: "_Line"
    container: str
    is_plain: bool


class _Line:
    """The way of frames to one target."""

    def __init__(self, outcome: targets.Outcome, link: links.Link, route: kernel.Route) -> None:
        self.outcome, self.link, self.route = outcome, link, route
        self.address = outcome.target.address
        self.hardware = b""
        self.identifier = struct.unpack("=H", os.urandom(2))[0]
        self.cookie = os.urandom(16)
        self.hop_limit = 0  # with which the target's own packets come

    def send(self, packet: bytes) -> None:
        """Send a packet to the target's hardware. A problem is remembered."""
        try:
            self.link.send(packets.kind_of(self.address), self.hardware, packet)
        except OSError as problem:
            self.outcome.reason = self.outcome.reason or "%s: %s" % (self.link.name, _reason(problem))

    def ask_neighbour(self) -> None:
        """Ask the link who has the target's address."""
        own = self.route.source
        try:
            if packets.kind_of(self.address) == packets.IPV4:
                question = packets.arp_request(own, self.link.hardware, self.address)
                self.link.send(packets.ARP, packets.BROADCAST, question)
            else:
                question = packets.solicitation(own, self.link.hardware, self.address)
                self.link.send(packets.IPV6, packets.solicited_hardware(self.address), question)
        except OSError as problem:
            self.outcome.reason = "%s: %s" % (self.link.name, _reason(problem))

    def ask_echo(self) -> None:
        """Send the control."""
        self.send(packets.echo_request(self.route.source, self.address, self.identifier, self.cookie))

    def read(self, kind: int, packet: bytes) -> None:
        """Take a packet that may be an answer to one of these questions."""
        neighbour = packets.read_neighbour(kind, packet)
        if neighbour is not None and neighbour.address == self.address:
            self.hardware = self.hardware or neighbour.hardware
        reply = packets.read_echo_reply(kind, packet)
        if reply is not None and (reply.source, reply.payload) == (self.address, self.cookie):
            self.hop_limit = reply.hop_limit
            self.outcome.answered_after = self.outcome.answered_before
            self.outcome.answered_before = True
        if packets.read_exceeded(kind, packet) == packets.Echo(self.address, self.identifier):
            self.outcome.link = targets.OTHER_LINK
            self.outcome.reason = "a router answers for this address on the link of %s" % self.link.name

    @property
    def is_reached(self) -> bool:
        """Whether frames reach the hardware of the target itself, as far as it is known."""
        return self.outcome.link == targets.SAME_LINK


class Batch:
    """The attacks of this host. ``secret``: of the verification run, see :mod:`proof`."""

    def __init__(self, secret: str) -> None:
        self._proof = proof.Proof(secret)
        self._links: Dict[int, links.Link] = {}
        self._ports: Dict[str, List[socket.socket]] = {}  # own address -> sockets that reserve local ports
        self._expected: Dict[_Answer, _Expected] = {}
        self._lines: List[_Line] = []
        self.frames = 0

    def run(self, wanted: Sequence[targets.Target]) -> List[targets.Outcome]:
        """Attack all targets -> their outcomes, in the same order."""
        outcomes = [targets.Outcome(target) for target in wanted]
        for start in range(0, len(outcomes), AT_ONCE):
            try:
                self._run_wave(outcomes[start : start + AT_ONCE])
            finally:
                self._close()
        return outcomes

    def _run_wave(self, outcomes: Sequence[targets.Outcome]) -> None:
        for outcome in outcomes:
            line = self._line(outcome)
            if line is not None:
                self._lines.append(line)
        self._ask(lambda: [line for line in self._lines if not line.hardware], _Line.ask_neighbour)
        lines = self._lines
        for line in lines:
            _judge_link(line)
        self._ask(
            lambda: [line for line in lines if line.is_reached and not line.outcome.answered_before], _Line.ask_echo
        )
        # Without the control nothing would be shown, so nothing is sent.
        lines = [line for line in lines if line.outcome.answered_before]
        resets = []
        for number in range(ATTEMPTS):
            for line in lines:
                resets += self._attack(line, number)
            for outcome in outcomes:
                self._send_datagrams(outcome)
            self._receive(_PAUSE, lambda: False)
        self._receive(_ANSWER_SECONDS, lambda: False)
        for line in lines:
            line.cookie = os.urandom(16)  # an answer to an earlier request is none to this one
        self._ask(lambda: [line for line in lines if not line.outcome.answered_after], _Line.ask_echo)
        for line, packet in resets:
            line.send(packet)
        for link in self._links.values():
            lost = link.lost()
            for line in self._lines:
                if line.link is link:
                    line.outcome.lost = lost

    def _line(self, outcome: targets.Outcome) -> Optional[_Line]:
        """The way to a target; None, with the reason in the outcome, if frames cannot be sent there."""
        target = outcome.target
        if not (target.tcp_port or target.forged or target.containers):
            return None
        try:
            route = kernel.route(target.address)
            if route.interface not in self._links:
                self._links[route.interface] = links.Link(route.interface)
        except PermissionError:
            outcome.link = targets.NOT_PERMITTED
            outcome.reason = "sending frames needs root (become: true)"
            return None
        except OSError as problem:
            outcome.reason = _reason(problem)
            return None
        link = self._links[route.interface]
        if not link.hardware:
            outcome.link = targets.OTHER_LINK
            outcome.reason = "its interface %s is no Ethernet" % link.name
            return None
        return _Line(outcome, link, route)

    def _ask(self, remaining: Callable[[], List[_Line]], question: Callable[[_Line], None]) -> None:
        """Ask a question of all lines that remain, a few times."""
        for _unused in range(ATTEMPTS):
            for line in remaining():
                question(line)
            self._receive(_QUESTION_SECONDS, lambda: not remaining())

    def _attack(self, line: _Line, number: int) -> List[Tuple[_Line, bytes]]:
        """Send the frames of one attempt -> those that end it. ``number``: of the attempt."""
        target = line.outcome.target
        own, plain = [packets.End(line.route.source, port) for port in self._reserved(line.route.source, number)]
        resets = []
        if target.tcp_port:
            victim = packets.End(line.address, target.tcp_port)
            resets.append(self._send_syn(line, packets.Flow(plain, victim), is_plain=True))
            flow = packets.Flow(own, victim)
            sequence, acknowledgement = struct.unpack("=II", os.urandom(8))
            line.send(packets.tcp(flow, packets.ACK, sequence, acknowledgement, packets.MD5_OPTION))
            # A host that forwards packets would pass the reply on to this host, whose stack would reset the connection.
            # So its hop limit is used up when connection tracking has seen it.
            line.send(packets.tcp(flow.back(), packets.ACK, acknowledgement, sequence))
            resets.append(self._send_syn(line, flow))
        for container in target.containers:
            flow = packets.Flow(own, packets.End(container, target.container_port))
            resets.append(self._send_syn(line, flow, container))
        for forged in target.forged:
            # Not the same port at both ends: connection tracking would take the second datagram for an answer to the
            # first.
            flow = packets.Flow(packets.End(line.address, own.port), packets.End(line.address, forged.port))
            line.send(packets.udp(flow, self._proof.marked(forged.mark)))
        return resets

    def _send_syn(
        self, line: _Line, flow: packets.Flow, container: str = "", is_plain: bool = False
    ) -> Tuple[_Line, bytes]:
        sequence = struct.unpack("=I", os.urandom(4))[0]
        following = (sequence + 1) & 0xFFFFFFFF
        self._expected[_Answer(flow.back(), following)] = _Expected(line, container, is_plain)
        limit = packets.ROUTED if container else packets.ON_LINK
        line.send(packets.tcp(flow, packets.SYN, sequence, hop_limit=limit))
        return line, packets.tcp(flow, packets.RST, following, hop_limit=limit)

    def _reserved(self, own: str, number: int) -> List[int]:
        """Two local ports for an attempt, which nobody else has until the end of the wave."""
        kept = self._ports.setdefault(own, [])
        while len(kept) < 2 * (number + 1):
            sock = socket.socket(sockets.FAMILIES["ipv6" if ":" in own else "ipv4"], socket.SOCK_STREAM)
            kept.append(sock)
            sock.bind((own, 0))
        return [int(sock.getsockname()[1]) for sock in kept[2 * number : 2 * (number + 1)]]

    def _send_datagrams(self, outcome: targets.Outcome) -> None:
        address = outcome.target.address
        for datagram in outcome.target.datagrams:
            try:
                with socket.socket(sockets.FAMILIES["ipv6" if ":" in address else "ipv4"], socket.SOCK_DGRAM) as sock:
                    sock.sendto(self._proof.marked(datagram.mark), (address, datagram.port))
            except OSError as problem:
                outcome.datagram_problem = _reason(problem)

    def _receive(self, seconds: float, is_done: Callable[[], bool]) -> None:
        """Read what comes within some seconds, or until something is done."""
        poll = select.poll()
        for link in self._links.values():
            poll.register(link.fileno(), select.POLLIN)
        end = time.monotonic() + seconds
        while not is_done():
            remaining = end - time.monotonic()
            if remaining <= 0:
                return
            if poll.poll(1000 * remaining):
                for link in self._links.values():
                    self._read(link)

    def _read(self, link: links.Link) -> None:
        mine = [line for line in self._lines if line.link is link]
        try:
            for kind, packet in link.receive():
                segment = packets.read_segment(kind, packet)
                if segment is not None:
                    self._take_segment(segment)
                    continue
                for line in mine:
                    line.read(kind, packet)
        except OSError as problem:
            for line in mine:
                line.outcome.reason = "%s: %s" % (link.name, _reason(problem))

    def _take_segment(self, segment: packets.Segment) -> None:
        expected = self._expected.get(_Answer(segment.flow, segment.acknowledgement))
        if expected is None:
            return
        outcome = expected.line.outcome
        accepts = segment.flags & _SYN_ACK == _SYN_ACK
        if not expected.container:
            outcome.connected = outcome.connected or accepts
            outcome.open = outcome.open or (accepts and expected.is_plain)
            return
        # The attacked host passes on what the container sends, and so lowers the hop limit. A reset of the attacked
        # host's own firewall still has the limit with which it was sent.
        resets = segment.flags & packets.RST and segment.hop_limit not in (*_UNCHANGED_LIMITS, expected.line.hop_limit)
        if (accepts or resets) and expected.container not in outcome.containers:
            outcome.containers.append(expected.container)

    def _close(self) -> None:
        for sock in [sock for kept in self._ports.values() for sock in kept]:
            sock.close()
        for link in self._links.values():
            self.frames += link.sent
            link.close()
        self._links, self._ports, self._expected, self._lines = {}, {}, {}, []


def _judge_link(line: _Line) -> None:
    """Tell by the outcome whether frames reach the target's hardware, or why they do not."""
    outcome = line.outcome
    if line.hardware:
        outcome.link = targets.SAME_LINK
    elif line.route.gateway:
        outcome.link = targets.OTHER_LINK
        outcome.reason = outcome.reason or "it reaches this address through the router %s" % line.route.gateway
    else:
        outcome.reason = outcome.reason or "nobody on the link of %s answers for this address" % line.link.name


def _reason(problem: OSError) -> str:
    return errors.describe_errno(problem.errno) if problem.errno else str(problem)
