# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel says about a failed connection: parsed, and turned into a state."""

import errno
import socket
import struct

import pytest
from ansible_collections.determined.network.plugins.module_utils import _socket_states
from ansible_collections.determined.network.plugins.module_utils._sockets import errors

OWN, PEER = "192.0.2.1", "192.0.2.2"
OWN6, PEER6 = "2001:db8::1", "2001:db8::2"


def queued(number, origin, kind, code, offender):
    """The bytes of a control message as the kernel writes them (linux/errqueue.h)."""
    head = struct.pack("=IBBBBII", number, origin, kind, code, 0, 0, 0)
    if offender is None:
        return head + struct.pack("=H14x", 0)
    if ":" in offender:
        return head + struct.pack("=HHI16sI", 10, 0, 0, socket.inet_pton(socket.AF_INET6, offender), 0)
    return head + struct.pack("=HH4s8x", 2, 0, socket.inet_pton(socket.AF_INET, offender))


@pytest.mark.parametrize(
    "data, expected",
    [
        (queued(111, 2, 3, 3, PEER), errors.ExtendedError(111, 2, 3, 3, PEER)),
        (queued(13, 3, 1, 1, PEER6), errors.ExtendedError(13, 3, 1, 1, PEER6)),
        (queued(90, 1, 0, 0, None), errors.ExtendedError(90, 1, 0, 0, "")),
        (queued(111, 2, 3, 3, PEER)[:16], errors.ExtendedError(111, 2, 3, 3, "")),
        # As read from a socket on Linux 6.18, for iptables -j REJECT.
        (
            bytes.fromhex("6f00000002030300000000000000000002000000c00002020000000000000000"),
            errors.ExtendedError(111, 2, 3, 3, PEER),
        ),
        (
            bytes.fromhex("0d0000000301010000000000000000000a0000000000000020010db800000000000000000000000200000000"),
            errors.ExtendedError(13, 3, 1, 1, PEER6),
        ),
    ],
)
def test_parse_extended_error(data, expected):
    assert errors.parse_extended_error(data) == expected


@pytest.mark.parametrize("length", [0, 1, 15])
def test_parse_extended_error_refuses_what_is_too_short(length):
    with pytest.raises(ValueError, match=f"at least 16 bytes, not {length}"):
        errors.parse_extended_error(b"x" * length)


@pytest.mark.parametrize(
    "origin, kind, code, text",
    [
        (2, 3, 0, "icmp 3/0 network unreachable from 192.0.2.2"),
        (2, 3, 1, "icmp 3/1 host unreachable from 192.0.2.2"),
        (2, 3, 3, "icmp 3/3 port unreachable from 192.0.2.2"),
        (2, 3, 9, "icmp 3/9 network administratively prohibited from 192.0.2.2"),
        (2, 3, 10, "icmp 3/10 host administratively prohibited from 192.0.2.2"),
        (2, 3, 13, "icmp 3/13 communication administratively prohibited from 192.0.2.2"),
        (2, 3, 99, "icmp 3/99 unknown kind from 192.0.2.2"),
        (2, 11, 0, "icmp 11/0 time to live exceeded from 192.0.2.2"),
        (3, 1, 0, "icmp6 1/0 no route to destination from 192.0.2.2"),
        (3, 1, 1, "icmp6 1/1 communication administratively prohibited from 192.0.2.2"),
        (3, 1, 3, "icmp6 1/3 address unreachable from 192.0.2.2"),
        (3, 1, 4, "icmp6 1/4 port unreachable from 192.0.2.2"),
        (3, 1, 5, "icmp6 1/5 source address failed ingress or egress policy from 192.0.2.2"),
        (3, 1, 6, "icmp6 1/6 route to destination rejected from 192.0.2.2"),
    ],
)
def test_describe_icmp(origin, kind, code, text):
    assert errors.describe_icmp(errors.ExtendedError(0, origin, kind, code, PEER)) == text


def test_describe_icmp_without_sender():
    assert errors.describe_icmp(errors.ExtendedError(0, 2, 3, 3, "")).endswith("from an unknown sender")


@pytest.mark.parametrize(
    "number, at_once, state, reason",
    [
        (0, False, _socket_states.OPEN, ""),
        (errno.ECONNRESET, False, _socket_states.OPEN, ""),
        (errno.ECONNREFUSED, False, _socket_states.REFUSED, ""),
        (errno.ECONNREFUSED, True, _socket_states.REJECTED, errors.OWN_FIREWALL_REASON),
        (errno.EPERM, True, _socket_states.REJECTED, errors.OWN_FIREWALL_REASON),
        (errno.EACCES, True, _socket_states.REJECTED, errors.OWN_FIREWALL_REASON),
        (errno.ETIMEDOUT, False, _socket_states.FILTERED, ""),
        (errno.ENETUNREACH, True, _socket_states.NO_ROUTE, "ENETUNREACH: Network is unreachable"),
        (errno.EHOSTUNREACH, False, _socket_states.NO_ROUTE, "EHOSTUNREACH: No route to host"),
        (errno.EINVAL, True, _socket_states.NO_ROUTE, "EINVAL"),
        (errno.EAFNOSUPPORT, True, _socket_states.NO_ROUTE, "EAFNOSUPPORT"),
        (errno.EMFILE, True, _socket_states.ERROR, "EMFILE: Too many open files"),
        (errno.ENFILE, True, _socket_states.ERROR, "ENFILE"),
        (errno.ENOBUFS, True, _socket_states.ERROR, "ENOBUFS"),
        (errno.EADDRNOTAVAIL, True, _socket_states.ERROR, "EADDRNOTAVAIL"),
        (12345, False, _socket_states.ERROR, "errno 12345"),
    ],
)
def test_classify_without_icmp(number, at_once, state, reason):
    found = errors.classify(number, None, OWN, at_once=at_once)
    assert found[0] == state
    assert found[1].startswith(reason) if reason else found[1] == ""


@pytest.mark.parametrize("number", sorted(errors.SHORTAGES))
def test_a_shortage_is_an_error_and_never_a_state_of_the_path(number):
    assert errors.classify(number, None, OWN, at_once=True)[0] == _socket_states.ERROR


@pytest.mark.parametrize(
    "number, extended, own, seconds, state, reason",
    [
        # Port unreachable of a REJECT looks like a RST to connect().
        (111, (111, 2, 3, 3, PEER), OWN, 0.0, _socket_states.REJECTED, "icmp 3/3 port unreachable from 192.0.2.2"),
        (0, (113, 2, 3, 13, PEER), OWN, 0.0, _socket_states.REJECTED, "icmp 3/13"),
        (114, (111, 3, 1, 4, PEER6), OWN6, 9.0, _socket_states.REJECTED, "icmp6 1/4"),
        (
            111,
            (111, 2, 3, 3, OWN),
            OWN,
            0.0,
            _socket_states.REJECTED,
            "icmp 3/3 port unreachable from 192.0.2.1, this",
        ),
        # A router on the way does not reach the host: its ICMP error is a rejection ...
        (113, (113, 2, 3, 1, PEER), OWN, 3.0, _socket_states.REJECTED, "icmp 3/1"),
        (113, (113, 3, 1, 3, PEER6), OWN6, 3.0, _socket_states.REJECTED, "icmp6 1/3"),
        # ... but this host itself saying so after seconds means that ARP or ND failed.
        (113, (113, 2, 3, 1, OWN), OWN, 3.0, _socket_states.NO_ROUTE, "the neighbour does not answer ARP"),
        (113, (113, 3, 1, 3, OWN6), OWN6, 1.0, _socket_states.NO_ROUTE, "the neighbour does not answer ARP"),
        (
            113,
            (113, 2, 3, 1, OWN),
            OWN,
            0.01,
            _socket_states.REJECTED,
            "icmp 3/1 host unreachable from 192.0.2.1, this",
        ),
        # An error of local origin is not ICMP.
        (90, (90, 1, 0, 0, ""), OWN, 0.0, _socket_states.ERROR, "EMSGSIZE"),
    ],
)
def test_classify_with_an_entry_of_the_error_queue(number, extended, own, seconds, state, reason):
    found = errors.classify(number, errors.ExtendedError(*extended), own, seconds=seconds)
    assert found[0] == state
    assert found[1].startswith(reason)


def test_errors_of_the_own_firewall_have_one_phrase_and_a_cause():
    for extended in ((111, 2, 3, 3, OWN), (113, 2, 3, 1, OWN)):
        found = errors.classify(0, errors.ExtendedError(*extended), OWN, at_once=True)
        assert errors.OWN_FIREWALL_REASON in found.reason and found.by_own_firewall
    found = errors.classify(0, errors.ExtendedError(111, 2, 3, 3, PEER), OWN)
    assert errors.OWN_FIREWALL_REASON not in found.reason and not found.by_own_firewall


@pytest.mark.parametrize(
    "number, extended, seconds, cause",
    [
        (errno.EPERM, None, None, errors.OWN_FIREWALL),
        (0, (111, 2, 3, 3, OWN), None, errors.OWN_FIREWALL),
        (113, (113, 2, 3, 1, OWN), 0.01, errors.OWN_UNREACHABLE),
        (113, (113, 2, 3, 1, OWN), 3.0, errors.NO_NEIGHBOUR),
        (113, (113, 2, 3, 1, PEER), 3.0, ""),
        (errno.EHOSTUNREACH, None, None, ""),
    ],
)
def test_the_cause_of_a_finding(number, extended, seconds, cause):
    found = errors.classify(number, extended and errors.ExtendedError(*extended), OWN, seconds=seconds)
    assert found.cause == cause
