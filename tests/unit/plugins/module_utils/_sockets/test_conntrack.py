"""Requests to connection tracking, and what the kernel answers."""

import struct

import pytest
from ansible_collections.determined.network.plugins.module_utils._sockets import conntrack, proc

TCP = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 010200C0:0016 020200C0:A029 01 00000000:00000000 00:00000000 00000000     0        0 2 1 0 20 4 30 10 -1
   2: 010200C0:A02A 030200C0:01BB 08 00000000:00000000 00:00000000 00000000     0        0 3 1 0 20 4 30 10 -1
   3: 010200C0:A02B 030200C0:01BB 06 00000000:00000000 00:00000000 00000000     0        0 4 1 0 20 4 30 10 -1
   4: 0100007F:A02C 0100007F:0016 01 00000000:00000000 00:00000000 00000000     0        0 5 1 0 20 4 30 10 -1
   5: 010200C0:A02D 010200C0:0016 01 00000000:00000000 00:00000000 00000000     0        0 6 1 0 20 4 30 10 -1
   6: 010200C0:A02E 030200C0:01BB 02 00000000:00000000 00:00000000 00000000     0        0 7 1 0 20 4 30 10 -1
"""
TCP6 = """  sl  local_address                         remote_address                        st tx_queue rx_queue
   0: 0000000000000000FFFF0000010200C0:1F90 0000000000000000FFFF0000020200C0:A02B 01 00000000:00000000
   1: B80D0120000000000000000001000000:0016 B80D0120000000000000000002000000:A02C 01 00000000:00000000
"""
SERVER = proc.Connection(("192.0.2.1", 22), ("192.0.2.2", 41001), True)


def test_connections_to_other_hosts_with_their_client_first():
    found = proc.parse_connections([TCP, TCP6])
    assert [connection.ends() for connection in found] == [
        (("192.0.2.2", 41001), ("192.0.2.1", 22)),
        (("192.0.2.1", 8080), ("192.0.2.2", 41003)),
        (("192.0.2.1", 41002), ("192.0.2.3", 443)),
        (("2001:db8::2", 41004), ("2001:db8::1", 22)),
    ]


def test_a_request_says_its_length_and_asks_for_an_answer():
    data = conntrack.request(SERVER, 432000)
    length, kind, flags = struct.unpack_from("=IHH", data)
    assert length == len(data) and length % 4 == 0
    assert (kind, flags) == (0x100, 0x605)  # create a new entry, and leave an entry that exists
    assert bytes((192, 0, 2, 2)) in data and struct.pack("!H", 41001) in data


def error(number):
    return struct.pack("=IHHIIi", 36, 2, 0, 0, 0, -number) + b"\0" * 16


@pytest.mark.parametrize("numbers", [[], [0], [0, 17, 1]])
def test_each_answer_has_a_number(numbers):
    assert list(conntrack.answers(b"".join(error(number) for number in numbers))) == numbers


def test_nothing_is_asked_without_a_connection():
    assert conntrack.register([], 1) == []
