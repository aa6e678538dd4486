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
  - Compares what every host observed with what the cluster requires, and writes C(report.json) on the controller.
  - Prints one line for each requirement. If a check is wrong, flaky or without an answer, it also prints a matrix of
    the hosts, and each such check with its evidence.
  - Fails if a check is wrong, and with another message if a check has no answer.
  - Returns a short form of the report. C(ansible.builtin.set_stats) can publish it for Tower, AWX and workflows.
  - Runs on the controller only. The role P(determined.network.verify#role) uses it once for all hosts.
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
      - V(written) concludes the verification and writes the report.
      - V(writable) only tests that the report can be written, so that a run can fail before it probes anything.
    type: str
    choices: [written, writable]
    default: written
    version_added: 0.2.0
  cluster:
    description:
      - The cluster, as the lookup P(determined.network.cluster#lookup) returns it.
      - It is required with O(state=written), and so are O(run) and O(rounds).
    type: dict
  run:
    description:
      - The settings of the run. See P(determined.network.verification_targets#filter).
      - C(internet) maps a host to the result of M(determined.network.internet).
      - C(traces) holds C(plan) of the filter P(determined.network.verification_traces#filter), and C(seen), which maps
        a host to the results of M(determined.network.trace), by the state that it was called with.
    type: dict
  rounds:
    description: The results of every host, round by round. See P(determined.network.verification_again#filter).
    type: dict
  directory:
    description:
      - Selects the directory of the controller that C(report.json) is written to.
      - By default this is C(determined-network-report) in the current directory. In a job of ansible-runner, Tower or
        AWX it is in the directory of the job's artifacts, C(AWX_ISOLATED_DATA_DIR).
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
  description: The number of checks, and the number of each verdict.
  type: dict
  returned: with O(state=written), also when the task fails
  sample: {"checks": 120, "correct": 119, "wrong": 1, "flaky": 0, "error": 0, "advice": 0}
verification:
  description:
    - The short form of the report, to be published as statistics. It has at most 262,144 characters of JSON, whatever
      the size of the cluster, because long texts and lists are cut.
  type: dict
  returned: with O(state=written), also when the task fails
  version_added: 0.2.0
  contains:
    version:
      description: The version of the report's format.
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
      description: The settings of the run. C(left_out) names hosts of the cluster that took no part.
      type: dict
      returned: always
    summary:
      description: As RV(summary).
      type: dict
      returned: always
    causes:
      description:
        - What explains the checks that are not correct, the cause of most checks first. C(sentence) says what happens,
          C(host), C(place) and C(rule) where, and C(remedy) what to do. C(cells) is the number of its checks.
      type: list
      elements: dict
      returned: always
      version_added: 0.3.0
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
      description: The number of further rows of these two kinds, which only the report has.
      type: int
      returned: always
    report:
      description: As RV(report).
      type: str
      returned: always
"""

# The action plugin of the same name does the work, on the controller.
