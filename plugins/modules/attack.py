#!/usr/bin/python
# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: attack
short_description: Try to get past the firewalls of other hosts with packets that no honest host sends
version_added: 0.3.0
description:
  - Runs on a host that must not get in, and tries four attacks on other hosts of a verification. The role
    P(determined.network.verify#role) uses it in mode C(restrict), and concludes from the results whether the firewalls
    hold.
  - "The middle of a connection: an ACK with the option TCP-MD5, which a stack drops without a reset; then a packet with
    the attacked address itself as its source, which connection tracking takes for the reply; then a SYN with the same
    ports. If a SYN/ACK comes back, a connection tracking entry was enough to open a port. A SYN alone, from another
    port, tells whether the port is open anyway."
  - "A direct route: a SYN to the address of a container, sent to the attacked host as if that host were the router to
    it. Any answer of TCP means that the container is reachable although no port of it was published."
  - "A forged source: a datagram that bears the attacked address itself as its source. The listener on that host says
    whether it arrived."
  - "A datagram of this host: to a UDP port on which a listener waits. The listener says whether it arrived."
  - All but the last attack are sent as frames on an Ethernet link that this host shares with the attacked host. Before
    and after these attacks the attacked address must answer an ICMP echo request that is sent in the same way and that
    no router passes on. Without this control no frame of an attack is sent, and RV(attempts[].control) is false.
  - Each attack is tried three times. At the end the module resets the connections that it has tried to open. It changes
    no route, no neighbour and no address of this host.
author:
  - The determined.network maintainers (@determined-network)
extends_documentation_fragment: [determined.network.asks]
attributes:
  check_mode:
    support: partial
    details: In check mode nothing is sent, and the result has no RV(attempts).
options:
  state:
    description:
      - V(attempted) attacks O(targets).
      - V(found) attacks nobody. It runs on a host that is going to be attacked, and returns the containers that this
        host itself reaches on its bridges.
    type: str
    choices: [attempted, found]
    default: attempted
  targets:
    description:
      - The addresses to attack. Up to 64 of them are attacked at the same time.
      - Required if O(state=attempted).
    type: list
    elements: dict
    suboptions:
      address:
        description: An IPv4 or IPv6 address of the attacked host.
        type: str
        required: true
      tcp_port:
        description:
          - A TCP port on which a listener of the run waits, and which must be closed to this host. The middle of a
            connection is sent to it.
          - With V(0), this attack is not made.
        type: int
        default: 0
      forged:
        description: The datagrams that bear the attacked address itself as their source.
        type: list
        elements: dict
        default: []
        suboptions: &datagram
          port:
            description: The UDP port.
            type: int
            required: true
          mark:
            description: By which the listener tells that the datagram arrived, 16 hexadecimal digits.
            type: str
            required: true
      datagrams:
        description: The datagrams that bear an address of this host as their source.
        type: list
        elements: dict
        default: []
        suboptions: *datagram
      containers:
        description:
          - Addresses of containers on the attacked host. Each is tried with the attacked host as the router to it.
        type: list
        elements: str
        default: []
      container_port:
        description: The TCP port that is tried at each of O(targets[].containers).
        type: int
        default: 0
  port:
    description: The TCP port that is tried at addresses of containers. Required if O(state=found).
    type: int
  secret:
    description:
      - The secret of the verification run, as in M(determined.network.listener), at least 16 characters. Listeners
        remember only datagrams that prove it.
      - Required if O(state=attempted).
    type: str
notes:
  - Needs Linux and Python 3.6 or later on the managed host, and root for everything but the datagrams of this host.
  - Intrusion detection may report these packets. Attack only hosts that are yours.
  - A container that this host has tried appears in its table of neighbours for some minutes, as with any connection.
seealso:
  - module: determined.network.listener
  - module: determined.network.probe
"""

EXAMPLES = r"""
- name: Find the containers that this agent reaches
  determined.network.attack:
    state: found
    port: 61234
  register: found

- name: Try to get past the firewall of an agent
  determined.network.attack:
    targets:
      - address: 192.0.2.21
        tcp_port: 61234
        forged:
          - port: 61235
            mark: 2b7e151628aed2a6
        datagrams:
          - port: 61235
            mark: abf7158809cf4f3c
        containers: [172.17.0.2]
        container_port: 61234
    secret: "{{ secret_of_the_run }}"
  register: attacked
"""

RETURN = r"""
attempts:
  description: One for each of O(targets), in their order.
  returned: if O(state=attempted), and not in check mode
  type: list
  elements: dict
  contains:
    address:
      description: The attacked address.
      type: str
    link:
      description:
        - V(same) if a host on a link of this host has the address, so that frames were sent to it.
        - V(other) if the address is behind a router, or the link is no Ethernet. Then no frame was sent.
        - V(not_permitted) if this user may send no frames. V(unknown) if it was not found out.
      type: str
    reason:
      description: Why frames could not be sent, or empty.
      type: str
    control:
      description:
        - Whether the address answered echo requests that were sent in the same way, before and after the attacks.
      type: bool
    connected:
      description: Whether a SYN/ACK answered the middle of a connection. This means that the attack got through.
      type: bool
    open:
      description: Whether a SYN/ACK answered a SYN that was sent alone. Then the port is open without any attack.
      type: bool
    containers:
      description: Those of O(targets[].containers) that answered. This means that the attack got through.
      type: list
      elements: str
    datagram_problem:
      description: Why a datagram of this host could not be sent, or empty.
      type: str
    lost:
      description: How many packets this host received and could not read in time. An answer may be among them.
      type: int
  sample:
    - address: 192.0.2.21
      link: same
      reason: ""
      control: true
      connected: false
      open: false
      containers: []
      datagram_problem: ""
      lost: 0
frames:
  description: How many frames this host has sent.
  returned: if O(state=attempted), and not in check mode
  type: int
  sample: 27
networks:
  description:
    - The container networks of this host, and up to two addresses of each that answered this host. A bridge that is
      connected to other hosts, for example by a network card, is none.
  returned: if O(state=found)
  type: list
  elements: dict
  contains:
    interface:
      description: The bridge.
      type: str
    network:
      description: The network of one of its addresses.
      type: str
    containers:
      description: Addresses in it that answered.
      type: list
      elements: str
  sample: [{"interface": "docker0", "network": "172.17.0.0/16", "containers": ["172.17.0.2"]}]
"""

from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.determined.network.plugins.module_utils._wire import attempts, containers
from ansible_collections.determined.network.plugins.module_utils._wire import target as targets

_DATAGRAMS: Dict[str, Any] = {
    "type": "list",
    "elements": "dict",
    "default": [],
    "options": {"port": {"type": "int", "required": True}, "mark": {"type": "str", "required": True}},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["attempted", "found"], "default": "attempted"},
            "targets": {
                "type": "list",
                "elements": "dict",
                "options": {
                    "address": {"type": "str", "required": True},
                    "tcp_port": {"type": "int", "default": 0},
                    "forged": _DATAGRAMS,
                    "datagrams": _DATAGRAMS,
                    "containers": {"type": "list", "elements": "str", "default": []},
                    "container_port": {"type": "int", "default": 0},
                },
            },
            "port": {"type": "int"},
            "secret": {"type": "str", "no_log": True},
        },
        required_if=[("state", "attempted", ("targets", "secret")), ("state", "found", ("port",))],
        supports_check_mode=True,
    )
    try:
        result = _found(module.params) if module.params["state"] == "found" else _attempted(module)
    except (ValueError, OSError) as problem:
        module.fail_json(msg=str(problem))
    module.exit_json(changed=False, **result)


def _found(params: Dict[str, Any]) -> Dict[str, Any]:
    """The module's parameters -> its result. Raises ValueError for wrong ones; OSError."""
    return {"networks": containers.find(targets.read_port("port", params["port"]))}


def _attempted(module: AnsibleModule) -> Dict[str, Any]:
    """The module -> its result. Raises ValueError for wrong parameters."""
    wanted = targets.read_targets(module.params["targets"])
    batch = attempts.Batch(module.params["secret"])
    if module.check_mode:
        return {"msg": "check mode: nothing was sent"}
    outcomes = batch.run(wanted)
    return {"attempts": [outcome.to_dict() for outcome in outcomes], "frames": batch.frames}


if __name__ == "__main__":
    main()
