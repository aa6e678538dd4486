"""Would a policy cut its own connection?"""

import pytest
from ansible_collections.determined.network.plugins.module_utils import _policy
from ansible_collections.determined.network.plugins.module_utils._firewall import lockout

PEERS = {
    "office": {"ipv4": ["192.0.2.96/27"], "ipv6": ["2001:db8::/64"]},
    "agents": {"ipv4": ["192.0.2.1"]},
    "anybody": {"ipv4": ["0.0.0.0/0"], "ipv6": ["::/0"]},
}


def policy(mode="restrict", inbound=(), management=()):
    def rule(protocol, ports, peers):
        return {"protocol": protocol, "ports": ports, "peers": peers, "requirements": ["x"]}

    return _policy.HostPolicy.from_dict(
        {
            "host": "agent1",
            "mode": mode,
            "peers": PEERS,
            "inbound": [rule(*item) for item in inbound],
            "outbound": [rule("tcp", "22", "anybody")],
            "management": [rule(*item) for item in management],
        }
    )


@pytest.mark.parametrize(
    "value, connection",
    [
        ("192.0.2.100 50000 192.0.2.1 22", ("192.0.2.100", 50000, "192.0.2.1", 22)),
        ("::ffff:192.0.2.100 50000 ::ffff:192.0.2.1 22", ("192.0.2.100", 50000, "192.0.2.1", 22)),
        ("fe80::1%eth0 50000 fe80::2%eth0 2222", ("fe80::1", 50000, "fe80::2", 2222)),
        ("UNKNOWN 65535 UNKNOWN 65535", None),
        ("192.0.2.100 50000", None),
        ("", None),
    ],
)
def test_parse_ssh_connection(value, connection):
    assert lockout.parse_ssh_connection(value) == connection


OFFICE = ("192.0.2.100", 50000, "192.0.2.1", 22)
OFFICE6 = ("2001:db8::7", 50000, "2001:db8::1", 22)
ELSEWHERE = ("203.0.113.5", 50000, "192.0.2.1", 22)


@pytest.mark.parametrize(
    "found, connection, permitted",
    [
        (policy(), OFFICE, False),
        (policy("permit"), OFFICE, True),
        (policy(management=[("tcp", "22", "office")]), OFFICE, True),
        (policy(management=[("tcp", "22", "office")]), OFFICE6, True),
        (policy(management=[("tcp", "22", "office")]), ELSEWHERE, False),
        (policy(management=[("tcp", "22", "office")]), OFFICE[:3] + (2222,), False),
        (policy(management=[("udp", "22", "anybody")]), OFFICE, False),
        (policy(management=[("tcp", "22", "anybody")]), ELSEWHERE, True),
        (policy(management=[("tcp", "22", "agents")]), OFFICE6, False),
        (policy(inbound=[("tcp", "1-65535", "office")]), OFFICE, True),
        (policy(inbound=[("tcp", "80", "anybody")]), OFFICE, False),
        (policy(), ("127.0.0.1", 50000, "127.0.0.1", 22), True),
        (policy(), ("::1", 50000, "::1", 22), True),
        (policy(), ("192.0.2.1", 50000, "192.0.2.1", 22), True),
    ],
)
def test_permits(found, connection, permitted):
    assert lockout.permits(found, lockout.SshConnection(*connection)) is permitted


def test_refusal_names_client_port_and_remedy():
    text = lockout.refusal(lockout.SshConnection(*OFFICE), "agent1")
    for word in (
        "192.0.2.100",
        "port 22",
        "agent1",
        "determined_management",
        "allow_lockout",
        "nothing was changed",
    ):
        assert word in text


HEADER = "  sl  local_address rem_address   st tx_queue\n"


@pytest.mark.parametrize(
    "line, connection, established",
    [
        ("   0: 010200C0:0016 640200C0:C350 01 00000000:00000000", OFFICE, True),
        ("   0: C0000201:0016 C0000264:C350 01 00000000:00000000", OFFICE, True),  # big-endian machine
        ("   0: 010200C0:0016 640200C0:C350 06 00000000:00000000", OFFICE, False),  # TIME_WAIT
        ("   0: 010200C0:0016 640200C0:C351 01 00000000:00000000", OFFICE, False),
        (
            "   0: 0000000000000000FFFF0000010200C0:0016 0000000000000000FFFF0000640200C0:C350 01 00000000",
            OFFICE,
            True,
        ),
        (
            "   0: B80D0120000000000000000001000000:0016 B80D0120000000000000000007000000:C350 01 0",
            OFFICE6,
            True,
        ),
    ],
)
def test_is_established(line, connection, established):
    assert lockout.is_established([HEADER + line + "\n"], lockout.SshConnection(*connection)) is established
    assert not lockout.is_established([HEADER], lockout.SshConnection(*connection))
