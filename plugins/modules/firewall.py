#!/usr/bin/python
# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: firewall
short_description: Make a host's firewall permit what a Determined cluster requires
version_added: 0.1.0
description:
  - Writes a host policy, as the filter P(determined.network.host_policies#filter) computes it, into
    chains and sets of its own, for IPv4 and IPv6. Foreign rules, chains, sets and policies stay byte for
    byte as they are.
  - Every change has a dead man's switch. Before the first command the module starts a process on the host
    that restores the old state after O(confirm_timeout) seconds. The controller closes its connection,
    opens a fresh one and confirms the change over it. If it cannot, the host restores the old state, and the
    task fails with a message about it.
  - The module refuses a policy under which the SSH connection of the change could not be opened again. It
    does so before it changes anything.
  - In mode C(restrict), if that connection arrives through a tunnel of the host (WireGuard, OpenVPN, IPsec, GRE,
    VXLAN and others), the policy must also permit the tunnel's outer flow. If the controller is the host itself
    (C(ansible_connection=local), ansible-pull, cron), the policy must permit every connection of somebody who is
    logged in from another host, and there must be one. Otherwise a change of rules is refused.
author: "The determined.network maintainers (@determined-network)"
extends_documentation_fragment: [determined.network.firewall]
attributes:
  check_mode:
    support: full
    description: The module predicts exactly what would change, and changes nothing.
  diff_mode:
    support: full
    description: The module shows rules and sets before and after the change.
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
      - What somebody else made under a name of ours does not carry the mark of this collection. It is never changed or
        removed, and a policy that needs the name is refused before anything changes.
    type: str
    choices: [present, absent]
    default: present
  backend:
    description:
      - The firewall backend that holds the rules. V(auto) means V(firewalld) if firewalld runs, since it would
        drop what iptables accepts, otherwise V(iptables). RV(reason) says why.
      - The same change removes the rules of this collection from every other backend. O(state=absent) removes
        them from all backends.
      - A warning names every other program that loads rules on this host and would undo ours (ufw,
        netfilter-persistent, an C(nftables.service) that flushes), with the remedy.
    type: str
    choices: [auto, iptables, firewalld]
    default: auto
  policy:
    description:
      - What this host must permit, as the filter P(determined.network.host_policies#filter) returns it.
      - Required with O(state=present).
    type: dict
  confirm_timeout:
    description:
      - The host restores the old state after this number of seconds without confirmation.
      - The time must be long enough for the change itself and a new connection. It is at least V(1), since there is
        no change without the switch.
    type: int
    default: 60
  lock_timeout:
    description:
      - The module waits for this number of seconds for another program that holds the xtables lock, and for another
        run of this module. After that it fails.
    type: int
    default: 10
  allow_lockout:
    description:
      - Applies a policy even if the SSH connection of the change could not be opened again under it. If the
        controller really cannot connect, the host still restores the old state after O(confirm_timeout) seconds.
      - Applies a policy also if a confirmation shows nothing, because the connection arrives through a tunnel whose
        outer flow is not permitted, or because the controller is the host itself. A warning repeats the reason.
      - Otherwise the module refuses such a policy.
    type: bool
    default: false
  persist:
    description:
      - Stores the confirmed state below C(/etc/determined-network), so that two units of systemd load the rules at
        boot, before the network is up.
      - V(auto) stores the state if systemd is process 1 of the host, and warns otherwise. V(true) stores it, too, and
        fails otherwise.
      - V(false) stores nothing, and removes what was stored before.
    type: str
    choices: [auto, "true", "false"]
    default: auto
  _step:
    description:
      - For the action plugin of this module, not for playbooks.
      - The step of a change that this run takes. V(apply) makes the change, V(confirm) confirms it, V(settle) reports
        what became of it, V(compare) reports whether the host differs from the policy.
    type: str
    choices: [apply, confirm, settle, compare]
    default: apply
  _change:
    description:
      - For the action plugin of this module, not for playbooks.
      - Names the change, with 8 to 64 of a-z and 0-9.
    type: str
  _controller:
    description:
      - For the action plugin of this module, not for playbooks.
      - Names the boot and the network namespace of the controller, so that the host knows whether it is the controller
        itself. Without it, the host takes itself for the controller.
    type: str
notes:
  - The module needs root and Python 3.6 or newer on the host. O(backend=iptables) needs iptables with ip6tables, and
    ipset. O(backend=firewalld) needs firewalld 0.9 or newer, busctl (of systemd), and for mode C(restrict) nft.
  - firewalld loads a new policy object only at a reload. The module reloads firewalld once, on the first application.
    It refuses with a list if others would lose settings that the files of firewalld do not hold. Members of sets and
    rules change without a reload.
  - The module uses the variant of iptables that already holds our chains, otherwise the variant that holds the rules
    of the host, otherwise the variant of the command C(iptables). RV(reason) says which case it was.
  - A reboot between a change and its confirmation boots the state before the change.
  - A change to mode C(restrict) makes the TCP connections of the host known to connection tracking, so that sessions go
    on that are older than the rules.
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
  description: The firewall backend that holds the rules.
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
  description: Why this backend and these tools were chosen.
  returned: success
  type: str
  sample: firewalld is not installed; the command iptables is this variant
families:
  description: The address families that the kernel has, for which the module wrote rules.
  returned: success
  type: list
  elements: str
  sample: [ipv4, ipv6]
persisted:
  description: Whether the host loads this state at boot.
  returned: success
  type: bool
confirmed:
  description: Whether a change was confirmed over a fresh connection. Always true when the task changed
    something and succeeded.
  returned: changed, and not in check mode
  type: bool
restored:
  description: Whether it is known that the old state is restored.
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
from typing import Any, Dict, Optional, Tuple

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.determined.network.plugins.module_utils import _policy
from ansible_collections.determined.network.plugins.module_utils._firewall import (
    apply,
    backend_choice,
    lockout,
    older_sessions,
    outer_interfaces,
    permitted_forwarding,
    plan,
    reachability,
    ssh_connection,
    switch,
)
from ansible_collections.determined.network.plugins.module_utils._firewall import (
    container_interfaces as firewall_container_interfaces,
)
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.combined import Several
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld.backend import Firewalld
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.forwarding import (
    Allowed,
    Forwarding,
)
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.iptables.backend import Iptables
from ansible_collections.determined.network.plugins.module_utils._host import systemd
from ansible_collections.determined.network.plugins.module_utils._host.commands import HostError
from ansible_collections.determined.network.plugins.module_utils._host.runner import Runner


def main() -> None:
    """Read the arguments, take the step, and return the result."""
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
            "_controller": {"type": "str"},
            **firewall_container_interfaces.ARGUMENT_SPEC,
            **permitted_forwarding.ARGUMENT_SPEC,
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
            said = apply.confirm(token, connection=lockout.describe(ssh_connection.find()))
            module.exit_json(changed=said not in ("expired", "old"), kept=said == "kept", said=said)
        if step == "settle":
            module.exit_json(changed=False, settled=apply.settle(token))
        module.exit_json(**change(module, token, module.check_mode or step == "compare"))
    except HostError as problem:
        module.fail_json(msg="%s." % str(problem).rstrip("."))


def change(module: AnsibleModule, token: str, check_mode: bool) -> Dict[str, Any]:
    """Read, plan and, outside of check mode, change the firewall -> the result. HostError as of ``apply.apply``."""
    params = module.params
    policy = requested_policy(params)
    refuse_timeouts(params)
    container_interfaces, allowed = requested_traffic(params)
    refusal = ssh_connection.refusal(policy, container_interfaces, params["allow_lockout"])
    if refusal:
        raise HostError(refusal)
    runner = Runner()
    choice = runner.drive(backend_choice.choose(params["backend"]))
    found = outer_interfaces.Found(Forwarding(), ())
    if policy is not None and policy.mode == "restrict":
        found = runner.drive(outer_interfaces.find(container_interfaces, allowed))
    backends = [
        Iptables(params["lock_timeout"], container_interfaces, found.forwarding),
        Firewalld(container_interfaces, found.forwarding),
    ]
    backends.sort(key=lambda backend: backend.name != choice.name)
    backend = Several(backends[0], backends[1:])
    persist = requested_persistence(module, policy)
    settings = apply.Settings(
        params["confirm_timeout"],
        params["lock_timeout"],
        token,
        persist=persist,
        refusal=lambda: refuse_lockout(module, policy),
        connection=lockout.describe(ssh_connection.find()),
    )
    if policy is not None and policy.mode == "restrict":
        settings = settings._replace(remember_sessions=older_sessions.remember)
    outcome = apply.apply(backend, policy, settings, runner, check_mode)
    reading = outcome.reading
    warnings = outcome.warnings + reading.warnings + (reading.missing if policy is None else choice.warnings)
    warnings += found.warnings if outcome.changed else ()
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
            "connection": settings.connection,
        }
    return result


def refuse_lockout(module: AnsibleModule, policy: Optional[_policy.HostPolicy]) -> Optional[str]:
    """The message about a change after which nobody could reach this host; None, and a warning, with allow_lockout."""
    if module.params["_step"] == "compare":
        return None  # the change has already been made or undone
    objection = reachability.objection(policy, module.params["_controller"])
    if objection and module.params["allow_lockout"]:
        module.warn(lockout.overruled(objection))
        return None
    return lockout.refused(objection) if objection else None


def refuse_timeouts(params: Dict[str, Any]) -> None:
    """HostError if a timeout is out of its range."""
    if params["confirm_timeout"] < 1:
        raise HostError(
            "confirm_timeout is %d: at least 1 second. There is no change without the switch"
            % params["confirm_timeout"]
        )
    if params["lock_timeout"] < 0:
        raise HostError("lock_timeout is %d: a number of seconds, 0 or more" % params["lock_timeout"])


def requested_policy(params: Dict[str, Any]) -> Optional[_policy.HostPolicy]:
    """The requested policy, None if everything of ours is to be removed. HostError if it is wrong."""
    if params["state"] == "absent":
        return None
    if params["policy"] is None:
        raise HostError(
            "policy is missing: state present needs what the filter determined.network.host_policies returns"
        )
    try:
        return _policy.HostPolicy.from_dict(params["policy"])
    except ValueError as problem:
        raise HostError("The policy is wrong: %s. Nothing was changed" % problem) from problem


def requested_persistence(module: AnsibleModule, policy: Optional[_policy.HostPolicy]) -> Optional[bool]:
    """Whether to store the state for the next boot; None if no systemd could load it."""
    requested = module.params["persist"]
    if policy is None or requested == "false":
        return False
    if systemd.runs():
        return True
    if requested == "true":
        raise HostError(
            "persist is true, but systemd is not process 1 of this host, so nothing would load the rules at boot. "
            "Choose persist: auto, and let what starts this host play the site again. Nothing was changed"
        )
    module.warn(
        "The rules do not survive a reboot: systemd is not process 1 of this host, so nothing was stored. Play the "
        "site again after each boot; persist: false says that you know"
    )
    return None


def requested_traffic(params: Dict[str, Any]) -> Tuple[Tuple[str, ...], Tuple[Allowed, ...]]:
    """The patterns of the bridges of this host's containers, and what the host may forward. HostError if wrong."""
    try:
        patterns = firewall_container_interfaces.read(params["container_interfaces"])
        return patterns, permitted_forwarding.read(params["forward"])
    except ValueError as problem:
        raise HostError("%s. Nothing was changed" % problem) from problem


if __name__ == "__main__":
    main()
