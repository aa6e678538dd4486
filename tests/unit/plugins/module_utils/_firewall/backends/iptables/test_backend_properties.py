"""For any policy: what is written is read back, and does to a packet what the policy says.

The packets are judged by an evaluation of the rules that is written here, from
iptables-extensions(8), and shares no code with what renders them.
"""

from __future__ import annotations

import ipaddress
import shlex

from ansible_collections.determined.network.plugins.module_utils import _policy, _ports
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.forwarding import (
    OUTER_PATTERNS,
    Allowed,
    Forwarding,
    LanBridge,
)
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.iptables import text
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.iptables.backend import Iptables
from ansible_collections.determined.network.plugins.module_utils._firewall.container_interfaces import DEFAULT
from hypothesis import given, settings
from hypothesis import strategies as st

# Few hosts and ports, so that random packets often meet random rules.
V4 = ["0.0.0.0/0", "192.0.2.1", "192.0.2.2", "192.0.2.0/30", "198.51.100.0/24", "203.0.113.7"]
V6 = ["::/0", "2001:db8::1", "2001:db8::2", "2001:db8::/126", "2001:db8:1::/48"]
CLIENTS = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "198.51.100.9", "203.0.113.7", "203.0.113.8"]
CLIENTS += ["2001:db8::1", "2001:db8::3", "2001:db8:1::9", "2001:db8:2::1"]
PORTS = [1, 22, 80, 443, 1024, 1734, 2600, 2750, 8080, 65535]

port_texts = st.one_of(
    st.sampled_from(["1-65535", "1024-65535", "22", "80,443", "2600-2900,1734"]),
    st.lists(st.integers(1, 65535), min_size=1, max_size=40).map(lambda ports: ",".join(map(str, ports))),
)
names = st.sampled_from(["agents", "master", "clients", "a" * 16])
ids = st.lists(st.sampled_from(["trial_sync", "trial_ssh", "x" * 64, "y" * 64, "z" * 64, "a_1"]), max_size=8)
rules = st.builds(
    lambda protocol, ports, peers, requirements: {
        "protocol": protocol,
        "ports": ports,
        "peers": peers,
        "requirements": requirements,
    },
    st.sampled_from(["tcp", "udp"]),
    port_texts,
    names,
    ids,
)
peers = st.fixed_dictionaries(
    {
        name: st.fixed_dictionaries(
            {
                "ipv4": st.lists(st.sampled_from(V4), max_size=4),
                "ipv6": st.lists(st.sampled_from(V6), max_size=4),
            }
        )
        for name in ("agents", "master", "clients", "a" * 16)
    }
)
policies = st.builds(
    lambda mode, peers, inbound, outbound, management: _policy.HostPolicy.from_dict(
        {
            "host": "h",
            "mode": mode,
            "peers": peers,
            "inbound": inbound,
            "outbound": outbound,
            "management": management,
        }
    ),
    st.sampled_from(["permit", "restrict"]),
    peers,
    st.lists(rules, max_size=4),
    st.lists(rules, max_size=3),
    st.lists(rules, max_size=2),
)
foreign = st.lists(
    st.sampled_from(["-j ACCEPT", "-s 192.0.2.9/32 -j DROP", '-m comment --comment "-j DETERMINED-INPUT"']),
    max_size=3,
)


def apply(kernel, policy):
    backend = Iptables(container_interfaces=DEFAULT)
    reading = kernel.drive(backend.read())
    commands = backend.transactions(reading, backend.render(policy, reading))
    for command in commands:
        output = kernel.run(command)
        assert output.code == 0, (command, output)
    return commands


@settings(max_examples=60, deadline=None)
@given(first=policies, second=policies, own=foreign, default=st.sampled_from(["nft", "legacy"]))
def test_from_any_policy_to_any_other_and_away(fake_kernel, first, second, own, default):
    kernel = fake_kernel(default=default)
    for variant, tool in ((default, "iptables"), (default, "ip6tables")):
        kernel.chains(variant, tool)["INPUT"].extend(own)
        for chain in ("PREROUTING", "FORWARD"):
            kernel.chains(variant, tool, "mangle")[chain].extend(own)
    backend = Iptables(container_interfaces=DEFAULT)
    before, before_mangle = (
        {key: {name: list(rules) for name, rules in chains.items()} for key, chains in tables.items()}
        for tables in (kernel.tables, kernel.mangle)
    )
    for policy in (first, second, first):
        old = kernel.drive(backend.read()).state
        apply(kernel, policy)
        reading = kernel.drive(backend.read())
        assert reading.state == backend.render(policy, reading)
        assert apply(kernel, policy) == []
        if old != reading.state:
            # The way back, as the dead man's switch goes it, and forth again.
            for command in backend.transactions(reading, old):
                assert kernel.run(command).code == 0
            assert kernel.drive(backend.read()).state == old
            apply(kernel, policy)
        for chains in kernel.tables.values():
            assert chains["INPUT"][1:] == own and chains["INPUT"][0] == "-j DETERMINED-INPUT"
        for chains in kernel.mangle.values():
            closed = policy.mode == "restrict"
            assert chains["PREROUTING"][2 * closed :] == own and chains["FORWARD"][1 * closed :] == own
    apply(kernel, None)
    assert kernel.tables == before and kernel.sets == {}
    assert kernel.mangle == before_mangle


@settings(max_examples=60, deadline=None)
@given(policy=policies)
def test_text_and_back(fake_kernel, policy):
    backend = Iptables(container_interfaces=DEFAULT)
    kernel = fake_kernel()
    state = backend.render(policy, kernel.drive(backend.read()))
    for table in state.tables.values():
        for _name, found in table.chains:
            for rule in found:
                assert text.canonical(rule) == rule
                words = shlex.split(rule)
                if "--comment" in words:
                    assert len(words[words.index("--comment") + 1]) <= 255
                for option in ("--sports", "--dports"):
                    if option in words:
                        slots = words[words.index(option) + 1].replace(":", ",").split(",")
                        assert len(slots) <= 15
    assert all(len(name) <= 31 for name in state.sets)


def verdict(state, chain, packet):
    """What a chain says about a packet: "ACCEPT", "DROP" or "RETURN" (also at its end)."""
    family = f"ipv{ipaddress.ip_address(packet['peer']).version}"
    (rules,) = [
        dict(table.chains)[chain]
        for (variant, of_family, _name), table in state.tables.items()
        if (variant, of_family) == ("nft", family) and chain in dict(table.chains)
    ]
    for rule in rules:
        words = shlex.split(rule)
        options = {}
        while words:
            word = words.pop(0)
            if word == "-m":
                words.pop(0)
            else:
                sign = "! " if word == "!" else ""
                word = words.pop(0) if sign else word
                count = text.WORDS[sign + word]
                options[sign + word] = [words.pop(0) for _unused in range(count)]
        target = options.pop("-j", [None])[0]
        if target and all(matches(state, option, values, packet) for option, values in options.items()):
            return target
    return "RETURN"


def matches(state, option, values, packet):
    if option.startswith("! "):
        return not matches(state, option[2:], values, packet)
    if option == "--comment":
        return True
    if option in ("-i", "-o"):
        interface = packet.get({"-i": "interface", "-o": "out"}[option], "eth0")
        return interface.startswith(values[0][:-1]) if values[0].endswith("+") else interface == values[0]
    if option == "-p":
        return packet["protocol"] == values[0]
    if option == "-s":
        return ipaddress.ip_address(packet["peer"]) in ipaddress.ip_network(values[0])
    if option == "--dst-type":
        return values[0] == "UNICAST"
    if option == "--physdev-is-in":
        return packet["port"]
    if option == "--physdev-is-bridged":
        return packet["bridged"]
    if option == "--match-set":
        peer = ipaddress.ip_address(packet["peer"])
        members = state.sets[values[0]].members
        return any(peer in ipaddress.ip_network(member) for member in members)
    if option == "--ctstate":
        return bool(set(packet["state"].split(",")) & set(values[0].split(",")))
    if option in ("--sport", "--dport", "--sports", "--dports"):
        port = packet["source" if "sport" in option else "destination"]
        ranges = [part.partition(":") for part in values[0].split(",")]
        return any(int(first) <= port <= int(last or first) for first, _colon, last in ranges)
    if option == "--tcp-flags":
        return packet["flags"] & set(values[0].split(",")) == set(values[1].split(","))
    if option in ("--icmp-type", "--icmpv6-type"):
        return packet.get("type") == values[0]
    raise AssertionError(f"unknown option {option}")


def asks_for(policy, found, packet, port):
    """Whether a rule of the policy names this packet's peer, protocol and port."""
    peer = ipaddress.ip_address(packet["peer"])
    family = f"ipv{peer.version}"
    return any(
        rule.protocol == packet["protocol"]
        and _ports.contains(rule.ports, port)
        and any(peer in ipaddress.ip_network(network) for network in policy.peers[rule.peers][family])
        for rule in found
    )


packets = st.fixed_dictionaries(
    {
        "peer": st.sampled_from(CLIENTS),
        "protocol": st.sampled_from(["tcp", "udp", "sctp"]),
        "source": st.sampled_from(PORTS),
        "destination": st.sampled_from(PORTS),
        "state": st.sampled_from(["NEW", "ESTABLISHED", "RELATED", "INVALID"]),
        "flags": st.sampled_from([{"SYN"}, {"ACK"}, {"SYN", "ACK"}, {"RST", "ACK"}]),
    }
)


def opens(packet):
    """Whether a packet opens a connection, whatever connection tracking says of it."""
    return packet["protocol"] == "tcp" and packet["flags"] == {"SYN"}


@settings(max_examples=300, deadline=None)
@given(policy=policies, packet=packets)
def test_a_packet_meets_what_the_policy_says(fake_kernel, policy, packet):
    backend = Iptables(container_interfaces=DEFAULT)
    state = backend.render(policy, fake_kernel().drive(backend.read()))
    replied = packet["state"] == "ESTABLISHED" and not opens(packet)
    required = asks_for(policy, policy.inbound, packet, packet["destination"]) or (
        replied and asks_for(policy, policy.outbound, packet, packet["source"])
    )
    into = verdict(state, "DETERMINED-INPUT", packet)
    if required:
        assert into == "ACCEPT"
    elif policy.mode == "permit":
        assert into == "RETURN"
    else:
        managed = asks_for(policy, policy.management, packet, packet["destination"])
        known = packet["state"] in ("ESTABLISHED", "RELATED") and not opens(packet)
        assert into == ("RETURN" if known or managed else "DROP")
        for interface in ("lo", "docker0", "br-0123456789ab"):
            assert verdict(state, "DETERMINED-INPUT", dict(packet, interface=interface)) == "RETURN"
            assert verdict(state, "DETERMINED-PREROUTING", dict(packet, interface=interface)) == "RETURN"
    # Before its address is translated a packet meets the same verdict; and in permit it meets nobody there.
    if policy.mode == "restrict":
        assert verdict(state, "DETERMINED-PREROUTING", packet) == ("DROP" if into == "DROP" else "RETURN")
    else:
        assert {name for _variant, _family, name in state.tables} == {"filter"}
    out = verdict(state, "DETERMINED-OUTPUT", packet)
    wanted = asks_for(policy, policy.outbound, packet, packet["destination"]) or (
        replied and asks_for(policy, policy.inbound, packet, packet["source"])
    )
    assert out == ("ACCEPT" if wanted else "RETURN")


@settings(max_examples=100, deadline=None)
@given(
    packet=packets,
    interfaces=st.tuples(
        *[st.sampled_from(["eth0", "wg0", "storage", "docker0", "br-0123456789ab", "brx", "br-lan"])] * 2
    ),
    translated=st.booleans(),
    bridged=st.booleans(),
    peer=st.sampled_from(["192.0.2.1", "198.51.100.9"]),
)
def test_only_what_was_judged_is_forwarded_from_outside(fake_kernel, packet, interfaces, translated, bridged, peer):
    forwarding = Forwarding(
        (Allowed("ipv4", "198.51.100.0/24", "0.0.0.0/0"),),
        (LanBridge("br-lan", (), True),),
        (*OUTER_PATTERNS, "storage"),
        bridge_filter=True,
    )
    backend = Iptables(container_interfaces=DEFAULT, forwarding=forwarding)
    policy = _policy.HostPolicy("h", "restrict", {}, (), (), ())
    state = backend.render(policy, fake_kernel().drive(backend.read()))
    inner = [name.startswith(("docker", "br-")) and name != "br-lan" for name in interfaces]
    outer = interfaces[0] in ("eth0", "wg0", "storage", "br-lan")
    bridged = bridged and interfaces == ("br-lan", "br-lan")
    known = packet["state"] in ("ESTABLISHED", "RELATED") and not opens(packet)
    packet = dict(packet, interface=interfaces[0], out=interfaces[1], peer=peer, bridged=bridged)
    if translated:
        packet["state"] += ",DNAT"
    allowed = known or peer == "198.51.100.9"
    routed = allowed or not outer or interfaces[0] == "br-lan"
    assert verdict(state, "DETERMINED-ROUTED", dict(packet, port=True)) == ("RETURN" if routed else "DROP")
    to_containers = inner[1] or interfaces[1] == "br-lan"
    passes = allowed or translated or bridged or inner[0] or not (outer or to_containers)
    assert verdict(state, "DETERMINED-FORWARD", packet) == ("RETURN" if passes else "DROP")


@settings(max_examples=60, deadline=None)
@given(policy=policies, kind=st.sampled_from(["133", "134", "135", "136", "137", "128", "2"]))
def test_no_icmp_is_dropped_and_of_discovery_only_neighbours_are_accepted(fake_kernel, policy, kind):
    backend = Iptables(container_interfaces=DEFAULT)
    state = backend.render(policy, fake_kernel().drive(backend.read()))
    packet = {"peer": "2001:db8:9::9", "protocol": "ipv6-icmp", "type": kind, "state": "UNTRACKED"}
    for chain in ("DETERMINED-INPUT", "DETERMINED-OUTPUT"):
        assert verdict(state, chain, packet) != "DROP"
    found = policy.inbound + policy.outbound
    if any(policy.peers[rule.peers]["ipv6"] for rule in found):
        wanted = "ACCEPT" if kind in ("135", "136") else "RETURN"
        assert verdict(state, "DETERMINED-INPUT", packet) == wanted
        assert verdict(state, "DETERMINED-OUTPUT", packet) == wanted
