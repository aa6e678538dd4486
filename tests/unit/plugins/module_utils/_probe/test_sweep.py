# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The window of a sweep, and how long it waits."""

import socket

import pytest
from ansible_collections.determined.network.plugins.module_utils import _ports, _socket_states
from ansible_collections.determined.network.plugins.module_utils._probe import observation, sweep
from ansible_collections.determined.network.plugins.module_utils._sockets.errors import Finding


def make(ports="1-100", wait=3.5, window=8, shorten=False):
    target = observation.Target("127.0.0.1", "tcp", _ports.parse_ports(ports))
    return sweep.Sweep(target, _ports.numbers(target.ports), wait, window, shorten)


@pytest.fixture
def start():
    """Start the next attempt of a sweep at a moment."""
    opened = []

    def started(asked, since):
        opened.append(socket.socket())
        return asked.started(asked.waiting.popleft(), opened[-1], since)

    yield started
    for sock in opened:
        sock.close()


def test_bursts_double_within_the_window(start):
    asked = make(window=10)
    assert [asked.next_burst(1000, 0.0) for _unused in range(2)] == [4, 8]
    assert asked.next_burst(3, 0.0) == 3
    for _unused in range(9):
        start(asked, 0.0)
    assert asked.next_burst(1000, 0.0) == 1
    asked.paused_until = 1.0
    assert asked.next_burst(1000, 0.5) == 0


def test_the_window_doubles_without_open_connections_and_returns():
    asked = make(window=2)
    for _unused in range(2 + 4):
        asked.adapt_window(False)
    assert asked.limit == 8
    asked.adapt_window(True)
    assert asked.limit == 2


def test_silent_attempts_leave_the_window_and_become_filtered(start):
    asked = make(wait=1.0)
    first, second = start(asked, 0.0), start(asked, 0.5)
    assert asked.due_times() == [sweep.GRACE]
    asked.remove_silent_from_window(0.2)
    assert (asked.in_window, asked.in_flight, first.silent, second.silent) == (1, 2, True, False)
    assert asked.due_times() == [0.5 + sweep.GRACE, 1.0]
    assert asked.take_filtered(0.9) == []
    assert asked.take_filtered(1.1) == [first]
    asked.ended(first)
    assert (asked.in_window, asked.in_flight) == (1, 1)
    assert asked.target.states[_socket_states.FILTERED] == [1]


@pytest.mark.parametrize(
    "shorten, answered, slowest, patience",
    [(False, True, 0.1, 3.5), (True, False, 0.1, 3.5), (True, True, 0.2, 2.0), (True, True, 0.01, sweep.REPETITION)],
)
def test_answers_shorten_the_wait(shorten, answered, slowest, patience):
    asked = make(shorten=shorten)
    if answered:
        asked.target.record(1, Finding(_socket_states.REFUSED))
    asked.slowest = slowest
    assert asked.patience() == patience


def test_only_the_first_times_are_kept():
    asked = make()
    for number in range(100):
        asked.record_time(float(number))
    assert asked.target.seconds == [float(number) for number in range(28)]
