"""The sockets of this machine, and who holds them."""

import os
import socket

import pytest
from ansible_collections.determined.network.plugins.module_utils._firewall import socket_owners


def test_a_line_of_tcp6_and_a_line_of_udp():
    text = "  sl  local_address\n"
    tcp = "   0: 0000000000000000FFFF0000010200C0:0016 0000000000000000FFFF0000640200C0:C350 01 0:0 0:0 0 0 0 4711 1\n"
    (found,) = socket_owners.parse("tcp", text + tcp)
    assert found == ("tcp", "192.0.2.1", 22, "192.0.2.100", 50000, "01", "4711")
    assert found.is_established and not found.is_listening
    udp = "   0: 00000000:04AA 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 815 2\n"
    (found,) = socket_owners.parse("udp", text + udp)
    assert found == ("udp", "0.0.0.0", 1194, "0.0.0.0", 0, "07", "815")
    assert not found.is_established and not found.is_listening


def test_the_owner_of_a_socket_is_found():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        (found,) = [one for one in socket_owners.read() if one.is_listening and one.port == listener.getsockname()[1]]
        assert os.getpid() in socket_owners.owners([found.inode])[found.inode]
        assert found in socket_owners.held_by(os.getpid(), socket_owners.read())
    assert found.inode not in socket_owners.owners([found.inode])


def test_nobody_holds_a_device_that_does_not_exist():
    assert socket_owners.tun_owners("dnfw-none") == (set(), False)


@pytest.mark.parametrize(
    "title, login",
    [
        ("sshd: admin@pts/0", True),
        ("sshd: root@notty\0\0\0", True),
        ("sshd-session: admin@notty", True),
        ("sshd: admin", True),  # only forwards ports
        ("sshd: admin [priv]", False),
        ("sshd-session: admin [priv]", False),
        ("sshd: unknown [net]", False),
        ("sshd: [accepted]", False),
        ("sshd: admin [preauth]", False),
        ("sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups", False),
        ("/usr/sbin/sshd\0-D", False),
        ("", False),
    ],
)
def test_the_title_of_sshd_shows_whether_somebody_has_logged_in(title, login):
    assert socket_owners.shows_login(title) is login
