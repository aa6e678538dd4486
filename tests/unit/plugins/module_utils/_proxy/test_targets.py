# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files a host gets: by role, by what is installed, and by what was asked for."""

import pytest
from ansible_collections.determined.network.plugins.module_utils._proxy import description, paths, targets
from ansible_collections.determined.network.plugins.module_utils._proxy.request import Host, Settings

UNIT = paths.UNITS + "/%s.service.d/zz-determined-network-proxy.%s"


def settings(password="secret", **more):
    found, problems = description.describe(
        {"http": "http://p:1", "https": "http://p:1"}, "me" if password else "", password, ["a", "agent1"], ["a"]
    )
    assert problems == []
    values = {
        "description": found,
        "certificates": (),
        "registries": (),
        "targets": tuple(targets.TARGETS),
        "docker_method": "auto",
        "task_environment": "write",
        "share_credentials": False,
    }
    values.update(more)
    return Settings(**values)


def host(*roles, **more):
    values = {
        "roles": roles,
        "paths": frozenset(paths.PATHS),
        "programs": frozenset(paths.PROGRAMS),
        "services": frozenset(paths.SERVICES),
        "docker": (26, 1),
        "docker_has_proxies": False,
    }
    values.update(more)
    return Host(**values)


def files_of(found):
    return {file.path for file in found[0]}


BOTH = {
    "/etc/environment",
    "/etc/profile.d/zz-determined-network-proxy.sh",
    "/etc/apt/apt.conf.d/zz-determined-network-proxy.conf",
    "/etc/dnf/dnf.conf",
    "/etc/yum.conf",
    "/etc/sysconfig/proxy",
    "/etc/pip.conf",
    UNIT % ("containerd", "env"),
    UNIT % ("containerd", "conf"),
}
AGENT = {"/etc/determined/agent.yaml"} | {
    UNIT % (name, end) for name in ("determined-agent", "docker") for end in ("env", "conf")
}
MASTER = {"/etc/determined/master.yaml"} | {UNIT % ("determined-master", end) for end in ("env", "conf")}
READABLE = {"/etc/gitconfig", "/etc/containers/containers.conf.d/zz-determined-network-proxy.conf"}


@pytest.mark.parametrize(
    "roles, expected",
    [
        ((), set()),
        (("agents",), BOTH | AGENT),
        (("master",), BOTH | MASTER),
        (("master", "agents"), BOTH | AGENT | MASTER),
    ],
)
def test_roles(roles, expected):
    found = targets.requested(settings(), host(*roles))
    assert files_of(found) == expected
    assert found[2] == []


@pytest.mark.parametrize("more", [{"password": ""}, {"share_credentials": True}])
def test_files_that_all_must_read_hold_credentials_only_if_permitted(more):
    found = targets.requested(settings(**more), host("agents"))
    assert files_of(found) == BOTH | AGENT | READABLE
    open_to_all = {file.path for file in found[0] if not file.secret or file.shared}
    assert open_to_all >= READABLE
    assert ("/etc/determined/agent.yaml" in open_to_all) is (more == {"password": ""})


def test_what_holds_credentials_is_marked():
    found, skipped, _problems = targets.requested(settings(), host("master", "agents"))
    assert {file.path for file in found if not file.secret} == {
        UNIT % (name, "conf") for name in ("containerd", "determined-agent", "determined-master", "docker")
    }
    for file in found:
        assert ("secret" in str(file.edit.content)) is file.secret
    assert set(skipped) == {"git", "podman"}


def test_nothing_installed():
    found, skipped, problems = targets.requested(
        settings(), host("master", "agents", paths=frozenset(), programs=frozenset(), services=frozenset(), docker=None)
    )
    assert {file.path for file in found} == {"/etc/environment"}
    assert set(skipped) == set(targets.TARGETS) - {"environment", "ca"}
    assert problems == []


def test_only_some_targets():
    found = targets.requested(settings(targets=("apt", "docker")), host("agents"))
    assert {file.target for file in found[0]} == {"apt", "docker"}


def test_without_a_proxy_only_certificates():
    bare = settings()._replace(description=description.Description({}, ("a",), ("a",)), certificates=("C",))
    found = targets.requested(bare, host("agents"))
    assert {file.target for file in found[0]} == {"ca", "pip"}


def docker_files(found):
    return {file.path for file in found[0] if file.target == "docker"}, found[2]


UNIT_FILES = {UNIT % ("docker", "env"), UNIT % ("docker", "conf")}


@pytest.mark.parametrize(
    "method, more, expected, words",
    [
        ("auto", {}, UNIT_FILES, ""),
        ("auto", {"docker": (20, 10)}, UNIT_FILES, ""),
        ("auto", {"docker_has_proxies": True}, {"/etc/docker/daemon.json"}, ""),
        ("auto", {"services": frozenset()}, {"/etc/docker/daemon.json"}, ""),
        (
            "auto",
            {"services": frozenset(), "docker": (20, 10)},
            set(),
            "since release 23, and the Docker of this host is 20.10",
        ),
        ("auto", {"services": frozenset(), "docker": None}, set(), "of unknown release"),
        ("daemon_json", {}, {"/etc/docker/daemon.json"}, ""),
        ("daemon_json", {"docker": (23, 0)}, {"/etc/docker/daemon.json"}, ""),
        ("daemon_json", {"docker": (20, 10)}, set(), "since release 23"),
        ("drop_in", {}, UNIT_FILES, ""),
        ("drop_in", {"docker_has_proxies": True}, set(), "take precedence over the environment"),
        ("drop_in", {"services": frozenset()}, set(), "no unit docker.service"),
    ],
)
def test_how_dockerd_gets_the_proxy(method, more, expected, words):
    found, problems = docker_files(targets.requested(settings(docker_method=method), host("agents", **more)))
    assert found == expected
    assert bool(problems) is bool(words) and all(words in problem for problem in problems)


def test_dockerd_never_gets_the_agents():
    for method in ("drop_in", "daemon_json"):
        found, _skipped, _problems = targets.requested(settings(docker_method=method), host("agents"))
        texts = {file.path: str(file.edit.content) for file in found}
        assert all(
            ("agent1" in text) is False for path, text in texts.items() if "docker" in path or "containerd" in path
        )
        assert "agent1" in texts["/etc/determined/agent.yaml"] and "agent1" in texts["/etc/environment"]


def test_a_long_list_does_not_fit_into_a_line_of_a_login():
    wanted = settings()
    many = tuple(f"host{number}" for number in range(300))
    wanted = wanted._replace(description=wanted.description._replace(no_proxy=("a",) + many))
    found, _skipped, _problems = targets.requested(wanted, host("agents"))
    texts = {file.target: file.edit.content for file in found}
    assert 'no_proxy="a"' in texts["environment"]
    assert "host299" in texts["profile"]


@pytest.mark.parametrize("number", range(len(paths.STORES)))
def test_certificates(number):
    folder, program, bundle = paths.STORES[number]
    wanted = settings(certificates=("A", "B"), registries=("r.example.com", "r.example.com:5000"))
    there = frozenset([folder, "/etc/pip.conf"])
    found, _skipped, problems = targets.requested(wanted, host("agents", paths=there))
    files = {file.path: (file.edit.content, file.program) for file in found if file.target == "ca"}
    assert problems == []
    assert files == {
        folder + "/determined-network-proxy-1.crt": ("A", program),
        folder + "/determined-network-proxy-2.crt": ("B", program),
        "/etc/docker/certs.d/r.example.com/determined-network-proxy.crt": ("AB", ""),
        "/etc/docker/certs.d/r.example.com:5000/determined-network-proxy.crt": ("AB", ""),
    }
    assert [file.edit.content["cert"] for file in found if file.target == "pip"] == [bundle]


def test_certificates_without_a_store_are_refused():
    _found, _skipped, problems = targets.requested(settings(certificates=("A",)), host("agents", paths=frozenset()))
    assert len(problems) == 1 and "no store for certificates" in problems[0]


def test_printed_variables_are_not_written():
    found, skipped, _problems = targets.requested(settings(task_environment="print"), host("master"))
    assert "/etc/determined/master.yaml" not in {file.path for file in found}
    assert "shown" in skipped["task_environment"]
