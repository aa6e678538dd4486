#!/usr/bin/python
# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: firewall
short_description: Make a host's firewall permit what a Determined cluster requires
version_added: 0.1.0
description:
  - Writes a host's policy, as the filter P(determined.network.host_policies#filter) computes it, into
    chains and sets of its own, for IPv4 and IPv6. Rules, chains, sets and policies of others stay byte for
    byte as they are.
  - A change is guarded by a dead man's switch. Before the first command a process on the host is armed
    that puts the old state back after O(confirm_timeout) seconds. The controller closes its connection,
    opens a fresh one and confirms the change over it. If it cannot, the host restores itself and the task
    fails and says so.
  - A policy under which the SSH connection that carries this task could not be made anew is refused
    before anything is touched.
author: "The determined.network maintainers (@determined-network)"
extends_documentation_fragment: [determined.network.container_interfaces]
attributes:
  check_mode:
    support: full
    description: Predicts exactly what would change, and changes nothing.
  diff_mode:
    support: full
    description: Shows rules and sets before and after.
  platform:
    support: full
    platforms: linux
    description: Linux with iptables (nf_tables or legacy) and ipset, or with firewalld.
  action:
    support: full
    description: An action plugin confirms the change over a fresh connection.
  async:
    support: none
    description: The controller must stay to confirm the change.
options:
  state:
    description:
      - V(present) writes the policy.
      - V(absent) removes every chain, jump, set and file of this collection from the host.
    type: str
    choices: [present, absent]
    default: present
  backend:
    description:
      - In which firewall's words the policy is written. V(auto) is V(firewalld) where firewalld runs, since it would
        drop what iptables lets in, else V(iptables). RV(reason) says why.
      - What this collection has written in the words of another one is removed in the same change, and with
        O(state=absent) everywhere.
      - Whoever else loads rules on this host and would undo ours (ufw, netfilter-persistent, an C(nftables.service)
        that flushes) is named in a warning, with the remedy.
    type: str
    choices: [auto, iptables, firewalld]
    default: auto
  policy:
    description:
      - What this host must let in and out, as the filter P(determined.network.host_policies#filter) gives it.
      - Required with O(state=present).
    type: dict
  confirm_timeout:
    description:
      - After how many seconds without confirmation the host puts the old state back.
      - It must cover the change itself and a new connection. There is no change without the switch, so at
        least V(1).
    type: int
    default: 60
  lock_timeout:
    description:
      - How many seconds to wait for another program that holds the xtables lock, and for another run of
        this module.
    type: int
    default: 10
  allow_lockout:
    description:
      - Write a policy even if the connection that carries it could not be made anew. If the controller
        really cannot come back, the host still restores itself after O(confirm_timeout) seconds.
    type: bool
    default: false
  persist:
    description:
      - Whether a boot brings the rules back, before the network is up. For that, the confirmed state is stored below
        C(/etc/determined-network), and two units of systemd load it.
      - V(auto) stores it where systemd is the host's process 1, and warns elsewhere. V(true) is an error elsewhere.
      - V(false) stores nothing, and removes what was stored before.
    type: str
    choices: [auto, "true", "false"]
    default: auto
  _step:
    description:
      - For the action plugin of this module, not for playbooks.
      - Which step of a change this run is. V(apply) makes it, V(confirm) keeps it, V(settle) says what
        became of it, V(compare) says whether the host differs from the policy.
    type: str
    choices: [apply, confirm, settle, compare]
    default: apply
  _change:
    description:
      - For the action plugin of this module, not for playbooks.
      - Names the change, with 8 to 64 of a-z and 0-9.
    type: str
notes:
  - Needs root on the host, and there Python 3.6 or newer, and for O(backend=iptables) iptables with ip6tables, and
    ipset; for O(backend=firewalld) firewalld 0.9 or newer, busctl (of systemd), and for mode C(restrict) nft.
  - firewalld takes up a new policy object only by a reload. That is done once, on the first application, and refused
    with a list when others would lose by it what firewalld's files do not hold. Members of sets and rules change
    without a reload.
  - The iptables tools are picked where our chains already are, else where the host's own rules are, else
    what the command C(iptables) is. RV(reason) says which it was.
  - A reboot between a change and its confirmation boots the state before the change.
seealso:
  - module: determined.network.firewall_info
  - name: How it works, in depth
    description: The rules, the switch and what happens in every kind of failure.
    link: https://github.com/determined-network/determined.network/blob/main/docs/firewall.md
"""

EXAMPLES = r"""
- name: Compute every host's policy, once for the play
  ansible.builtin.set_fact:
    computed: "{{ lookup('determined.network.cluster') | determined.network.host_policies }}"
  run_once: true

- name: Permit what the cluster requires of this host
  determined.network.firewall:
    policy: "{{ computed.policies[computed.by_host[inventory_hostname]] }}"
  become: true

- name: Undo everything
  determined.network.firewall:
    state: absent
  become: true
"""

RETURN = r"""
backend:
  description: In which firewall's words the policy is written.
  returned: success
  type: str
  sample: iptables
variant:
  description:
    - Which tools were used (V(nft) or V(legacy)), or what firewalld writes with (V(nftables) or V(iptables)). Empty
      when none is installed and there was nothing to remove.
  returned: success
  type: str
  sample: nft
reason:
  description: Why these.
  returned: success
  type: str
  sample: firewalld is not installed; the command iptables is this variant
families:
  description: The address families that this kernel has and that were handled.
  returned: success
  type: list
  elements: str
  sample: [ipv4, ipv6]
persisted:
  description: Whether a boot brings this state back.
  returned: success
  type: bool
confirmed:
  description: Whether a change was confirmed over a fresh connection. Always true when the task changed
    something and succeeded.
  returned: changed, and not in check mode
  type: bool
restored:
  description: Whether the old state is known to be back.
  returned: when a change could not be confirmed
  type: bool
lost:
  description: What others have lost because the old state was restored, one sentence for each setting.
  returned: when the dead man's switch has restored the old state
  type: list
  elements: str
  sample: []
"""

import os
import uuid

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.determined.network.plugins.module_utils import _policy
from ansible_collections.determined.network.plugins.module_utils._firewall import (
    apply,
    backend_choice,
    plan,
    ssh_connection,
    switch,
)
from ansible_collections.determined.network.plugins.module_utils._firewall import (
    container_interfaces as firewall_container_interfaces,
)
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.combined import Several
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld.backend import Firewalld
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.iptables.backend import Iptables
from ansible_collections.determined.network.plugins.module_utils._host import runner as host_runner
from ansible_collections.determined.network.plugins.module_utils._host import systemd
from ansible_collections.determined.network.plugins.module_utils._host.commands import HostError


def main():
    """Read the arguments, act, hand back the result."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "backend": {"type": "str", "choices": list(backend_choice.CHOICES), "default": backend_choice.AUTO},
            "policy": {"type": "dict"},
            "confirm_timeout": {"type": "int", "default": 60},
            "lock_timeout": {"type": "int", "default": 10},
            "allow_lockout": {"type": "bool", "default": False},
            "persist": {"type": "str", "choices": ["auto", "true", "false"], "default": "auto"},
            "_step": {
                "type": "str",
                "choices": ["apply", "confirm", "settle", "compare"],
                "default": "apply",
            },
            "_change": {"type": "str"},
            **firewall_container_interfaces.ARGUMENT_SPEC,
        },
        supports_check_mode=True,
    )
    step, token = module.params["_step"], module.params["_change"] or uuid.uuid4().hex
    if not switch.TOKEN.match(token):
        module.fail_json(msg="_change is for the action plugin of this module, which fills it in")
    try:
        if os.geteuid() != 0:
            raise HostError("Only root may read and change the firewall: run the task with become. Nothing was changed")
        if step == "confirm":
            said = apply.confirm(token)
            module.exit_json(changed=said != "gone", kept=said == "kept", said=said)
        if step == "settle":
            module.exit_json(changed=False, settled=apply.settle(token))
        module.exit_json(**change(module, token, module.check_mode or step == "compare"))
    except HostError as problem:
        module.fail_json(msg="%s." % str(problem).rstrip("."))


def change(module, token, check_mode):
    """The step that reads, plans and, outside of check mode, changes -> the result."""
    params = module.params
    policy = wanted_policy(params)
    if params["confirm_timeout"] < 1:
        raise HostError(
            "confirm_timeout is %d: at least 1 second. There is no change without the switch"
            % params["confirm_timeout"]
        )
    if params["lock_timeout"] < 0:
        raise HostError("lock_timeout is %d: a number of seconds, 0 or more" % params["lock_timeout"])
    container_interfaces = wanted_interfaces(params)
    refusal = ssh_connection.refusal(policy, container_interfaces, params["allow_lockout"])
    if refusal:
        raise HostError(refusal)
    runner = host_runner.Runner()
    choice = runner.drive(backend_choice.choose(params["backend"]))
    backends = [Iptables(params["lock_timeout"], container_interfaces), Firewalld(container_interfaces)]
    backends.sort(key=lambda backend: backend.name != choice.name)
    backend = Several(backends[0], backends[1:])
    persist = wanted_persistence(module, policy)
    settings = apply.Settings(params["confirm_timeout"], params["lock_timeout"], token, persist=persist)
    outcome = apply.apply(backend, policy, settings, runner, check_mode)
    reading = outcome.reading
    warnings = outcome.warnings + reading.warnings + (reading.missing if policy is None else choice.warnings)
    for warning in warnings:
        module.warn(warning)
    result = {
        "changed": outcome.changed,
        "backend": backend.name,
        "variant": reading.variant or "",
        "reason": "%s; %s" % (choice.reason, reading.reason),
        "families": list(reading.families),
        "persisted": bool(persist),
    }
    if outcome.changed:
        result["diff"] = plan.as_ansible_diff(outcome.plan)
    if outcome.armed:
        result["awaiting_confirmation"] = {
            "change": token,
            "files": {
                state: switch.path_of(settings.directory, state, token)
                for state in (switch.ARMED, switch.CONFIRMED, switch.UNSTORED)
            },
            "seconds_left": outcome.seconds_left,
        }
    return result


def wanted_policy(params):
    """The arguments -> HostPolicy, or None when all of ours shall go."""
    if params["state"] == "absent":
        return None
    if params["policy"] is None:
        raise HostError("policy is missing: state present needs what filter determined.network.host_policies gives")
    try:
        return _policy.HostPolicy.from_dict(params["policy"])
    except ValueError as problem:
        raise HostError("The policy is wrong: %s. Nothing was changed" % problem) from problem


def wanted_persistence(module, policy):
    """-> whether the state is stored for the next boot; None where nobody could load it."""
    asked = module.params["persist"]
    if policy is None or asked == "false":
        return False
    if systemd.runs():
        return True
    if asked == "true":
        raise HostError(
            "persist is true, but systemd is not process 1 of this host, so nothing would load the rules at boot. "
            "Choose persist: auto, and let what starts this host play the site again. Nothing was changed"
        )
    module.warn(
        "The rules do not survive a reboot: systemd is not process 1 of this host, so nothing was stored. Play the "
        "site again after each boot; persist: false says that you know"
    )
    return None


def wanted_interfaces(params):
    """The arguments -> patterns of the interfaces of this host's containers."""
    try:
        return firewall_container_interfaces.read(params["container_interfaces"])
    except ValueError as problem:
        raise HostError("%s. Nothing was changed" % problem) from problem


if __name__ == "__main__":
    main()
