# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What listeners are asked for, divided among workers, and put together again."""

import json

import pytest
from ansible_collections.determined.network.plugins.module_utils import _ports
from ansible_collections.determined.network.plugins.module_utils._listener import plan


def ports(text):
    return _ports.parse_ports(text)


@pytest.mark.parametrize("token", ["a", "run-2026_01", "x" * 64])
def test_tokens(token):
    assert plan.read_token(token) == token


@pytest.mark.parametrize("token", ["", None, "a b", "a.b", "x" * 65, "a\n", "\u00e4"])
def test_wrong_tokens(token):
    with pytest.raises(ValueError, match="1 to 64 letters"):
        plan.read_token(token)


def test_the_name_of_a_control_socket():
    name = plan.control_name("x" * 64, 4194304, "0123ab")
    assert len(name) <= 107
    assert plan.read_control_name(name.encode()) == ("x" * 64, 4194304)


@pytest.mark.parametrize(
    "name",
    [
        b"determined.network.listener.t",
        b"determined.network.listener.t.1.012345\n",
        b"determined.network.listener.t.01.012345",
        b"determined.network.listener.t.1.01234",
        b"determined.network.listener.t.\xff.012345",
        b"x determined.network.listener.t.1.012345",
        b"",
    ],
)
def test_other_names_are_not_ours(name):
    assert plan.read_control_name(name) is None


STATE = {
    "listening": [{"address": "192.0.2.2", "protocol": "tcp", "ports": "1734"}],
    "held": [],
    "problems": ["a sentence"],
    "pid": 4711,
    "alive": True,
    "received": ["2b7e151628aed2a6"],
    "seconds_left": 9.5,
}


def test_a_state_is_read_and_nothing_beside_it():
    assert plan.read_state(json.dumps(dict(STATE, more="x")).encode()) == STATE


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff", b"[]", b"1", b"null", b"{", b"[" * 100000, b"9" * 100000]
    + [json.dumps({name: STATE[name] for name in STATE if name != missing}).encode() for missing in STATE]
    + [
        json.dumps(dict(STATE, **changed)).encode()
        for changed in (
            {"pid": True},
            {"pid": "1"},
            {"alive": 1},
            {"seconds_left": "1"},
            {"received": [1]},
            {"received": "2b7e151628aed2a6"},
            {"problems": [1]},
            {"problems": "x"},
            {"held": {}},
            {"held": [1]},
            {"held": [{}]},
            {"held": [{"address": "x", "protocol": "tcp", "ports": "1"}]},
            {"held": [{"address": "192.0.2.2", "protocol": [], "ports": "1"}]},
            {"held": [{"address": "192.0.2.2", "protocol": "icmp", "ports": "1"}]},
            {"listening": [{"address": "192.0.2.2", "protocol": "tcp", "ports": "1-99999"}]},
            {"listening": [{"address": "192.0.2.2", "protocol": "tcp", "ports": {}}]},
            {"listening": [{"address": "192.0.2.2", "protocol": "tcp", "ports": "1", "x": 1}]},
        )
    ],
)
def test_a_malformed_state_is_refused(data):
    with pytest.raises(ValueError):
        plan.read_state(data)


def test_read_listeners():
    assert plan.read_listeners(
        [
            {"address": "192.0.2.2", "ports": "1,2"},
            {"address": "2001:DB8::2", "protocol": "udp", "ports": "9"},
        ]
    ) == [("192.0.2.2", "tcp", ((1, 2),)), ("2001:db8::2", "udp", ((9, 9),))]


@pytest.mark.parametrize(
    "item, words",
    [
        ({"address": "agent2", "ports": "1"}, "listeners[0].address is 'agent2'"),
        ({"address": "0.0.0.0", "ports": "1"}, "0.0.0.0 is every address; name one"),
        ({"address": "::", "ports": "1"}, ":: is every address; name one"),
        ({"address": "192.0.2.2", "ports": "x"}, "listeners[0].ports: 'x'"),
        ({"address": "192.0.2.2", "ports": "1", "protocol": "icmp"}, "'icmp', not one of"),
        ({"address": "192.0.2.2", "ports": "1", "answer": "x"}, "listeners[0].answer is unknown"),
    ],
)
def test_wrong_listeners_are_named(item, words):
    with pytest.raises(ValueError) as problem:
        plan.read_listeners([item])
    assert words in str(problem.value)


@pytest.mark.parametrize(
    "listeners, most, expected",
    [
        ([], 10, [[]]),
        ([("a", "tcp", "1-4")], 10, [[("a", "tcp", "1-4")]]),
        ([("a", "tcp", "1-4")], 4, [[("a", "tcp", "1-4")]]),
        ([("a", "tcp", "1-5")], 2, [[("a", "tcp", "1-2")], [("a", "tcp", "3-4")], [("a", "tcp", "5")]]),
        ([("a", "tcp", "1-3"), ("a", "tcp", "2-4")], 9, [[("a", "tcp", "1-4")]]),
        ([("a", "tcp", "1"), ("a", "udp", "1")], 9, [[("a", "tcp", "1"), ("a", "udp", "1")]]),
        (
            [("a", "tcp", "1-3"), ("b", "tcp", "1-3")],
            4,
            [[("a", "tcp", "1-3"), ("b", "tcp", "1")], [("b", "tcp", "2-3")]],
        ),
    ],
)
def test_divide(listeners, most, expected):
    found = plan.divide([(address, protocol, ports(text)) for address, protocol, text in listeners], most)
    assert found == [[(address, protocol, ports(text)) for address, protocol, text in part] for part in expected]


def test_divide_and_merge_lose_nothing():
    everything = [("192.0.2.2", "tcp", ports("1024-47023")), ("2001:db8::2", "udp", ports("7,9"))]
    parts = plan.divide(everything, 19936)
    assert len(parts) == 3
    reports = [
        {
            "listening": [
                {"address": address, "protocol": protocol, "ports": _ports.format_ports(some)}
                for address, protocol, some in part
            ],
            "held": [],
            "problems": ["the same", "the same"],
        }
        for part in parts
    ]
    assert plan.merge_reports(reports) == {
        "listening": [
            {"address": "192.0.2.2", "protocol": "tcp", "ports": "1024-47023"},
            {"address": "2001:db8::2", "protocol": "udp", "ports": "7,9"},
        ],
        "held": [],
        "problems": ["the same"],
    }


def test_held_ports_without_a_service_are_busy():
    held = [
        {"address": "192.0.2.2", "protocol": "tcp", "ports": "22,40000"},
        {"address": "192.0.2.2", "protocol": "udp", "ports": "22"},
    ]
    waiting = {"tcp": {("0.0.0.0", 22)}, "udp": set()}
    assert plan.split_held(held, waiting) == (
        [{"address": "192.0.2.2", "protocol": "tcp", "ports": "22"}],
        [
            {"address": "192.0.2.2", "protocol": "tcp", "ports": "40000"},
            {"address": "192.0.2.2", "protocol": "udp", "ports": "22"},
        ],
    )


@pytest.mark.parametrize(
    "sockets, own, expected",
    [
        (set(), set(), ""),
        ({("0.0.0.0", 22), ("192.0.2.2", 1734)}, {("192.0.2.2", 1734)}, "22"),
        ({("127.0.0.1", 1734), ("192.0.2.2", 1734)}, {("192.0.2.2", 1734)}, "1734"),
        ({("::", 80), ("0.0.0.0", 80)}, set(), "80"),
    ],
)
def test_services_are_what_we_do_not_hold(sockets, own, expected):
    assert plan.services(sockets, own) == expected
