# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's half of the module ``attack``: of what a host answers, only what the module documents is used."""

from __future__ import annotations

from ansible_collections.determined.network.plugins.plugin_utils._answers.action import HostAction


class ActionModule(HostAction):
    """Runs the module, and cleans its answer."""

    RETURNED = (
        "attempts",
        "frames",
        "networks",
    )
