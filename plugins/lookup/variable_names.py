# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: variable_names
author: The determined.network maintainers (@determined-network)
version_added: 0.3.0
short_description: Refuse variables with outdated or misspelt names
description:
  - Looks at the names of all variables of the cluster's hosts and of the play. If one of them is an old name of a
    variable of this collection, or a misspelt one, the lookup fails with one message that lists each with host,
    variable and remedy. Otherwise it returns an empty list.
  - The lookup P(determined.network.cluster#lookup) does the same while it reads the cluster. This one is for tasks
    that do not need the cluster, such as those that remove the configuration.
notes:
  - An old name that another role uses, too, is accepted where the same hosts set the new name.
seealso:
  - plugin: determined.network.cluster
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: Refuse variables with outdated or misspelt names
  ansible.builtin.assert:
    that: query('determined.network.variable_names') | length == 0
  run_once: true
"""

RETURN = r"""
_raw:
  description: An empty list.
  type: list
  elements: str
"""

from typing import Any

from ansible.errors import AnsibleError, AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.determined.network.plugins.plugin_utils._cluster.cluster import cluster_hosts
from ansible_collections.determined.network.plugins.plugin_utils._cluster.inventory import Inventory
from ansible_collections.determined.network.plugins.plugin_utils._cluster.problems import InventoryProblems


class LookupModule(LookupBase):
    def run(self, terms: list[Any], variables: Any = None, **kwargs: Any) -> list[str]:
        if terms or kwargs:
            raise AnsibleLookupError("determined.network.variable_names takes neither terms nor options")
        hosts = cluster_hosts(variables["groups"])
        inventory = Inventory(variables, self._templar)
        problems = [*inventory.from_facts(hosts), *inventory.misspelt(hosts, variables["groups"])]
        if problems:
            raise AnsibleError(str(InventoryProblems(problems)))
        return []
