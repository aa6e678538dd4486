# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: verification_again
author: The determined.network maintainers (@determined-network)
version_added: 0.1.0
short_description: The listeners and targets of a later round of a verification
description:
  - Concludes from all rounds so far which ports differ from what is expected, and derives the next round, which probes
    them again.
  - The role P(determined.network.verify#role) uses it between its tasks.
positional: run, rounds
extends_documentation_fragment:
  - determined.network.verification
options:
  rounds:
    description:
      - Maps each host to its results, a list with a dictionary for each round.
      - C(answer) is the line that the host's listeners send.
      - C(started) and C(read) are results of the module P(determined.network.listener#module).
      - C(targets) and C(probe) are the targets and the result of the module P(determined.network.probe#module).
      - C(listeners) are the listeners that the host was asked for. If they are there, a host that tells of others has
        returned a malformed answer.
      - If an answer of a host is malformed, nothing that it answered is used, and it is not probed again.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Derive the next round
  ansible.builtin.set_fact:
    again: "{{ cluster | determined.network.verification_again(run, rounds) }}"
"""

RETURN = r"""
_value:
  description: C(listeners) and C(targets), each by host. Both are empty when no port must be probed again.
  type: dict
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.determined.network.plugins.plugin_utils._verification import steps


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"verification_again": steps.next_round}
