# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The culprit on hosts as administrators have them: real firewalld, a real ban of fail2ban, and SSH with sudo."""

from __future__ import annotations

import pytest

from .systemd_lab import SystemdLab

HOSTS = {"master": "determined_master", "agent1": "determined_agents", "agent2": "determined_agents"}


@pytest.fixture(scope="module")
def lab():
    """Agent1 has firewalld, the others iptables."""
    with SystemdLab(HOSTS, releases={"agent1": "trixie"}) as made:
        made.shell("agent1", "systemctl start firewalld")
        made.inventory(determined_mode="restrict", determined_services=[])
        done = made.play("site", "--tags", "configure")
        assert done.returncode == 0, done.stdout + done.stderr
        yield made


def causes(lab, place: str, plant: str, undo: str) -> tuple[list[dict], str]:
    """Plant something on a host -> the causes of the next verification, and its output."""
    lab.shell(place, plant)
    try:
        done = lab.play("verify", determined_verify_seed=5, determined_verify_timeout=1.2)
    finally:
        lab.shell(place, undo)
    return lab.report()["causes"], done.stdout + done.stderr


def test_a_right_network_has_no_causes_and_is_not_traced(lab):
    found, output = causes(lab, "master", "true", "true")
    assert found == [] and "Send the packets of wrong checks again" not in output
    assert "determined_trace" not in lab.shell("agent1", "nft list tables")


def test_a_direct_rule_of_firewalld_is_named(lab):
    address = lab.addresses["agent2"][0]
    command = "firewall-cmd --direct --{}-rule ipv4 filter INPUT 0 -s " + address + " -p tcp --dport 1734 -j DROP"
    (cause,), output = causes(lab, "agent1", command.format("add"), command.format("remove"))
    assert (cause["kind"], cause["host"]) == ("host_drops", "agent1"), output
    assert "--dport 1734 -j DROP" in cause["rule"] and "not set up" not in cause["sentence"], cause


def test_a_ban_of_fail2ban_is_named(lab):
    jail = "[sshd]\nenabled = true\nbackend = systemd\nbanaction = iptables-allports\n"
    lab.write("agent2", "/etc/fail2ban/jail.local", jail)
    lab.shell("agent2", "systemctl start fail2ban")
    lab.wait_until(lambda: lab.run("agent2", "fail2ban-client", "status", "sshd").returncode == 0)
    address = lab.addresses["agent1"][0]
    client = "fail2ban-client set sshd {} " + address
    found, output = causes(lab, "agent2", client.format("banip"), client.format("unbanip"))
    drops = [cause for cause in found if cause["kind"] == "host_drops"]
    assert {cause["host"] for cause in drops} == {"agent2"}, output
    assert any("f2b-sshd" in cause["place"] and address in cause["rule"] for cause in drops), drops
    assert any("fail2ban-client unban" in cause["remedy"] for cause in drops)


def test_firewalld_without_our_policy_is_not_set_up(lab):
    done = lab.play("remove", "--limit", "agent1")
    assert done.returncode == 0, done.stdout
    try:
        found, output = causes(lab, "agent1", "true", "true")
    finally:
        done = lab.play("site", "--tags", "configure")
    assert done.returncode == 0, done.stdout
    drops = [cause for cause in found if cause["host"] == "agent1"]
    assert drops and all("is not set up by this collection" in cause["sentence"] for cause in drops), output
    assert all("determined.network.site" in cause["remedy"] for cause in drops)
