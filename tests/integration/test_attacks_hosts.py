"""The attacks of an outsider against booted hosts: ports that containers publish, and a host with a running firewalld.

The hosts are as administrators have them. Without our rules, each attack works there.
"""

from __future__ import annotations

import functools
import ipaddress
import json
import subprocess

import pytest

from ._firewall_host import policy, rule
from ._forger import CLIENT, FORGER, naive_table
from ._window import stays_closed, window
from .systemd_lab import SystemdLab

HOSTS = {"agent": "determined_agents", "stranger": "determined_outsiders"}
ANYBODY = {"ipv4": ["0.0.0.0/0"], "ipv6": ["::/0"]}
OFFICE = {"ipv4": ["198.51.100.7"], "ipv6": ["2001:db8:ffff::7"]}
SSH = rule("tcp", "22", "anybody", "management")
MODULE = "determined.network.firewall"
PUBLISHED, OWN, ZONE, CLOSED = 2600, 2601, 6000, 6001
INSIDE = "2001:db8:d0c::/64"
DOCKER = {"ipv6": True, "fixed-cidr-v6": INSIDE, "experimental": True, "ip6tables": True, "userland-proxy": False}

# A service that answers as the client of the attacks expects it.
PONG = """
import socket, threading
sock = socket.socket(socket.AF_INET6)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
sock.bind(("::", PORT))
sock.listen(64)
def serve(peer):
    while peer.recv(10):
        peer.send(b"pong")
while True:
    threading.Thread(target=serve, args=(sock.accept()[0],), daemon=True).start()
"""


class Attacked:
    """The agent, and the stranger who attacks it."""

    def __init__(self, lab: SystemdLab):
        self.lab = lab
        self.hardware = lab.shell("agent", "cat /sys/class/net/eth0/address").strip()
        self.source_port = 41000

    def apply(self, mode: str | None, *ports: str, peers: dict | None = None) -> dict:
        """Apply a policy, or remove it -> the result. ``peers``: OFFICE, or others."""
        inbound = [rule("tcp", ",".join(ports) or "80", "office")]
        wanted = policy(mode, {"office": peers or OFFICE, "anybody": ANYBODY}, inbound, [], [SSH]) if mode else None
        options = {"policy": wanted} if wanted else {"state": "absent"}
        result = self.lab.task("agent", MODULE, **options)
        assert not result.get("failed"), json.dumps(result)
        return result

    def connected(self, family: int, port: int, source_port: int) -> str:
        address = self.lab.addresses["agent"][family == 6]
        client = ("python3", "-c", CLIENT, address, str(port), str(source_port))
        return self.lab.run("stranger", *client).stdout.strip()

    def crafted(self, family: int, port: int, replying: str, replying_port: int) -> str:
        """The attack of test_attacks.py; the forged reply comes from the end that conntrack expects it from."""
        self.source_port += 1
        victim, own = (self.lab.addresses[host][family == 6] for host in ("agent", "stranger"))
        ask = f"{own},{self.source_port},{victim},{port},A,md5"
        # If the host passed it on, the stranger's own stack would reset what it does not know.
        reply = f"{replying},{replying_port},{own},{self.source_port},A,near"
        done = self.lab.run("stranger", "python3", "-c", FORGER, "eth0", self.hardware, ask, reply)
        assert done.returncode == 0, done.stderr
        return self.connected(family, port, self.source_port)

    def window(self, *ports: int):
        def start(*arguments: str) -> subprocess.Popen:
            return self.lab.begin("stranger", "python3", *arguments)

        addresses = self.lab.addresses
        return window(start, self.hardware, addresses["agent"], addresses["stranger"], list(ports))


@pytest.fixture(scope="module", params=["nft", "legacy"])
def docker_host(request):
    with SystemdLab(HOSTS) as lab:
        for tool in ("iptables", "ip6tables"):
            lab.shell("agent", f"update-alternatives --quiet --set {tool} /usr/sbin/{tool}-{request.param}")
        if request.param == "legacy":
            lab.shell("agent", "nft flush ruleset")  # this machine's Docker put the rules of its name server there
        lab.start_docker("agent", **DOCKER)
        script = PONG.replace("PORT", "80")
        mounts = ["--volume=/usr:/usr:ro", "--volume=/lib:/lib:ro", "--volume=/lib64:/lib64:ro"]
        # Inside the lab's own network: this machine's Docker lets no frame with another source pass between the hosts.
        own, wide = (ipaddress.ip_network(network) for network in lab.networks)
        inner = [list(own.subnets(new_prefix=28))[1], ipaddress.ip_network(f"{wide[0xD0C0000]}/112")]
        subnets = " ".join(f"--subnet={network}" for network in inner)
        lab.shell("agent", f"docker network create --ipv6 {subnets} own")
        options = [
            "--detach",
            "--name=web",
            "--network=own",
            f"--publish={PUBLISHED}:80",
            "--stop-signal=KILL",
            "--restart=always",
            *mounts,
        ]
        done = lab.run("agent", "docker", "run", *options, "busybox:test", "/usr/bin/python3", "-c", script)
        assert done.returncode == 0, done.stderr
        attacked = Attacked(lab)
        for family in (4, 6):
            serves = functools.partial(attacked.connected, family, PUBLISHED, 40000)
            lab.wait_until(lambda serves=serves: serves() == "open", 30, "the container does not serve")
        yield attacked, request.param


def container_address(attacked: Attacked, family: int) -> str:
    word = {4: "IPAddress", 6: "GlobalIPv6Address"}[family]
    template = f"{{{{range .NetworkSettings.Networks}}}}{{{{.{word}}}}}{{{{end}}}}"
    return attacked.lab.shell("agent", f"docker inspect -f '{template}' web").strip()


def test_a_published_port_does_not_open_by_what_conntrack_believes(docker_host):
    attacked, variant = docker_host
    naive = (
        "-i eth0 -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN",
        "-i eth0 -p tcp -m conntrack --ctstate NEW -m tcp --tcp-flags SYN,RST,ACK ACK -j RETURN",
        "-i eth0 -p tcp --dport 80 -j DROP",
    )
    for family, tool in ((4, "iptables"), (6, "ip6tables")):
        inside = container_address(attacked, family)
        assert attacked.connected(family, PUBLISHED, 40001) == "open"
        # In a chain of their own before Docker's: old releases have no DOCKER-USER in IPv6.
        made = [f"{tool} -N NAIVE", *(f"{tool} -A NAIVE {words}" for words in naive), f"{tool} -I FORWARD 1 -j NAIVE"]
        attacked.lab.shell("agent", "; ".join(made))
        assert attacked.connected(family, PUBLISHED, 40002) == "filtered"
        assert attacked.crafted(family, PUBLISHED, inside, 80) == "open", "the control"
        attacked.lab.shell("agent", f"{tool} -D FORWARD -j NAIVE; {tool} -F NAIVE; {tool} -X NAIVE")
    assert attacked.apply("restrict")["variant"] == variant
    for family in (4, 6):
        inside, victim = container_address(attacked, family), attacked.lab.addresses["agent"][family == 6]
        for replying, port in ((inside, 80), (victim, PUBLISHED)):
            assert attacked.crafted(family, PUBLISHED, replying, port) == "filtered"
    attacked.apply(None)


def test_ports_stay_closed_while_rules_change_and_services_restart(docker_host):
    """A published port, and one of a service of the host itself."""
    attacked, _variant = docker_host
    lab = attacked.lab
    lab.write("agent", "/run/pong.py", PONG.replace("PORT", str(OWN)))
    lab.shell("agent", "systemd-run --quiet python3 /run/pong.py")
    for family in (4, 6):
        lab.wait_until(lambda family=family: attacked.connected(family, OWN, 40000) == "open", 30, "it does not serve")
    with attacked.window(PUBLISHED, OWN) as result:
        pass
    targets = {f"{address},{port}" for address in lab.addresses["agent"] for port in (PUBLISHED, OWN)}
    assert set(result["opened"]) == targets, f"the control: they are open without our rules, {result}"
    other = ("restrict", "81", "2600-2700")
    steps = {
        "other rules": lambda: attacked.apply(*other),
        "other members": lambda: attacked.apply("restrict", peers={"ipv4": ["198.51.100.8"]}),
        "our units restart": lambda: lab.shell("agent", "systemctl restart 'determined-network-firewall*'"),
        "Docker restarts": lambda: lab.shell("agent", "systemctl restart docker"),
    }
    for name, step in steps.items():
        stays_closed(name, lambda: attacked.window(PUBLISHED, OWN), lambda: attacked.apply("restrict"), step)

    # Closed by rules of the host itself in each mode, so that we could only open it.
    for tool in ("iptables", "ip6tables"):
        lab.shell("agent", f"{tool} -I INPUT 1 -p tcp --dport {OWN} -j DROP")
        lab.shell("agent", f"{tool} -I FORWARD 1 -p tcp -m conntrack --ctorigdstport {PUBLISHED} -j DROP")
    for before, after in (("restrict", None), (None, "restrict"), ("restrict", "permit"), ("permit", "restrict")):
        name = f"{before} to {after}"
        go = (lambda before=before: attacked.apply(before)), (lambda after=after: attacked.apply(after))
        stays_closed(name, lambda: attacked.window(PUBLISHED, OWN), *go)
    attacked.apply(None)


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def firewalld_host(request):
    with SystemdLab(HOSTS, release=request.param) as lab:
        lab.shell("agent", "systemctl enable --quiet --now firewalld")
        lab.shell("agent", f"firewall-cmd --quiet --permanent --add-port={ZONE}/tcp; firewall-cmd --quiet --reload")
        for port in (ZONE, CLOSED):
            lab.write("agent", f"/run/pong{port}.py", PONG.replace("PORT", str(port)))
            lab.shell("agent", f"systemd-run --quiet python3 /run/pong{port}.py")
        attacked = Attacked(lab)
        lab.wait_until(lambda: attacked.connected(4, ZONE, 40000) == "open", 30, "it does not serve")
        yield attacked


NAIVE_TABLE = naive_table(ZONE)


def test_beside_firewalld_no_port_opens_by_what_conntrack_believes(firewalld_host):
    """A zone opens the port, and the table beside firewalld closes it."""
    attacked = firewalld_host
    agent = attacked.lab.addresses["agent"]
    done = attacked.lab.run("agent", "nft", "-f", "-", text=NAIVE_TABLE)
    assert done.returncode == 0, done.stderr
    for family in (4, 6):
        assert attacked.connected(family, ZONE, 40001) == "filtered"
        assert attacked.crafted(family, ZONE, agent[family == 6], ZONE) == "open", "the control"
    attacked.lab.shell("agent", "nft delete table inet naive")
    assert attacked.apply("restrict")["backend"] == "firewalld"
    for family in (4, 6):
        for port in (ZONE, CLOSED):
            assert attacked.crafted(family, port, agent[family == 6], port) != "open"
    attacked.apply(None)


def test_beside_firewalld_a_port_stays_closed_while_rules_change(firewalld_host):
    attacked = firewalld_host
    with attacked.window(ZONE) as result:
        pass
    assert result["through"] > 1000, f"the control: the zone opens it, {result}"
    # The zones close this port, so it is closed in each mode.
    for before, after in ((None, "restrict"), ("restrict", "permit"), ("permit", "restrict"), ("restrict", None)):
        name = f"{before} to {after}"
        go = (lambda before=before: attacked.apply(before)), (lambda after=after: attacked.apply(after))
        stays_closed(name, lambda: attacked.window(CLOSED), *go)
    steps = {
        "reload": lambda: attacked.lab.shell("agent", "firewall-cmd --quiet --reload"),
        "restart": lambda: attacked.lab.shell("agent", "systemctl restart firewalld"),
        "our units restart": lambda: attacked.lab.shell("agent", "systemctl restart 'determined-network-firewall*'"),
        "other rules": lambda: attacked.apply("restrict", "81", "2600-2700"),
    }
    for name, step in steps.items():
        stays_closed(name, lambda: attacked.window(ZONE), lambda: attacked.apply("restrict"), step)
    attacked.apply(None)
