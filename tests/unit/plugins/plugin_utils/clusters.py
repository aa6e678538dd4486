# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clusters for tests, built by the same code as a real one."""

from ansible_collections.determined.network.plugins.plugin_utils._cluster import cluster

DEMO = {
    "master": (("master",), ["192.0.2.10", "2001:db8:1::10"]),
    "agent1": (("agents",), ["192.0.2.21", "2001:db8:1::21"]),
    "agent2": (("agents",), ["192.0.2.22", "2001:db8:1::22"]),
    "agent3": (("agents",), ["198.51.100.23", "2001:db8:2::23"]),
    "laptop": (("clients",), ["203.0.113.40", "2001:db8:4::40"]),
    "stranger": (("outsiders",), ["203.0.113.66", "2001:db8:6::66"]),
}

SMALL = {
    "master": (("master",), ["192.0.2.10"]),
    "agent1": (("agents",), ["192.0.2.21"]),
    "agent2": (("agents",), ["192.0.2.22"]),
}


def no_resolver(names):
    """A resolver for tests that need none."""
    raise AssertionError(f"the test's cluster should hold addresses only, not {names}")


def build(hosts=None, **options):
    """Host -> (roles, addresses), and cluster-wide options as users write them -> Cluster; it needs no services."""
    hosts = DEMO if hosts is None else hosts
    roles = {name: held for name, (held, _unused) in hosts.items()}
    variables = {name: {"determined_address": addresses} for name, (_unused, addresses) in hosts.items()}
    return cluster.build_cluster(roles, variables, {"services": [], **options}, no_resolver)
