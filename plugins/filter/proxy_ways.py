# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: proxy_ways
author: The determined.network maintainers (@determined-network)
version_added: 0.2.0
short_description: Describe the proxies of workloads to the module internet
description:
  - Turns the variables of the role P(determined.network.proxy#role) into a parameter of the module
    P(determined.network.internet#module).
  - Fails if the variables are wrong, with one message that lists every problem. The message holds no secret.
options:
  _input:
    description:
      - The variables of the role without the prefix of their names. The keys are C(http), C(https), C(username) and
        C(password). Each value may be null, and each key may be missing.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Reach a registry as workloads do
  determined.network.internet:
    targets: [{host: registry.example.com, port: 443, purpose: registry}]
    proxies: "{{ {'https': determined_proxy_https} | determined.network.proxy_ways }}"
"""

RETURN = r"""
_value:
  description: The option C(proxies) of the module. It holds credentials, so do not show it.
  type: list
  elements: dict
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.determined.network.plugins.plugin_utils import _proxy_ways


def proxy_ways(variables: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The filter. Raises AnsibleFilterError."""
    try:
        return _proxy_ways.proxy_ways(variables)
    except ValueError as problem:
        raise AnsibleFilterError(f"The proxy cannot be used: {problem}") from None


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"proxy_ways": proxy_ways}
