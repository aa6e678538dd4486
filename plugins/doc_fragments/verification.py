# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options that the filters of a verification have in common."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  _input:
    description: The cluster, as P(determined.network.cluster#lookup) returns it.
    type: dict
    required: true
  run:
    description:
      - The settings of the verification run.
      - C(hosts) is the list of the hosts that take part.
      - C(sweep) is V(full) to probe every port of every range, or V(sample) to probe some of them.
      - C(seed) is the seed of the random choices, C(sample_size) the number of random ports in a sample.
      - C(max_peers) is the most destinations that a source tries for one row; V(0) means all.
      - C(attack) tells whether outsiders try to break in. C(token) is the name of the run, and is needed only then.
    type: dict
    required: true
"""
