# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs of Tower: ansible-runner plays what docs/tower.md says, where nothing but the artifacts can be written."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from .lab import GROUPS, ROOT, TOOLS, Lab

HOSTS = {
    "head": ("determined_master", ["192.0.2.10"]),
    "agent1": ("determined_agents", ["192.0.2.21"]),
    "agent2": ("determined_agents", ["192.0.2.22"]),
    "laptop": ("determined_clients", ["198.51.100.7"]),
    "stranger": ("determined_outsiders", ["203.0.113.66"]),
}
CONFIGURED = ("head", "agent1", "agent2")
RESULT = "determined_network_verification"
NUMBERS = itertools.count(1)
# As in an execution environment: nothing of the checkout's own configuration.
ENVIRONMENT = {
    "PATH": f"{TOOLS}:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
    "PYTHONDONTWRITEBYTECODE": "1",
}


def documented(guide: str) -> dict[str, str]:
    """The files that a guide shows: name -> text."""
    text = (ROOT / "docs" / guide).read_text(encoding="utf-8")
    found = re.findall(r"^`([\w/.-]+\.yml)`:\n\n((?: {4}.*\n|\n)+)", text, re.MULTILINE)
    return {name: re.sub(r"^ {4}", "", body, flags=re.MULTILINE).strip() + "\n" for name, body in found}


def tower_inventory(lab: Lab, slice_number: int = 1, slices: int = 1) -> dict[str, Any]:
    """The inventory as AWX writes it for a job: with slices, every nth host by name, and the groups cut to them."""
    source = yaml.safe_load(lab.inventory.read_text())["all"]
    mine = sorted(HOSTS)[slice_number - 1 :: slices]
    groups = {name: {"hosts": [host for host in mine if HOSTS[host][0] == name]} for name in GROUPS}
    variables = {host: {"determined_address": HOSTS[host][1], "remote_tower_enabled": "true"} for host in mine}
    for host in mine:
        # Looking a namespace up takes a writable /run.
        variables[host]["determined_namespace"] = lab.namespaces[host]
    return {
        "all": {"vars": source["vars"], "children": list(groups), "hosts": []},
        **{name: group for name, group in groups.items() if group["hosts"]},
        "_meta": {"hostvars": variables},
    }


class Job:
    """One job: its private data directory, filled as AWX fills it."""

    def __init__(self, tower: Tower, playbook: str, *options: str, inventory: dict | None = None, **variables: Any):
        number = next(NUMBERS)
        self.tower, self.playbook, self.ident = tower, playbook, str(number)
        self.folder = tower.folder / f"job-{number}"
        self.artifacts = self.folder / "artifacts" / self.ident
        for name in ("project", "inventory", "env", "artifacts", "home"):
            (self.folder / name).mkdir(parents=True)
        for name, text in documented("tower.md").items():
            file = self.folder / "project" / name
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)
        data = json.dumps(inventory or tower_inventory(tower.lab))
        script = self.folder / "inventory" / "hosts"
        script.write_text(f"#! /usr/bin/env python3\nprint(r'''{data}''')\n")
        script.chmod(0o700)
        about = {"awx_job_id": number, "awx_job_template_name": playbook, "awx_job_launch_type": "manual"}
        (self.folder / "env/extravars").write_text(json.dumps({**about, **variables}))
        # A prompt would wait for ever: then the job ends by this and fails.
        (self.folder / "env/settings").write_text(json.dumps({"idle_timeout": 90, "job_timeout": 240}))
        (self.folder / "env/cmdline").write_text(" ".join(options))
        environment = {"ANSIBLE_COLLECTIONS_PATH": str(tower.collections), "ANSIBLE_FORKS": "5"}
        (self.folder / "env/envvars").write_text(json.dumps(environment))

    def run(self) -> Job:
        """Run it where only its artifacts can be written."""
        before = self.files()
        request = {"private_data_dir": str(self.folder), "home": str(self.folder / "home")}
        request |= {"playbook": self.playbook, "ident": self.ident}
        script = [sys.executable, str(Path(__file__).parent / "_tower_job.py"), json.dumps(request)]
        done = subprocess.run(
            ["unshare", "--mount", "--propagation", "private", *script],
            env=ENVIRONMENT,
            cwd="/",
            stdin=subprocess.DEVNULL,
            text=True,
            capture_output=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        answer = json.loads(done.stdout.splitlines()[-1])
        self.status, self.left = answer["status"], answer["left"]
        # Whatever came of it, it wrote nothing outside.
        assert self.left == []
        assert self.files() == before
        return self

    def files(self) -> dict[str, bytes]:
        """Everything in the private data directory but the artifacts."""
        paths = (path for path in self.folder.rglob("*") if path.is_file())
        return {str(path): path.read_bytes() for path in paths if self.folder / "artifacts" not in path.parents}

    @property
    def output(self) -> str:
        return (self.artifacts / "stdout").read_text()

    def events(self, kind: str) -> list[dict]:
        found = [json.loads(path.read_text()) for path in (self.artifacts / "job_events").glob("*-*.json")]
        return [event["event_data"] for event in found if event["event"] == kind]

    @property
    def published(self) -> dict:
        """What Tower shows as the job's artifacts, and hands to a workflow's next node."""
        (statistics,) = self.events("playbook_on_stats")
        return statistics["artifact_data"]

    @property
    def changed(self) -> dict[str, int]:
        (statistics,) = self.events("playbook_on_stats")
        return statistics["changed"]

    @property
    def tasks(self) -> set[str]:
        """Names of the tasks that some host really did."""
        return {event["task"] for event in self.events("runner_on_ok")}

    def report(self) -> dict:
        return json.loads((self.artifacts / "determined-network-report/report.json").read_text())


class Tower:
    """A rehearsed cluster, and the collection as an execution environment has it."""

    def __init__(self, lab: Lab, collections: Path):
        self.lab, self.collections, self.folder = lab, collections, lab.folder

    def job(self, playbook: str, *options: str, **more: Any) -> Job:
        return Job(self, playbook, *options, **more).run()

    def firewalls(self, *hosts: str) -> dict[str, str]:
        """Host -> rules and sets, without counters and dates, and without a set's random seed."""
        command = "iptables-save; ip6tables-save; ipset save | sort"
        return {
            host: re.sub(r"\[\d+:\d+\]|^#.*$| initval \w+", "", self.lab.shell(host, command), flags=re.M)
            for host in hosts
        }


@pytest.fixture(scope="module")
def tower(tmp_path_factory):
    """A cluster that the job ``site`` has configured in mode restrict."""
    folder = tmp_path_factory.mktemp("tower")
    built = [str(TOOLS / "ansible-galaxy"), "collection", "build", "--output-path", str(folder)]
    subprocess.run(built, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (tarball,) = folder.glob("*.tar.gz")
    place = folder / "collections"
    install = [str(TOOLS / "ansible-galaxy"), "collection", "install", str(tarball), "-p", str(place)]
    # Also where somebody on this machine has installed it elsewhere.
    environment = dict(os.environ, ANSIBLE_COLLECTIONS_PATH=str(place))
    subprocess.run(install, cwd=folder, env=environment, check=True, capture_output=True, timeout=120)
    # As in an image; no job can write there.
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(place)], check=True, timeout=120)
    lab = Lab(folder, f"tower-{os.getpid()}", HOSTS, determined_mode="restrict")
    with lab:
        made = Tower(lab, place)
        untouched = made.firewalls(*CONFIGURED)
        check = made.job("site.yml", "--check", "--diff")
        assert check.status == "successful", check.output
        # A check-mode job changes nothing, opens no socket, and says what it would do.
        assert made.firewalls(*CONFIGURED) == untouched
        assert "Check mode opens no sockets" in check.output
        assert set(check.changed) == set(CONFIGURED)
        assert check.published == {}
        site = made.job("site.yml")
        assert site.status == "successful", site.output
        assert set(site.changed) == set(CONFIGURED)
        assert made.firewalls(*CONFIGURED) != untouched
        yield made


def test_a_second_job_and_a_check_change_nothing(tower):
    before = tower.firewalls(*CONFIGURED)
    for options in ((), ("--check", "--diff")):
        job = tower.job("site.yml", "--tags", "configure", *options)
        assert (job.status, job.changed) == ("successful", {}), job.output
    assert tower.firewalls(*CONFIGURED) == before


def test_the_result_is_published_and_the_report_lies_among_the_artifacts(tower):
    job = tower.job("verify.yml")
    assert job.status == "successful", job.output
    result = job.published[RESULT]
    assert (result["passed"], result["messages"], result["wrong"], result["error"]) == (True, [], [], [])
    assert result["summary"] == job.report()["summary"]
    assert result["summary"]["correct"] == result["summary"]["checks"] > 30
    assert result["report"] == str(job.artifacts / "determined-network-report/report.json")
    assert f"{result['summary']['checks']} checks: {result['summary']['correct']} correct" in job.output


def test_a_failed_verification_publishes_what_is_wrong_and_the_next_node_has_it(tower):
    rule = "iptables -w {} INPUT -s 192.0.2.21 -p tcp --dport 12355 -j DROP"
    tower.lab.shell("agent2", rule.format("-I"))
    try:
        job = tower.job("verify.yml")
    finally:
        tower.lab.shell("agent2", rule.format("-D"))
    assert job.status == "failed"
    result = job.published[RESULT]
    assert result["passed"] is False
    assert "The network is not what the cluster requires" in result["messages"][0]
    (cause,) = result["causes"]
    assert (cause["host"], cause["cells"]) == ("agent2", len(result["wrong"])) and "--dport 12355" in cause["rule"]
    assert {(row["source"], row["destination"], row["wrong_ports"]) for row in result["wrong"]} == {
        ("agent1", "agent2", "12355")
    }
    assert result["summary"]["wrong"] == len(result["wrong"]) == job.report()["summary"]["wrong"]
    # A workflow hands it on as extra variables.
    told = tower.job("tell.yml", **job.published)
    assert told.status == "successful", told.output
    assert "gloo_rendezvous: agent1 to agent2, port 12355" in told.output
    # They disturb no later job either.
    again = tower.job("verify.yml", **job.published)
    assert again.published[RESULT]["passed"] is True, again.output


def test_a_limit_gives_the_policies_of_a_full_run(tower):
    full = tower.firewalls(*CONFIGURED)
    removed = tower.job("remove.yml", "-l", "agent2")
    assert removed.status == "successful", removed.output
    assert set(removed.changed) == {"agent2"}
    assert tower.firewalls("agent2") != {"agent2": full["agent2"]}
    job = tower.job("site.yml", "-l", "agent2,head")
    assert job.status == "successful", job.output
    assert set(job.changed) == {"agent2"}
    assert tower.firewalls(*CONFIGURED) == full
    assert job.published[RESULT]["run"]["left_out"] == ["agent1", "laptop", "stranger"]


@pytest.mark.parametrize("number", [1, 2])
def test_a_slice_is_refused_before_anything_changes(tower, number):
    before = tower.firewalls(*CONFIGURED)
    workflow = {"awx_workflow_job_name": "site.yml", "awx_workflow_job_id": 7}
    job = tower.job("site.yml", inventory=tower_inventory(tower.lab, number, 2), **workflow)
    assert job.status == "failed"
    assert "sees only a part of the inventory" in job.output
    assert "Configure the firewall" not in job.tasks
    assert tower.firewalls(*CONFIGURED) == before


def test_a_surveys_answers(tower):
    answers = {
        "determined_mode": "restrict",
        "determined_tls": "true",
        "determined_master_port": "",
        "determined_agent_ports": "documented",
        "determined_client_networks": "203.0.113.128/25\n203.0.113.64/32",
        "determined_services": "",
        "determined_extra_requirements": "",
        "determined_firewall_backend": "auto",
        "determined_firewall_confirm_timeout": "30",
        "determined_firewall_allow_lockout": "false",
        "determined_verify_sweep": "sample",
        "determined_verify_sample_size": "8",
        "determined_verify_max_peers": "0",
        "determined_verify_seed": "7",
        "determined_verify_timeout": "3.5",
        "determined_verify_lifetime": "300",
        "determined_verify_report_dir": "",
    }
    typed = {
        **answers,
        "determined_tls": True,
        "determined_master_port": None,
        "determined_client_networks": ["203.0.113.128/25", "203.0.113.64/32"],
        "determined_extra_requirements": [],
        "determined_firewall_confirm_timeout": 30,
        "determined_firewall_allow_lockout": False,
    }
    del typed["determined_services"]
    before = tower.firewalls(*CONFIGURED)
    try:
        job = tower.job("site.yml", **answers)
        assert job.status == "successful", job.output
        assert (job.published[RESULT]["run"]["seed"], job.published[RESULT]["passed"]) == (7, True)
        assert tower.firewalls(*CONFIGURED) != before
        same = tower.job("site.yml", "--tags", "configure", "--check", **typed)
        assert (same.status, same.changed) == ("successful", {}), same.output
    finally:
        back = tower.job("site.yml", "--tags", "configure")
    assert back.status == "successful", back.output
    assert tower.firewalls(*CONFIGURED) == before


@pytest.mark.parametrize(
    "variable", ["determined_mode", "determined_management", "determined_verify_seed", "determined_verify_sweep"]
)
def test_an_empty_answer_that_could_open_something_is_refused(tower, variable):
    before = tower.firewalls(*CONFIGURED)
    job = tower.job("verify.yml" if variable.startswith("determined_verify") else "site.yml", **{variable: ""})
    assert job.status == "failed"
    assert variable in job.output
    assert not job.tasks & {"Configure the firewall", "Listen"}
    assert tower.firewalls(*CONFIGURED) == before


def test_a_report_that_cannot_be_written_fails_before_the_first_socket(tower):
    place = tower.folder / "elsewhere"
    job = tower.job("verify.yml", determined_verify_report_dir=str(place))
    assert job.status == "failed"
    assert "The report cannot be written" in job.output and "Read-only file system" in job.output
    assert "Nothing was verified" in job.output
    assert "Listen" not in job.tasks and "Probe" not in job.tasks
    assert not place.exists()


def test_an_execution_node_sends_the_artifacts_back(tower, tmp_path):
    """What the controller transmits, a node works off, and the controller processes, as Tower does it."""
    job = Job(tower, "verify.yml")
    node, back = tmp_path / "node", tmp_path / "back"
    node.mkdir()
    back.mkdir()
    runner = str(TOOLS / "ansible-runner")
    sent, answered = tmp_path / "sent", tmp_path / "answered"
    steps = [
        ([runner, "transmit", str(job.folder), "-p", job.playbook, "-i", job.ident], os.devnull, sent),
        ([runner, "worker", "--private-data-dir", str(node)], sent, answered),
        ([runner, "process", str(back), "-i", job.ident], answered, tmp_path / "shown"),
    ]
    for command, source, target in steps:
        with open(source, "rb") as stdin, open(target, "wb") as stdout:
            subprocess.run(command, env=ENVIRONMENT, stdin=stdin, stdout=stdout, check=True, timeout=300)
    job.artifacts = back / "artifacts" / job.ident
    assert job.published[RESULT]["passed"] is True
    assert job.report()["summary"] == job.published[RESULT]["summary"]


def test_the_documented_execution_environment_takes_what_the_collection_needs(tower, tmp_path):
    """ansible-builder accepts the guide's definition, and finds in the installed collection what to install."""
    (tmp_path / "execution-environment.yml").write_text(documented("tower.md")["execution-environment.yml"])
    builder = str(TOOLS / "ansible-builder")
    made = subprocess.run([builder, "create"], cwd=tmp_path, text=True, capture_output=True, timeout=60, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    containerfile = next((tmp_path / "context").glob("*file")).read_text()
    assert "introspect.py" in containerfile
    assert "determined-network.tar.gz" in (tmp_path / "context/_build/requirements.yml").read_text()
    wanted = [tmp_path / "python.txt", tmp_path / "system.txt"]
    introspect = [builder, "introspect", "--write-pip", str(wanted[0]), "--write-bindep", str(wanted[1])]
    subprocess.run([*introspect, str(tower.collections)], check=True, capture_output=True, timeout=60)
    python, system = (
        [line.split("#")[0].strip() for line in path.read_text().splitlines() if line.strip()] for path in wanted
    )
    listed = (ROOT / "meta/requirements.txt").read_text().splitlines()
    assert python == [line for line in listed if not line.startswith("#")] and len(python) == 1
    assert {line.split()[0] for line in system} >= {"iproute2", "iproute", "iptables", "ipset"}
    # On this machine, which rehearses, all of it is there.
    bindep = [str(TOOLS / "bindep"), "--brief", "--file", str(ROOT / "meta/bindep.txt")]
    missing = subprocess.run(bindep, text=True, capture_output=True, timeout=60, check=False)
    assert (missing.returncode, missing.stdout.strip()) == (0, "")
