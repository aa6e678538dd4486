"""SSH through a tunnel that ends on the managed host: its remembered outer flow must not look like a way in.

The tunnels are real: VXLAN of the kernel, and a TUN device with a program that sends its packets over UDP, as OpenVPN
does. Their outer flows keep the same ports, so connection tracking remembers them.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from ._firewall_host import Host, policy, rule
from ._firewall_ssh import ADDRESS, CONTROLLER, SshLab

INSIDE, CONTROLLER_INSIDE = "198.51.100.1", "198.51.100.2"
PORT = {"vxlan": 4789, "tun": 1194}
PEERS = {
    "vpn": {"ipv4": ["198.51.100.0/24"]},
    "office": {"ipv4": ["192.0.2.96/27"]},
    "elsewhere": {"ipv4": ["203.0.113.0/24"]},
}
SSH = rule("tcp", "22", "vpn")
CLOSING = policy("restrict", PEERS, [rule("tcp", "80", "vpn")], [], [SSH])

# A TUN device and a UDP socket: what comes out of one goes into the other.
RELAY = """
import fcntl, os, select, socket, struct, sys
name, port, peer = sys.argv[1], int(sys.argv[2]), sys.argv[3]
tun = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH22x", name.encode(), 0x1001))
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("0.0.0.0", port))
print("ready", flush=True)
while True:
    for one in select.select([tun, sock], [], [])[0]:
        try:
            if one == tun:
                sock.sendto(os.read(tun, 65535), (peer, port))
            else:
                os.write(tun, sock.recv(65535))
        except OSError:
            pass  # the device is down, or an ICMP error came back
"""


def task(**arguments) -> dict:
    return {"name": "firewall", "determined.network.firewall": {"persist": False, **arguments}}


def permitting(kind: str, peers: str) -> dict:
    return policy("restrict", PEERS, [rule("udp", str(PORT[kind]), peers)], [], [SSH])


def tunnel(host: Host, kind: str, name: str, peer: str, inside: str) -> None:
    if kind == "vxlan":
        # With one source port, both directions are one flow, as with a hardware or an older VXLAN.
        options = f"id 7 dstport {PORT[kind]} srcport {PORT[kind]} {PORT[kind] + 1} remote {peer} dev eth0"
        host.shell(f"ip link add {name} type vxlan {options}")
    else:
        relay = host.start(sys.executable, "-c", RELAY, name, str(PORT[kind]), peer)
        assert relay.stdout.readline() == "ready\n"
    # Nothing but the packets of a test makes the flow new: no IPv6 on the device.
    host.shell(f"sysctl -qw net.ipv6.conf.{name}.disable_ipv6=1; ip link set {name} up")
    if inside:
        host.shell(f"ip address add {inside}/24 dev {name}")


@pytest.fixture(params=["vxlan", "tun"])
def kind(request):
    return request.param


@pytest.fixture
def lab(kind):
    with SshLab() as made:
        tunnel(made.host, kind, "vpn0", CONTROLLER, INSIDE)
        tunnel(made.controller, kind, "vpn0", ADDRESS, CONTROLLER_INSIDE)
        yield made


def track(lab: SshLab) -> None:
    """Let the host's kernel track connections, as it does on most hosts."""
    lab.host.shell("iptables -A INPUT -m conntrack --ctstate INVALID -j ACCEPT")


def play(lab: SshLab, *arguments, **variables) -> dict:
    return lab.play(*arguments, check=False, ansible_host=INSIDE, **variables)


def forget(lab: SshLab, kind: str) -> None:
    """End the controller's connections and wait until the host has forgotten the outer flow by itself.

    It forgets after a second of silence instead of after two minutes.
    """
    for name in ("udp_timeout", "udp_timeout_stream"):
        lab.host.shell(f"sysctl -qw net.netfilter.nf_conntrack_{name}=1")
    assert enters(lab), "the flow is still remembered"  # these packets begin the new time
    for control in (lab.folder / "cp").glob("*"):
        subprocess.run(lab.controller.enter("ssh", "-o", f"ControlPath={control}", "-O", "exit", "x"), check=False)
    command = ["conntrack", "-L", "-p", "udp", "--orig-port-dst", str(PORT[kind])]
    lab.host.wait_until(lambda: not lab.host.run(*command), 30)


def enters(lab: SshLab) -> bool:
    """Whether a new connection through the tunnel reaches sshd."""
    probe = "import socket, sys; s = socket.create_connection((sys.argv[1], 22), 3); s.settimeout(3); print(s.recv(3))"
    return "SSH" in lab.controller.run(sys.executable, "-c", probe, INSIDE, check=False)


def test_a_tunnel_whose_outer_flow_is_not_permitted_is_refused(lab, kind):
    track(lab)
    before = lab.host.rules()
    for wanted in (CLOSING, permitting(kind, "elsewhere")):
        for options in ((), ("--check",)):
            result = play(lab, [task(policy=wanted)], *options)
            assert result["failed"], result["output"]
            for word in (
                "Refused, nothing was changed",
                f"connection from {CONTROLLER_INSIDE}",
                "tunnel device vpn0",
                f"UDP port {PORT[kind]} from {CONTROLLER}",
                "determined_extra_requirements",
                f"protocol: udp, ports: '{PORT[kind]}', networks: ['{CONTROLLER}']",
                "allow_lockout",
            ):
                assert word in result["msg"], result["msg"]
    assert lab.host.rules() == before and lab.host.left_in_run() == []


def test_without_the_refusal_the_change_looks_good_and_nobody_gets_in(lab, kind):
    """The control: allow_lockout skips the refusal, and the fresh connection rides the remembered flow."""
    track(lab)
    result = play(lab, [task(policy=CLOSING, allow_lockout=True)])
    assert result["confirmed"], result["output"]
    (warning,) = result["warnings"]
    assert "does not show that it is safe" in warning and f"UDP port {PORT[kind]} from {CONTROLLER}" in warning
    forget(lab, kind)
    assert not enters(lab)
    # It was the outer flow: where the policy permits it, they are back.
    lab.host.apply(permitting(kind, "office"), persist="false")
    assert enters(lab)


def test_a_tunnel_whose_outer_flow_is_permitted_stays_open(lab, kind):
    track(lab)
    result = play(lab, [task(policy=permitting(kind, "office"))])
    assert result["confirmed"] and not result.get("warnings"), result["output"]
    forget(lab, kind)
    assert enters(lab)
    # Nothing to judge where nothing changes, and where nothing is dropped.
    assert not play(lab, [task(policy=permitting(kind, "office"))])["changed"]
    assert play(lab, [task(policy=dict(CLOSING, mode="permit"))])["confirmed"]


def test_beside_a_tunnel_the_connection_is_not_judged_by_it(lab, kind):
    wanted = policy("restrict", PEERS, [], [], [rule("tcp", "22", "office")])
    result = lab.play([task(policy=wanted)])
    assert result["confirmed"] and not result.get("warnings"), result["output"]


def test_untracked_peers_of_a_program_are_unknown_and_may_be_anybody():
    """Without connection tracking the sender of a TUN device's packets is not known: a rule for anybody is due."""
    with SshLab() as lab:
        tunnel(lab.host, "tun", "vpn0", CONTROLLER, INSIDE)
        tunnel(lab.controller, "tun", "vpn0", ADDRESS, CONTROLLER_INSIDE)
        refused = play(lab, [task(policy=permitting("tun", "office"))])
        assert refused["failed"] and "any address (the sender is not known)" in refused["msg"], refused["output"]
        anybody = {**PEERS, "anybody": {"ipv4": ["0.0.0.0/0"], "ipv6": ["::/0"]}}
        wanted = policy("restrict", anybody, [rule("udp", str(PORT["tun"]), "anybody")], [], [SSH])
        assert play(lab, [task(policy=wanted)])["confirmed"]


def test_an_administrator_behind_a_tunnel_counts_where_a_host_changes_itself():
    with SshLab() as lab:
        tunnel(lab.host, "tun", "vpn0", CONTROLLER, INSIDE)
        tunnel(lab.controller, "tun", "vpn0", ADDRESS, CONTROLLER_INSIDE)
        track(lab)
        options = [
            "-q",
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
            "-o",
            "ControlPath=none",
        ]
        key = str(lab.folder / "user_key")
        session = lab.controller.start("ssh", *options, "-i", key, f"root@{INSIDE}", "echo in; exec sleep 1000")
        assert session.stdout.readline() == "in\n"
        local = {"on": lab.host, "ansible_connection": "local"}
        refused = play(lab, [task(policy=CLOSING)], **local)
        assert refused["failed"] and f"UDP port {PORT['tun']} from {CONTROLLER}" in refused["msg"], refused["output"]
        assert play(lab, [task(policy=permitting("tun", "office"))], **local)["confirmed"]


def test_a_tunnel_that_is_the_port_of_a_bridge_is_found():
    with SshLab() as lab:
        tunnel(lab.host, "vxlan", "vpn0", CONTROLLER, "")
        tunnel(lab.controller, "vxlan", "vpn0", ADDRESS, CONTROLLER_INSIDE)
        lab.host.shell("ip link add br0 type bridge; ip link set vpn0 master br0; ip link set br0 up")
        lab.host.shell(f"ip address add {INSIDE}/24 dev br0")
        refused = play(lab, [task(policy=CLOSING)])
        assert refused["failed"] and "tunnel device vpn0 (VXLAN)" in refused["msg"], refused["output"]


def test_of_a_bridge_only_the_port_counts_behind_which_the_client_is():
    """A bridge of virtual machines has ports of many kinds, and the uplink is one of them."""
    with SshLab() as lab:
        lab.host.shell("ip link add br0 type bridge; ip link set eth0 master br0; ip link set br0 up")
        lab.host.shell(f"ip address flush dev eth0; ip address add {ADDRESS}/24 dev br0")
        lab.host.shell(
            "ip link add vpn0 type vxlan id 7 dstport 4789 remote 203.0.113.9; ip link set vpn0 master br0 up"
        )
        lab.host.shell("ip tuntap add dev tap0 mode tap; ip link set tap0 master br0 up")
        wanted = policy("restrict", PEERS, [], [], [rule("tcp", "22", "office")])
        result = lab.play([task(policy=wanted)])
        assert result["confirmed"] and not result.get("warnings"), result["output"]
