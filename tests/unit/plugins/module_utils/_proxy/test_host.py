# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read of a host, with a runner that only answers."""

import os

import pytest
from ansible_collections.determined.network.plugins.module_utils._host.commands import Output
from ansible_collections.determined.network.plugins.module_utils._proxy import host, paths


@pytest.mark.parametrize(
    "said, expected",
    [
        ("Docker version 26.1.5+dfsg1, build a72d7cd\n", (26, 1)),
        ("Docker version 20.10.24+dfsg1, build 297e128\n", (20, 10)),
        ("podman version five\n", None),
    ],
)
def test_what_is_read(said, expected, tmp_path, monkeypatch, answering):
    monkeypatch.setattr(host, "_UNIT_FOLDERS", (str(tmp_path),))
    (tmp_path / "docker.service").write_text("")
    found = host.read(["agents"], answering({"dockerd": said, "git": ""}), True)
    assert found.docker == expected and found.docker_has_proxies
    assert found.programs == {"dockerd", "git"} and found.services == {"docker"} and found.roles == ("agents",)
    assert found.paths == {path for path in paths.PATHS if os.path.exists(path)}


@pytest.mark.parametrize(
    "answers, expected",
    [
        ({"ip": "2: eth0    inet 192.0.2.10/24 scope global eth0\n"}, ["192.0.2.0/24"]),
        ({"ip": Output(1, "", "no")}, []),
        ({}, []),
    ],
)
def test_reading_the_networks_of_a_master(answers, expected, tmp_path, monkeypatch, answering):
    monkeypatch.setattr(host, "_UNIT_FOLDERS", (str(tmp_path),))
    assert host.read(["master"], answering(answers), False).networks == ()
    (tmp_path / "determined-master.service").write_text("")
    assert list(map(str, host.read(["master"], answering(answers), False).networks)) == expected


def test_a_link_from_yum_to_dnf_is_one_file(tmp_path, monkeypatch, answering):
    (tmp_path / "dnf.conf").write_text("")
    (tmp_path / "yum.conf").symlink_to(tmp_path / "dnf.conf")
    dnf, yum = str(tmp_path / "dnf.conf"), str(tmp_path / "yum.conf")
    monkeypatch.setattr(paths, "DNF", dnf)
    monkeypatch.setattr(paths, "YUM", yum)
    monkeypatch.setattr(paths, "PATHS", (dnf, yum))
    assert host.read([], answering({}), False).paths == {dnf}
