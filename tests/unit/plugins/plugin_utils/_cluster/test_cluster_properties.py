# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Any inventory at all gives a cluster with policies, or a list of problems; never anything else."""

import json

from ansible_collections.determined.network.plugins.module_utils._policy import HostPolicy
from ansible_collections.determined.network.plugins.plugin_utils import _host_policy
from ansible_collections.determined.network.plugins.plugin_utils._cluster import cluster as clusters
from ansible_collections.determined.network.plugins.plugin_utils._cluster import problems as cluster_problems
from ansible_collections.determined.network.plugins.plugin_utils._cluster import requirements
from ansible_collections.determined.network.plugins.plugin_utils._cluster import settings as cluster_settings
from ansible_collections.determined.network.plugins.plugin_utils._verification import checks
from hypothesis import HealthCheck, event, given, settings

from tests.unit.plugins.plugin_utils.clusters import build
from tests.unit.plugins.plugin_utils.inventories import (
    CHECKED,
    any_inventory,
    any_options,
    junk,
    resolver,
    right_hosts,
    right_options,
)

LENIENT = {**CHECKED, "suppress_health_check": list(HealthCheck)}


def everything_follows(cluster):
    """What can be derived from a cluster is derived, and survives its way through JSON."""
    assert clusters.Cluster.from_dict(json.loads(json.dumps(cluster.to_dict()))) == cluster
    policies = _host_policy.derive_policies(cluster)
    for host in policies.by_host:
        policy = policies.of(host)
        assert HostPolicy.from_dict(json.loads(json.dumps(policy.to_dict()))) == policy
    checks.derive_checks(cluster, checks.Scope(frozenset(host.name for host in cluster.hosts)))


@settings(max_examples=200, **LENIENT)
@given(any_inventory())
def test_any_inventory(inventory):
    try:
        cluster = clusters.build_cluster(*inventory, resolver)
    except cluster_problems.InventoryProblems as found:
        event("problems")
        assert found.problems
        for problem in found.problems:
            assert problem.where and problem.problem and problem.remedy
        assert f"{len(found.problems)} problem" in str(found)
    else:
        event("cluster")
        everything_follows(cluster)


@settings(max_examples=60, **LENIENT)
@given(right_hosts(), right_options)
def test_a_right_inventory_gives_a_cluster(hosts, options):
    everything_follows(build(hosts, **options))


@settings(max_examples=150, **LENIENT)
@given(right_hosts(), any_options)
def test_whatever_the_settings_are(hosts, options):
    try:
        cluster = build(hosts, **options)
    except cluster_problems.InventoryProblems as found:
        assert {problem.variable for problem in found.problems} <= {
            *cluster_settings.VARIABLES.values(),
            "determined_address",
        }
    else:
        everything_follows(cluster)


@settings(max_examples=150, **LENIENT)
@given(junk)
def test_whatever_the_extra_rows_are(rows):
    found, problems = requirements.parse_extra_rows(rows)
    assert isinstance(found, list)
    assert all(problem.row and problem.problem for problem in problems)


@settings(max_examples=60, **LENIENT)
@given(right_hosts(), right_options)
def test_the_order_of_an_inventory_changes_no_policy(hosts, options):
    one = _host_policy.derive_policies(build(hosts, **options))
    other = _host_policy.derive_policies(build(dict(reversed(hosts.items())), **options))
    assert {host: one.of(host) for host in one.by_host} == {host: other.of(host) for host in other.by_host}
