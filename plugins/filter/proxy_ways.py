# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: proxy_ways
author: The determined.network maintainers (@determined-network)
version_added: 0.2.0
short_description: The proxies that workloads take, for the module internet
description:
  - Turns the variables of the role P(determined.network.proxy#role) into a parameter of the module
    P(determined.network.internet#module).
  - Fails with one message that lists everything that is wrong with them. The message holds no secret.
options:
  _input:
    description:
      - The variables, without C(proxy_) before their names. Takes C(http), C(https), C(username) and C(password), each
        of which may be null.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Reach a registry as workloads do
  determined.network.internet:
    targets: [{host: registry.example.com, port: 443, purpose: registry}]
    proxies: "{{ {'https': proxy_https} | determined.network.proxy_ways }}"
"""

RETURN = r"""
_value:
  description: The parameter C(proxies) of the module. It holds credentials, so do not show it.
  type: list
  elements: dict
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.determined.network.plugins.plugin_utils import _proxy_ways


def proxy_ways(variables):
    """The filter; problems become Ansible's error."""
    try:
        return _proxy_ways.proxy_ways(variables)
    except ValueError as problem:
        raise AnsibleFilterError(f"The proxy cannot be used: {problem}") from None


class FilterModule:
    def filters(self):
        return {"proxy_ways": proxy_ways}
