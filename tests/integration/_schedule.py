# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which tests one process runs one after the other, and which tests begin first.

A group shares hosts, so one process runs it: a file, or the tests of a file that have the same hosts. The longest
groups begin first, so that all processes end at nearly the same time.
"""

from __future__ import annotations

import re

import pytest

# File -> the parameters (as pytest writes them into a test's name) that each boot hosts of their own.
VARIANTS = {
    "test_attacks_hosts.py": ("nft", "legacy", "bookworm", "trixie"),
    "test_demo.py": ("oldest", "newest"),
    "test_docker.py": ("bookworm, nft", "trixie, legacy"),
    "test_firewalld.py": ("bookworm-nftables", "trixie-nftables", "bookworm-iptables"),
    "test_persistence.py": ("iptables", "firewalld"),
    "test_reboot.py": ("iptables", "firewalld"),
    "test_reboot_windows.py": ("nft", "legacy", "firewalld"),
}

# Group -> seconds, measured with ``pytest --durations=0``. They need not be exact; an unknown group begins early.
SECONDS = {
    "test_molecule.py": 1100,
    "test_proxy.py": 420,
    "test_verify.py": 340,
    "test_reboot.py[iptables]": 300,
    "test_firewalld.py[bookworm-iptables]": 280,
    "test_reboot.py[firewalld]": 280,
    "test_lockout.py": 240,
    "test_tower.py": 210,
    "test_forged_answers.py": 200,
    "test_docker.py[bookworm, nft]": 200,
    "test_firewalld.py[bookworm-nftables]": 200,
    "test_firewall_faults.py": 190,
    "test_firewalld.py[trixie-nftables]": 190,
    "test_docker.py[trixie, legacy]": 180,
    "test_rehearse.py": 160,
    "test_persistence.py[iptables]": 150,
    "test_attacks.py": 150,
    "test_attacks_hosts.py[legacy]": 170,
    "test_attacks_hosts.py[nft]": 170,
    "test_attacks_hosts.py[bookworm]": 150,
    "test_attacks_hosts.py[trixie]": 150,
    "test_verify_attacks.py": 140,
    "test_causes.py": 130,
    "test_causes_hosts.py": 130,
    "test_coexistence.py": 130,
    "test_internet.py": 130,
    "test_namespaces_ansible.py": 120,
    "test_demo.py[oldest]": 100,
    "test_windows.py": 100,
    "test_firewall_ssh.py": 90,
    "test_probe.py": 80,
    "test_secrets.py": 80,
    "test_namespaces.py": 75,
    "test_forged_packets.py": 60,
    "test_older_sessions.py": 60,
    "test_attacks_forwarding.py": 60,
    "test_demo.py[newest]": 60,
    "test_attack.py": 40,
    "test_firewall.py": 40,
    "test_reboot_windows.py[firewalld]": 40,
    "test_reboot_windows.py[legacy]": 35,
    "test_reboot_windows.py[nft]": 35,
    "test_persistence.py[firewalld]": 40,
    "test_listener.py": 35,
    "test_firewall_packets.py": 30,
    "test_trace.py": 25,
    "test_trace_witness.py": 20,
    "test_package.py": 20,
    "test_scripts.py": 20,
    "test_firewall_prerequisites.py": 15,
    "test_namespaces_refused.py": 5,
    "test_persistence.py": 5,
}
UNKNOWN = 120


def group_of(nodeid: str) -> str:
    """The group of a test: ``test_reboot.py`` or ``test_reboot.py[iptables]``."""
    file, _unused, test = nodeid.partition("::")
    name = file.rpartition("/")[2]
    for variant in VARIANTS.get(name, ()):
        if re.search(rf"[\[-]{re.escape(variant)}[\]-]", test):
            return f"{name}[{variant}]"
    return name


def seconds(group: str) -> int:
    return SECONDS.get(group, UNKNOWN)


def together(items: list[pytest.Item]) -> None:
    """Bring the tests of a group together; the groups stay in the order of their first tests."""
    first: dict[str, int] = {}
    for item in items:
        first.setdefault(group_of(item.nodeid), len(first))
    items.sort(key=lambda item: first[group_of(item.nodeid)])


def longest_first(items: list[pytest.Item]) -> None:
    """Bring the groups into the order in which they begin where several processes share the work."""
    items.sort(key=lambda item: -seconds(group_of(item.nodeid)))
