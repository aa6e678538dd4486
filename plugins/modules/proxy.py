#!/usr/bin/python
# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: proxy
short_description: Write the settings of a proxy to every file on a host that needs them
version_added: 0.2.0
description:
  - Sets the proxy, and the hosts that are reached without it, for Determined's agent or master, dockerd, containerd,
    the containers of tasks, logins and shells, package managers and other programs that are installed. Also makes the
    host trust certificates.
  - In files that hold other settings too, only the keys of the proxy change. Other keys, comments and the order are
    kept. O(state=absent) restores every file byte for byte. If somebody has changed a file in the meantime, only what
    this module wrote is removed from it. The original files are recorded in C(/var/lib/determined-network/proxy.json),
    which root alone can read.
  - Refuses wrong arguments and files that it cannot edit before it changes anything, with one message that lists every
    problem.
  - Restarts no service. RV(restart) and RV(outdated) name the services that have to be restarted.
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
    description: Linux. Services are found only where systemd manages the host.
options:
  state:
    description:
      - V(present) writes the settings. Files that an earlier run changed and that this run does not request are
        restored.
      - V(absent) restores every file.
    type: str
    choices: [present, absent]
    default: present
  roles:
    description: The roles of this host in the cluster. They decide which O(targets) the host has.
    type: list
    elements: str
    choices: [master, agents]
    default: []
  http:
    description:
      - The proxy for plain HTTP, written as C(scheme://host:port), or with percent-encoded credentials as
        C(scheme://user:password@host:port). The scheme is V(http) or V(https), and says how the proxy itself is
        reached.
      - If it is not set, no proxy is written for plain HTTP.
    type: str
  https:
    description: The proxy for HTTPS, written like O(http).
    type: str
  ftp:
    description: The proxy for FTP, written like O(http).
    type: str
  username:
    description: The user name for every proxy whose URL carries no credentials, without any encoding.
    type: str
  password:
    description: The password that belongs to O(username), without any encoding.
    type: str
  no_proxy:
    description:
      - The names, domains, addresses and networks that are reached without the proxy, as the lookup
        P(determined.network.no_proxy#lookup) computes them.
    type: list
    elements: str
    default: []
  stable_no_proxy:
    description:
      - The entries of O(no_proxy) without the agents, for dockerd, containerd and determined-agent, which must not be
        restarted when an agent is added. If it is not set, they get O(no_proxy).
      - C(determined-master) gets these entries, and besides them the networks of the host in which there are agents. An
        agent in no such network is an entry by its address.
    type: list
    elements: str
  ca_certificate:
    description: Certificates (PEM text) that the host is to trust. If it is not set, no certificate is written.
    type: str
  registries:
    description:
      - Registries for which dockerd is to trust O(ca_certificate) at once, without a restart.
      - Each is a dictionary with C(host) and C(ports), such as V(443,5000), like the services that the lookup
        P(determined.network.cluster#lookup) returns. Other keys are ignored.
    type: list
    elements: dict
    default: []
  targets:
    description:
      - The programs and services whose settings are written. Those that are not installed, or that do not fit O(roles),
        are skipped.
      - V(all) stands for all of them.
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
      - How dockerd gets the settings. V(drop_in) writes a drop-in of its systemd unit. V(daemon_json) writes C(proxies)
        to C(/etc/docker/daemon.json), which needs Docker 23 or newer.
      - V(auto) writes to the file if it already holds C(proxies) or if no unit starts dockerd. Otherwise it writes a
        drop-in.
    type: str
    choices: [auto, drop_in, daemon_json]
    default: auto
  task_environment:
    description:
      - V(write) writes the variables of task containers to C(/etc/determined/master.yaml). V(print) only returns them,
        in RV(task_environment).
    type: str
    choices: [write, print]
    default: write
  share_credentials:
    description:
      - Whether files that every user of the host can read may hold credentials.
      - If V(false), only root can read a file with credentials, and C(podman) and C(git) are skipped, since they fail
        when they cannot read their file.
    type: bool
    default: false
  _restart:
    description:
      - For the handler of the role C(proxy), not for playbooks.
      - Restarts these services and does nothing else.
    type: list
    elements: str
    choices: [docker, containerd, determined-agent, determined-master]
notes:
  - On the host, the module needs root and Python 3.6 or newer.
seealso:
  - plugin: determined.network.no_proxy
    plugin_type: lookup
  - name: How it works, in depth
    description: Every target, what is written to it, and why.
    link: https://github.com/determined-network/determined.network/blob/main/docs/proxy.md
"""

EXAMPLES = r"""
- name: Let an agent reach the Internet through a proxy
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

- name: Restore every file
  determined.network.proxy:
    state: absent
  become: true
"""

RETURN = r"""
files:
  description: The files that changed, or that would change in check mode.
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
  description: Targets that fit the host's roles and were skipped, each with the reason.
  returned: success
  type: dict
  sample: {podman: podman is not installed}
restart:
  description:
    - Whether each of C(docker), C(containerd), C(determined-agent) and C(determined-master) runs and reads at its start
      what has changed now.
    - A service needs no restart if only a list of O(no_proxy) in C(agent.yaml) or C(master.yaml) has changed, since
      that list is for new tasks.
  returned: success
  type: dict
  sample: {docker: true, containerd: false, determined-agent: true, determined-master: false}
outdated:
  description:
    - Whether each of these services runs and uses older settings than its files hold, because of this change or of an
      earlier one.
  returned: success
  type: dict
  sample: {docker: true, containerd: false, determined-agent: true, determined-master: false}
task_environment:
  description:
    - The lines for C(task_container_defaults.environment_variables) of the master's configuration. Credentials are
      masked.
  returned: on a master whose O(task_environment) is V(print)
  type: str
"""

import os
from typing import Any, Mapping, Set

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.determined.network.plugins.module_utils._host.commands import HostError
from ansible_collections.determined.network.plugins.module_utils._host.runner import Runner
from ansible_collections.determined.network.plugins.module_utils._proxy import (
    apply,
    description,
    paths,
    services,
    targets,
)
from ansible_collections.determined.network.plugins.module_utils._proxy.errors import Problems, RollbackFailed

TARGETS = [targets.ALL] + list(targets.TARGETS)


def public(params: Mapping[str, Any]) -> Set[str]:
    """Return the arguments with no_log that hold no secret.

    Ansible would mask them wherever they occur in the result, also in lines that somebody is to copy.
    """
    urls = {params[name] for name in description.PROTOCOLS if "@" not in (params[name] or "@")}
    return (urls | {params["username"]}) - {params["password"], None}


def restart(module: AnsibleModule) -> None:
    """Restart the services of ``_restart``, and end the module."""
    try:
        if not module.check_mode:
            services.restart(module.params["_restart"], Runner())
    except HostError as problem:
        module.fail_json(msg="%s." % str(problem).rstrip("."))
    module.exit_json(changed=True)


def main() -> None:
    """Read the arguments, apply them, and return the result."""
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
            # For the role's handler: it only restarts these services.
            "_restart": {"type": "list", "elements": "str", "choices": list(paths.SERVICES)},
        },
        supports_check_mode=True,
    )
    if module.params["_restart"]:
        restart(module)
    params = dict(module.params)
    module.no_log_values -= public(params)
    module.params["username"] = params["username"] and "********"  # which is what `invocation` shows
    try:
        if os.geteuid() != 0:
            raise Problems(["the module needs root: run the task with become: true"])
        module.exit_json(**apply.change(params, module.check_mode, Runner()))
    except Problems as found:
        count = len(found.problems)
        lines = "".join("\n  %d. %s." % (number, text.rstrip(".")) for number, text in enumerate(found.problems, 1))
        module.fail_json(
            msg="The proxy has %s; nothing was changed:%s"
            % ("1 problem" if count == 1 else "%d problems" % count, lines)
        )
    except HostError as problem:
        module.fail_json(msg="%s. Every file is as it was before this task." % str(problem).rstrip("."))
    except RollbackFailed as problem:
        module.fail_json(
            msg="%s. Remove the cause and run this task again: the original files are recorded."
            % str(problem).rstrip(".")
        )


if __name__ == "__main__":
    main()
