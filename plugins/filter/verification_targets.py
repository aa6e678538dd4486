# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: verification_targets
author: The determined.network maintainers (@determined-network)
version_added: 0.1.0
short_description: The targets that each host must probe in a verification
description:
  - Derives the checks of a cluster and names the targets of the first round.
  - The role P(determined.network.verify#role) uses it between its tasks.
positional: run, started
extends_documentation_fragment:
  - determined.network.verification
options:
  started:
    description: Maps each host to the result of the module P(determined.network.listener#module) on it.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Derive the targets of every host
  ansible.builtin.set_fact:
    targets: "{{ cluster | determined.network.verification_targets(run, started) }}"
"""

RETURN = r"""
_value:
  description: Maps each host to the targets of the module P(determined.network.probe#module).
  type: dict
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.determined.network.plugins.plugin_utils._verification import steps


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"verification_targets": steps.first_targets}
