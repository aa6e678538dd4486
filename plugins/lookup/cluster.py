# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: cluster
author: The determined.network maintainers (@determined-network)
version_added: 0.1.0
short_description: The Determined cluster that the inventory describes
description:
  - Reads the groups C(determined_master), C(determined_agents), C(determined_clients) and C(determined_outsiders),
    the addresses of their hosts and the cluster-wide settings, checks all of it, and returns the cluster.
  - Everything comes from the inventory and from variables, never from facts, so that a run with C(--limit) or
    C(serial) computes the same cluster as a full run. A cluster-wide variable may be set on any hosts of the
    cluster; two different values are refused.
  - A host's addresses are those of the per-host variable C(determined_address), an address or a name or a list of
    them, else C(ansible_host), else its inventory name. Names are resolved once, on the controller.
  - The per-host variable C(determined_gpus) tells how many GPUs an agent has.
  - An empty text, as a survey of Tower or AWX gives for a question without an answer, means the default. Only
    O(mode), O(agent_ports) and O(management) refuse it, since there a default could open what the inventory closes.
  - If anything is wrong, the lookup fails with one message that lists every problem with host, variable and remedy.
requirements:
  - netaddr (Python library, on the controller)
options:
  tls:
    description: Whether the master serves TLS. It picks the default of O(master_port).
    type: raw
    default: false
    vars:
      - name: determined_tls
  master_port:
    description: The master's network port. The default is 8443 with TLS and 8080 without.
    type: raw
    vars:
      - name: determined_master_port
  client_networks:
    description:
      - Networks (CIDR) that may reach the master's port, besides the hosts in C(determined_clients).
      - A list, or a text with commas, blanks or line breaks between them.
    type: raw
    default: []
    vars:
      - name: determined_client_networks
  mode:
    description:
      - V(permit) lets the required traffic in and drops nothing.
      - V(restrict) also drops every other new inbound connection.
    type: raw
    default: permit
    vars:
      - name: determined_mode
  agent_ports:
    description:
      - V(all) permits TCP 1-65535 between agents and from the master, as the document asks.
      - V(documented) permits only the ports and ranges that the requirements table names.
    type: raw
    default: all
    vars:
      - name: determined_agent_ports
  services:
    description:
      - Services outside the cluster that workloads need. A list of dictionaries with C(host) (a name, an address or
        a network), C(ports), C(purpose), which is V(registry) or V(resource), and, for the verification, C(scheme)
        (V(https), V(http) or V(tcp); by default what is usual at each port, and for a registry else V(https)) and
        C(path) (what to ask for).
      - By default Docker Hub, as the requirements table has it. An empty list stands for none.
    type: raw
    vars:
      - name: determined_services
  extra_requirements:
    description:
      - More rows for the requirements table. A list of dictionaries with C(id), C(from), C(to) and C(ports), and if
        need be C(protocol), C(purpose), C(part_of) and C(networks).
    type: raw
    default: []
    vars:
      - name: determined_extra_requirements
  management:
    description:
      - How the hosts are administered. A list of dictionaries with C(ports) and, if need be, C(networks).
      - By default TCP 22 and every port that is some host's C(ansible_port), from anywhere.
    type: raw
    vars:
      - name: determined_management
notes:
  - Cluster-wide variables may stand anywhere in the inventory, in the play, or in extra variables.
seealso:
  - plugin: determined.network.host_policies
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show every address of the cluster
  ansible.builtin.debug:
    msg: "{{ (lookup('determined.network.cluster')).hosts | dict2items | map(attribute='value.addresses') }}"

- name: What would change if the master served TLS?
  ansible.builtin.debug:
    msg: "{{ (lookup('determined.network.cluster', tls=true)).settings.master_port }}"
"""

RETURN = r"""
_raw:
  description:
    - A list with one dictionary, the cluster.
  type: list
  elements: dict
  contains:
    hosts:
      description: Inventory name to C(roles) (list), C(addresses) (C(ipv4) and C(ipv6), lists) and C(gpus).
      type: dict
      returned: always
    settings:
      description: All cluster-wide settings, checked and in canonical form.
      type: dict
      returned: always
"""

from typing import Any

from ansible.errors import AnsibleError, AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.determined.network.plugins.plugin_utils._cluster import addresses, problems, resolve, settings
from ansible_collections.determined.network.plugins.plugin_utils._cluster import cluster as clusters
from ansible_collections.determined.network.plugins.plugin_utils._cluster import inventory as cluster_inventory


class LookupModule(LookupBase):
    def run(self, terms: list[Any], variables: Any = None, **kwargs: Any) -> list[dict[str, Any]]:
        if terms:
            raise AnsibleLookupError("determined.network.cluster takes no terms, only named options")
        unknown = sorted(set(kwargs) - set(settings.VARIABLES))
        if unknown:
            raise AnsibleLookupError(
                f"determined.network.cluster has no option {', '.join(unknown)}; "
                f"its options are {', '.join(settings.VARIABLES)}"
            )
        # The variables are read below, host by host, so that the result does not depend on who asks.
        self.set_options(direct=kwargs)
        try:
            addresses.require_netaddr()
            roles = clusters.cluster_hosts(variables["groups"])
            inventory = cluster_inventory.Inventory(variables, self._templar)
            misspelt = inventory.misspelt(roles, variables["groups"])
            host_variables, unreadable = inventory.host_variables(roles)
            options, conflicts = inventory.cluster_options(roles, given=kwargs, default=self.get_option)
            cluster = clusters.build_cluster(
                roles,
                host_variables,
                options,
                resolve.resolve_names,
                [*inventory.slices(), *misspelt, *unreadable, *conflicts],
            )
        except (addresses.NetaddrMissing, problems.InventoryProblems) as problem:
            raise AnsibleError(str(problem)) from problem
        return [cluster.to_dict()]
