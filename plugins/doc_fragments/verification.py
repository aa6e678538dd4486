# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the filters of a verification have in common."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  _input:
    description: The cluster, as the lookup P(determined.network.cluster#lookup) returns it.
    type: dict
    required: true
  run:
    description:
      - How the run verifies. Takes C(hosts) (the names that take part), C(sweep), C(seed), C(sample_size)
        and C(max_peers).
    type: dict
    required: true
"""
