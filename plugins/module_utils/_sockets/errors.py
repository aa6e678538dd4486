# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel says about a failed connection, turned into a state and a reason. Pure.

With IP_RECVERR (ip(7)) or IPV6_RECVERR (ipv6(7)) set, the kernel queues a
``struct sock_extended_err`` (linux/errqueue.h) for every ICMP error that a socket receives.
A RST leaves that queue empty. This distinguishes a closed port from a firewall's REJECT, although
``connect`` returns ECONNREFUSED for both.
"""

import errno
import ipaddress
import os
import struct
from typing import NamedTuple, Optional

from ansible_collections.determined.network.plugins.module_utils import _socket_states

ORIGIN_ICMP = 2  # SO_EE_ORIGIN_ICMP
ORIGIN_ICMP6 = 3  # SO_EE_ORIGIN_ICMP6

# This host lacks something that a new socket needs, so no packet was sent. A later attempt may succeed.
SHORTAGES = frozenset(
    (
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOBUFS,
        errno.ENOMEM,
        errno.EAGAIN,
        errno.EADDRNOTAVAIL,  # every local port towards this address and port is in use
        errno.EADDRINUSE,
    )
)
# A blackhole route answers EINVAL, a kernel without IPv6 answers EAFNOSUPPORT.
_NO_ROUTE = frozenset(
    (
        errno.ENETUNREACH,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.EHOSTDOWN,
        errno.EINVAL,
        errno.EAFNOSUPPORT,
    )
)

# Causes of a finding, for decisions; the reason is the same for people.
OWN_FIREWALL = "own_firewall"
OWN_UNREACHABLE = "own_unreachable"  # this host's firewall answers with "host unreachable", as a router does
NO_NEIGHBOUR = "no_neighbour"

OWN_FIREWALL_REASON = "this host's own firewall"
_NO_NEIGHBOUR_REASON = "the neighbour does not answer ARP or neighbour discovery"

# RFC 792, RFC 1122 3.2.2.1, RFC 1812 5.2.7.1
_ICMP = {
    (3, 0): "network unreachable",
    (3, 1): "host unreachable",
    (3, 2): "protocol unreachable",
    (3, 3): "port unreachable",
    (3, 4): "fragmentation needed",
    (3, 5): "source route failed",
    (3, 6): "destination network unknown",
    (3, 7): "destination host unknown",
    (3, 8): "source host isolated",
    (3, 9): "network administratively prohibited",
    (3, 10): "host administratively prohibited",
    (3, 11): "network unreachable for this type of service",
    (3, 12): "host unreachable for this type of service",
    (3, 13): "communication administratively prohibited",
    (3, 14): "host precedence violation",
    (3, 15): "precedence cutoff in effect",
    (11, 0): "time to live exceeded",
    (11, 1): "fragment reassembly time exceeded",
    (12, 0): "parameter problem",
}
# RFC 4443, section 3
_ICMP6 = {
    (1, 0): "no route to destination",
    (1, 1): "communication administratively prohibited",
    (1, 2): "beyond scope of source address",
    (1, 3): "address unreachable",
    (1, 4): "port unreachable",
    (1, 5): "source address failed ingress or egress policy",
    (1, 6): "route to destination rejected",
    (2, 0): "packet too big",
    (3, 0): "hop limit exceeded",
    (3, 1): "fragment reassembly time exceeded",
    (4, 0): "parameter problem",
}
_PROMPT = 0.5  # seconds within which a REJECT of this host's own firewall is seen
_HOST_UNREACHABLE = {ORIGIN_ICMP: (3, 1), ORIGIN_ICMP6: (1, 3)}


class ExtendedError(NamedTuple):
    """One entry of a socket's error queue; ``offender`` is the sender of the ICMP error, "" if unknown."""

    number: int
    origin: int
    kind: int
    code: int
    offender: str


class Finding(NamedTuple):
    """How a connection attempt ended.

    ``state``: one of _socket_states.STATES. ``reason``: "" for states that need none (open, refused, filtered).
    ``cause``: one of the causes above, or "".
    """

    state: str
    reason: str = ""
    cause: str = ""

    @property
    def by_own_firewall(self) -> bool:
        """Whether this host's own firewall held the packet back."""
        return self.cause in (OWN_FIREWALL, OWN_UNREACHABLE)


def parse_extended_error(data: bytes) -> ExtendedError:
    """Read the bytes of an IP_RECVERR or IPV6_RECVERR control message.

    Raises ValueError when they are too short to be one (linux/errqueue.h: u32 errno, u8
    origin, type, code and padding, u32 info and data, then the offender's sockaddr).
    """
    if len(data) < 16:
        raise ValueError("an extended socket error has at least 16 bytes, not %d" % len(data))
    number, origin, kind, code = struct.unpack_from("=IBBB", data)
    return ExtendedError(number, origin, kind, code, _offender(data[16:]))


def _offender(sockaddr: bytes) -> str:
    family = struct.unpack_from("=H", sockaddr)[0] if len(sockaddr) >= 2 else 0
    if family == 2 and len(sockaddr) >= 8:
        return str(ipaddress.IPv4Address(bytes(sockaddr[4:8])))
    if family == 10 and len(sockaddr) >= 24:
        return str(ipaddress.IPv6Address(bytes(sockaddr[8:24])))
    return ""


def describe_icmp(error: ExtendedError) -> str:
    """An error of ICMP origin as text: ``"icmp 3/13 communication ... from 192.0.2.1"``."""
    name, meanings = ("icmp6", _ICMP6) if error.origin == ORIGIN_ICMP6 else ("icmp", _ICMP)
    meaning = meanings.get((error.kind, error.code), "unknown kind")
    return "%s %d/%d %s from %s" % (name, error.kind, error.code, meaning, error.offender or "an unknown sender")


def describe_errno(number: int) -> str:
    """An errno as text: ``"EMFILE: Too many open files"``."""
    return "%s: %s" % (errno.errorcode.get(number, "errno %d" % number), os.strerror(number))


def classify(
    number: int,
    extended: Optional[ExtendedError],
    own_address: str,
    at_once: bool = False,
    seconds: Optional[float] = None,
) -> Finding:
    """How a connection attempt ended.

    ``number``: the errno of connect (or of a send on a connected UDP socket), 0 for success.
    ``extended``: the newest entry of the socket's error queue, or None if the queue was empty.
    ``own_address``: the local address of the socket, "" if unknown.
    ``at_once``: the very call that should have sent the packet failed.
    ``seconds``: the time until the answer, if known.
    """
    if extended is not None and extended.origin in (ORIGIN_ICMP, ORIGIN_ICMP6):
        return _classify_icmp(extended, own_address, at_once or (seconds is not None and seconds < _PROMPT))
    if number in (errno.EPERM, errno.EACCES) or (at_once and number == errno.ECONNREFUSED):
        reason = "%s (%s)" % (OWN_FIREWALL_REASON, describe_errno(number))
        return Finding(_socket_states.REJECTED, reason, OWN_FIREWALL)
    if number in (0, errno.ECONNRESET, errno.EPIPE):
        # A RST answers a SYN with ECONNREFUSED; ECONNRESET came after the handshake.
        return Finding(_socket_states.OPEN)
    if number == errno.ECONNREFUSED:
        return Finding(_socket_states.REFUSED)
    if number == errno.ETIMEDOUT:
        return Finding(_socket_states.FILTERED)
    state = _socket_states.NO_ROUTE if number in _NO_ROUTE else _socket_states.ERROR
    return Finding(state, describe_errno(number))


def _classify_icmp(extended: ExtendedError, own_address: str, prompt: bool) -> Finding:
    """``prompt``: the error came within _PROMPT seconds."""
    reason = describe_icmp(extended)
    if not extended.offender or extended.offender != own_address:
        return Finding(_socket_states.REJECTED, reason)
    if (extended.kind, extended.code) != _HOST_UNREACHABLE[extended.origin]:
        return Finding(_socket_states.REJECTED, "%s, %s" % (reason, OWN_FIREWALL_REASON), OWN_FIREWALL)
    if prompt:
        reason = "%s, %s (reject as unreachable)" % (reason, OWN_FIREWALL_REASON)
        return Finding(_socket_states.REJECTED, reason, OWN_UNREACHABLE)
    # The kernel reports this error to the socket after three requests of ARP (RFC 826) or ND (RFC 4861 7.2.2), one
    # second apart, got no answer. A REJECT rule of the own firewall reports it at once.
    return Finding(_socket_states.NO_ROUTE, "%s (%s)" % (_NO_NEIGHBOUR_REASON, reason), NO_NEIGHBOUR)
