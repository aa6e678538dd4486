"""Verification sees what is there: holes at every hop, ports that are open but must not be, and nothing else."""

from __future__ import annotations

import itertools
import json
import re
import time

import pytest
from ansible_collections.determined.network.plugins.module_utils import _ports
from ansible_collections.determined.network.plugins.plugin_utils._cluster import cluster as clusters
from ansible_collections.determined.network.plugins.plugin_utils._cluster import settings
from ansible_collections.determined.network.plugins.plugin_utils._verification import checks as verification_checks

from .lab import GROUPS, configured_lab

HOSTS = {
    "master": ("determined_master", ["192.0.2.10", "2001:db8:1::10"]),
    "agent1": ("determined_agents", ["192.0.2.21", "2001:db8:1::21"]),
    "agent2": ("determined_agents", ["192.0.2.22", "2001:db8:1::22"]),
    "laptop": ("determined_clients", ["203.0.113.40", "2001:db8:4::40"]),
    "stranger": ("determined_outsiders", ["203.0.113.66", "2001:db8:6::66"]),
}
FAMILIES = {"ipv4": "iptables", "ipv6": "ip6tables"}
ACTIONS = {
    "DROP": {"ipv4": "DROP", "ipv6": "DROP"},
    "REJECT": {"ipv4": "REJECT", "ipv6": "REJECT"},
    "RESET": {"ipv4": "REJECT --reject-with tcp-reset", "ipv6": "REJECT --reject-with tcp-reset"},
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A configured cluster in mode restrict."""
    with configured_lab(tmp_path_factory.mktemp("verify"), "verify", HOSTS, determined_mode="restrict") as built:
        yield built


def wrong_cells(report):
    """(requirement, source, destination, family) -> wrong ports."""
    return {
        (cell["requirement"], cell["source"], cell["destination"], cell["family"]): cell["wrong_ports"]
        for cell in report["checks"]
        if cell["verdict"] == "wrong"
    }


def required_checks(mode="restrict"):
    """The positive checks of HOSTS."""
    groups = {group: [name for name, (held, _unused) in HOSTS.items() if held == group] for group in GROUPS}
    variables = {name: {"determined_address": texts} for name, (_unused, texts) in HOSTS.items()}
    cluster = clusters.build_cluster(clusters.cluster_hosts(groups), variables, {"mode": mode}, dict)
    checks = verification_checks.derive_checks(cluster, verification_checks.Scope(frozenset(HOSTS))).checks
    return [check for check in checks if check.expected == "open"]


def cuts():
    """For every row and family one path and port of it, no port used twice on a path."""
    chosen = {}
    taken = set()
    for check in required_checks():
        row = (check.requirement, check.family)
        if row in chosen:
            continue
        inner = [port for pair in check.ports for port in (pair[0], pair[1])]
        for port in itertools.chain(inner, (first + 1 for first, last in check.ports if last > first)):
            if (check.source, check.destination, check.family, port) not in taken:
                taken.add((check.source, check.destination, check.family, port))
                chosen[row] = (check, port)
                break
        assert row in chosen, f"no free port for {row}"
    return list(chosen.values())


def test_a_right_network_is_proven(lab):
    done = lab.play("verify", determined_verify_seed=1)
    assert done.returncode == 0, done.stdout + done.stderr
    summary = lab.report()["summary"]
    assert summary["correct"] == summary["checks"] > 80
    assert {cell["requirement"] for cell in lab.report()["checks"]} >= {"restrict", "gloo_rendezvous", "tensorboard"}


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("hop", ["source OUTPUT", "destination INPUT"])
def test_every_row_turns_red_when_exactly_its_path_is_cut(lab, hop, action):
    end, chain = hop.split()
    planted = []
    for check, port in cuts():
        host = getattr(check, end)
        source = {"ipv4": 0, "ipv6": 1}[check.family]
        rule = (
            f"{FAMILIES[check.family]} -w {{}} {chain} -s {HOSTS[check.source][1][source]} -d {check.address} "
            f"-p tcp --dport {port} -j {ACTIONS[action][check.family]}"
        )
        planted.append((host, rule))
    expected = {}
    for check in required_checks():
        ports = [
            port
            for cut, port in cuts()
            if (cut.source, cut.destination, cut.address) == (check.source, check.destination, check.address)
            and _ports.contains(check.ports, port)
        ]
        if ports:
            key = (check.requirement, check.source, check.destination, check.family)
            expected[key] = _ports.format_ports(_ports.from_numbers(ports))
    for host, rule in planted:
        lab.shell(host, rule.format("-I"))
    try:
        done = lab.play("verify", determined_verify_seed=1, determined_verify_timeout=1.5)
    finally:
        for host, rule in planted:
            lab.shell(host, rule.format("-D"))
    assert wrong_cells(lab.report()) == expected
    assert done.returncode != 0
    assert "The network is not what the cluster requires" in done.stdout
    report = lab.report()
    explained = {place for cause in report["causes"] for place in cause["cells"]}
    assert explained == {place for place, cell in enumerate(report["checks"]) if cell["verdict"] == "wrong"}
    assert {cause["host"] for cause in report["causes"]} == {host for host, _rule in planted}
    for cause in report["causes"]:
        assert cause["kind"] == "host_drops" and f"chain {chain}" in cause["place"], cause


def test_ten_holes_in_the_ephemeral_range_are_found_exactly(lab):
    holes = "1024,1025,2599,4242,9999,29400,32768,45678,60999,65535"
    rule = "{} -w {} INPUT -s {} -p tcp -m multiport --dports " + holes + " -j DROP"
    plants = [("iptables", HOSTS["agent1"][1][0]), ("ip6tables", HOSTS["agent1"][1][1])]
    for tool, source in plants:
        lab.shell("agent2", rule.format(tool, "-I", source))
    try:
        done = lab.play(
            "verify", "--limit", "agent1,agent2", determined_verify_sweep="full", determined_verify_timeout=1
        )
    finally:
        for tool, source in plants:
            lab.shell("agent2", rule.format(tool, "-D", source))
    assert done.returncode != 0
    found = wrong_cells(lab.report())
    for family in FAMILIES:
        assert _ports.parse_ports(found["gloo_ephemeral", "agent1", "agent2", family]) == _ports.parse_ports(holes)
    assert {key[1:3] for key in found} == {("agent1", "agent2")}


def test_imitated_resets_in_the_ephemeral_range_are_found_exactly(lab):
    rule = (
        "iptables -w {} INPUT -s 192.0.2.21 -p tcp -m multiport --dports 4242,45678 -j REJECT --reject-with tcp-reset"
    )
    lab.shell("agent2", rule.format("-I"))
    try:
        done = lab.play(
            "verify", "--limit", "agent1,agent2", determined_verify_sweep="full", determined_verify_timeout=1.2
        )
    finally:
        lab.shell("agent2", rule.format("-D"))
    assert done.returncode != 0
    found = wrong_cells(lab.report())
    assert set(found.values()) == {"4242,45678"}
    assert {key[1:] for key in found} == {("agent1", "agent2", "ipv4")}
    assert lab.report()["summary"]["error"] == 0


def test_one_port_too_many_turns_a_negative_check_red(lab):
    # Past both of our chains that drop: before a port is translated, and where it is delivered.
    rules = "; ".join(
        f"iptables -w -t {place} -s 203.0.113.66 -p tcp --dport 4567 -j ACCEPT"
        for place in ("mangle {0} PREROUTING", "filter {0} INPUT")
    )
    lab.shell("agent1", rules.format("-I"))
    try:
        done = lab.play(
            "verify", "--limit", "agent1,stranger", determined_verify_sweep="full", determined_verify_timeout=1
        )
    finally:
        lab.shell("agent1", rules.format("-D"))
    assert done.returncode != 0
    assert wrong_cells(lab.report()) == {("restrict", "stranger", "agent1", "ipv4"): "4567"}


def test_one_source_too_many_turns_a_negative_check_red(lab):
    lab.shell("master", "ipset add determined_clients_v6 2001:db8:6::66")
    try:
        done = lab.play("verify", determined_verify_seed=1)
    finally:
        lab.shell("master", "ipset del determined_clients_v6 2001:db8:6::66")
    assert done.returncode != 0
    port = str(settings.check({"mode": "restrict"})[0].master_port)
    assert wrong_cells(lab.report()) == {("restrict", "stranger", "master", "ipv6"): port}


def test_a_real_service_is_checked_as_it_is(lab):
    port = settings.check({})[0].master_port
    server = lab.start("master", f"exec python3 -m http.server --bind 192.0.2.10 {port}")
    try:
        done = lab.play("verify", determined_verify_seed=1)
    finally:
        server.terminate()
        server.wait()
    assert done.returncode == 0, done.stdout + done.stderr
    cells = [cell for cell in lab.report()["checks"] if cell["requirement"] == "master_from_clients"]
    by_service = [cell for cell in cells if f"a service of master holds {port}" in cell["evidence"]]
    assert [cell["address"] for cell in by_service] == ["192.0.2.10"]


def test_a_host_that_fails_is_an_error_and_never_a_pass(lab):
    # A module cannot run there: its interpreter is missing.
    missing = "{{ '/nonexistent' if inventory_hostname == 'agent2' else ansible_playbook_python }}"
    done = lab.play("verify", determined_verify_seed=1, ansible_python_interpreter=missing)
    assert done.returncode != 0
    assert "Not everything could be checked" in done.stdout
    verdicts = {cell["verdict"] for cell in lab.report()["checks"] if "agent2" in (cell["source"], cell["destination"])}
    assert verdicts == {"error"}
    others = {
        cell["verdict"] for cell in lab.report()["checks"] if "agent2" not in (cell["source"], cell["destination"])
    }
    assert others == {"correct"}


def listening(lab):
    return [host for host in HOSTS if "LISTEN" in lab.shell(host, "ss -Hltn")]


def wait_until(condition, seconds):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert condition()


def test_listeners_end_by_themselves_when_the_play_is_killed(lab):
    arguments = json.dumps(
        {
            "determined_verify_lifetime": 20,
            "determined_verify_report_dir": str(lab.folder),
            "determined_verify_sweep": "full",
        }
    )
    play = lab.begin("ansible-playbook", "determined.network.verify", "-i", str(lab.inventory), "-e", arguments)
    try:
        wait_until(lambda: len(listening(lab)) >= 3, 60)
    finally:
        play.kill()
        play.wait()
    wait_until(lambda: not listening(lab), 40)


def test_the_secret_of_a_run_is_shown_nowhere(lab):
    secret = "the-secret-that-nobody-may-see"
    done = lab.play("verify", "-vvv", __verify_secret=secret)  # an extra variable outranks the role's own
    assert done.returncode == 0, done.stdout + done.stderr
    # So much is shown of the modules' arguments.
    assert re.search(r"\blifetime\W+\d", done.stdout)
    assert re.search(r"\bsecret\W+VALUE_SPECIFIED_IN_NO_LOG_PARAMETER", done.stdout)
    assert secret not in done.stdout + done.stderr
    (made,) = re.findall(r"TASK \[.*Make the secret.*?(?=\nTASK)", done.stdout, re.DOTALL)
    assert "hidden due to the fact that 'no_log: true'" in " ".join(made.replace("''", "'").split())
    assert "__verify_secret" not in made
    for path in lab.folder.rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes(), path


def test_a_limited_run_says_what_it_left_out(lab):
    done = lab.play("verify", "--limit", "master,laptop", determined_verify_seed=1)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "NOT verified, because this run left them out: agent1, agent2, stranger" in done.stdout
    assert {cell["source"] for cell in lab.report()["checks"] if cell["verdict"] != "advice"} == {"laptop"}


def test_nothing_listens_after_a_verification(lab):
    lab.play("verify", determined_verify_seed=1)
    assert listening(lab) == []
