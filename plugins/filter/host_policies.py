# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: host_policies
author: The determined.network maintainers (@determined-network)
version_added: 0.1.0
short_description: Computes what every host of the cluster must permit
description:
  - Applies the requirements to a cluster and returns the host policies of its master and agents.
  - Hosts with the same roles share one host policy, so a cluster of any size has at most three host policies.
options:
  _input:
    description: The cluster, as the lookup P(determined.network.cluster#lookup) returns it.
    type: dict
    required: true
seealso:
  - plugin: determined.network.cluster
    plugin_type: lookup
  - module: determined.network.firewall
"""

EXAMPLES = r"""
- name: Compute all policies, once for the play
  ansible.builtin.set_fact:
    policies: "{{ lookup('determined.network.cluster') | determined.network.host_policies }}"
  run_once: true

- name: Configure each host
  determined.network.firewall:
    policy: "{{ policies.policies[policies.by_host[inventory_hostname]] }}"
"""

RETURN = r"""
_value:
  description: All policies.
  type: dict
  contains:
    by_host:
      description: The name of each host's policy.
      type: dict
      returned: always
    policies:
      description: The policies by name, each what the module determined.network.firewall takes.
      type: dict
      returned: always
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.determined.network.plugins.plugin_utils import _host_policy
from ansible_collections.determined.network.plugins.plugin_utils._cluster import cluster as clusters


def host_policies(cluster: dict[str, Any]) -> dict[str, Any]:
    """The host policies of a cluster, as plain data. ValueError if the cluster is wrong."""
    derived = _host_policy.derive_policies(clusters.Cluster.from_dict(cluster))
    return {
        "by_host": derived.by_host,
        "policies": {name: policy.to_dict() for name, policy in derived.policies.items()},
    }


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"host_policies": host_policies}
