# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a probe tests and what it observed."""

import pytest
from ansible_collections.determined.network.plugins.module_utils import _ports, _socket_states
from ansible_collections.determined.network.plugins.module_utils._probe import observation
from ansible_collections.determined.network.plugins.module_utils._sockets import proof
from ansible_collections.determined.network.plugins.module_utils._sockets.errors import Finding


def target(ports="1-10", identify="", **more):
    return observation.Target("192.0.2.2", "tcp", _ports.parse_ports(ports), _ports.parse_ports(identify), **more)


def test_every_port_is_in_one_state():
    asked = target("1-6", "1")
    for port, state in enumerate(_socket_states.STATES, 1):
        asked.record(port, Finding(state, f"why {state}"))
    asked.answered(1, b"determined.network t agent2\nmore")
    seen = asked.observation()
    assert [seen[state] for state in _socket_states.STATES] == ["1", "2", "3", "4", "5", "6"]
    assert seen["answers"] == {"determined.network t agent2": "1"}
    assert seen["rejections"] == {"why rejected": "3"}
    assert seen["errors"]["why no_route"] == "5"
    assert seen["errors"]["why error"] == "6"
    assert seen["connect_milliseconds"] is None


@pytest.mark.parametrize(
    "data, line",
    [
        (b"", ""),
        (b"hello", "hello"),
        (b"hello\r\nworld\n", "hello"),
        (b"SSH-2.0-x\n", "SSH-2.0-x"),
        (b"a\x00b\x1b[31m\n", "a?b?[31m"),
        (b"\xff\xfe\n", "\ufffd\ufffd"),
        (b"x" * 500, "x" * 200),
    ],
)
def test_answers_are_one_printable_line(data, line):
    asked = target()
    asked.answered(3, data)
    assert asked.observation()["answers"] == {line: "3"}


def test_states_that_share_a_reason_are_reported_together():
    asked = target()
    asked.record(1, Finding(_socket_states.NO_ROUTE, "because"))
    asked.record(2, Finding(_socket_states.ERROR, "because"))
    assert asked.observation()["errors"] == {"because": "1-2"}


def test_take_forgets_ports_and_their_reasons():
    asked = target()
    no_route, error = Finding(_socket_states.NO_ROUTE, "because"), Finding(_socket_states.ERROR, "because")
    for port in (3, 1, 2):
        asked.record(port, no_route)
    asked.record(4, error)
    assert asked.take(_socket_states.NO_ROUTE, [2, 1]) == [1, 2]
    assert asked.states[_socket_states.NO_ROUTE] == [3]
    assert asked.findings == {no_route: [3], error: [4]}
    assert asked.take(_socket_states.NO_ROUTE) == [3]
    assert asked.findings == {error: [4]}


def test_move_changes_state_and_reason():
    asked = target()
    for port in (1, 2, 3):
        asked.record(port, Finding(_socket_states.FILTERED))
    asked.move([2], _socket_states.FILTERED, Finding(_socket_states.REJECTED, "own"))
    seen = asked.observation()
    assert (seen["filtered"], seen["rejected"], seen["rejections"]) == ("1,3", "2", {"own": "2"})


@pytest.mark.parametrize(
    "state, responsive",
    [(state, state in (_socket_states.OPEN, _socket_states.REFUSED)) for state in _socket_states.STATES],
)
def test_only_the_address_itself_makes_a_target_responsive(state, responsive):
    asked = target()
    asked.record(1, Finding(state))
    assert asked.responsive is responsive


@pytest.mark.parametrize("values, expected", [([3], 3), ([3, 1], 2), ([9, 1, 5], 5), ([1, 2, 3, 10], 2.5)])
def test_median(values, expected):
    assert observation.median(values) == expected


def test_read_targets():
    found = observation.read_targets(
        [
            {"address": "192.0.2.2", "protocol": "tcp", "ports": "1-3", "identify": "2", "source": None},
            {"address": "2001:DB8::0:2", "ports": "5", "source": "2001:db8::1"},
            {"address": "fe80::1%eth0", "protocol": "udp", "ports": "5"},
        ]
    )
    assert [one.address for one in found] == ["192.0.2.2", "2001:db8::2", "fe80::1%eth0"]
    assert [one.family for one in found] == ["ipv4", "ipv6", "ipv6"]
    assert found[0].identify == {2}
    assert found[1].source == "2001:db8::1"


@pytest.mark.parametrize(
    "item, words",
    [
        ({"address": "agent2", "ports": "1"}, "targets[0].address is 'agent2', not an IPv4 or IPv6 address"),
        ({"ports": "1"}, "targets[0].address is None"),
        ({"address": "192.0.2.2", "ports": ""}, "targets[0].ports is empty"),
        ({"address": "192.0.2.2"}, "targets[0].ports"),
        ({"address": "192.0.2.2", "ports": "0-70000"}, "targets[0].ports: '0-70000'"),
        ({"address": "192.0.2.2", "ports": "1-3", "identify": "3-5"}, "not in ports: 4-5"),
        ({"address": "192.0.2.2", "ports": "1", "protocol": "sctp"}, "'sctp', not one of tcp, udp"),
        ({"address": "192.0.2.2", "ports": "1", "source": "2001:db8::1"}, "is not of the family"),
        ({"address": "192.0.2.2", "ports": "1", "source": "eth0"}, "targets[0].source is 'eth0'"),
        ({"address": "192.0.2.2", "ports": "1", "port": "1"}, "targets[0].port is unknown"),
    ],
)
def test_wrong_targets_are_named(item, words):
    with pytest.raises(ValueError) as problem:
        observation.read_targets([item])
    assert words in str(problem.value)


def test_all_wrong_targets_are_named_at_once():
    with pytest.raises(ValueError) as problem:
        observation.read_targets([{"address": "x", "ports": "1"}, {"address": "192.0.2.1", "ports": "x"}])
    assert "targets[0].address" in str(problem.value)
    assert "targets[1].ports" in str(problem.value)


def test_with_a_secret_only_sealed_lines_have_no_mark():
    ours, others = proof.Proof("the secret of this run"), proof.Proof("the secret of another run")
    asked = target("1-6", "1-6", proof=ours)
    salt, nonce = b"s" * proof.RANDOM, b"n" * proof.RANDOM
    asked.answered(1, ours.seal("line of agent2", salt))
    asked.answered(2, ours.seal("line of agent2", salt, nonce), nonce)
    asked.answered(3, b"line of agent2\n")
    asked.answered(4, others.seal("line of agent2", salt))
    asked.answered(5, b"")
    asked.answered(6, ours.seal("line of agent2", salt) + b"more")
    answers = {line: ports for line, ports in asked.observation()["answers"].items() if "unproven" not in line}
    assert answers == {"line of agent2": "1-2,6", "": "5"}
    assert "unproven: line of agent2" in asked.answers
