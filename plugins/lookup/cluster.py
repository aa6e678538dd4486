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
    them. Without it they are those of C(ansible_host), and without that of the host's name in the inventory. Names are
    resolved once, on the controller.
  - The per-host variable C(determined_gpus) tells how many GPUs an agent has.
  - An empty text, as a survey of Tower or AWX gives for a question without an answer, means the default. Only
    O(mode), O(agent_ports) and O(management) refuse it, because their default could permit more than the inventory.
  - If anything is wrong, the lookup fails with one message that lists every problem with host, variable and remedy.
requirements:
  - netaddr (Python library, on the controller)
options:
  tls:
    description: Whether the master serves TLS. The default of O(master_port) depends on it.
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
      - Permits these networks (CIDR) to reach the master's port, in addition to the hosts in C(determined_clients).
      - It is a list, or a text with commas, blanks or line breaks between the networks.
    type: raw
    default: []
    vars:
      - name: determined_client_networks
  mode:
    description:
      - Selects what the firewalls do with other inbound connections than the required ones.
      - V(permit) permits the required connections and drops nothing.
      - V(restrict) permits the required connections and drops every other new inbound connection.
    type: raw
    default: permit
    vars:
      - name: determined_mode
  agent_ports:
    description:
      - Selects the ports that agents permit.
      - V(all) permits TCP 1-65535 between agents and from the master, as the document asks.
      - V(documented) permits only the ports and ranges that the requirements table names.
    type: raw
    default: all
    vars:
      - name: determined_agent_ports
  services:
    description:
      - Names the services outside the cluster that workloads need. It is a list of dictionaries.
      - C(host) is a name, an address or a network. C(ports) holds the ports.
      - C(purpose) is V(registry) or V(resource).
      - C(scheme) is the protocol that a verification uses, V(https), V(http) or V(tcp). Without it, the protocol is the
        usual one of each port. At any other port it is V(https) for a registry.
      - C(path) is the path that a verification requests.
      - By default the list has Docker Hub, as the requirements table has it. An empty list means that there is none.
    type: raw
    vars:
      - name: determined_services
  extra_requirements:
    description:
      - Adds rows to the requirements table. It is a list of dictionaries with C(id), C(from), C(to) and C(ports), and
        optionally C(protocol), C(purpose), C(part_of) and C(networks).
    type: raw
    default: []
    vars:
      - name: determined_extra_requirements
  management:
    description:
      - Permits the administrators to reach all hosts. It is a list of dictionaries with C(ports) and optionally
        C(networks). An entry without C(networks) permits any source address.
      - By default, TCP 22 and the C(ansible_port) of every host are permitted from any address.
    type: raw
    vars:
      - name: determined_management
notes:
  - Cluster-wide variables may be set anywhere in the inventory, in the play, or in extra variables.
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
        # The variables are read below, host by host, so that the result does not depend on the host of the task.
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
                [*inventory.slices(), *inventory.from_facts(roles), *misspelt, *unreadable, *conflicts],
            )
        except (addresses.NetaddrMissing, problems.InventoryProblems) as problem:
            raise AnsibleError(str(problem)) from problem
        return [cluster.to_dict()]
