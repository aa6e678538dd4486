# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: verification_traces
author: The determined.network maintainers (@determined-network)
version_added: 0.3.0
short_description: The packets that explain the wrong checks of a verification
description:
  - Concludes from all rounds which checks are wrong, and derives which packets are sent again while all hosts watch, to
    find out where they stop.
  - The role P(determined.network.verify#role) uses it between its tasks.
positional: run, rounds
extends_documentation_fragment:
  - determined.network.verification
options:
  rounds:
    description: The results of each host, as for P(determined.network.verification_again#filter).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Derive what to trace
  ansible.builtin.set_fact:
    traces: "{{ cluster | determined.network.verification_traces(run, rounds) }}"
"""

RETURN = r"""
_value:
  description:
    - C(packets) maps a host to the packets that it sends with P(determined.network.trace#module).
    - C(watching) is the list of the hosts that watch. It is empty when nothing must be traced.
    - C(plan) is for the report, which must know what was sent.
  type: dict
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.determined.network.plugins.plugin_utils._verification import steps


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"verification_traces": steps.trace_plan}
