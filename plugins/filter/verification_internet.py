# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: verification_internet
author: The determined.network maintainers (@determined-network)
version_added: 0.2.0
short_description: The services outside that each host must reach in a verification
description:
  - Derives from a cluster the services outside that its agents must reach, and the roles whose hosts must be reached
    without a proxy.
  - The role P(determined.network.verify#role) uses it between its tasks.
positional: run
extends_documentation_fragment:
  - determined.network.verification
"""

EXAMPLES = r"""
- name: Derive what every agent must reach outside
  ansible.builtin.set_fact:
    outside: "{{ cluster | determined.network.verification_internet(run) }}"
"""

RETURN = r"""
_value:
  description:
    - C(targets) and C(cluster) are options of the module P(determined.network.internet#module).
    - C(hosts) is a dictionary of the hosts that must run the module. C(reaches) is an option of the module, and
      C(outside) tells whether the host must probe the targets.
  type: dict
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.determined.network.plugins.plugin_utils._verification import steps


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"verification_internet": steps.internet_plan}
