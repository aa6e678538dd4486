#!/usr/bin/python
# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: proxy
short_description: Write one description of a proxy to every place on a host that matters
version_added: 0.2.0
description:
  - Sets the proxy, and what is reached without it, for Determined's agent or master, dockerd, containerd, the tasks'
    containers, logins and shells, package managers and other programs, wherever they are installed, and lets the
    host trust certificates.
  - In files of others only the proxy's own keys change; other keys, comments and order stay. O(state=absent) gives
    every file back as it was, byte for byte; where somebody has changed a file since, only what this module wrote
    is taken out. What that needs is kept in C(/var/lib/determined-network/proxy.json), readable by root alone.
  - A description or a file that is wrong is refused before anything is changed, with one message that lists
    every problem.
  - Restarts nothing. RV(restart) and RV(outdated) say what has to be restarted.
author: "The determined.network maintainers (@determined-network)"
attributes:
  check_mode:
    support: full
    description: Predicts exactly what would change, and changes nothing.
  diff_mode:
    support: full
    description: Shows the lines that change, without credentials.
  platform:
    support: full
    platforms: linux
    description: Linux; services are looked after where systemd manages them.
options:
  state:
    description:
      - V(present) writes the settings. Places that an earlier run wrote, and this one does not ask for, are restored.
      - V(absent) restores every place.
    type: str
    choices: [present, absent]
    default: present
  roles:
    description: The roles of this host in the cluster, which decide what places it has.
    type: list
    elements: str
    choices: [master, agents]
    default: []
  http:
    description:
      - The proxy for plain HTTP, C(scheme://host:port) with the scheme V(http) or V(https), or with percent-encoded
        credentials C(scheme://user:password@host:port).
    type: str
  https:
    description: The proxy for HTTPS, written like O(http).
    type: str
  ftp:
    description: The proxy for FTP, written like O(http).
    type: str
  username:
    description: The user name for every proxy whose URL carries no credentials, as it is.
    type: str
  password:
    description: The password that belongs to O(username), as it is.
    type: str
  no_proxy:
    description: What is reached without the proxy, as the lookup P(determined.network.no_proxy#lookup) computes it.
    type: list
    elements: str
    default: []
  stable_no_proxy:
    description:
      - The same without the agents, for what an agent that joins the cluster must not restart, dockerd, containerd and
        determined-agent. Without it they get O(no_proxy).
      - C(determined-master) gets this and the networks that the host is attached to and that agents are in, since it
        understands networks; agents elsewhere by their addresses.
    type: list
    elements: str
  ca_certificate:
    description: Certificates (PEM text) that the host shall trust.
    type: str
  registries:
    description:
      - Registries for which dockerd shall trust O(ca_certificate) at once, without a restart.
      - Dictionaries with C(host) and C(ports), such as V(443,5000), as the lookup P(determined.network.cluster#lookup)
        has them among its services; other keys do not count.
    type: list
    elements: dict
    default: []
  targets:
    description: Where to write. V(all) stands for everything that is installed and fits O(roles).
    type: list
    elements: str
    choices:
      - all
      - ca
      - agent_config
      - agent_unit
      - docker
      - master_unit
      - task_environment
      - environment
      - profile
      - apt
      - dnf
      - yum
      - zypper
      - podman
      - containerd
      - pip
      - git
    default: [all]
  docker_method:
    description:
      - How dockerd learns of the proxy, by its systemd unit (V(drop_in)) or by C(proxies) in
        C(/etc/docker/daemon.json) (V(daemon_json), Docker 23 and newer).
      - V(auto) takes the file where it has C(proxies) already or where no unit starts dockerd, else the unit.
    type: str
    choices: [auto, drop_in, daemon_json]
    default: auto
  task_environment:
    description:
      - Whether to write the variables of task containers to C(/etc/determined/master.yaml) (V(write)) or only to return
        them in RV(task_environment) (V(print)).
    type: str
    choices: [write, print]
    default: write
  share_credentials:
    description: Write credentials also to files that every user of the host can read.
    type: bool
    default: false
notes:
  - Needs root on the host, and there Python 3.6 or newer.
seealso:
  - plugin: determined.network.no_proxy
    plugin_type: lookup
  - name: How it works, in depth
    description: Every place, what is written there, and why.
    link: https://github.com/determined-network/determined.network/blob/main/docs/proxy.md
"""

EXAMPLES = r"""
- name: Lead an agent to the Internet through a proxy
  determined.network.proxy:
    roles: [agents]
    http: http://proxy.example.com:3128
    https: http://proxy.example.com:3128
    username: cluster
    password: "{{ vault_proxy_password }}"
    no_proxy: "{{ computed.no_proxy }}"
    stable_no_proxy: "{{ computed.stable }}"
  vars:
    computed: "{{ lookup('determined.network.no_proxy', cluster=lookup('determined.network.cluster')) }}"
  become: true

- name: Give every file back as it was
  determined.network.proxy:
    state: absent
  become: true
"""

RETURN = r"""
files:
  description: What changed, or would change in check mode.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: The file.
      type: str
      returned: always
    target:
      description: The target to which it belongs.
      type: str
      returned: always
    action:
      description: V(created), V(changed) or V(removed).
      type: str
      returned: always
left_out:
  description: Targets that fit the host's roles and were left out, each with the reason.
  returned: success
  type: dict
  sample: {podman: podman is not installed}
restart:
  description:
    - Which running services read at their start what has changed now, C(docker), C(containerd), C(determined-agent)
      and C(determined-master), each true or false.
    - A longer list in C(agent.yaml) or C(master.yaml), and nothing else, is no reason, since it is for tasks to come.
  returned: success
  type: dict
  sample: {docker: true, containerd: false, determined-agent: true, determined-master: false}
outdated:
  description: Which of them run with settings older than their files, now or since an earlier change; in the same form.
  returned: success
  type: dict
  sample: {docker: true, containerd: false, determined-agent: true, determined-master: false}
task_environment:
  description:
    - The lines for C(task_container_defaults.environment_variables) of the master's configuration, credentials masked.
  returned: on a master whose O(task_environment) is V(print)
  type: str
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.determined.network.plugins.module_utils._host import runner
from ansible_collections.determined.network.plugins.module_utils._proxy import (
    apply,
    description,
    files,
    record,
    targets,
)

TARGETS = [targets.ALL] + list(targets.TARGETS)


def public(params):
    """Arguments with no_log that hold no secret, a set: Ansible would mask them wherever they stand in the result, in
    lines that somebody is to copy, too."""
    found = {params[name] for name in description.PROTOCOLS if "@" not in (params[name] or "@")}
    return (found | {params["username"]}) - {params["password"], None}


def main():
    """Read the arguments, act, hand back the result."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "roles": {"type": "list", "elements": "str", "choices": ["master", "agents"], "default": []},
            "http": {"type": "str", "no_log": True},
            "https": {"type": "str", "no_log": True},
            "ftp": {"type": "str", "no_log": True},
            "username": {"type": "str", "no_log": True},
            "password": {"type": "str", "no_log": True},
            "no_proxy": {"type": "list", "elements": "str", "default": []},
            "stable_no_proxy": {"type": "list", "elements": "str"},
            "ca_certificate": {"type": "str"},
            "registries": {"type": "list", "elements": "dict", "default": []},
            "targets": {"type": "list", "elements": "str", "choices": TARGETS, "default": ["all"]},
            "docker_method": {"type": "str", "choices": ["auto", "drop_in", "daemon_json"], "default": "auto"},
            "task_environment": {"type": "str", "choices": ["write", "print"], "default": "write"},
            "share_credentials": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    params = dict(module.params)
    module.no_log_values -= public(params)
    module.params["username"] = params["username"] and "********"  # as `invocation` shows it
    try:
        if os.geteuid() != 0:
            raise record.Problems(["only root may do this: run the task with become"])
        module.exit_json(**apply.change(params, module.check_mode, runner.Runner()))
    except record.Problems as found:
        count = len(found.problems)
        lines = "".join("\n  %d. %s." % (number, text.rstrip(".")) for number, text in enumerate(found.problems, 1))
        module.fail_json(
            msg="The proxy has %s; nothing was changed:%s"
            % ("1 problem" if count == 1 else "%d problems" % count, lines)
        )
    except files.FileProblem as problem:
        module.fail_json(msg="%s. Every file is as it was before this task." % str(problem).rstrip("."))
    except files.Unrestored as problem:
        module.fail_json(msg="%s. Run this again when that is mended: it knows how the files were." % problem)


if __name__ == "__main__":
    main()
