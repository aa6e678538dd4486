"""What packets do: permit adds and drops nothing, restrict lets in what is needed and no more."""

from __future__ import annotations

import pytest

from ._firewall_host import Host, link, policy, rule

ANYBODY = {"ipv4": ["0.0.0.0/0"], "ipv6": ["::/0"]}
AGENTS = {"ipv4": ["192.0.2.2", "198.51.100.0/24"], "ipv6": ["2001:db8::2", "2001:db8:1::/48"]}
MASTER = {"ipv4": ["192.0.2.3"], "ipv6": ["2001:db8::3"]}
SSH = rule("tcp", "22", "anybody", "management")


@pytest.fixture
def neighbours():
    """The managed host, an agent that its policy names, and an outsider; all on real links."""
    with Host() as managed, Host() as agent, Host() as outsider:
        link(managed, ["192.0.2.1/24", "2001:db8::1/64"], agent, ["192.0.2.2/24", "2001:db8::2/64"], "eth0")
        link(
            managed,
            ["203.0.113.1/24", "2001:db8:ffff::1/64"],
            outsider,
            ["203.0.113.2/24", "2001:db8:ffff::2/64"],
            "eth1",
        )
        yield managed, agent, outsider


@pytest.mark.parametrize("variant", ["nft", "legacy"])
def test_permit_lets_through_what_a_closed_host_refuses_and_drops_nothing(neighbours, variant):
    managed, agent, outsider = neighbours
    managed.shell(
        f"for t in iptables-{variant} ip6tables-{variant}; do $t -P INPUT DROP; $t -P OUTPUT DROP;"
        "$t -A INPUT -i eth1 -p tcp --dport 99 -j ACCEPT; $t -A OUTPUT -p tcp --sport 99 -j ACCEPT; done\n"
        f"ip6tables-{variant} -A INPUT -i eth1 -p ipv6-icmp -j ACCEPT\n"
        f"ip6tables-{variant} -A OUTPUT -o eth1 -p ipv6-icmp -j ACCEPT\n"
    )
    for family in "46":
        for port in (99, 1734, 1800):
            managed.listen(family, "tcp", port)
        managed.listen(family, "udp", 5000)
        agent.listen(family, "tcp", 8080)
    wanted = policy(
        "permit",
        {"agents": AGENTS},
        [rule("tcp", "1734,2600-2900", "agents"), rule("udp", "5000", "agents")],
        [rule("tcp", "8080", "agents")],
    )
    assert agent.connect("192.0.2.1", 1734) == "filtered"
    managed.apply(wanted)
    for address, outside, other in (
        ("192.0.2.1", "203.0.113.1", "192.0.2.2"),
        ("2001:db8::1", "2001:db8:ffff::1", "2001:db8::2"),
    ):
        assert agent.connect(address, 1734) == "open"
        assert agent.connect(address, 2600) == "refused"
        assert agent.connect(address, 5000, "udp") == "open"
        assert managed.connect(other, 8080) == "open"
        assert agent.connect(address, 1800) == "filtered"  # the host's own policy
        assert outsider.connect(outside, 99) == "open"  # and its own exceptions
        assert outsider.connect(outside, 1734) == "filtered"
    assert not managed.apply(wanted)["changed"]


@pytest.mark.parametrize("variant", ["nft", "legacy"])
def test_restrict_drops_everything_new_but_what_the_cluster_and_the_host_need(neighbours, variant):
    managed, agent, outsider = neighbours
    managed.shell(f"iptables-{variant} -A INPUT -s 203.0.113.200 -j DROP")
    for family in "46":
        for port in (22, 23, 80, 1734, 1800):
            managed.listen(family, "tcp", port)
        managed.listen(family, "udp", 5000)
        managed.listen(family, "udp", 5001)
        outsider.listen(family, "tcp", 443)
        outsider.listen(family, "udp", 53)
    managed.apply(
        policy(
            "restrict",
            {"agents": AGENTS, "anybody": ANYBODY},
            [rule("tcp", "80,1734-1750", "agents"), rule("udp", "5000", "agents")],
            [],
            [SSH],
        )
    )
    for address, outside, other in (
        ("192.0.2.1", "203.0.113.1", "203.0.113.2"),
        ("2001:db8::1", "2001:db8:ffff::1", "2001:db8:ffff::2"),
    ):
        assert agent.connect(address, 80) == "open"
        assert agent.connect(address, 1734) == "open"
        assert agent.connect(address, 1735) == "refused"
        assert agent.connect(address, 5000, "udp") == "open"
        assert agent.connect(address, 5001, "udp", 0.3) == "filtered"
        assert agent.connect(address, 1800, timeout=0.3) == "filtered"
        assert outsider.connect(outside, 22) == "open"
        for port in (23, 80, 1734):
            assert outsider.connect(outside, port, timeout=0.3) == "filtered"
        assert outsider.connect(outside, 5000, "udp", 0.3) == "filtered"
        assert managed.connect(other, 443) == "open"  # replies to what the host itself began
        assert managed.connect(other, 53, "udp") == "open"
        loopback = "127.0.0.1" if "." in address else "::1"
        assert managed.connect(loopback, 23) == "open"
        outsider.run("ping", "-c", "1", "-W", "2", outside)
    # The host's own rules keep their say about what is only let back to them.
    managed.shell(f"iptables-{variant} -A INPUT -p tcp --dport 22 -s 203.0.113.2 -j DROP")
    assert outsider.connect("203.0.113.1", 22, timeout=0.3) == "filtered"


@pytest.mark.parametrize("address", ["203.0.113.1", "2001:db8:ffff::1"])
def test_sessions_that_are_older_than_the_change_survive_it(neighbours, tmp_path, address):
    """The kernel tracks no connection here before the change: the hardest case for a session."""
    managed, _agent, outsider = neighbours
    family = "6" if ":" in address else "4"
    managed.listen(family, "tcp", 4000)
    go = tmp_path / "go"
    program = (
        "import os, socket, sys, time\n"
        f"s = socket.create_connection(({address!r}, 4000), 5)\n"
        "s.send(b'ping'); assert s.recv(10) == b'pong'; print('ready', flush=True)\n"
        f"while not os.path.exists({str(go)!r}): time.sleep(0.02)\n"
        "s.settimeout(3); s.send(b'ping'); print(s.recv(10).decode(), flush=True)\n"
    )
    session = outsider.start("python3", "-c", program)
    assert session.stdout.readline() == "ready\n"
    managed.apply(policy("restrict", {"agents": AGENTS}, [rule("tcp", "80", "agents")]))
    go.write_text("")
    assert session.stdout.readline() == "pong\n"
    assert outsider.connect(address, 4000, timeout=0.3) == "filtered"


def test_info_counts_packets_and_sees_drift(neighbours):
    managed, agent, _outsider = neighbours
    wanted = policy("restrict", {"agents": AGENTS}, [rule("tcp", "80", "agents", "documented")])
    empty = managed.module("firewall_info", policy=wanted)
    assert not empty["managed"] and empty["rules"] == [] and "+create determined_agents_v4" in empty["drift"]
    managed.apply(wanted)
    agent.connect("192.0.2.1", 80)
    agent.connect("192.0.2.1", 81, timeout=0.2)
    info = managed.module("firewall_info", policy=wanted)
    assert info["managed"] and info["drift"] == "" and not info["changed"]
    assert info["foreign_before"] == [] and info["foreign_variants"]["nft"] == 0
    counted = [(item["chain"], item["rule"], item["packets"]) for item in info["rules"] if item["family"] == "ipv4"]
    permitted = [(chain, packets) for chain, text, packets in counted if "--dport 80" in text]
    assert permitted == [("DETERMINED-PREROUTING", 1), ("DETERMINED-INPUT", 1)]
    dropped = [(chain, packets) for chain, text, packets in counted if "nothing else" in text]
    assert dropped == [("DETERMINED-PREROUTING", 1), ("DETERMINED-INPUT", 0)]
    assert {item["name"]: item["entries"] for item in info["sets"]} == {
        "determined_agents_v4": 2,
        "determined_agents_v6": 2,
    }
    managed.shell("iptables-nft -A DETERMINED-INPUT -s 203.0.113.5 -j ACCEPT; ipset del determined_agents_v4 192.0.2.2")
    drift = managed.module("firewall_info", policy=wanted)["drift"]
    assert "--A DETERMINED-INPUT -s 203.0.113.5/32 -j ACCEPT" in drift
    assert "+add determined_agents_v4 192.0.2.2" in drift
    assert managed.apply(wanted)["changed"]
    assert managed.module("firewall_info", policy=wanted)["drift"] == ""
