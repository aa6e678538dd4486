# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every way in which a service outside cannot be reached is told, with its step and who is to blame.

The services are real: docker-registry, nginx, squid, tinyproxy, in network namespaces.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys

import pytest
from ansible_collections.determined.network.plugins.module_utils import _no_proxy
from ansible_collections.determined.network.plugins.module_utils._internet import targets as internet_targets

from . import _internet_network as internet
from ._internet_network import FAR, FORBIDDEN, GATE, GHOST, INDEX, PASSWORD, PROXY, REGISTRY, SILENT, USER


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    with internet.network(tmp_path_factory.mktemp("internet"), "internet") as built:
        yield built


def at(port, host=INDEX, **more):
    return {"host": host, "port": port, **more}


def plain(port, host=INDEX, **more):
    return {"host": host, "port": port, "scheme": "http", **more}


def proxies(port, username=USER, password=PASSWORD, host=PROXY, scheme="http"):
    """The same proxy for both schemes."""
    authorization = internet_targets.basic_authorization(username, password) if username else ""
    common = {"host": host, "port": port, "scheme": scheme, "authorization": authorization}
    return ({"serves": "http", **common}, {"serves": "https", **common})


WELL = ("open", "http", "")


def test_the_direct_way(network):
    expected = {
        "a package index": (at(internet.GOOD), WELL),
        "without TLS": (plain(80), WELL),
        "by its address": (at(internet.GOOD, FAR), WELL),
        "a registry": (at(443, REGISTRY, purpose="registry"), WELL),
        "403 is an answer": (plain(internet.FORBIDS), WELL),
        "a second try does it": (plain(internet.LATE), WELL),
        "a port alone": (at(internet.SLOW, scheme="tcp"), ("open", "connect", "")),
        "no registry": (at(internet.GOOD, purpose="registry"), ("http_status", "http", "target")),
        "unless a path is named": (at(internet.GOOD, purpose="registry", path="/"), WELL),
        "unknown name": (at(443, GHOST), ("name_not_found", "name", "target")),
        "expired": (at(internet.EXPIRED), ("certificate_expired", "tls", "target")),
        "not yet valid": (at(internet.NOT_YET), ("certificate_not_yet_valid", "tls", "target")),
        "of another": (at(internet.ANOTHER), ("certificate_of_another", "tls", "target")),
        "untrusted": (at(internet.UNTRUSTED), ("certificate_untrusted", "tls", "target")),
        "no TLS there": (at(80), ("tls_failed", "tls", "target")),
        "another protocol": (plain(internet.GARBAGE), ("no_http", "http", "target")),
        "silent service": (plain(internet.SLOW), ("timeout", "http", "target")),
        "silent handshake": (at(internet.SLOW), ("timeout", "tls", "target")),
        "broken": (plain(internet.BROKEN), ("http_status", "http", "target")),
        "hangs up": (plain(internet.CLOSING), ("closed", "http", "target")),
        "nobody listens": (at(internet.CLOSED), ("refused", "connect", "target")),
        "dropped": (at(internet.DROPPED), ("filtered", "connect", "network")),
        "rejected": (at(internet.REJECTED), ("rejected", "connect", "network")),
    }
    found, results = network.reach(*(target for target, _unused in expected.values()), timeout=2)
    assert dict(zip(expected, found, strict=True)) == {name: outcome for name, (_unused, outcome) in expected.items()}
    assert all(result["via"] == "" for result in results)
    by_name = dict(zip(expected, results, strict=True))
    assert by_name["a second try does it"]["attempts"] == 2
    assert by_name["a registry"]["status"] == 200
    assert "communication administratively prohibited" in by_name["rejected"]["reason"]


def test_without_the_authority_nothing_of_it_is_trusted(network):
    found, _unused = network.reach(at(internet.GOOD), at(443, REGISTRY, purpose="registry"), ca="")
    assert found == [("certificate_untrusted", "tls", "target")] * 2


def test_a_name_service_that_says_nothing_is_no_unknown_name(network):
    network.lab.shell("gate", "iptables -w -I INPUT -p udp --dport 53 -j DROP")
    try:
        found, results = network.reach(at(internet.GOOD))
    finally:
        network.lab.shell("gate", "iptables -w -D INPUT -p udp --dport 53 -j DROP")
    assert found == [("name_server_silent", "name", "host")]
    assert results[0]["attempts"] == 3


def test_an_own_firewall_is_told_from_one_on_the_way(network):
    network.lab.shell("agent1", f"iptables -w -I OUTPUT -d {FAR} -p tcp --dport {internet.GOOD} -j REJECT")
    try:
        found, results = network.reach(at(internet.GOOD))
    finally:
        network.lab.shell("agent1", f"iptables -w -D OUTPUT -d {FAR} -p tcp --dport {internet.GOOD} -j REJECT")
    assert found == [("rejected", "connect", "host")]
    assert "this host's own firewall" in results[0]["reason"]


def test_no_way_there(network):
    for host, ways, expected in (
        ("agent1", None, ("no_route", "connect", "host")),
        ("gate", proxies(internet.SQUID), ("no_route", "proxy", "target")),
    ):
        network.lab.shell(host, f"ip route add unreachable {FAR}/32")
        try:
            found, results = network.reach(at(internet.GOOD, FAR), **({"proxies": ways} if ways else {}))
        finally:
            network.lab.shell(host, f"ip route del unreachable {FAR}/32")
        assert found == [expected], results


@pytest.fixture
def no_way_out(network):
    """Agents reach nothing outside by themselves, and know no name but the proxy's."""
    cut = "iptables -w {} OUTPUT -p tcp -d " + FAR + " -j DROP"
    network.lab.shell("agent1", cut.format("-I"))
    network.lab.shell("agent1", f"echo {GATE} {PROXY} >> /etc/hosts; echo hosts: files > /etc/nsswitch.conf")
    yield
    network.lab.shell("agent1", cut.format("-D"))
    network.lab.shell("agent1", f"sed -i /{PROXY}/d /etc/hosts; echo hosts: files dns > /etc/nsswitch.conf")


def test_through_squid(network, no_way_out):
    expected = {
        "a package index": (at(internet.GOOD), WELL),
        "without TLS": (plain(80), WELL),
        "by its address": (at(internet.GOOD, FAR), WELL),
        "a registry": (at(443, REGISTRY, purpose="registry"), WELL),
        "the target's own 403": (plain(internet.FORBIDS), WELL),
        "forbidden": (at(internet.GOOD, FORBIDDEN), ("proxy_forbids", "proxy", "proxy")),
        "forbidden without TLS": (plain(80, FORBIDDEN), ("proxy_forbids", "proxy", "proxy")),
        "unknown name": (at(443, GHOST), ("proxy_cannot", "proxy", "target")),
        "unknown name without TLS": (plain(80, GHOST), ("proxy_cannot", "proxy", "target")),
        "expired": (at(internet.EXPIRED), ("certificate_expired", "tls", "target")),
        "not yet valid": (at(internet.NOT_YET), ("certificate_not_yet_valid", "tls", "target")),
        "of another": (at(internet.ANOTHER), ("certificate_of_another", "tls", "target")),
        "untrusted": (at(internet.UNTRUSTED), ("certificate_untrusted", "tls", "target")),
        "no TLS there": (at(80), ("tls_failed", "tls", "target")),
        "silent handshake": (at(internet.SLOW), ("timeout", "tls", "target")),
        "silent service": (plain(internet.SLOW), ("timeout", "proxy", "proxy_or_target")),
        "broken": (plain(internet.BROKEN), ("http_status", "http", "target")),
        "nobody listens": (at(internet.CLOSED), ("refused", "proxy", "target")),
        "nobody listens, without TLS": (plain(internet.CLOSED), ("refused", "proxy", "target")),
        "dropped": (at(internet.DROPPED), ("timeout", "proxy", "proxy_or_target")),
    }
    found, results = network.reach(
        *(target for target, _unused in expected.values()), proxies=proxies(internet.SQUID), timeout=2
    )
    assert dict(zip(expected, found, strict=True)) == {name: outcome for name, (_unused, outcome) in expected.items()}
    assert all(result["via"] == f"{PROXY}:{internet.SQUID}" for result in results)
    log = network.squid_log.read_text()
    assert f"CONNECT {REGISTRY}:443 {USER}" in log and f"GET http://{INDEX}/ {USER}" in log
    secrets = (PASSWORD, base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode())
    assert not [secret for secret in secrets if secret in json.dumps(results, ensure_ascii=False)]


def test_a_slow_proxy_in_the_end_names_the_trouble(network, no_way_out):
    found, _unused = network.reach(at(internet.DROPPED), proxies=proxies(internet.SQUID), timeout=9)
    assert found == [("filtered", "proxy", "target")]


@pytest.mark.parametrize("port", [internet.SQUID, internet.TINYPROXY])
@pytest.mark.parametrize("target", [at(internet.GOOD), plain(80)], ids=["https", "http"])
def test_credentials(network, no_way_out, port, target):
    right = "simple" if port == internet.TINYPROXY else PASSWORD
    assert network.reach(target, proxies=proxies(port, password=right))[0] == [WELL]
    for username, words in ((USER, "refuses the credentials"), ("", "wants credentials, and none are set")):
        found, results = network.reach(target, proxies=proxies(port, username, "wrong"))
        assert found == [("proxy_credentials", "proxy", "proxy")]
        assert words in results[0]["reason"]
        assert results[0]["attempts"] == 1, "repeated wrong passwords lock accounts"


def test_through_tinyproxy(network, no_way_out):
    expected = [
        (at(internet.GOOD), WELL),
        (plain(80), WELL),
        (plain(internet.FORBIDS), WELL),
        (at(internet.GOOD, FORBIDDEN), ("proxy_forbids", "proxy", "proxy")),
        (plain(80, FORBIDDEN), ("proxy_forbids", "proxy", "proxy")),
        (at(internet.CLOSED), ("proxy_cannot", "proxy", "target")),
        (plain(internet.CLOSED), ("proxy_cannot", "proxy", "target")),
        (at(443, GHOST), ("proxy_cannot", "proxy", "target")),
        (at(internet.EXPIRED), ("certificate_expired", "tls", "target")),
    ]
    ways = proxies(internet.TINYPROXY_OPEN, "")
    found, results = network.reach(*(target for target, _unused in expected), proxies=ways)
    assert found == [outcome for _unused, outcome in expected], results


def test_a_proxy_that_is_reached_by_tls(network, no_way_out):
    ways = proxies(internet.SQUID_TLS, scheme="https")
    targets = [at(internet.GOOD), plain(80), at(443, REGISTRY, purpose="registry"), at(internet.EXPIRED)]
    found, _unused = network.reach(*targets, proxies=ways)
    assert found == [WELL, WELL, WELL, ("certificate_expired", "tls", "target")]
    # Its certificate is for its name, and by a private authority.
    found, _unused = network.reach(at(internet.GOOD), proxies=proxies(internet.SQUID_TLS, host=GATE, scheme="https"))
    assert found == [("certificate_of_another", "tls", "proxy")]
    found, _unused = network.reach(at(internet.GOOD), proxies=ways, ca="")
    assert found == [("certificate_untrusted", "tls", "proxy")]
    found, _unused = network.reach(at(internet.GOOD), proxies=proxies(internet.SQUID, scheme="https"))
    assert found[0][1:] == ("tls", "proxy")


def test_a_proxy_that_is_not_there(network):
    cases = [
        (proxies(internet.CLOSED), ("refused", "connect", "proxy")),
        (proxies(internet.SQUID, host=GHOST), ("name_not_found", "name", "proxy")),
        (proxies(internet.DROPPED, host=FAR), ("filtered", "connect", "network")),
        # What listens there is no proxy.
        (proxies(80, host=FAR), ("proxy_cannot", "proxy", "proxy")),
        (proxies(internet.GARBAGE, host=FAR), ("no_http", "proxy", "proxy")),
    ]
    for ways, outcome in cases:
        found, results = network.reach(at(internet.GOOD), proxies=ways, timeout=2)
        assert found == [outcome], results


def test_no_proxy_is_the_direct_way(network):
    ways = proxies(internet.CLOSED)
    targets = (at(internet.GOOD), at(443, SILENT))
    found, results = network.reach(*targets, proxies=ways, no_proxy=".example.test", timeout=2)
    assert found[0] == WELL and found[1] == ("refused", "connect", "proxy")
    assert [result["via"] for result in results] == ["", f"{PROXY}:{internet.CLOSED}"]


CURL = """
import json, subprocess, sys
found = []
for no_proxy, host in json.load(sys.stdin):
    url = "http://[%s]:8080/" % host if ":" in host else "http://%s:8080/" % host
    command = ["curl", "--silent", "--verbose", "--max-time", "0.2", url]
    if host[-1].isalpha():  # a name; it leads to this host's loopback, where nobody listens
        command[1:1] = ["--resolve", host + ":8080:127.0.0.1"]
    environment = {"PATH": "/usr/bin:/bin", "http_proxy": "http://127.0.0.1:9", "no_proxy": no_proxy}
    done = subprocess.run(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    found.append("Trying 127.0.0.1:9..." not in done.stderr)
print(json.dumps(found))
"""


def test_the_rule_for_curl_beside_curl_itself(network):
    entries = "192.0.2.0/24 192.0.2.10 192.0.2.10:8080 192.0.2.10/0 192.0.2.10/33 0.0.0.0/0 example.com .example.com"
    entries += " *.example.com m.example.com. ple.com 2001:db8::10 [2001:db8::10] *"
    lists = [*entries.split(), "*,a", "a, m.example.com", "a m.example.com", ",,192.0.2.10,"]
    hosts = ["192.0.2.10", "m.example.com", "example.com", "2001:db8::10"]
    cases = [(no_proxy, host) for no_proxy in lists for host in hosts]
    command = [*network.lab.enter("agent1"), sys.executable, "-c", CURL]
    done = subprocess.run(command, input=json.dumps(cases), capture_output=True, text=True, timeout=120, check=True)
    found = dict(zip(cases, json.loads(done.stdout), strict=True))
    assert found == {(no_proxy, host): _no_proxy.bypasses("curl", no_proxy, host, 8080) for no_proxy, host in cases}
    assert 10 < sum(found.values()) < len(found) - 10


# --- clouds -----------------------------------------------------------------------------------------

METADATA_ADDRESS = "169.254.169.254"
OUTSIDE = [at(internet.GOOD)]


@pytest.fixture
def cloud(network, tmp_path):
    """Make agent1 an instance: its firmware names a maker, and a metadata service answers."""
    lab, started = network.lab, []
    log = tmp_path / "metadata.log"

    def make(kind, address="", maker=None):
        if maker is not None:
            lab.shell(
                "agent1",
                f"mount -t tmpfs none /sys; mkdir -p /sys/class/dmi/id; echo '{maker}' > /sys/class/dmi/id/sys_vendor",
            )
        if kind:
            lab.shell("agent1", f"ip address add {METADATA_ADDRESS}/32 dev lo")
            started.append(network.script("agent1", internet.METADATA, kind, address, str(log)))
        return log

    yield make
    for process in started:
        internet.end(process)
    lab.shell("agent1", f"ip address del {METADATA_ADDRESS}/32 dev lo 2>/dev/null || :; umount /sys 2>/dev/null || :")


@pytest.mark.parametrize("firmware", [True, False], ids=["firmware tells", "firmware is silent"])
@pytest.mark.parametrize(
    "kind, provider, maker",
    [("gcp", "gcp", "Google"), ("aws-v2", "aws", "Amazon EC2"), ("aws-v1", "aws", "Amazon EC2")],
)
@pytest.mark.parametrize("address", ["203.0.113.9", ""])
def test_instances_of_clouds(network, cloud, kind, provider, maker, address, firmware):
    log = cloud(kind, address, maker if firmware else None)
    expected = {"provider": provider, "external": [address] if address else [], "known": True, "reason": ""}
    assert network.run("agent1", what="cloud") == expected
    asked = log.read_text().split("\n")
    assert ("PUT /latest/api/token" in asked) == (provider == "aws")


@pytest.mark.parametrize("kind", ["", "gcp"])
def test_off_the_clouds_nothing_is_said_and_nothing_asked(network, cloud, kind):
    log = cloud(kind, "203.0.113.9", "QEMU")
    assert network.run("agent1", what="cloud")["provider"] == ""
    assert not log.exists()


def test_somebody_else_at_the_metadata_address_is_no_cloud(network, cloud):
    cloud("another")
    assert network.run("agent1", what="cloud")["provider"] == ""


def test_an_instance_whose_metadata_service_is_off(network, cloud):
    cloud("", maker="Amazon EC2")
    found = network.run("agent1", what="cloud")
    assert found["provider"] == "aws" and not found["known"] and "does not answer" in found["reason"]


# --- the role ---------------------------------------------------------------------------------------

SERVICES = [
    {"host": REGISTRY, "ports": 443, "purpose": "registry"},
    {"host": INDEX, "ports": f"80,{internet.GOOD}", "scheme": "http", "path": "/"},
]


def cells(network, *requirements):
    return [cell for cell in network.lab.report()["checks"] if cell["requirement"] in requirements]


INTERNET_ROWS = ("registry_access", "resource_access", "agents_to_services")


def verify(network, **variables):
    """Play the role with the Internet -> the process; the report lies in the lab."""
    settings = {
        "determined_verify_internet": True,
        "determined_verify_internet_timeout": 2,
        "determined_proxy_ca_certificate": network.authority.pem,
    }
    return network.lab.play("verify", determined_verify_seed=1, **{**settings, **variables})


def test_a_right_cluster_that_reaches_what_it_needs(network):
    services = [SERVICES[0], {"host": INDEX, "ports": 80}, {"host": INDEX, "ports": internet.GOOD, "scheme": "https"}]
    done = verify(network, determined_services=services)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [cell["verdict"] for cell in cells(network, *INTERNET_ROWS)] == ["correct"] * (2 + 4 + 6)
    assert {cell["via"] for cell in cells(network, *INTERNET_ROWS)} == {""}
    bypass = cells(network, "proxy_bypass")
    assert {(cell["source"], cell["destination"]) for cell in bypass} == {
        ("master", "agents"), ("agent1", "master"), ("agent1", "agent2"), ("agent2", "master"), ("agent2", "agent1"),
    }  # fmt: skip
    assert {cell["evidence"] for cell in bypass} == {"no proxy is set on this host"}
    # There is no client in this cluster.
    assert [cell["requirement"] for cell in network.lab.report()["checks"] if cell["verdict"] != "correct"] == [
        "master_from_clients"
    ]
    assert network.lab.report()["run"]["not_verified"] == []
    assert "registry_access" in done.stdout and "Not verified" not in done.stdout


def test_the_report_names_step_and_culprit_and_no_secret(network, no_way_out):
    services = [
        SERVICES[0],
        {"host": FORBIDDEN, "ports": internet.GOOD, "scheme": "https"},
        {"host": INDEX, "ports": internet.EXPIRED, "scheme": "https"},
        {"host": INDEX, "ports": f"80,{internet.CLOSED}", "scheme": "http"},
        {"host": "198.51.100.0/24", "ports": 443},
    ]
    url = f"http://{PROXY}:{internet.SQUID}"
    done = verify(
        network,
        determined_services=services,
        determined_proxy_http=url,
        determined_proxy_https=url,
        determined_proxy_username=USER,
        determined_proxy_password=PASSWORD,
    )
    assert done.returncode != 0
    mine = {cell["destination"] + cell["ports"]: cell for cell in cells(network, "registry_access", "resource_access")
            if cell["source"] == "agent1"}  # fmt: skip
    shown = {key: (cell["verdict"], cell["observed"], cell["step"], cell["blame"]) for key, cell in mine.items()}
    assert shown == {
        f"{REGISTRY}443": ("correct", "open", "http", ""),
        f"{FORBIDDEN}{internet.GOOD}": ("wrong", "proxy_forbids", "proxy", "proxy"),
        f"{INDEX}{internet.EXPIRED}": ("wrong", "certificate_expired", "tls", "target"),
        f"{INDEX}80,{internet.CLOSED}": ("wrong", "refused", "proxy", "target"),
    }
    assert mine[f"{INDEX}80,{internet.CLOSED}"]["wrong_ports"] == str(internet.CLOSED)
    for text in (
        f"Wrong: agent1 to {FORBIDDEN}, tcp {internet.GOOD}: expected open, observed proxy_forbids (resource_access)",
        f"through the proxy {PROXY}:{internet.SQUID}, at the proxy: it forbids this target (403), "
        "the proxy is to blame",
        "certificate has expired, the service is to blame, renew the certificate",
        "198.51.100.0/24 is a network, and nothing says which of its addresses answers",
    ):
        assert text in done.stdout
    encoded = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    everything = done.stdout + done.stderr + json.dumps(network.lab.report(), ensure_ascii=False)
    assert PASSWORD not in everything and encoded not in everything


def test_no_secret_is_shown_however_much_is_asked_for(network, no_way_out):
    url = f"http://{PROXY}:{internet.SQUID}"
    settings = {
        "determined_verify_internet": True,
        "determined_verify_internet_timeout": 2,
        "determined_services": SERVICES[:1],
    }
    settings |= {
        "determined_proxy_https": url,
        "determined_proxy_username": USER,
        "determined_proxy_password": "wrong-" + PASSWORD,
    }
    # The variables go into the inventory, as they do where they are kept safe.
    extra = network.folder / "secrets.json"
    extra.write_text(json.dumps({**settings, "determined_proxy_ca_certificate": network.authority.pem}))
    done = network.lab.play("verify", "-vvvv", "-e", f"@{extra}")
    (first, *_rest) = cells(network, "registry_access")
    assert (first["observed"], first["blame"]) == ("proxy_credentials", "proxy")
    assert "correct determined_proxy_username and determined_proxy_password" in done.stdout
    encoded = base64.b64encode(f"{USER}:wrong-{PASSWORD}".encode()).decode()
    assert encoded not in done.stdout + done.stderr and "wrong-" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "variables, text",
    [
        ({"determined_proxy_https": "proxy.example.com:3128"}, "determined_proxy_https: the URL has no scheme"),
        (
            {
                "determined_proxy_https": "http://a:b@p.example.com:1",
                "determined_proxy_username": "a",
                "determined_proxy_password": "c",
            },
            "they differ",
        ),
    ],
)
def test_bad_variables_fail_before_anything_is_asked(network, variables, text):
    done = verify(network, **variables)
    assert done.returncode != 0 and text in done.stdout.replace("\n", " ")
    assert "TASK [determined.network.verify : Listen]" not in done.stdout


AGENT_YAML = (
    'master_host: head.example.test\nmaster_port: 8080\nhttp_proxy: http://u:secret@proxy:3128\nno_proxy: "{}"\n'
)
EVERYBODY = "192.0.2.10,[2001:db8:1::10],2001:db8:1::10,192.0.2.21,192.0.2.22,[2001:db8:1::22],2001:db8:1::22"


def test_settings_that_lead_the_cluster_through_the_proxy(network):
    lab = network.lab
    lab.shell("agent1", "mkdir -p /etc/determined /etc/systemd/system/docker.service.d /etc/docker")
    files = {
        "/etc/environment": f"https_proxy=http://proxy:3128\nno_proxy=192.0.2.0/24,{EVERYBODY[11:]}\n",
        "/etc/determined/agent.yaml": AGENT_YAML.format(EVERYBODY),
        "/etc/systemd/system/docker.service.d/proxy.conf": "[Service]\nEnvironment=HTTPS_PROXY=http://u:secret@p:1\n",
        "/etc/docker/daemon.json": "{}",
    }
    for path, text in files.items():
        (network.folder / "text").write_text(text)
        lab.shell("agent1", f"cat {network.folder}/text > {path}")
    # A running agent has its own idea of the proxy.
    running = lab.start("agent1", "cp /bin/sleep /run/determined-agent; NO_PROXY=192.0.2.10 HTTP_PROXY=http://p:1 "
                                  "exec /run/determined-agent 600")  # fmt: skip
    try:
        done = verify(network, determined_services=[])
    finally:
        internet.end(running)
        lab.shell(
            "agent1", "rm -r /etc/determined /etc/systemd/system/docker.service.d /etc/docker; : > /etc/environment"
        )
    assert done.returncode != 0
    mine = {cell["destination"]: cell for cell in cells(network, "proxy_bypass") if cell["source"] == "agent1"}
    assert {name: (cell["verdict"], cell["observed"]) for name, cell in mine.items()} == {
        "master": ("wrong", "proxy"),
        "agent2": ("correct", "direct"),
    }
    evidence = mine["master"]["evidence"]
    for text in (
        # urllib knows no networks. agent.yaml calls the master by a name, which nothing covers.
        "urllib would go through the proxy: in /etc/environment, no_proxy does not cover head.example.test, "
        "192.0.2.10;",
        # curl does not know HTTP_PROXY.
        "go, urllib, requests would go through the proxy: in /etc/determined/agent.yaml (task containers), "
        "NO_PROXY does not cover head.example.test;",
        "go would go through the proxy: in /etc/systemd/system/docker.service.d/proxy.conf, NO_PROXY does not cover",
        "go would go through the proxy: in the running determined-agent (process",
    ):
        assert text in evidence, evidence
    assert "secret" not in json.dumps(network.lab.report())


def test_a_cloud_without_a_way_out_is_advised(network, cloud, no_way_out):
    cloud("aws-v2", "", "Amazon EC2")
    done = verify(network, determined_services=[{"host": FAR, "ports": internet.GOOD, "scheme": "https"}])
    (advice,) = cells(network, "cloud_aws_egress")
    assert (advice["source"], advice["verdict"], advice["observed"]) == ("agent1", "advice", "no_route")
    assert "agent1: has no public IP address, and reaches no service outside directly" in done.stdout
    assert "configure an Internet Gateway" in advice["evidence"]


def test_a_cloud_behind_nat_is_fine(network, cloud):
    cloud("gcp", "", "Google")
    done = verify(network, determined_services=[{"host": INDEX, "ports": internet.GOOD, "scheme": "https"}])
    assert done.returncode == 0, done.stdout + done.stderr
    (advice,) = cells(network, "cloud_gcp_egress")
    text = f"has no external IP address, and reaches {INDEX}:{internet.GOOD} directly nevertheless, through some NAT"
    assert (advice["verdict"], advice["evidence"]) == ("advice", text)


def test_a_rehearsal_says_that_it_has_no_internet(network):
    done = network.lab.play("verify", determined_verify_seed=1)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (
        "Not verified, because a rehearsal has no Internet or determined_verify_internet is false: registry_access"
        in done.stdout
    )
    assert cells(network, *INTERNET_ROWS, "proxy_bypass") == []


def test_what_the_role_proxy_writes_passes(network, no_way_out):
    lab = network.lab
    for agent in ("agent1", "agent2"):
        lab.shell(agent, f"mkdir -p /etc/determined; echo master_host: 192.0.2.10 > /etc/determined/agent.yaml; "
                         f"grep -q {PROXY} /etc/hosts || echo {GATE} {PROXY} >> /etc/hosts")  # fmt: skip
    url = f"http://{PROXY}:{internet.SQUID}"
    settings = {
        "determined_verify_internet": True,
        "determined_verify_internet_timeout": 5,
        "determined_services": SERVICES[:1],
    }
    settings |= {
        "determined_proxy_http": url,
        "determined_proxy_https": url,
        "determined_proxy_username": USER,
        "determined_proxy_password": PASSWORD,
    }
    settings |= {"determined_proxy_targets": ["environment", "profile", "agent_config"]}
    settings |= {"determined_proxy_ca_certificate": network.authority.pem}
    hosts = lab.inventory_without_rehearsal()  # a rehearsal writes no proxy
    try:
        done = lab.play("site", "--tags", "proxy,verify", inventory=hosts, **settings)
        written = lab.shell("agent1", "cat /etc/determined/agent.yaml /etc/environment")
    finally:
        undone = lab.play("site", "--tags", "proxy", inventory=hosts, determined_proxy_state="absent")
        for agent in ("agent1", "agent2"):
            lab.shell(
                agent, f"rm -r /etc/determined; cp /etc/hosts /run/hosts; grep -v {PROXY} /run/hosts > /etc/hosts || :"
            )
    assert done.returncode == 0 and undone.returncode == 0, done.stdout + done.stderr + undone.stdout
    assert "no_proxy" in written and "https_proxy" in written
    assert {cell["via"] for cell in cells(network, "registry_access")} == {f"{PROXY}:{internet.SQUID}"}
    bypass = {(cell["source"], cell["destination"]): cell for cell in cells(network, "proxy_bypass")}
    assert {cell["verdict"] for cell in bypass.values()} == {"correct"}
    for place in ("/etc/environment", "/etc/profile.d/", "/etc/determined/agent.yaml (task containers)"):
        assert place in bypass["agent1", "agent2"]["evidence"]
