#!/usr/bin/python
# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

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
  - Returns a short form of the report for C(ansible.builtin.set_stats), by which Tower, AWX and workflows learn of it.
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
  state:
    description:
      - V(written) concludes the verification.
      - V(writable) only makes sure that the report can be written, so that a run can find out before it begins.
    type: str
    choices: [written, writable]
    default: written
    version_added: 0.2.0
  cluster:
    description:
      - The cluster, as the lookup P(determined.network.cluster#lookup) returns it.
      - Required, like O(run) and O(rounds), with O(state=written).
    type: dict
  run:
    description: How the run verified. See P(determined.network.verification_targets#filter).
    type: dict
  rounds:
    description: What every host saw, round by round. See P(determined.network.verification_again#filter).
    type: dict
  directory:
    description:
      - Where C(report.json) goes, on the controller.
      - By default into C(determined-network-report), in the current directory or, in a job of ansible-runner, Tower
        or AWX, among the job's artifacts (in C(AWX_ISOLATED_DATA_DIR)).
    type: path
    default: ""
"""

EXAMPLES = r"""
- name: Make sure that the report can be written
  determined.network.report:
    state: writable
    directory: /srv/reports
  run_once: true

- name: Report
  determined.network.report:
    cluster: "{{ lookup('determined.network.cluster') }}"
    run: "{{ verify_run }}"
    rounds: "{{ rounds_by_host }}"
    directory: /srv/reports
  run_once: true
  register: verified

- name: Publish the result with the job
  ansible.builtin.set_stats:
    data:
      determined_network_verification: "{{ verified.verification }}"
    aggregate: false
  run_once: true
"""

RETURN = r"""
report:
  description: The path of C(report.json) on the controller.
  type: str
  returned: unless O(state=writable) fails
summary:
  description: How many checks there were, and how many of each verdict.
  type: dict
  returned: with O(state=written), also when the task fails
  sample: {"checks": 120, "correct": 119, "wrong": 1, "flaky": 0, "error": 0, "advice": 0}
verification:
  description:
    - The report in short, to be published as statistics. Long texts and lists are cut in it, so that it holds at most
      262,144 characters of JSON, whatever the size of the cluster.
  type: dict
  returned: with O(state=written), also when the task fails
  version_added: 0.2.0
  contains:
    version:
      description: Version of the report's shape.
      type: int
      returned: always
    passed:
      description: Whether the network is what the cluster requires, and the report could be written.
      type: bool
      returned: always
    messages:
      description: Why the task fails.
      type: list
      elements: str
      returned: always
    run:
      description: How the run verified. C(left_out) names hosts of the cluster that took no part.
      type: dict
      returned: always
    summary:
      description: As RV(summary).
      type: dict
      returned: always
    wrong:
      description: The first wrong rows of the report.
      type: list
      elements: dict
      returned: always
    error:
      description: The first rows of the report without an answer.
      type: list
      elements: dict
      returned: always
    not_shown:
      description: How many more of these two kinds the report has.
      type: int
      returned: always
    report:
      description: As RV(report).
      type: str
      returned: always
"""

# The action plugin of the same name does the work, on the controller.
