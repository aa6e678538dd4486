# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster-wide settings: defaults, canonical forms, and every problem by its variable."""

import json

import pytest
from ansible_collections.determined.network.plugins.plugin_utils._cluster import addresses
from ansible_collections.determined.network.plugins.plugin_utils._cluster import settings as cluster_settings

ANYWHERE = addresses.ANYWHERE


def read(**values):
    settings, problems = cluster_settings.check(values)
    assert problems == []
    return settings


HTTPS = ((443, 443),)
DOCKER_HUB = (
    cluster_settings.Service("registry-1.docker.io", HTTPS, "registry"),
    cluster_settings.Service("auth.docker.io", HTTPS, "registry", path="/token"),
    cluster_settings.Service("production.cloudflare.docker.com", HTTPS, "registry", path="/"),
)


def test_defaults():
    assert read() == cluster_settings.Settings(
        mode="permit",
        agent_ports="all",
        master_port=8080,
        client_networks={"ipv4": (), "ipv6": ()},
        management=(cluster_settings.Management(((22, 22),), ANYWHERE),),
        services=DOCKER_HUB,
        extra_requirements=(),
    )


@pytest.mark.parametrize(
    "values, port",
    [
        ({"tls": True}, 8443),
        ({"tls": "yes"}, 8443),
        ({"tls": "True"}, 8443),
        ({"tls": False}, 8080),
        ({"tls": None}, 8080),
        ({"tls": True, "master_port": 443}, 443),
        ({"master_port": "9999"}, 9999),
        ({"master_port": ""}, 8080),
        ({"master_port": None, "tls": True}, 8443),
    ],
)
def test_master_port(values, port):
    assert read(**values).master_port == port


@pytest.mark.parametrize(
    "value, expected",
    [
        (None, ((), ())),
        ([], ((), ())),
        ("198.51.100.0/24", (("198.51.100.0/24",), ())),
        ("198.51.100.0/24, 192.0.2.7\n2001:db8::/32\n", (("192.0.2.7", "198.51.100.0/24"), ("2001:db8::/32",))),
        (" ", ((), ())),
        (["198.51.100.7", "2001:db8::/32"], (("198.51.100.7",), ("2001:db8::/32",))),
        (["0.0.0.0/0", "198.51.100.0/24"], (("0.0.0.0/0",), ())),
    ],
)
def test_client_networks(value, expected):
    networks = read(client_networks=value).client_networks
    assert (networks["ipv4"], networks["ipv6"]) == expected


def test_management_follows_the_hosts_login_ports_by_default():
    settings, problems = cluster_settings.check({}, ["2222", "22", "2200"])
    assert not problems
    assert settings.management == (cluster_settings.Management(((22, 22), (2200, 2200), (2222, 2222)), ANYWHERE),)


@pytest.mark.parametrize(
    "value, expected",
    [
        ({"ports": "22"}, [(((22, 22),), ANYWHERE)]),
        (
            [{"ports": [22, "9000-9010"], "networks": ["192.0.2.0/24"]}],
            [(((22, 22), (9000, 9010)), {"ipv4": ("192.0.2.0/24",), "ipv6": ()})],
        ),
    ],
)
def test_management(value, expected):
    settings, _unused = cluster_settings.check({"management": value}, ["2222"])
    assert [tuple(way) for way in settings.management] == expected


@pytest.mark.parametrize(
    "host",
    [
        "registry-1.docker.io",
        "localhost",
        "a_b.example.com",
        "192.0.2.7",
        "2001:db8::7",
        "198.51.100.0/24",
        "x.1y.",
    ],
)
def test_service_hosts(host):
    (service,) = read(services=[{"host": host, "ports": "80,443"}]).services
    assert service == cluster_settings.Service(host, ((80, 80), (443, 443)), "resource")


PROBLEMS = [
    ("tls", "maybe", "'maybe' is neither true nor false"),
    ("tls", 1, "1 is neither true nor false"),
    ("tls", [True], "[True] is neither true nor false"),
    ("mode", "lockdown", "'lockdown' is unknown"),
    ("mode", "", "'' is unknown"),
    ("agent_ports", "", "'' is unknown"),
    ("management", "", "entry 1 is not a dictionary"),
    ("mode", ["permit"], "['permit'] is unknown"),
    ("agent_ports", "some", "'some' is unknown"),
    ("master_port", 0, "'0' in ports 0: ports are 1 to 65535"),
    ("master_port", 65536, "ports are 1 to 65535"),
    ("master_port", "80,443", "'80,443' is not one port"),
    ("master_port", "http", "not a number"),
    ("master_port", True, "True is not a port"),
    ("master_port", 80.5, "80.5 is not a port"),
    ("master_port", {"plain": 1}, "is not a port"),
    ("client_networks", "office", "'office' is not a network"),
    ("client_networks", ["192.0.2.1/24"], "has host bits set"),
    ("client_networks", [["192.0.2.0/24"]], "is not a network"),
    ("client_networks", {"a": 1}, "is not a network"),
    ("client_networks", 5, "5 is not a network"),
    ("management", [], "is empty, so that mode restrict would drop"),
    ("management", "22", "entry 1 is not a dictionary"),
    ("management", [{"networks": ["192.0.2.0/24"]}], "entry 1 is not a dictionary with `ports`"),
    ("management", [{"ports": "22"}, {"port": "22"}], "entry 2 is not a dictionary"),
    ("management", {"ports": ""}, "no port is named"),
    ("management", {"ports": "ssh"}, "not a number"),
    ("management", {"ports": "22", "networks": []}, "entry 1 names no network"),
    ("management", {"ports": "22", "networks": None}, "entry 1 names no network"),
    ("management", {"ports": "22", "networks": ["x"]}, "'x' is not a network"),
    ("services", "docker.io", "entry 1 is not a dictionary with `host`, `ports`"),
    ("services", [{"host": "a.example.com"}], "entry 1 is not a dictionary"),
    ("services", [{"host": "a.example.com", "ports": 443, "port": 1}], "entry 1 is not a dictionary"),
    ("services", [{"host": "a.example.com", "ports": "https"}], "not a number"),
    ("services", [{"host": "a.example.com", "ports": []}], "no port is named"),
    ("services", [{"host": "a.example.com", "ports": 443, "purpose": "fun"}], "purpose 'fun' is unknown"),
    ("services", [{"host": "a.example.com", "ports": 443, "scheme": "ftp"}], "entry 1: scheme 'ftp' is unknown"),
    ("services", [{"host": "a.example.com", "ports": 443, "path": "v2"}], "path 'v2' does not start with /"),
    ("services", [{"host": "a.example.com", "ports": 443, "path": "/a b"}], "path '/a b' does not start with /"),
    (
        "services",
        [{"host": "a.example.com", "ports": 443, "purpose": ["registry"]}],
        "purpose ['registry'] is unknown",
    ),
    ("services", [{"host": None, "ports": 443}], "host None is neither a name nor an address nor a network"),
    ("services", [{"host": "", "ports": 443}], "host '' is neither"),
    ("services", [{"host": "192.0.2.300", "ports": 443}], "host '192.0.2.300' is neither"),
    ("services", [{"host": "192.0.2.1/24", "ports": 443}], "host '192.0.2.1/24' is neither"),
    (
        "services",
        [{"host": "https://a.example.com", "ports": 443}],
        "host 'https://a.example.com' is neither",
    ),
    ("services", [{"host": "a.example.com:443", "ports": 443}], "host 'a.example.com:443' is neither"),
    ("services", [{"host": "a b", "ports": 443}], "host 'a b' is neither"),
    ("extra_requirements", "row", "row 1: field -: is not a list of rows"),
    (
        "extra_requirements",
        [{"id": "x", "from": "workers", "to": "agents", "ports": 1}],
        "row 1 (x): field from: 'workers'",
    ),
    (
        "extra_requirements",
        [{"id": "x", "from": "networks", "to": "agents", "ports": 1, "networks": ["office"]}],
        "'office' is not a network",
    ),
]


@pytest.mark.parametrize("option, value, told", PROBLEMS)
def test_a_bad_value_is_one_problem_of_its_variable(option, value, told):
    settings, problems = cluster_settings.check({option: value})
    assert settings is None
    assert [problem.variable for problem in problems] == [cluster_settings.VARIABLES[option]]
    assert told in problems[0].problem
    assert problems[0].where == "all hosts"
    assert problems[0].remedy


def test_all_problems_are_found_in_one_pass():
    bad = {option: value for option, value, _unused in PROBLEMS}
    _unused, problems = cluster_settings.check(bad)
    assert {problem.variable for problem in problems} == set(cluster_settings.VARIABLES.values())


@pytest.mark.parametrize(
    "values, expected",
    [
        ([], []),
        ([("a", None)], [None]),
        ([("a", "x"), ("b", "x")], ["x"]),
        ([("a", [1]), ("b", [1])], [[1]]),
    ],
)
def test_collect_agreement(values, expected):
    assert cluster_settings.collect("determined_mode", values) == (expected, [])


def test_collect_conflict_names_both_hosts_and_values():
    chosen, (problem,) = cluster_settings.collect(
        "determined_mode", [("a", "permit"), ("b", "permit"), ("c", "restrict")]
    )
    assert chosen == []
    assert str(problem) == (
        "c: determined_mode: is 'restrict' here, but 'permit' on a; it is one setting for the whole cluster. "
        "Remedy: set it once, in the group `all`."
    )


def test_settings_travel_as_json():
    settings = read(
        mode="restrict",
        client_networks=["198.51.100.0/24", "2001:db8::/32"],
        management=[{"ports": "22,9000-9001", "networks": "192.0.2.1"}],
        services=[{"host": "a.example.com", "ports": 443, "purpose": "registry"}],
        extra_requirements=[
            {
                "id": "x",
                "from": "networks",
                "to": "agents",
                "ports": [9100],
                "protocol": "udp",
                "networks": ["192.0.2.9"],
            }
        ],
    )
    assert cluster_settings.Settings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings
