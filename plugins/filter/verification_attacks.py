# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: verification_attacks
author: The determined.network maintainers (@determined-network)
version_added: 0.3.0
short_description: The attacks that the outsiders of a verification try
description:
  - Derives from a cluster in mode C(restrict) what each outsider attacks on each host that must be closed to it.
  - The role P(determined.network.verify#role) uses it between its tasks.
positional: run, started, found, forward
extends_documentation_fragment:
  - determined.network.verification
options:
  started:
    description: Maps each host to the result of the module P(determined.network.listener#module) on it.
    type: dict
    default: {}
  found:
    description: Maps each host to the result of the module P(determined.network.attack#module) with C(state=found).
    type: dict
    default: {}
  forward:
    description:
      - Maps each host to the value of O(determined.network.firewall#role:determined_firewall_forward). What it permits
        is not attacked.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Derive what every outsider attacks
  ansible.builtin.set_fact:
    attacks: "{{ cluster | determined.network.verification_attacks(run, started, found) }}"
"""

RETURN = r"""
_value:
  description:
    - C(hosts) is the list of the hosts that are attacked, and C(port) the option of the module
      P(determined.network.attack#module) with which their containers are found.
    - C(targets) maps each outsider to the option of that name.
  type: dict
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.determined.network.plugins.plugin_utils._verification import steps


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"verification_attacks": steps.attack_plan}
