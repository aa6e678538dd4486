# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports that containers publish, on real hosts with a real dockerd: they obey the policy like any other port.

One lab for each way of iptables and of Docker; the tests follow each other on it, as the days of a cluster do.
"""

from __future__ import annotations

import ipaddress
from concurrent.futures import ThreadPoolExecutor

import pytest

from .systemd_lab import SystemdLab

HOSTS = {
    "master": "determined_master",
    "agent1": "determined_agents",
    "agent2": "determined_agents",
    "stranger": "determined_outsiders",
}
# Documented ports, so that there are ports of agents that not even agents may reach.
CLUSTER = {
    "determined_mode": "restrict",
    "determined_agent_ports": "documented",
    "determined_services": [],
    "determined_firewall_backend": "iptables",
}
INSIDE = "2001:db8:d0c::/64"  # IPv6 addresses of agent1's containers
# Docker publishes ports of IPv6 by rules of its own, or by docker-proxy alone; ports of IPv4 with it or without.
BY_RULES = {"ipv6": True, "fixed-cidr-v6": INSIDE, "experimental": True, "ip6tables": True, "userland-proxy": False}
BY_PROXY = {"ip6tables": False}
LABS = {
    "bookworm, nft": ("bookworm", "nft", BY_RULES),
    "trixie, legacy": ("trixie", "legacy", BY_PROXY),
}

# Published port of agent1 -> who reaches it, under CLUSTER's rows. 900 is in no row.
ROWS = {2600: {"master", "agent2"}, 12350: {"master", "agent2"}, 900: set()}
EVERYTHING = {
    (source, number, port) for source in ("master", "agent2", "stranger") for number in (4, 6) for port in ROWS
}
REGISTRY = 5000

# The host's own curl in a container; busybox has none, and its wget cannot look up a name.
CURL = ["--volume=/usr:/usr:ro", "--volume=/lib:/lib:ro", "--volume=/lib64:/lib64:ro"]


class Days:
    """A lab whose agent1 has Docker, and what the tests ask of it."""

    def __init__(self, lab: SystemdLab, variant: str, settings: dict):
        self.lab, self.variant, self.settings = lab, variant, settings
        # Container networks inside the lab's own, whose upper half is free: this machine's Docker lets nothing else
        # pass between the hosts, and a stranger that knows the way shall be stopped by agent1 alone.
        self.inner, self.named = map(str, list(ipaddress.ip_network(lab.networks[0]).subnets(2))[2:])

    def start_docker(self) -> None:
        registry = f"{self.lab.addresses['stranger'][0]}:{REGISTRY}"
        self.lab.start_docker("agent1", **self.settings, **{"insecure-registries": [registry]})
        for port in ROWS:
            self.lab.publish("agent1", port)
        # The bridge of the second network has a name of its own, which no pattern matches.
        for network, name, options in (
            ("own", "inner", f"--subnet={self.inner}"),
            ("research", "named", f"--subnet={self.named} --opt=com.docker.network.bridge.name=foo0"),
        ):
            self.lab.shell(
                "agent1",
                f"docker network create {options} {network} && docker run --detach --name={name} --network={network}"
                " --restart=always --stop-signal=KILL busybox:test"
                f" sh -c 'echo {name} >/www/index.html; exec httpd -f -p 80 -h /www'",
            )
        for network in (self.inner, self.named):
            self.lab.shell("stranger", f"ip route replace {network} via {self.lab.addresses['agent1'][0]}")
        if "fixed-cidr-v6" in self.settings:
            self.lab.shell("stranger", f"ip -6 route replace {INSIDE} via {self.lab.addresses['agent1'][1]}")

    def play(self, book: str = "site", *arguments: str) -> str:
        done = self.lab.play(book, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def configure(self, *arguments: str) -> str:
        return self.play("site", "--tags", "configure", *arguments)

    def reached(self) -> set[tuple[str, int, int]]:
        """Who reaches which published port of agent1 -> (host, 4 or 6, port)."""

        def reaches(who):
            source, number, port = who
            address = self.lab.addresses["agent1"][number == 6]
            return self.lab.fetch(source, address, port, 3) == f"agent1:{port}"

        asked = sorted(EVERYTHING)
        with ThreadPoolExecutor(len(asked)) as pool:
            return {who for who, found in zip(asked, pool.map(reaches, asked), strict=True) if found}

    def straight(self) -> set[str]:
        """Which of agent1's containers the stranger reaches by their own addresses."""
        targets = [self.address("inner"), self.address("named")]
        targets += [self.address("web-2600", 6)] if "fixed-cidr-v6" in self.settings else []
        with ThreadPoolExecutor(len(targets)) as pool:
            found = pool.map(lambda address: self.lab.fetch("stranger", address, 80, 3), targets)
            return {address for address, answer in zip(targets, found, strict=True) if answer}

    def obeys(self) -> None:
        """Everybody reaches what the rows say, in both families, and nobody anything else."""
        assert self.reached() == {who for who in EVERYTHING if who[0] in ROWS[who[2]]}
        assert self.straight() == set()

    def open_to_all(self) -> None:
        """What the other tests see closed does work without the policy."""
        assert self.reached() == EVERYTHING
        assert len(self.straight()) == (3 if "fixed-cidr-v6" in self.settings else 2)

    def address(self, name: str, number: int = 4) -> str:
        word = {4: "IPAddress", 6: "GlobalIPv6Address"}[number]
        template = f"{{{{range .NetworkSettings.Networks}}}}{{{{.{word}}}}}{{{{end}}}}"
        return self.lab.shell("agent1", f"docker inspect -f '{template}' {name}").strip()

    def within(self, network: str, *places: str) -> list[str]:
        """What web servers answer to a new container of agent1; "" where nothing comes."""
        command = "for place; do timeout 5 curl --silent --globoff --max-time 4 http://$place/ || echo; done"
        options = ["--rm", f"--network={network}", *CURL]
        done = self.lab.run(
            "agent1", "docker", "run", *options, "busybox:test", "/usr/bin/sh", "-c", command, "-", *places
        )
        return done.stdout.split("\n")[:-1]

    def containers_work(self) -> None:
        """Containers reach the outside, each other, and ports that their own host or they themselves publish."""
        outside, _unused = self.lab.addresses["stranger"]
        here, here6 = self.lab.addresses["agent1"]
        wanted = {f"{outside}:8000": "stranger:8000", f"{self.address('web-2600')}:80": "agent1:2600"}
        wanted.update({f"{here}:{port}": f"agent1:{port}" for port in ROWS})
        if "fixed-cidr-v6" in self.settings:
            wanted[f"[{here6}]:900"] = "agent1:900"
        assert self.within("bridge", *wanted) == list(wanted.values())
        wanted = {f"{outside}:8000": "stranger:8000", "inner:80": "inner"}
        if self.settings.get("userland-proxy", True):
            wanted[f"{here}:900"] = "agent1:900"  # from another network; without docker-proxy Docker itself drops that
        assert self.within("own", *wanted) == list(wanted.values())
        wanted = {f"{outside}:8000": "stranger:8000", "named:80": "named"}
        assert self.within("research", *wanted) == list(wanted.values())
        assert self.lab.fetch("agent1", here, 900) == "agent1:900"

    def rules(self) -> list[str]:
        """All of agent1's rules, in both variants and families, without counters and comments."""
        script = "for v in nft legacy; do iptables-$v-save; ip6tables-$v-save; done 2>/dev/null"
        lines = self.lab.shell("agent1", script).splitlines()
        return [line.partition(" [")[0] for line in lines if not line.startswith("#")]


def without_ours(rules: list[str]) -> list[str]:
    return [line for line in rules if "DETERMINED-" not in line]


@pytest.fixture(scope="module", params=list(LABS))
def days(request):
    release, variant, settings = LABS[request.param]
    with SystemdLab(HOSTS, release) as lab:
        for host in HOSTS:
            for tool in ("iptables", "ip6tables"):
                lab.shell(host, f"update-alternatives --quiet --set {tool} /usr/sbin/{tool}-{variant}")
            if variant == "legacy":
                # This machine's Docker put the rules of its name server there, in nft: they are none of the host's.
                lab.shell(host, "nft flush ruleset")
        lab.inventory(**CLUSTER)
        lab.serve("stranger", 8000)
        yield Days(lab, variant, settings)


def test_docker_is_installed_after_the_policy_was_written(days):
    days.configure()
    assert "docker0" not in days.lab.shell("agent1", "ip -br link")
    days.start_docker()
    days.obeys()
    days.containers_work()


def test_docker_restarts(days):
    ours = [line for line in days.rules() if line not in without_ours(days.rules())]
    days.lab.shell("agent1", "systemctl restart docker")
    days.lab.wait_until(lambda: days.lab.fetch("agent1", "127.0.0.1", 900) == "agent1:900")
    days.obeys()
    days.containers_work()
    # Docker gives its containers other addresses, so its own rules differ.
    rules = days.rules()
    assert [line for line in rules if line not in without_ours(rules)] == ours


def test_the_cluster_verifies_and_a_second_run_changes_nothing(days):
    """The services behind published ports stand in for listeners; the stranger proves what is closed."""
    output = days.play()
    assert days.lab.report()["summary"]["correct"] > 50, output
    assert "changed: [agent1]" not in output
    info = days.lab.task("agent1", "determined.network.firewall_info")
    assert info["variant"] == days.variant and info["foreign_before"] == []
    dropped = [rule for rule in info["rules"] if rule["rule"].endswith("-j DROP")]
    assert {rule["chain"] for rule in dropped if rule["packets"]} >= {"DETERMINED-PREROUTING", "DETERMINED-ROUTED"}


def test_images_are_still_pulled(days):
    """dockerd's own connections: to a registry on another host, there and back."""
    settings = f"{{version: 0.1, storage: {{inmemory: {{}}}}, http: {{addr: ':{REGISTRY}'}}}}"
    days.lab.write("stranger", "/run/registry.yml", settings)
    days.lab.shell("stranger", "systemd-run --quiet --unit=registry docker-registry serve /run/registry.yml")
    image = f"{days.lab.addresses['stranger'][0]}:{REGISTRY}/busybox:test"
    days.lab.wait_until(lambda: days.lab.connects("agent1", days.lab.addresses["stranger"][0], REGISTRY))
    days.lab.shell("agent1", f"docker tag busybox:test {image}; docker push {image}; docker rmi {image}")
    days.lab.shell("agent1", f"docker pull {image}; docker run --rm {image} true")


def test_docker_starts_after_us(days):
    days.play("remove")
    days.lab.shell("agent1", "systemctl stop docker.socket docker")
    days.configure()
    days.lab.shell("agent1", "systemctl start docker")
    days.lab.wait_until(lambda: days.lab.fetch("agent1", "127.0.0.1", 900) == "agent1:900")
    days.obeys()
    days.containers_work()


def test_dockers_rules_stay_and_ours_leave_no_trace(days):
    days.play("remove")
    before = days.rules()
    assert any("DOCKER" in line for line in before) and "DETERMINED" not in "".join(before)
    days.open_to_all()
    days.configure()
    assert without_ours(days.rules()) == before
    days.obeys()
    days.play("remove")
    assert days.rules() == before
    days.open_to_all()


def test_in_permit_docker_publishes_as_ever(days):
    days.configure("-e", "determined_mode=permit")
    judging = ("DETERMINED-PREROUTING", "DETERMINED-ROUTED", "DETERMINED-FORWARD")
    assert not any(chain in line for line in days.rules() for chain in judging)
    days.open_to_all()
    days.containers_work()
