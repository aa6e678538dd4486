#!/usr/bin/python
# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: firewall_info
short_description: Read what determined.network.firewall manages on a host
version_added: 0.1.0
description:
  - Reads the managed rules with their counters, the managed sets, how they differ from a policy, and which
    foreign rules decide before them. The module changes nothing.
author: "The determined.network maintainers (@determined-network)"
extends_documentation_fragment: [determined.network.firewall]
attributes:
  check_mode:
    support: full
    description: The module only reads.
  diff_mode:
    support: none
    description: The module changes nothing. RV(drift) is a unified diff.
options:
  backend:
    description:
      - The firewall backend to read. V(auto) means V(firewalld) if firewalld runs, otherwise V(iptables).
    type: str
    choices: [auto, iptables, firewalld]
    default: auto
  policy:
    description:
      - The host policy to compare with, as the filter P(determined.network.host_policies#filter) returns it. Without
        it, RV(drift) is not returned.
    type: dict
notes:
  - The module needs root on the host.
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
  description: The firewall backend that was read.
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
  description: Why this backend and these tools were chosen.
  returned: success
  type: str
  sample: firewalld is not installed; our chains are there
families:
  description: The address families that the kernel of the host has.
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
  description:
    - The unified diff from the current state to the state that O(policy) requires. It is empty if they are equal.
  returned: when O(policy) is given
  type: str
foreign_before:
  description:
    - Foreign rules that packets meet before the managed rules. The list should be empty. The module
      M(determined.network.firewall) moves its jump back to the top.
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
    - How many foreign objects each variant of iptables holds (rules, chains, and policies other than ACCEPT). It is
      empty with firewalld.
  returned: success
  type: dict
  sample: {"nft": 12, "legacy": 0}
"""

import os
from typing import Any, Dict, Optional

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.determined.network.plugins.module_utils import _policy
from ansible_collections.determined.network.plugins.module_utils._firewall import (
    backend_choice,
    outer_interfaces,
    permitted_forwarding,
)
from ansible_collections.determined.network.plugins.module_utils._firewall import (
    container_interfaces as firewall_container_interfaces,
)
from ansible_collections.determined.network.plugins.module_utils._firewall import plan as firewall_plan
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.base import Backend
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld.backend import Firewalld
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.forwarding import Forwarding
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.iptables.backend import Iptables
from ansible_collections.determined.network.plugins.module_utils._host.commands import HostError
from ansible_collections.determined.network.plugins.module_utils._host.runner import Runner


def main() -> None:
    """Read the firewall and return what was found."""
    module = AnsibleModule(
        argument_spec={
            "backend": {"type": "str", "choices": list(backend_choice.CHOICES), "default": backend_choice.AUTO},
            "policy": {"type": "dict"},
            **firewall_container_interfaces.ARGUMENT_SPEC,
            **permitted_forwarding.ARGUMENT_SPEC,
        },
        supports_check_mode=True,
    )
    try:
        if os.geteuid() != 0:
            raise HostError("Only root may read the firewall: run the task with become")
        module.exit_json(**read(module))
    except HostError as problem:
        module.fail_json(msg="%s." % str(problem).rstrip("."))


def read(module: AnsibleModule) -> Dict[str, Any]:
    """The result of the module. HostError if the firewall cannot be read."""
    try:
        container_interfaces = firewall_container_interfaces.read(module.params["container_interfaces"])
        allowed = permitted_forwarding.read(module.params["forward"])
    except ValueError as problem:
        raise HostError(str(problem)) from problem
    policy = requested_policy(module.params)
    runner = Runner()
    forwarding = Forwarding()
    if policy is not None and policy.mode == "restrict":
        forwarding = runner.drive(outer_interfaces.find(container_interfaces, allowed)).forwarding
    choice = runner.drive(backend_choice.choose(module.params["backend"]))
    backend: Backend = Iptables(container_interfaces=container_interfaces, forwarding=forwarding)
    if choice.name == Firewalld.name:
        backend = Firewalld(container_interfaces, forwarding)
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
    if policy is not None:
        plan = firewall_plan.compare(
            backend.describe(reading.state), backend.describe(backend.render(policy, reading)), os.uname()[1]
        )
        result["drift"] = firewall_plan.unified(plan)
    return result


def requested_policy(params: Dict[str, Any]) -> Optional[_policy.HostPolicy]:
    """The policy to compare with, None if none is given. HostError if it is wrong."""
    if params["policy"] is None:
        return None
    try:
        return _policy.HostPolicy.from_dict(params["policy"])
    except ValueError as problem:
        raise HostError("The policy is wrong: %s" % problem) from problem


if __name__ == "__main__":
    main()
