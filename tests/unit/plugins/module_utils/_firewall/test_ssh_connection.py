"""The connection that carries this process, found among its ancestors."""

import os
import socket
import subprocess
import sys

import pytest

PROGRAM = """
from ansible_collections.determined.network.plugins.module_utils._firewall import ssh_connection
print(ssh_connection.find())
"""
ROOTS = [path for path in sys.path if path.endswith("collections")]


@pytest.fixture
def connection():
    """A real connection of this machine's loopback, as SSH_CONNECTION would name it."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(1)
    client = socket.create_connection(listener.getsockname())
    server = listener.accept()[0]
    yield " ".join(str(part) for part in client.getsockname() + server.getsockname())
    for sock in (client, server, listener):
        sock.close()


def find(environment, argv=()):
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(ROOTS)}
    env.update(environment)
    return subprocess.check_output(list(argv) + [sys.executable, "-c", PROGRAM], env=env).decode()


def test_of_this_process(connection):
    words = connection.split()
    assert f"client='{words[0]}', client_port={words[1]}" in find({"SSH_CONNECTION": connection})


def test_of_an_ancestor_when_sudo_dropped_it(connection):
    # The shell was started with the variable; its child is not.
    argv = ("sh", "-c", 'env -u SSH_CONNECTION "$@"; true', "sh")
    assert f"client_port={connection.split()[1]}" in find({"SSH_CONNECTION": connection}, argv)


def test_a_connection_that_is_not_here_does_not_count():
    assert find({"SSH_CONNECTION": "192.0.2.1 50000 192.0.2.2 22"}) == "None\n"
    assert find({"SSH_CONNECTION": "UNKNOWN 1 UNKNOWN 2"}) == "None\n"
