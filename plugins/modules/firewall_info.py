#!/usr/bin/python
# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: firewall_info
short_description: Read what determined.network.firewall manages on a host
version_added: 0.1.0
description:
  - Reads the managed rules with their counters, the managed sets, how they differ from a policy, and what
    of the host's own firewall decides before them. Changes nothing.
author: "The determined.network maintainers (@determined-network)"
extends_documentation_fragment: [determined.network.container_interfaces]
attributes:
  check_mode:
    support: full
    description: Only reads.
  diff_mode:
    support: none
    description: Changes nothing. RV(drift) is a unified diff.
  platform:
    support: full
    platforms: linux
    description: Linux with iptables (nf_tables or legacy) and ipset, or with firewalld.
options:
  backend:
    description:
      - Which firewall to read. V(auto) is V(firewalld) where firewalld runs, else V(iptables).
    type: str
    choices: [auto, iptables, firewalld]
    default: auto
  policy:
    description:
      - What the host should permit, as the filter P(determined.network.host_policies#filter) gives it. With
        it RV(drift) is returned.
    type: dict
notes:
  - Needs root on the host.
seealso:
  - module: determined.network.firewall
"""

EXAMPLES = r"""
- name: Compute every host's policy, once for the play
  ansible.builtin.set_fact:
    computed: "{{ lookup('determined.network.cluster') | determined.network.host_policies }}"
  run_once: true

- name: Read the managed rules and how they differ from the policy
  determined.network.firewall_info:
    policy: "{{ computed.policies[computed.by_host[inventory_hostname]] }}"
  become: true
  register: firewall

- name: Stop when somebody changed them by hand
  ansible.builtin.assert:
    that: not firewall.drift
    fail_msg: "{{ firewall.drift }}"
"""

RETURN = r"""
backend:
  description: Which firewall was read.
  returned: success
  type: str
  sample: iptables
variant:
  description:
    - Which tools a change would use (V(nft) or V(legacy)), or what firewalld writes with (V(nftables) or V(iptables)).
      Empty when none is installed.
  returned: success
  type: str
  sample: nft
reason:
  description: Why these.
  returned: success
  type: str
  sample: firewalld is not installed; our chains are there
families:
  description: The address families that this kernel has.
  returned: success
  type: list
  elements: str
  sample: [ipv4, ipv6]
managed:
  description: Whether anything of this collection is on the host.
  returned: success
  type: bool
rules:
  description: The managed rules, in the order in which packets meet them.
  returned: success
  type: list
  elements: dict
  contains:
    variant:
      description: As RV(variant), for each variant of iptables.
      type: str
    family:
      description: V(ipv4) or V(ipv6); empty when it is for both.
      type: str
    chain:
      description: The rule's chain; with firewalld its policy object, or table and chain of nft.
      type: str
    rule:
      description: The rule as iptables-save prints it, a rich rule of firewalld, or a rule of nft.
      type: str
    packets:
      description: How many packets matched since the chain was written. Null where no one counts; firewalld does not.
      type: int
    bytes:
      description: How many bytes they had, or null.
      type: int
sets:
  description: The managed sets.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The set's name.
      type: str
    type:
      description: Its ipset type.
      type: str
    options:
      description: What it was created with.
      type: str
    entries:
      description: How many addresses and networks it holds.
      type: int
drift:
  description: Unified diff from what is there to what O(policy) asks; empty when they agree.
  returned: when O(policy) is given
  type: str
foreign_before:
  description:
    - Rules of others that packets meet before ours. Empty is right; M(determined.network.firewall) moves
      its jump back to the top.
  returned: success
  type: list
  elements: dict
  contains:
    variant:
      description: As RV(variant), for each variant of iptables.
      type: str
    family:
      description: V(ipv4) or V(ipv6); empty when it is for both.
      type: str
    chain:
      description: The rule's chain; with firewalld a policy object, or the chain of a direct rule.
      type: str
    rule:
      description: The rule as iptables-save prints it, or a rich or direct rule of firewalld.
      type: str
foreign_variants:
  description:
    - For each variant of iptables, how much it holds that is not ours (rules, chains, and policies other
      than ACCEPT). Empty with firewalld.
  returned: success
  type: dict
  sample: {"nft": 12, "legacy": 0}
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.determined.network.plugins.module_utils import _policy
from ansible_collections.determined.network.plugins.module_utils._firewall import backend_choice
from ansible_collections.determined.network.plugins.module_utils._firewall import (
    container_interfaces as firewall_container_interfaces,
)
from ansible_collections.determined.network.plugins.module_utils._firewall import plan as firewall_plan
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld.backend import Firewalld
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.iptables.backend import Iptables
from ansible_collections.determined.network.plugins.module_utils._host import runner as host_runner
from ansible_collections.determined.network.plugins.module_utils._host.commands import HostError


def main():
    """Read and hand back."""
    module = AnsibleModule(
        argument_spec={
            "backend": {"type": "str", "choices": list(backend_choice.CHOICES), "default": backend_choice.AUTO},
            "policy": {"type": "dict"},
            **firewall_container_interfaces.ARGUMENT_SPEC,
        },
        supports_check_mode=True,
    )
    try:
        if os.geteuid() != 0:
            raise HostError("Only root may read the firewall: run the task with become")
        module.exit_json(**read(module))
    except HostError as problem:
        module.fail_json(msg="%s." % str(problem).rstrip("."))


def read(module):
    """-> the result."""
    try:
        container_interfaces = firewall_container_interfaces.read(module.params["container_interfaces"])
    except ValueError as problem:
        raise HostError(str(problem)) from problem
    runner = host_runner.Runner()
    choice = runner.drive(backend_choice.choose(module.params["backend"]))
    backend = Iptables(container_interfaces=container_interfaces)
    if choice.name == Firewalld.name:
        backend = Firewalld(container_interfaces)
    inspected = runner.drive(backend.inspect())
    reading, facts = inspected[0], inspected[1]
    for warning in choice.warnings + reading.warnings + reading.missing:
        module.warn(warning)
    result = {
        "changed": False,
        "backend": backend.name,
        "variant": reading.variant or "",
        "reason": "%s; %s" % (choice.reason, reading.reason),
        "families": list(reading.families),
        "managed": reading.state != backend.render(None, reading),
    }
    result.update(facts)
    if module.params["policy"] is not None:
        try:
            policy = _policy.HostPolicy.from_dict(module.params["policy"])
        except ValueError as problem:
            raise HostError("The policy is wrong: %s" % problem) from problem
        plan = firewall_plan.compare(
            backend.describe(reading.state), backend.describe(backend.render(policy, reading)), os.uname()[1]
        )
        result["drift"] = firewall_plan.unified(plan)
    return result


if __name__ == "__main__":
    main()
