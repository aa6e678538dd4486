# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: no_proxy
author: The determined.network maintainers (@determined-network)
version_added: 0.2.0
short_description: Compute what the hosts of a Determined cluster reach without a proxy
description:
  - Returns every name and address of the master and the agents, the host itself, the metadata address of clouds, and
    what users add. Each is there in every form that some client needs, so that Go, Python, curl and apt agree.
  - The names are those of the inventory, and those in C(determined_address) and C(ansible_host).
  - The variables of O(extra) and O(override) can be set on any host of the cluster, and count for all hosts. Two
    different values are refused.
options:
  cluster:
    description: The cluster, as the lookup P(determined.network.cluster#lookup) returns it.
    type: dict
    required: true
  extra:
    description:
      - Adds names, domains (with all names in them), addresses and networks that are reached without the proxy. Only
        some clients understand networks.
    type: list
    elements: str
    default: []
    vars:
      - name: determined_proxy_no_proxy_extra
  override:
    description:
      - Replaces the computed entries and O(extra) by these entries. If it is not set, the entries are computed.
    type: list
    elements: str
    vars:
      - name: determined_proxy_no_proxy
seealso:
  - plugin: determined.network.cluster
    plugin_type: lookup
  - module: determined.network.proxy
"""

EXAMPLES = r"""
- name: Show what the hosts of the cluster reach without the proxy
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
      description: The entries without the agents, for services whose restart interrupts tasks.
      type: list
      elements: str
      returned: always
"""

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleError, AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.determined.network.plugins.plugin_utils import _no_proxy_list
from ansible_collections.determined.network.plugins.plugin_utils._cluster.cluster import (
    ADDRESS_VARIABLES,
    CONFIGURED_ROLES,
    Cluster,
)
from ansible_collections.determined.network.plugins.plugin_utils._cluster.inventory import Inventory
from ansible_collections.determined.network.plugins.plugin_utils._cluster.problems import InventoryProblems

# Option, variable, and the default that the role proxy has for the variable.
_VARIABLES: tuple[tuple[str, str, list[str] | None], ...] = (
    ("extra", "determined_proxy_no_proxy_extra", []),
    ("override", "determined_proxy_no_proxy", None),
)


class LookupModule(LookupBase):
    def run(
        self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any
    ) -> list[dict[str, list[str]]]:
        if terms:
            raise AnsibleLookupError("determined.network.no_proxy takes no terms, only named options")
        # The variables are read below, from all hosts, so that the result does not depend on the current host.
        self.set_options(direct=kwargs)
        cluster = Cluster.from_dict(self.get_option("cluster"))
        hosts = [host.name for role in CONFIGURED_ROLES for host in cluster.with_role(role)]
        inventory = Inventory(variables or {}, self._templar)
        host_variables, problems = inventory.host_variables(hosts)
        options = {}
        for option, variable, role_default in _VARIABLES:
            if option in kwargs:
                options[option] = self.get_option(option)
                continue
            values, more = inventory.one_for_all(hosts, variable, role_default)
            # An empty text is a question of a survey that nobody answered.
            options[option] = values[0] if values and values[0] not in ("", [""]) else self.get_option(option)
            problems += more
        if problems:
            raise AnsibleError(str(InventoryProblems(problems)))
        names = {host: _names_in(own) for host, own in host_variables.items()}
        composed = _no_proxy_list.compose(cluster, names, **options)
        return [{"no_proxy": list(composed.entries), "stable": list(composed.stable)}]


def _names_in(variables: Mapping[str, Any]) -> list[str]:
    """Return the names and addresses in the address variables of a host, each of which is one text or a list."""
    found = []
    for variable in ADDRESS_VARIABLES:
        value = variables.get(variable)
        if value is not None:
            found += [str(text).strip() for text in (value if isinstance(value, (list, tuple)) else [value])]
    return found
