#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: report
short_description: Conclude a verification and write its report
version_added: 0.1.0
author:
  - The determined.network maintainers (@determined-network)
description:
  - Lays what every host saw over what the cluster requires, writes C(report.json) on the controller, and prints
    one line for each requirement. Where something is wrong it prints a matrix and a line for each wrong cell too.
  - Fails if a cell is wrong, and with another message if a cell has no answer.
  - Runs on the controller alone; the role P(determined.network.verify#role) uses it once for all hosts.
attributes:
  check_mode:
    support: none
    description: A verification does not run in check mode.
  diff_mode:
    support: none
    description: Nothing on a host changes.
  platform:
    support: full
    platforms: posix
    description: Runs on the controller.
options:
  cluster:
    description: The cluster, as the lookup P(determined.network.cluster#lookup) returns it.
    type: dict
    required: true
  run:
    description: How the run verified. See P(determined.network.verification_targets#filter).
    type: dict
    required: true
  rounds:
    description: What every host saw, round by round. See P(determined.network.verification_again#filter).
    type: dict
    required: true
  directory:
    description: Where C(report.json) goes, on the controller.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Report
  determined.network.report:
    cluster: "{{ lookup('determined.network.cluster') }}"
    run: "{{ verify_run }}"
    rounds: "{{ rounds_by_host }}"
    directory: determined-network-report
  run_once: true
"""

RETURN = r"""
report:
  description: The path of C(report.json) on the controller.
  type: str
  returned: always
summary:
  description: How many checks there were, and how many of each verdict.
  type: dict
  returned: always
  sample: {"checks": 120, "correct": 119, "wrong": 1, "flaky": 0, "error": 0, "advice": 0}
"""

# The action plugin of the same name does the work, on the controller.
