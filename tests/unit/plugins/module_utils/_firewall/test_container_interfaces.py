"""The bridges of a host's containers, and the interfaces that must not be taken for one."""

import sys

import pytest
from ansible_collections.determined.network.plugins.module_utils._firewall import container_interfaces, lockout


def test_default_is_valid():
    assert container_interfaces.read(container_interfaces.DEFAULT) == container_interfaces.DEFAULT


@pytest.mark.parametrize("patterns", [[], ["docker0"], ["br-+", "cni0", "eth0.5", "a@b", "123456789012345"]])
def test_valid(patterns):
    assert container_interfaces.read(patterns) == tuple(patterns)


def test_each_counts_once_in_its_order():
    assert container_interfaces.read(["br-+", "a", "br-+", "a"]) == ("br-+", "a")


@pytest.mark.parametrize(
    "pattern",
    ["", "+", "br+x", "a b", "a/b", "-j", "!docker0", "1234567890123456", "12345678901234++", "docker*", "é", 5],
)
def test_what_is_no_pattern_is_named_with_its_place(pattern):
    with pytest.raises(ValueError) as caught:
        container_interfaces.read(["docker0", pattern, "a:b"])
    for part in (f"container_interfaces[1] is {pattern!r}", "container_interfaces[2]"):
        assert part in str(caught.value)
    assert "container_interfaces[0]" not in str(caught.value)


@pytest.mark.parametrize(
    "pattern, name, meant",
    [
        ("docker0", "docker0", True),
        ("docker0", "docker01", False),
        ("br-+", "br-0123456789ab", True),
        ("br-+", "br-", True),
        ("br-+", "br0", False),
        ("br-+", "xbr-1", False),
    ],
)
def test_matches(pattern, name, meant):
    assert container_interfaces.matches(pattern, name) is meant


def ipv4(destination, mask, name, flags="0003"):
    """A line as /proc/net/route has it on this machine."""
    words = [
        format(int.from_bytes(bytes(int(part) for part in text.split(".")), sys.byteorder), "08X")
        for text in (destination, mask)
    ]
    return f"{name}\t{words[0]}\t00000000\t{flags}\t0\t0\t0\t{words[1]}\t0\t0\t0\n"


HEADER = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
IPV4 = (
    HEADER
    + ipv4("0.0.0.0", "0.0.0.0", "eth0")
    + ipv4("172.17.0.0", "255.255.0.0", "docker0", "0001")
    + ipv4("192.0.2.0", "255.255.255.0", "br-office", "0001")
    + ipv4("192.0.0.0", "255.0.0.0", "eth2")
    + ipv4("192.0.2.0", "255.255.255.0", "br-backup", "0001")
    + ipv4("203.0.113.0", "255.255.255.0", "eth3", "0201")
)
ZERO = "0" * 32
DOCUMENTATION = "20010db8000000000000000000000000"
IPV6 = "".join(
    f"{network} {length} {ZERO} 00 {ZERO} 00000400 00000001 00000000 {flags} {name:>8}\n"
    for network, length, flags, name in (
        (DOCUMENTATION, "40", "00000001", "br-v6"),
        (ZERO, "00", "00450003", "br-ex"),
        (ZERO, "00", "00200200", "lo"),
        ("fe800000000000000000000000000000", "40", "00000001", "eth0"),
        ("fe800000000000000000000000000000", "40", "00000001", "docker0"),
    )
)


def connection(client):
    return lockout.SshConnection(client, 50000, "192.0.2.1", 22)


@pytest.mark.parametrize(
    "client, found",
    [
        (None, []),
        ("198.51.100.9", ["eth0 198.51.100.9"]),
        ("192.0.2.100", ["br-backup 192.0.2.100", "br-office 192.0.2.100"]),
        ("2001:db8::9", ["br-v6 2001:db8::9"]),
        ("2001:db8:1::9", ["br-ex 2001:db8:1::9"]),
        ("203.0.113.5", ["eth0 203.0.113.5"]),  # the nearer route rejects
        ("fe80::9", []),  # any interface, that of containers too, has a route to it
    ],
)
def test_uplinks(client, found):
    uplinks = container_interfaces.uplinks(IPV4, IPV6, connection(client) if client else None)
    default = [name for name, why in uplinks if "default route" in why]
    assert default == ["br-ex", "eth0"]
    by_ssh = [name + " " + why.rsplit(" ", 1)[1] for name, why in uplinks if "SSH" in why]
    assert by_ssh == found


def test_a_host_without_routes_or_without_a_family():
    assert container_interfaces.uplinks(HEADER, None, None) == []
    assert container_interfaces.uplinks(None, None, connection("192.0.2.100")) == []


def test_the_routes_of_this_machine_can_be_read():
    texts = []
    for path in (container_interfaces.ROUTES_IPV4, container_interfaces.ROUTES_IPV6):
        with open(path, encoding="ascii") as handle:
            texts.append(handle.read())
    names = [name for name, _why in container_interfaces.uplinks(texts[0], texts[1], None)]
    with open("/proc/net/route", encoding="ascii") as handle:
        defaults = [line.split()[0] for line in handle if line.split()[1] == "00000000"]
    assert set(defaults) <= set(names)


def test_refusal_names_interface_pattern_and_remedy():
    found = container_interfaces.uplinks(IPV4, IPV6, connection("192.0.2.100"))
    assert container_interfaces.refusal(("docker0", "veth+"), found) is None
    text = container_interfaces.refusal(container_interfaces.DEFAULT, found)
    for word in (
        "nothing was changed",
        "interface br-ex carries this host's default route",
        "interface br-office carries the SSH connection from 192.0.2.100",
        "'br-+'",
        "determined_firewall_container_interfaces",
        "ip -br link",
    ):
        assert word in text
    assert "eth0" not in text
