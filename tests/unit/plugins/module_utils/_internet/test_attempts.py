# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How attempts end whose other end does not speak HTTP, over real connections of the loopback."""

import contextlib
import socket
import ssl
import threading

import pytest
from ansible_collections.determined.network.plugins.module_utils._internet import attempts, targets


@contextlib.contextmanager
def service(answer):
    """A TCP service that sends ``answer`` to every connection and closes it -> its port."""
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen(8)

    def serve():
        while True:
            try:
                client = server.accept()[0]
            except OSError:  # the test is over
                return
            client.recv(4096)
            client.sendall(answer)
            client.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield server.getsockname()[1]
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(attempts, "_PAUSE", 0.0)


def reach(port, proxy=None, scheme="http", host="127.0.0.1"):
    target = targets.Target(host, port, scheme, targets.RESOURCE, "")
    (result,) = attempts.run([target], [proxy], ssl.create_default_context(), 5)
    return result


# What the other end sends -> state, reason, attempts.
ANSWERS = [
    (b"220 mail: closed to strangers\r\n", "no_http", "the answer is not HTTP: ", 1),
    (b"HTTP/9 closed\r\n\r\n", "no_http", "the answer is not HTTP: ", 1),
    (b"", "closed", "the connection was closed after 0 bytes of an answer", 3),
    (b"HTTP/1.1 200 OK\r\n", "closed", "the connection was closed after 17 bytes of an answer", 3),
    (b"HTTP/1.1 204 closed\r\n\r\n", "open", "it answers 204 closed", 1),
    (b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "open", "it answers 200 OK", 1),
]


@pytest.mark.parametrize("answer, state, reason, count", ANSWERS)
def test_the_end_of_an_attempt_does_not_depend_on_what_a_banner_says(answer, state, reason, count):
    with service(answer) as port:
        result = reach(port)
    assert (result["state"], result["step"], result["attempts"]) == (state, "http", count)
    assert result["reason"].startswith(reason)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("answer, state, reason, count", ANSWERS[:4])
def test_the_same_holds_for_a_proxy(answer, state, reason, count, scheme):
    with service(answer) as port:
        result = reach(1, targets.Proxy("http", "127.0.0.1", port, ""), scheme)
    assert (result["state"], result["step"], result["blame"], result["attempts"]) == (state, "proxy", "proxy", count)
    assert result["reason"].startswith(reason)


def test_a_head_without_an_end_is_not_http():
    with service(b"HTTP/1.1 200 OK\r\n" + b"a" * 70000) as port:
        result = reach(port)
    assert (result["state"], result["reason"]) == ("no_http", "the head of the answer is longer than 65536 bytes")


def test_a_name_that_tls_refuses_is_an_error():
    with service(b"HTTP/1.1 200 Connection established\r\n\r\n") as port:
        result = reach(443, targets.Proxy("http", "127.0.0.1", port, ""), "https", ".example.com")
    assert (result["state"], result["step"], result["blame"]) == ("error", "tls", "target")
