# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: verification_listeners
author: The determined.network maintainers (@determined-network)
version_added: 0.1.0
short_description: The listeners that each host needs for a verification
description:
  - Derives the checks of a cluster and names the listeners that the first round needs.
  - The role P(determined.network.verify#role) uses it between its tasks.
positional: run
extends_documentation_fragment:
  - determined.network.verification
"""

EXAMPLES = r"""
- name: Show the listeners of a verification
  ansible.builtin.debug:
    msg: "{{ lookup('determined.network.cluster') | determined.network.verification_listeners(run) }}"
  vars:
    run: {hosts: "{{ ansible_play_hosts_all }}", sweep: sample, seed: 1, sample_size: 64, max_peers: 0}
"""

RETURN = r"""
_value:
  description: Maps each host to the listeners of the module P(determined.network.listener#module).
  type: dict
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.determined.network.plugins.plugin_utils._verification import steps


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"verification_listeners": steps.first_listeners}
