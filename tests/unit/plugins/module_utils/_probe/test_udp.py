# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""UDP probes over the loopback, and what a shortage on this host does to them."""

import errno
import os
import socket
import threading

import pytest
from ansible_collections.determined.network.plugins.module_utils import _ports, _socket_states
from ansible_collections.determined.network.plugins.module_utils._probe import observation, udp
from ansible_collections.determined.network.plugins.module_utils._sockets import sockets


def bound():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    return sock, sock.getsockname()[1]


def target(*ports):
    numbers = _ports.from_numbers(ports)
    return observation.Target("127.0.0.1", "udp", numbers, numbers)


def states(asked):
    return {state: ports for state, ports in asked.states.items() if ports}


def test_an_answer_a_silence_and_an_icmp_error():
    silent, silent_port = bound()
    closed, closed_port = bound()
    closed.close()
    service, service_port = bound()

    def serve():
        service.sendto(b"hello\n", service.recvfrom(100)[1])

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    asked = target(silent_port, closed_port, service_port)
    udp.run([asked], 0.3, 100)
    thread.join()
    received = [silent.recv(100) for _unused in range(3)]
    silent.close()
    service.close()
    assert states(asked) == {"open": [service_port], "rejected": [closed_port], "filtered": [silent_port]}
    assert asked.answers == {"hello": [service_port]}
    assert received == [b"determined.network probe\n"] * 3
    assert asked.sent == 3 + 1 + 1


def test_a_capacity_of_one_probes_one_port_after_the_other():
    pairs = [bound() for _unused in range(3)]
    asked = target(*(port for _sock, port in pairs))
    udp.run([asked], 0.1, 1)
    assert sorted(asked.states[_socket_states.FILTERED]) == sorted(port for _sock, port in pairs)
    for sock, _port in pairs:
        sock.close()


@pytest.fixture
def shortage(monkeypatch):
    """Let the next sockets fail -> a function that takes their number."""
    failures = []

    def open_socket(destination, really=sockets.open_socket):
        if failures:
            raise OSError(failures.pop(), os.strerror(errno.EMFILE))
        return really(destination)

    monkeypatch.setattr(sockets, "open_socket", open_socket)
    return lambda count: failures.extend([errno.EMFILE] * count)


def test_a_short_shortage_changes_nothing(shortage):
    sock, port = bound()
    shortage(3)
    asked = target(port)
    udp.run([asked], 0.1, 100)
    sock.close()
    assert states(asked) == {"filtered": [port]}


def test_a_shortage_that_lasts_is_an_error(shortage, monkeypatch):
    monkeypatch.setattr(udp, "_PATIENCE", 0.05)
    shortage(100000)
    asked = target(1, 2)
    udp.run([asked], 0.1, 100)
    assert {state: sorted(ports) for state, ports in states(asked).items()} == {"error": [1, 2]}
    assert asked.observation()["errors"] == {"EMFILE: Too many open files": "1-2"}
