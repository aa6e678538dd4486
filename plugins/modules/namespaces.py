#!/usr/bin/python
# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: namespaces
short_description: Build a rehearsal's hosts as network namespaces of the control node
version_added: 0.1.0
description:
  - Builds one network namespace per host on the control node, with the host's own addresses, so that the
    plays for a cluster can run there before they run in production. The connection plugin
    P(determined.network.namespace#connection) enters them.
  - Hosts reach each other over a laboratory network that is connected to no other network, whatever their subnets are.
  - Every host has the network stack and the packet filter of a real kernel, its own host name, private
    overlays over C(/etc), C(/usr), C(/var), C(/opt), C(/srv) and C(/boot), and an empty C(/run). C(/tmp),
    C(/home) and C(/root) are the control node's own.
  - The namespaces, every process in them and all files that were written there are removed with
    O(state=absent), or otherwise when C(ansible-playbook) ends for whatever reason.
options:
  name:
    description:
      - Name of the rehearsal. Rehearsals of different names, or of different users, can run at the same time.
    type: str
    default: rehearsal
  hosts:
    description:
      - "The hosts: inventory name to a list of its IPv4 and IPv6 addresses. Required with O(state=present)."
    type: dict
  state:
    description:
      - V(present) builds the namespaces for exactly these O(hosts). If O(name) has other hosts, they are
        removed first.
      - V(absent) removes the namespaces.
    type: str
    choices: [present, absent]
    default: present
  keep:
    description:
      - Keeps the namespaces when C(ansible-playbook) ends, until O(state=absent) or the next boot. This is for
        tools that run several playbooks one after the other, such as Molecule.
      - With V(false), the default, the namespaces are removed when the process O(owner_pid) ends.
    type: bool
    default: false
  owner_pid:
    description:
      - The id of the process whose end ends the rehearsal, unless O(keep=true).
      - By default this is the process of C(ansible-playbook).
    type: int
attributes:
  check_mode:
    description: In check mode the task returns what it would change, and changes nothing.
    support: full
  diff_mode:
    description: In diff mode the task shows hosts and addresses before and after.
    support: full
  platform:
    description: Systems on which the module works.
    support: full
    platforms: linux
requirements:
  - iproute2 (C(ip)) and util-linux (C(nsenter)) on the control node
  - Linux with the overlay file system; as an ordinary user, Linux 5.11 with unprivileged user namespaces
notes:
  - Runs on the control node only, as the user who runs C(ansible-playbook). Use C(delegate_to=localhost),
    not C(become).
  - For an ordinary user, the root of a rehearsal's hosts is that user, and no other user exists there.
    Files that the user may not read are missing from C(/etc).
  - All hosts share one PID namespace, so they see each other's processes.
seealso:
  - plugin: determined.network.namespace
    plugin_type: connection
author:
  - The determined.network maintainers (@determined-network)
"""

EXAMPLES = r"""
- name: Build two hosts of different subnets
  determined.network.namespaces:
    hosts:
      master: [192.0.2.1, "2001:db8::1"]
      agent1: [198.51.100.7]
  delegate_to: localhost
  run_once: true
  register: rehearsal

- name: Let the plays that follow run there
  ansible.builtin.set_fact:
    ansible_connection: determined.network.namespace
    ansible_become: false
    determined_namespace: "{{ rehearsal.namespaces[inventory_hostname] }}"

- name: Remove them before ansible-playbook ends
  determined.network.namespaces:
    state: absent
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
name:
  description: Name of the rehearsal.
  returned: always
  type: str
  sample: rehearsal
namespaces:
  description:
    - For each host the value of the variable C(determined_namespace), which the connection plugin needs. It is
      empty with O(state=absent), and in check mode if the namespaces are not built yet.
  returned: always
  type: dict
  sample:
    agent1:
      rehearsal: rehearsal
      host: agent1
      keeper: {pid: 4711, started: 812345}
      files:
        mount: /proc/4711/fd/9
        net: /proc/4711/fd/10
        uts: /proc/4711/fd/11
        pid: /proc/4711/ns/pid
"""

from typing import Any, Dict, List, Mapping, Optional, Sequence

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.determined.network.plugins.module_utils._namespaces import hosts as namespaces
from ansible_collections.determined.network.plugins.module_utils._namespaces import keeper
from ansible_collections.determined.network.plugins.module_utils._namespaces import state as states


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "default": "rehearsal"},
            "hosts": {"type": "dict"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "keep": {"type": "bool", "default": False},
            "owner_pid": {"type": "int"},
        },
        required_if=[("state", "present", ["hosts"])],
        supports_check_mode=True,
    )
    try:
        name = namespaces.check_name(module.params["name"])
        present = module.params["state"] == "present"
        hosts = namespaces.read_hosts(module.params["hosts"]) if present else ()
        with states.locked():
            owner = _owner(module) if present else None
            result = _apply(module, name, hosts, owner)
    except (keeper.BuildError, ValueError, OSError) as problem:
        module.fail_json(msg=str(problem))
    module.exit_json(**result)


def _owner(module: AnsibleModule) -> Optional[states.Process]:
    """The process that owns the rehearsal (None with ``keep``): the rehearsal is removed when the process ends.

    ValueError if no such process runs.
    """
    if module.params["keep"]:
        return None
    pid = module.params["owner_pid"]
    if pid is None:
        raise ValueError(
            "owner_pid is missing. Set it to the id of a process, and the rehearsal is removed when that process ends; "
            "or set keep: true, and it stays until state: absent removes it."
        )
    owner = states.process(pid)
    if owner is None:
        raise ValueError("owner_pid is %d, but no process with this id runs. Set it to one that runs." % pid)
    return owner


def _apply(
    module: AnsibleModule, name: str, hosts: Sequence[namespaces.Host], owner: Optional[states.Process]
) -> Dict[str, Any]:
    """Build or remove what differs -> the module's result. Raises as :mod:`keeper`, and ValueError."""
    state = states.read(name)
    requested = namespaces.addresses(hosts)
    found = state["hosts"] if state else {}
    present = module.params["state"] == "present"
    same = bool(state) == present and found == requested and (state is None or state["owner"] == owner or not present)
    if state and present and not same:
        _refuse_if_in_use(state, owner)
    if not same and not module.check_mode:
        if state:
            keeper.stop(state)
        state = keeper.start(name, hosts, owner) if present else None
    settled = same or not module.check_mode
    return {
        "changed": not same,
        "name": name,
        "namespaces": state["namespaces"] if state and present and settled else {},
        "diff": {"before": _text(found), "after": _text(requested)},
    }


def _refuse_if_in_use(state: states.State, owner: Optional[states.Process]) -> None:
    """ValueError if another process owns the rehearsal and still runs."""
    other = state["owner"]
    if other is not None and other != owner and states.runs(other):
        raise ValueError(
            "The rehearsal %s belongs to process %d, which still runs (see 'ps -fp %d'): wait for its end, "
            "or give this one another name (for the playbook: -e determined_rehearse_name=...)."
            % (state["name"], other["pid"], other["pid"])
        )


def _text(hosts: Mapping[str, List[str]]) -> str:
    return "".join("%s: %s\n" % (name, ", ".join(hosts[name])) for name in sorted(hosts))


if __name__ == "__main__":
    main()
