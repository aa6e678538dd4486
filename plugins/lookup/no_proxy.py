# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: no_proxy
author: The determined.network maintainers (@determined-network)
version_added: 0.2.0
short_description: What the hosts of a Determined cluster reach without a proxy
description:
  - Every name and address of the master and the agents, the host itself, the metadata address of clouds, and what
    users add; each in every form that some client needs, so that Go, Python, curl and apt agree.
  - Names are those of the inventory, and those written in C(determined_address) and C(ansible_host).
  - What users add or set may stand on any hosts of the cluster, and is one list for all; two different ones are
    refused.
options:
  cluster:
    description: The cluster, as the lookup P(determined.network.cluster#lookup) returns it.
    type: dict
    required: true
  extra:
    description:
      - What else is reached without the proxy. Names and domains (with everything in them), addresses, and networks,
        which only some clients understand.
    type: list
    elements: str
    default: []
    vars:
      - name: proxy_no_proxy_extra
  override:
    description: What is reached without the proxy, in place of everything that is computed.
    type: list
    elements: str
    vars:
      - name: proxy_no_proxy
seealso:
  - plugin: determined.network.cluster
    plugin_type: lookup
  - module: determined.network.proxy
"""

EXAMPLES = r"""
- name: Show what no host of the cluster asks the proxy for
  ansible.builtin.debug:
    msg: "{{ computed.no_proxy | join(',') }}"
  vars:
    computed: "{{ lookup('determined.network.no_proxy', cluster=lookup('determined.network.cluster')) }}"
"""

RETURN = r"""
_raw:
  description: A list with one dictionary.
  type: list
  elements: dict
  contains:
    no_proxy:
      description: All entries.
      type: list
      elements: str
      returned: always
    stable:
      description: The entries without the agents, for programs whose restart costs work.
      type: list
      elements: str
      returned: always
"""

from ansible.errors import AnsibleError, AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.determined.network.plugins.plugin_utils import _no_proxy_list
from ansible_collections.determined.network.plugins.plugin_utils._cluster import cluster as clusters
from ansible_collections.determined.network.plugins.plugin_utils._cluster import inventory as cluster_inventory
from ansible_collections.determined.network.plugins.plugin_utils._cluster import problems as cluster_problems

# Option, variable, and what the role proxy has where nobody sets it.
_VARIABLES = (("extra", "proxy_no_proxy_extra", []), ("override", "proxy_no_proxy", None))


class LookupModule(LookupBase):
    def run(self, terms, variables=None, **kwargs):
        if terms:
            raise AnsibleLookupError("determined.network.no_proxy takes no terms, only named options")
        # The variables are read below, from all hosts, so that the result does not depend on who asks.
        self.set_options(direct=kwargs)
        cluster = clusters.Cluster.from_dict(self.get_option("cluster"))
        hosts = [host.name for role in clusters.CONFIGURED_ROLES for host in cluster.with_role(role)]
        inventory = cluster_inventory.Inventory(variables, self._templar)
        found, problems = inventory.host_variables(hosts)
        options = {}
        for option, variable, role_default in _VARIABLES:
            if option in kwargs:
                options[option] = self.get_option(option)
                continue
            values, more = inventory.one_for_all(hosts, variable, role_default)
            # An empty text is a survey's question without an answer.
            options[option] = values[0] if values and values[0] not in ("", [""]) else self.get_option(option)
            problems += more
        if problems:
            raise AnsibleError(str(cluster_problems.InventoryProblems(problems)))
        names = {
            host: [
                str(text).strip()
                for variable in clusters.ADDRESS_VARIABLES
                for value in [values.get(variable)]
                if value is not None
                for text in (value if isinstance(value, (list, tuple)) else [value])
            ]
            for host, values in found.items()
        }
        composed = _no_proxy_list.compose(cluster, names, **options)
        return [{"no_proxy": list(composed.entries), "stable": list(composed.stable)}]
