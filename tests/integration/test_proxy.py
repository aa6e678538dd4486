# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster whose only way out is a proxy: what is needed passes it, and what stays inside never does.

The tests run in their order: nothing, bad input, the first change, what works by it, later changes, removal.
"""

from __future__ import annotations

import ipaddress
import json
import re

import pytest
import yaml
from ansible_collections.determined.network.plugins.module_utils import _no_proxy

from ._proxy_lab import AGENT_YAML, CLUSTER, IMAGE, INDEX, MASTER_YAML, REGISTRY, USERS, ProxyLab, changes

AGENTS = ("agent1", "agent2")
OUTSIDE = f"{REGISTRY}:5000/{IMAGE}"
PIP = f"env -i PATH=$PATH pip download --no-cache-dir --dest /tmp/pip --index-url https://{INDEX}/simple tiny"
RESTARTED = re.compile(r"^changed: \[(\w+)\]", re.MULTILINE)


@pytest.fixture(scope="module")
def lab():
    with ProxyLab() as made:
        made.before = made.snapshot()
        yield made


def asked(lab, action):
    """What squid was asked for while something happens."""
    before = len(lab.log())
    result = action()
    return lab.log()[before:], result


def succeed(done):
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_nothing_works_and_nothing_changes_without_a_description(lab):
    for agent in AGENTS:
        assert lab.run(agent, "docker", "pull", OUTSIDE).returncode != 0
        assert not lab.connects(agent, lab.addresses["far"][0], 5000)
    lab.inventory()
    succeed(lab.configure())
    assert changes(lab.before, lab.snapshot()) == {host: [] for host in CLUSTER}


def test_all_bad_input_is_refused_before_the_first_change(lab):
    lab.shell("agent1", "printf 'a: 1\\nb: [2\\nc: 3\\n' >/etc/determined/agent.yaml")
    lab.shell("agent2", 'cp -p /etc/docker/daemon.json /root/; printf \'{"a": 1,\\n "b" 2}\' >/etc/docker/daemon.json')
    before = lab.snapshot()
    try:
        lab.describe(
            determined_proxy_http="192.0.2.1:3128",
            determined_proxy_https="socks5://192.0.2.1:1080",
            determined_proxy_ftp="ftp://192.0.2.1",
            determined_proxy_no_proxy_extra=["exämple.com"],
            determined_proxy_ca_certificate=str(lab.folder / "far.key"),
        )
        done = lab.configure()
        assert done.returncode != 0
        said = " ".join(done.stdout.split())
        for words in (
            "6 problems; nothing was changed",
            "determined_proxy_http: the URL has no scheme",
            "determined_proxy_https: the scheme 'socks5' is unknown",
            "determined_proxy_ftp: the scheme 'ftp' is unknown",
            "determined_proxy_no_proxy: 'exämple.com' is no name",
            "determined_proxy_ca_certificate: block 1 is a private key",
            "/etc/determined/agent.yaml, line 3: a bracket above is not closed",
            "/etc/docker/daemon.json, line 2: Expecting ':' delimiter",
        ):
            assert words in said, words
        lab.describe(
            determined_proxy_http="http://somebody:else@192.0.2.1:3128", determined_proxy_ca_certificate="/nowhere.pem"
        )
        done = lab.configure("--limit", "master")
        said = " ".join(done.stdout.split())
        assert done.returncode != 0
        assert (
            "its URL carries credentials, and they differ from determined_proxy_username and determined_proxy_password"
            in said
        )
        assert "'/nowhere.pem': no certificate in PEM form" in said
        assert USERS["cluster"] not in done.stdout and "else@" not in done.stdout
        # One host's broken file stops the others as well.
        lab.describe()
        assert lab.configure("--limit", "master,agent1").returncode != 0
        assert changes(before, lab.snapshot()) == {host: [] for host in CLUSTER}
    finally:
        lab.shell("agent2", "mv /root/daemon.json /etc/docker/daemon.json")
        lab.write("agent1", "/etc/determined/agent.yaml", AGENT_YAML)
    assert changes(lab.before, lab.snapshot()) == {host: [] for host in CLUSTER}


def test_check_mode_tells_exactly_what_the_first_change_does(lab):
    lab.describe({"agent2": {"determined_proxy_docker_method": "daemon_json"}})
    pids = {agent: (lab.pid(agent, "docker"), lab.pid(agent, "determined-agent")) for agent in AGENTS}
    check = lab.configure("--check", "--diff")
    succeed(check)
    assert changes(lab.before, lab.snapshot()) == {host: [] for host in CLUSTER}
    assert pids == {agent: (lab.pid(agent, "docker"), lab.pid(agent, "determined-agent")) for agent in AGENTS}
    done = lab.configure("--diff")
    succeed(done)

    def shown(text):
        return re.findall(r"^[-+].*$", text, re.MULTILINE)

    assert len(shown(done.stdout)) > 100
    assert sorted(shown(check.stdout)) == sorted(shown(done.stdout))
    for text in (check.stdout, done.stdout):
        for secret in ("p%40", "p%2540", "not-for-the-diff", "NCCL_DEBUG"):
            assert secret not in text
        assert "http://********@" in text
    predicted = {re.sub(r".*: ", "", line) for line in shown(check.stdout) if re.match(r"[+]{3} ", line)}
    made = {path for paths in changes(lab.before, lab.snapshot()).values() for path in paths}
    # Beside them: folders, the trust store that a program makes, and our record.
    assert predicted <= made
    others = {path for path in made - predicted if not path.endswith(("/certs.d", ".service.d", ":5000"))}
    assert {path for path in others if not path.startswith(("/etc/ssl/certs", "/var/lib/determined-network"))} == set()

    # The agent was restarted, dockerd was not, and that is said.
    for agent in AGENTS:
        assert lab.pid(agent, "docker") == pids[agent][0]
        assert lab.pid(agent, "determined-agent") != pids[agent][1]
        assert re.search(rf"docker, containerd on {agent} still\s+use the old proxy\s+settings", done.stdout)
    restarts = done.stdout.split("RUNNING HANDLER")[1].split("TASK")[0]
    assert sorted(RESTARTED.findall(restarts)) == sorted(CLUSTER)


def test_a_second_run_changes_nothing_and_restarts_nothing(lab):
    before = lab.snapshot()
    pids = [lab.pid(agent, "determined-agent") for agent in AGENTS]
    done = lab.configure(determined_proxy_restart_docker=True)
    assert re.findall(r"changed=(\d+)", succeed(done)) == ["0", "0", "0"]
    assert "RUNNING HANDLER" not in done.stdout
    assert changes(before, lab.snapshot()) == {host: [] for host in CLUSTER}
    assert pids == [lab.pid(agent, "determined-agent") for agent in AGENTS]


def test_what_the_files_say(lab):
    gate = lab.addresses["gate"][0]
    for agent in AGENTS:
        text = lab.shell(agent, "cat /etc/determined/agent.yaml")
        found, old = yaml.safe_load(text), yaml.safe_load(AGENT_YAML)
        assert found["http_proxy"] == found["https_proxy"]
        assert found["http_proxy"].startswith("http://cluster:p%2540%40%3A%2F%23%24%27%22%5C%20%26%3B%60x@" + gate)
        assert {*CLUSTER, "localhost", "127.0.0.1", "169.254.169.254"} <= set(found["no_proxy"].split(","))
        assert set(found) - set(old) == {"http_proxy", "https_proxy"}
        assert {key: value for key, value in found.items() if "_proxy" not in key} == {
            key: value for key, value in old.items() if "_proxy" not in key
        }
        kept = [line for line in text.splitlines() if "_proxy" not in line]
        assert kept == [line for line in AGENT_YAML.splitlines() if "_proxy" not in line]
        assert "# kept for the old cluster" in text
    master = yaml.safe_load(lab.shell("master", "cat /etc/determined/master.yaml"))
    variables = master["task_container_defaults"]["environment_variables"]
    assert variables[0] == "NCCL_DEBUG=INFO"
    values = dict(item.split("=", 1) for item in variables[1:])
    assert len(values) == len(variables) - 1 == 6
    assert all(values[name] == values[name.upper()] for name in ("http_proxy", "https_proxy", "no_proxy"))
    assert master["db"] == yaml.safe_load(MASTER_YAML)["db"]
    assert "# asked for" in lab.shell("master", "cat /etc/determined/master.yaml")


def test_credentials_are_roots_alone(lab):
    holding = "grep -rlE 'p%2540|p%40' /etc /var/lib/determined-network"
    for host in CLUSTER:
        found = lab.shell(host, f"{holding} | xargs stat -c '%a %U %n'").splitlines()
        assert len(found) >= 6
        assert {tuple(line.split()[:2]) for line in found} == {("600", "root")}
    # What a unit's Environment= held, this would show to everybody.
    said = succeed(lab.ssh("agent1", "systemctl show docker determined-agent; cat /etc/systemd/system/*/zz-*.conf"))
    assert "EnvironmentFile" in said and "p%2540" not in said
    # Nobody is locked out of their tools by files they cannot read.
    for command in ("apt-cache policy bash", "git config --list || test $? = 0", "pip config list", "bash -lc true"):
        succeed(lab.ssh("agent1", command))
    assert "http_proxy=http://cluster:p%2540" in succeed(lab.ssh("agent1", "env"))


def test_dockerd_pulls_through_the_proxy_and_from_the_master_past_it(lab):
    inside = f"{lab.addresses['master'][0]}:5000/{IMAGE}"
    for agent in AGENTS:
        agent_pid = lab.pid(agent, "determined-agent")
        lab.shell(agent, "systemctl restart docker")
        assert lab.pid(agent, "determined-agent") != agent_pid, "determined-agent.service requires docker.service"
        lines, done = asked(lab, lambda agent=agent: lab.run(agent, "docker", "pull", OUTSIDE))
        succeed(done)
        assert any(f"CONNECT {REGISTRY}:5000 cluster" in line for line in lines)
        assert all(f" {lab.addresses[agent][0]} " in line for line in lines)
        lines, done = asked(lab, lambda agent=agent: lab.run(agent, "docker", "pull", inside))
        succeed(done)
        assert lines == []
    # By the environment on one host and by its file on the other.
    assert "HTTPS_PROXY" in lab.variables_of("agent1", "docker")
    assert "HTTPS_PROXY" not in lab.variables_of("agent2", "docker")
    assert set(json.loads(lab.shell("agent2", "cat /etc/docker/daemon.json"))) == {"insecure-registries", "proxies"}


@pytest.mark.parametrize("agent", AGENTS)
def test_apt_and_pip_fetch_through_the_proxy(lab, agent):
    lab.write(agent, "/etc/apt/sources.list.d/test.list", f"deb [trusted=yes] http://{INDEX}/apt ./\n")
    try:
        update = "apt-get update -o Dir::Etc::sourcelist=/etc/apt/sources.list.d/test.list -o Dir::Etc::sourceparts=-"
        # As a service would: without a login's environment.
        lines, _unused = asked(
            lab, lambda: lab.shell(agent, f"env -i PATH=$PATH sh -c '{update} && apt-get install -y tiny'")
        )
        assert [line for line in lines if f"GET http://{INDEX}/apt/" in line and "tiny.deb cluster" in line]
        lab.shell(agent, "dpkg -s tiny && dpkg -P tiny")
        lines, _unused = asked(lab, lambda: lab.shell(agent, PIP))
        assert [line for line in lines if f"CONNECT {INDEX}:443 cluster" in line]
        four, six = lab.addresses["master"]
        for place in (four, f"[{six}]"):
            fetch = (
                f"env -i PATH=$PATH /usr/lib/apt/apt-helper download-file http://{place}:8080/index.html /tmp/fetched"
            )
            lines, _unused = asked(lab, lambda fetch=fetch: lab.shell(agent, fetch))
            assert lab.shell(agent, "cat /tmp/fetched") == "master:8080\n"
            assert lines == [], place
    finally:
        lab.shell(agent, "rm -rf /tmp/fetched /etc/apt/sources.list.d/test.list /var/lib/apt/lists/*example* /tmp/pip")


URLLIB = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=5).read().decode().strip())"
REQUESTS = "import sys, requests; print(requests.get(sys.argv[1], timeout=5).text.strip())"
CLIENTS = {
    "curl": "curl -fsS --max-time 5 {url}",
    "urllib": f'python3 -c "{URLLIB}" {{url}}',
    "requests": f'python3 -c "{REQUESTS}" {{url}}',
}


@pytest.mark.parametrize("client", CLIENTS)
def test_clients_reach_the_cluster_past_the_proxy_and_the_rest_through_it(lab, client):
    """Over SSH as an ordinary user and as root, with names and addresses of both families."""
    names = "; ".join(
        f"grep -q ' {host}$' /etc/hosts || echo {lab.addresses[host][0]} {host} >>/etc/hosts" for host in CLUSTER
    )
    hosts = lab.shell("agent1", "cat /etc/hosts")
    lab.shell("agent1", names)
    try:
        for host in ("master", "agent2"):
            four, six = lab.addresses[host]
            for place in (host, four, f"[{six}]"):
                command = CLIENTS[client].format(url=f"'http://{place}:8080/'")
                lines, done = asked(lab, lambda command=command: lab.ssh("agent1", command))
                assert succeed(done).strip() == f"{host}:8080", place
                assert lines == [], place
        command = CLIENTS[client].format(url=f"http://{INDEX}/apt/Packages")
        for who in (lab.ssh, lab.as_root):
            lines, done = asked(lab, lambda who=who: who("agent1", command))
            assert "Package: tiny" in succeed(done)
            assert [line for line in lines if f"GET http://{INDEX}/apt/Packages cluster" in line]
    finally:
        # Docker mounts this file, so it cannot be replaced.
        lab.run("agent1", "sh", "-c", "cat >/etc/hosts", text=hosts)


def test_a_new_agent_restarts_nothing(lab):
    units = {"master": ("determined-master", "containerd"), **dict.fromkeys(AGENTS, ("docker", "determined-agent"))}
    folders = " ".join(f"/etc/systemd/system/{unit}.service.d" for names in units.values() for unit in names)
    files = f"find /etc/docker {folders} -type f 2>/dev/null | sort"
    script = f"{files} | xargs stat -c '%n %Y %i' && {files} | xargs sha256sum"
    before = {host: lab.shell(host, script) for host in units}
    pids = {(host, unit): lab.pid(host, unit) for host, names in units.items() for unit in names}
    neighbour = str(ipaddress.ip_address(lab.addresses["far"][0]) + 1)
    new = {"agent2": {"determined_proxy_docker_method": "daemon_json"}, "agent9": {"determined_address": neighbour}}
    lab.describe(new)
    done = lab.configure(determined_proxy_restart_docker=True)
    assert "RUNNING HANDLER" not in succeed(done)
    for (host, unit), pid in pids.items():
        assert lab.pid(host, unit) == pid and lab.shell(host, script) == before[host]
    said = " ".join(done.stdout.split())
    for host, path in [("master", "master.yaml"), *((agent, "agent.yaml") for agent in AGENTS)]:
        assert neighbour in lab.shell(host, f"cat /etc/determined/{path}")
        assert f"determined-{path.partition('.')[0]} on {host} still use" in said
    # It is the master's neighbour; another one, it has to be told of.
    reached = lab.variables_of("master", "determined-master")["no_proxy"]
    assert _no_proxy.bypasses("go", reached, neighbour) and not _no_proxy.bypasses("go", reached, "203.0.113.9")
    new["agent9"]["determined_address"] = [neighbour, "203.0.113.9"]
    lab.describe(new)
    done = lab.configure(determined_proxy_restart_docker=True)
    assert RESTARTED.findall(succeed(done).split("RUNNING HANDLER")[1].split("TASK")[0]) == ["master"]
    assert lab.variables_of("master", "determined-master")["no_proxy"] == f"{reached},203.0.113.9"


def test_another_password_restarts_docker_where_wanted_one_host_at_a_time(lab):
    """With bytes beyond ASCII, by clients that send UTF-8."""
    pids = {agent: lab.pid(agent, "docker") for agent in AGENTS}
    lab.describe(
        {
            "agent1": {"determined_proxy_restart_docker": True},
            "agent2": {"determined_proxy_docker_method": "daemon_json"},
        },
        user="second",
    )
    # As talkative as Ansible gets.
    done = lab.configure("-vvvv", "--diff")
    succeed(done)
    for secret in (USERS["second"], "pässw", "p%C3%A4ss", "p%C3%83%C2%A4ss"):
        assert secret not in done.stdout + done.stderr
    assert lab.pid("agent1", "docker") != pids["agent1"]
    assert lab.pid("agent2", "docker") == pids["agent2"]
    assert "docker, containerd on agent2" in " ".join(done.stdout.split()), done.stdout
    assert "on agent1 still" not in " ".join(done.stdout.split())
    # One host after the other: all clocks are this machine's.
    spans = sorted(
        lab.starting(host, "determined-master" if host == "master" else "determined-agent") for host in CLUSTER
    )
    assert all(first[1] <= second[0] for first, second in zip(spans, spans[1:], strict=False)), spans
    lab.shell("agent1", f"docker rmi {OUTSIDE}")
    lines, pulled = asked(lab, lambda: lab.run("agent1", "docker", "pull", OUTSIDE))
    succeed(pulled)
    assert any(f"CONNECT {REGISTRY}:5000 second" in line for line in lines)
    for client in ("curl", "urllib"):
        command = CLIENTS[client].format(url=f"http://{INDEX}/apt/Packages")
        assert "Package: tiny" in succeed(lab.ssh("agent1", command))
    for agent in AGENTS:
        lab.shell(agent, f"{PIP} && rm -r /tmp/pip")
        fetch = f"/usr/lib/apt/apt-helper download-file http://{INDEX}/apt/Packages /tmp/got && rm /tmp/got"
        lab.shell(agent, f"env -i PATH=$PATH sh -c '{fetch}'")
    # By daemon.json, once that dockerd is restarted by hand.
    lab.shell("agent2", f"docker rmi {OUTSIDE}; systemctl restart docker")
    lines, pulled = asked(lab, lambda: lab.run("agent2", "docker", "pull", OUTSIDE))
    succeed(pulled)
    assert any(f"CONNECT {REGISTRY}:5000 second" in line for line in lines)


def test_a_failing_change_puts_everything_back(lab):
    program = "/usr/sbin/update-ca-certificates"
    lab.shell("agent1", f"mv {program} /root/ && printf '#!/bin/sh\\nexit 3\\n' >{program} && chmod +x {program}")
    before = lab.snapshot()
    try:
        certificates = (lab.folder / "ca.pem").read_text() + (lab.folder / "far.pem").read_text()
        lab.describe(
            {"agent2": {"determined_proxy_docker_method": "daemon_json"}}, determined_proxy_ca_certificate=certificates
        )
        done = lab.configure("--limit", "agent1")
        assert done.returncode != 0
        assert "update-ca-certificates failed" in done.stdout and "Every file is as it was" in " ".join(
            done.stdout.split()
        )
        assert changes(before, lab.snapshot())["agent1"] == []
    finally:
        lab.shell("agent1", f"mv /root/update-ca-certificates {program}")


def test_removal_gives_back_every_byte(lab):
    # Somebody adds a key of their own in the meantime: theirs stays, ours goes.
    lab.shell("agent1", "echo 'agent_id: gpu-1 # mine' >>/etc/determined/agent.yaml")
    before = lab.snapshot()
    remove = ("remove", "--limit", ",".join(CLUSTER), "--diff")
    check = succeed(lab.play(*remove, "--check"))
    assert changes(before, lab.snapshot()) == {host: [] for host in CLUSTER}
    done = succeed(lab.play(*remove))
    told, shown = (sorted(re.findall(r"^[-+].*$", text, re.MULTILINE)) for text in (check, done))
    assert told == shown and len(told) > 100
    assert lab.shell("agent1", "cat /etc/determined/agent.yaml") == AGENT_YAML + "agent_id: gpu-1 # mine\n"
    lab.run("agent1", "sh", "-c", "cat >/etc/determined/agent.yaml", text=AGENT_YAML)
    assert changes(lab.before, lab.snapshot()) == {host: [] for host in CLUSTER}
    done = lab.play("remove", "--limit", ",".join(CLUSTER))
    assert re.findall(r"changed=(\d+)", succeed(done))[:2] == ["0", "0"]
    assert "http_proxy" not in lab.variables_of("agent1", "determined-agent")
