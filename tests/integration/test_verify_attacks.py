"""A verification tries to break in: it finds each hole that somebody makes, and nothing else.

The hosts of a rehearsal share no link, so a bridge takes the place of the router between most of them.
"""

from __future__ import annotations

import json
import os
import random
import re
import string
import subprocess
import sys

import pytest

from .lab import Lab

NETWORKS = {"ipv4": "192.0.2.0/24", "ipv6": "2001:db8:1::/64"}
HOSTS = {
    "master": ("determined_master", ["192.0.2.10", "2001:db8:1::10"]),
    "agent1": ("determined_agents", ["192.0.2.21", "2001:db8:1::21"]),
    "agent2": ("determined_agents", ["192.0.2.22", "2001:db8:1::22"]),
    "stranger": ("determined_outsiders", ["192.0.2.66", "2001:db8:1::66"]),
    "guest": ("determined_outsiders", ["192.0.2.67"]),
    "faraway": ("determined_outsiders", ["203.0.113.68"]),
}
VICTIMS = ("master", "agent1", "agent2")
FAMILIES = ("ipv4", "ipv6")
TOOLS = {"ipv4": "iptables -w", "ipv6": "ip6tables -w"}
ADDRESS = {
    (name, family): texts[number]
    for name, (_unused, texts) in HOSTS.items()
    for number, family in enumerate(FAMILIES[: len(texts)])
}
CONTAINER = {"ipv4": "198.51.100.2", "ipv6": "2001:db8:c::2"}
# A row of UDP from agents to agents: only the forged source is a reason to drop what bears an agent's own address.
SYNC = {"id": "sync", "from": "agents", "to": "agents", "protocol": "udp", "ports": 4801}

# Counts what only attacks send: TCP-MD5, and packets of the victim itself that come from outside.
COUNTED = [
    f"{TOOLS[family]} -t raw {{}} PREROUTING -i eth0 {words}"
    for family in FAMILIES
    for words in ("-p tcp --tcp-option 19", f"-s {ADDRESS['agent1', family]}")
]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A right cluster in mode restrict, whose first two outsiders are on its link. One of these two sends no frames."""
    folder = tmp_path_factory.mktemp("attacks")
    settings = {"determined_mode": "restrict", "determined_extra_requirements": [SYNC]}
    with Lab(folder, f"attacks-{os.getpid()}", HOSTS, **settings) as built:
        connect(built)
        # Both have the same addresses, as on hosts with Docker.
        for host in ("agent1", "agent2"):
            add_container(built, host)
        interpreter = folder / "without-raw-sockets"
        interpreter.write_text(f'#!/bin/sh\nexec setpriv --bounding-set=-net_raw -- {sys.executable} "$@"\n')
        interpreter.chmod(0o755)
        done = built.play("site", "--tags", "configure")
        assert done.returncode == 0, done.stdout + done.stderr
        yield built


def connect(lab):
    """Put all hosts but the last one on one bridge of the router between them."""
    keeper = next(iter(lab.namespaces.values()))["keeper"]["pid"]
    names = [name for name in HOSTS if name != "faraway"]
    devices = [f"v{number}" for number, name in enumerate(sorted(HOSTS)) if name in names]
    lines = ["ip link add lan type bridge", "ip link set lan up", "ip address add fe80::1/64 dev lan nodad"]
    for device in devices:
        lines += [f"ip address flush dev {device}", f"ip route flush dev {device}", f"ip -6 route flush dev {device}"]
        lines += [f"ip link set {device} master lan"]
    lines += [f"ip route replace {network} dev lan" for network in NETWORKS.values()]
    subprocess.run(["nsenter", f"--net=/proc/{keeper}/ns/net", "sh", "-exc", "\n".join(lines)], check=True)
    for name in names:
        for family in FAMILIES:
            if (name, family) in ADDRESS:
                lab.shell(name, f"ip route add {NETWORKS[family]} dev eth0 src {ADDRESS[name, family]}")


def add_container(lab, host):
    """A container of its own network, which routes to other hosts through this host."""
    lab.shell(
        host,
        "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv6.conf.default.accept_dad=0; "
        "ip netns add box; ip link add br-box type bridge; ip link add port type veth peer name eth0 netns box; "
        "ip link set port master br-box; ip link set port up; ip link set br-box up; "
        "ip address add 198.51.100.1/24 dev br-box; ip address add 2001:db8:c::1/64 dev br-box nodad; "
        "ip -n box link set lo up; ip -n box link set eth0 up; ip -n box address add 198.51.100.2/24 dev eth0; "
        "ip -n box address add 2001:db8:c::2/64 dev eth0 nodad; "
        "ip -n box route add default via 198.51.100.1; ip -n box route add default via 2001:db8:c::1",
    )


def verify(lab, *arguments, **variables):
    wrapper = lab.folder / "without-raw-sockets"
    interpreter = f"{{{{ '{wrapper}' if inventory_hostname == 'guest' else ansible_playbook_python }}}}"
    variables = {"determined_verify_attack": True, "determined_verify_seed": 1, **variables}
    return lab.play("verify", *arguments, ansible_python_interpreter=interpreter, **variables)


def attack_cells(lab):
    return [cell for cell in lab.report()["checks"] if cell["requirement"].startswith("attack_")]


def keys(cells):
    return {(cell["requirement"], cell["source"], cell["destination"], cell["address"]) for cell in cells}


def frames(lab):
    """How many packets of COUNTED have arrived at agent1."""
    found = 0
    for family in FAMILIES:
        for line in lab.shell("agent1", f"{TOOLS[family]} -t raw -nvxL PREROUTING").splitlines():
            if re.search(r"option=19|tcp-option|" + re.escape(ADDRESS["agent1", family]), line):
                found += int(line.split()[0])
    return found


@pytest.fixture
def counted(lab):
    """Counts the packets of attacks at agent1."""
    for rule in COUNTED:
        lab.shell("agent1", rule.format("-I"))
    yield
    for rule in COUNTED:
        lab.shell("agent1", rule.format("-D"))


def possible():
    """All attacks that outsiders of HOSTS can make, as keys."""
    own = {
        ("attack_udp", name, victim, ADDRESS[victim, family])
        for (name, family) in ADDRESS
        for victim in VICTIMS
        if HOSTS[name][0] == "determined_outsiders"
    }
    on_link = {
        (attack, "stranger", victim, ADDRESS[victim, family])
        for attack in ("attack_connection", "attack_source")
        for victim in VICTIMS
        for family in FAMILIES
    }
    containers = {
        ("attack_container", "stranger", agent, address)
        for agent in ("agent1", "agent2")
        for address in CONTAINER.values()
    }
    return own | on_link | containers


def traces(lab):
    return lab.shell("stranger", "ip route; ip -6 route; ip address")


def test_a_right_cluster_holds_and_says_who_could_not_attack(lab, counted):
    before = traces(lab)
    secret = "".join(random.choices(string.ascii_letters, k=40))
    done = verify(lab, "-vvv", __verify_secret=secret)  # an extra variable outranks the role's own
    assert done.returncode == 0, done.stdout + done.stderr
    assert secret not in done.stdout + done.stderr + json.dumps(lab.report())
    found = attack_cells(lab)
    assert keys(cell for cell in found if cell["verdict"] == "correct") == possible()
    assert {cell["verdict"] for cell in found} == {"correct", "advice"}
    advice = {(cell["source"], cell["requirement"]): cell["evidence"] for cell in found if cell["verdict"] == "advice"}
    on_link = ("attack_connection", "attack_container", "attack_source")
    assert set(advice) == {(source, attack) for source in ("guest", "faraway") for attack in on_link}
    assert "because Ansible does not manage it as root" in advice["guest", "attack_source"]
    assert "because it is not on the same link" in advice["faraway", "attack_connection"]
    assert "faraway: it did NOT make this attack on master, agent1, agent2" in done.stdout
    assert traces(lab) == before
    assert frames(lab) > 10


def test_without_attacks_no_frame_of_them_is_sent(lab, counted):
    done = verify(lab, "--limit", "agent1,stranger", determined_verify_attack=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert attack_cells(lab) == []
    assert "Not attacked, because" in done.stdout
    assert frames(lab) == 0


def test_in_permit_nobody_is_attacked(lab, counted):
    done = verify(lab, "--limit", "agent1,agent2,stranger", determined_mode="permit")
    assert done.returncode == 0, done.stdout + done.stderr
    assert attack_cells(lab) == []
    assert "Not attacked" not in done.stdout
    assert frames(lab) == 0


def holes():
    """(Key of the cell, host, rules that open it)."""
    for family in FAMILIES:
        tool, stranger = TOOLS[family], ADDRESS["stranger", family]
        source = f"-s {stranger}"
        # The rules of before: what connection tracking calls established, and what looks like its middle.
        judged = ("mangle {} PREROUTING", "filter {} INPUT")
        states = ("--ctstate ESTABLISHED", "--ctstate NEW -m tcp --tcp-flags SYN,RST,ACK ACK")
        yield (
            ("attack_connection", "stranger", "master", ADDRESS["master", family]),
            "master",
            [
                f"{tool} -t raw {{}} PREROUTING -p tcp -j ACCEPT",
                *(
                    f"{tool} -t {place} {source} -p tcp -m conntrack {state} -j ACCEPT"
                    for place in judged
                    for state in states
                ),
            ],
        )
        yield (
            ("attack_container", "stranger", "agent1", CONTAINER[family]),
            "agent1",
            [
                f"{tool} -t {place} -d {CONTAINER[family]} -j ACCEPT"
                for place in ("mangle {} PREROUTING", "mangle {} FORWARD", "filter {} FORWARD")
            ],
        )
        yield (
            ("attack_udp", "stranger", "agent1", ADDRESS["agent1", family]),
            "agent1",
            [f"{tool} -t {place} {source} -p udp -j ACCEPT" for place in ("mangle {} PREROUTING", "filter {} INPUT")],
        )
    yield (
        ("attack_source", "stranger", "agent2", ADDRESS["agent2", "ipv6"]),
        "agent2",
        ["ip6tables -w -t raw {} PREROUTING -p udp -j ACCEPT"],
    )


def test_each_hole_makes_exactly_its_own_cell_wrong(lab):
    planted = [(host, rule) for _key, host, rules in holes() for rule in rules]
    for host, rule in planted:
        lab.shell(host, rule.format("-I"))
    try:
        done = verify(lab)
    finally:
        for host, rule in planted:
            lab.shell(host, rule.format("-D"))
    assert done.returncode != 0
    wrong = [cell for cell in lab.report()["checks"] if cell["verdict"] == "wrong"]
    assert keys(wrong) == {key for key, _host, _rules in holes()}
    assert {cell["verdict"] for cell in attack_cells(lab)} == {"correct", "wrong", "advice"}
    assert "An outsider sent the middle of a connection, a forged reply and a SYN." in done.stdout
