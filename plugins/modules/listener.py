#!/usr/bin/python
# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: listener
short_description: Start temporary listeners that say which host they are on
version_added: 0.1.0
description:
  - Starts listeners on the addresses and ports that a verification is about to probe, so that a probe can
    tell whether it reached the right host. The listener sends one line, O(answer), to every client and
    disconnects it. The line is sealed with O(secret), so only a probe of the same run can read it
    (M(determined.network.probe)). It answers a UDP datagram with the same line if the datagram proves that its
    sender knows O(secret). It answers no other datagram, and never with more bytes than it received.
  - The listeners run in a detached process. They end with O(state=stopped). Otherwise they end by
    themselves when O(lifetime) is over, even if the play that started them has failed.
  - Only the given addresses are bound. The module does not touch a port that a real service holds, and
    returns it in RV(held).
  - Returns the host's own counters of packets and of resets, and the ports that services listen on, so that a
    report can attest what a probe saw from outside.
author:
  - The determined.network maintainers (@determined-network)
extends_documentation_fragment: [determined.network.asks]
attributes:
  check_mode:
    support: partial
    details: In check mode nothing is started or stopped, and RV(listening) is empty for O(state=started).
options:
  state:
    description:
      - V(started) starts the listeners. It first ends those that the same O(token) has.
      - V(read) returns whether the listeners run, and the current counters.
      - V(stopped) ends the listeners and returns after their ports are free.
    type: str
    choices: [started, read, stopped]
    default: started
  token:
    description:
      - Name of the verification run, 1 to 64 letters, digits, C(-) and C(_). It is no secret.
      - Listeners of different tokens do not touch each other.
    type: str
    required: true
  answer:
    description:
      - The line that a listener sends, at most 200 bytes. It should name the run and the host.
      - Required if O(state=started).
    type: str
  secret:
    description:
      - What only the listeners and the probes of the run know, at least 16 characters, best made for one run only.
      - Required if O(state=started). It is not stored on the host, and no result contains it.
    type: str
  lifetime:
    description:
      - Seconds after which the listeners end by themselves, from 1 to 86400.
    type: int
    default: 600
  listeners:
    description:
      - The addresses and ports on which to listen. Required if O(state=started).
    type: list
    elements: dict
    suboptions:
      address:
        description: An IPv4 or IPv6 address of this host. Wildcards are refused.
        type: str
        required: true
      protocol:
        description: Transport protocol.
        type: str
        choices: [tcp, udp]
        default: tcp
      ports:
        description: Compact ports, for example V(1734,1750,12350-12360).
        type: str
        required: true
notes:
  - Needs Linux and Python 3.6 or later on the managed host, and no root, except to listen on ports below
    C(net.ipv4.ip_unprivileged_port_start) (1024).
  - Only the user who started listeners may control them. Every user of a host can make sockets that are named like
    the control sockets of listeners. Those of other users are ignored, and RV(notes) says so.
  - The module starts more than one process if the hard limit of open files demands it.
  - While listeners hold most of C(net.ipv4.ip_local_port_range), the host can hardly open connections of
    its own. On real hosts prefer few ports; ranges can be checked without listeners, see
    M(determined.network.probe).
  - Where systemd-logind has C(KillUserProcesses=yes), listeners started by an ordinary user end with the
    SSH session.
seealso:
  - module: determined.network.attack
  - module: determined.network.probe
"""

EXAMPLES = r"""
- name: Listen where the other agents will connect
  determined.network.listener:
    token: run-20260102-1
    answer: "determined.network run-20260102-1 {{ inventory_hostname }}"
    secret: "{{ secret_of_the_run }}"
    lifetime: 300
    listeners:
      - address: 192.0.2.12
        ports: 1734,1750,12355
      - address: 2001:db8::12
        ports: 1734,1750,12355
  register: started

- name: Read the counters after the probes
  determined.network.listener:
    token: run-20260102-1
    state: read

- name: End them
  determined.network.listener:
    token: run-20260102-1
    state: stopped
"""

RETURN = r"""
listening:
  description: The addresses and ports on which the listeners of the token listen.
  returned: always
  type: list
  elements: dict
  sample: [{"address": "192.0.2.12", "protocol": "tcp", "ports": "1734,1750"}]
held:
  description: Requested ports that a real service holds, in the form of RV(listening).
  returned: always
  type: list
  elements: dict
  sample: [{"address": "192.0.2.12", "protocol": "tcp", "ports": "12355"}]
busy:
  description:
    - Requested ports on which nothing listens, because a connection of this host uses them as its local port.
      They refuse connections. The form is that of RV(listening).
  returned: always
  type: list
  elements: dict
  sample: []
problems:
  description: Why addresses or ports could not be bound, one sentence each.
  returned: always
  type: list
  elements: str
  sample: ["the inventory says 192.0.2.99, but no interface here has it; ..."]
received:
  description:
    - The marks of the datagrams that have reached a UDP listener of the token and ask to be remembered, in hexadecimal
      digits. M(determined.network.attack) sends such datagrams. Listeners do not answer them.
  returned: if O(state=read) and the token has listeners
  type: list
  elements: str
  sample: ["2b7e151628aed2a6"]
alive:
  description: Whether the listeners of the token run with all their processes.
  returned: always
  type: bool
  sample: true
pid:
  description: The process that supervises the listeners, or null.
  returned: always
  type: int
  sample: 4711
seconds_left:
  description: Seconds until the listeners end by themselves.
  returned: if O(state=read) and the token has listeners
  type: float
  sample: 287.2
counters:
  description: Counters of this host's network namespace since its creation. Compare two readings.
  returned: always
  type: dict
  contains:
    tcp_resets_sent:
      description: RSTs that the TCP stack sent, over IPv4 and IPv6. RSTs of a firewall are not among them.
      type: int
    ipv4_packets_received:
      description: IPv4 packets received on all interfaces.
      type: int
    ipv6_packets_received:
      description: IPv6 packets received on all interfaces.
      type: int
  sample: {"tcp_resets_sent": 64512, "ipv4_packets_received": 70111, "ipv6_packets_received": 218}
listening_services:
  description: Compact ports on which other programs listen, on any address, by protocol.
  returned: always
  type: dict
  sample: {"tcp": "22,8080", "udp": "68"}
notes:
  description:
    - What was ignored on this host, one sentence each; also as warnings. For example sockets of other users that are
      named like the control sockets of listeners.
  returned: always
  type: list
  elements: str
  sample: []
"""

from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.determined.network.plugins.module_utils._listener import control, daemon, plan


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["started", "read", "stopped"], "default": "started"},
            "token": {"type": "str", "required": True, "no_log": False},
            "answer": {"type": "str"},
            "secret": {"type": "str", "no_log": True},
            "lifetime": {"type": "int", "default": 600},
            "listeners": {
                "type": "list",
                "elements": "dict",
                "options": {
                    "address": {"type": "str", "required": True},
                    "protocol": {"type": "str", "choices": ["tcp", "udp"], "default": "tcp"},
                    "ports": {"type": "str", "required": True},
                },
            },
        },
        required_if=[("state", "started", ("answer", "secret", "listeners"))],
        supports_check_mode=True,
    )
    try:
        result = _run(module.params, module.check_mode)
    except (ValueError, RuntimeError) as problem:
        module.fail_json(msg=str(problem))
    for note in result["notes"]:
        module.warn(note)
    module.exit_json(**result)


def _run(params: Dict[str, Any], check_mode: bool) -> Dict[str, Any]:
    """The module's parameters -> its result. Raises ValueError for wrong ones; and as :mod:`control`."""
    token = plan.read_token(params["token"])
    result: Dict[str, Any] = {"listening": [], "held": [], "busy": [], "problems": [], "alive": False, "pid": None}
    if params["state"] == "started":
        listeners = plan.read_listeners(params["listeners"])
        answer = plan.read_answer(params["answer"])
        lifetime = plan.read_lifetime(params["lifetime"])
        secret = plan.read_secret(params["secret"])
        result["changed"] = True
        if not check_mode:
            group = daemon.Group(token, answer, secret, lifetime, listeners)
            report = control.start(group)
            result.update(report, alive=True)
    elif params["state"] == "read" or check_mode:
        state = control.read(token)
        result["changed"] = params["state"] == "stopped" and state is not None
        result.update(state or {})
    else:
        result["changed"] = control.stop(token)
    if check_mode and params["state"] != "read":
        result["msg"] = "check mode: no listeners were started or stopped"
    result["counters"] = control.counters()
    result["listening_services"], result["notes"] = control.survey()
    return result


if __name__ == "__main__":
    main()
