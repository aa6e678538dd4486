#!/usr/bin/python
# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: probe
short_description: Try many ports of other hosts from this one, and return one state for every port
version_added: 0.1.0
description:
  - Opens connections from the managed host to addresses and ports, many at the same time, and returns one state for
    every port. The module needs only Python on the host, and no root.
  - V(open) means that the connection was established. For ports in O(targets[].identify) the first line
    that the service sends is returned too, so that the caller sees who answered.
  - V(refused) means that a RST came back. A host's TCP stack sends it if nothing listens on the port, so
    the SYN has passed every firewall. But a firewall can imitate it (REJECT with tcp-reset). The
    destination's counter of resets sent distinguishes the two, see M(determined.network.listener).
  - V(rejected) means that an ICMP error came back, or that this host's own firewall held the
    packet back. RV(observations[].rejections) names the kind and the sender of the error.
  - V(filtered) means that nothing came back.
  - V(no_route) means that this host has no route to the address, or that no neighbour answers ARP or neighbour
    discovery for it.
  - V(error) means that the port could not be tested, for example because this host has too many open files.
    The module waits for a shortage to end first. A shortage never makes a port V(filtered).
  - "How the module concludes V(filtered). A single SYN can be lost, so silence within one quick pass is not enough.
    In a target of up to 256 ports, every port is tried once and waits for O(timeout). In a target of more ports, a
    fast first pass waits for at most 1.2 seconds, or O(timeout) if that is shorter. If the address has answered on
    any port in that pass (V(open) or V(refused)), a path exists, and every silent port is tried again for the full
    O(timeout). If nothing at all came back, 256 silent ports, spread evenly, and the silent ones of
    O(targets[].identify) are tried again for the full O(timeout). If ports that were silent before answer in such a
    pass, all ports that are still silent are tried again, at most three times."
  - "How many SYNs V(filtered) rests on. Within 1.1 seconds the kernel sends a SYN twice, within 3.5 seconds at least
    three times. With a O(timeout) below 1 second, every SYN is sent once in each pass."
  - If this host's own firewall drops the SYNs (OUTPUT DROP), the port is V(rejected). The kernel's counter of
    retransmissions that could not be sent shows it, if O(timeout) is at least 1.1 seconds. If SYNs are dropped both
    here and elsewhere in one batch, at most ten ports are tested for it.
author:
  - The determined.network maintainers (@determined-network)
extends_documentation_fragment: [determined.network.asks]
attributes:
  check_mode:
    support: full
    details: Probing changes nothing on the host, so the module does the same in check mode.
options:
  targets:
    description: The addresses and ports to probe. All targets are probed at the same time.
    type: list
    elements: dict
    required: true
    suboptions:
      address:
        description: The IPv4 or IPv6 address to connect to. Names are not looked up.
        type: str
        required: true
      protocol:
        description:
          - The transport protocol.
          - For V(udp), three datagrams are sent to each port within O(timeout). A port is V(open) only if an answer
            comes, so a service that does not answer to unknown datagrams is V(filtered). A closed port of a host
            without a firewall is V(rejected), because UDP reports it by ICMP.
        type: str
        choices: [tcp, udp]
        default: tcp
      ports:
        description: The ports in compact form, for example V(22,1024-65535).
        type: str
        required: true
      identify:
        description:
          - The ports of O(targets[].ports) whose first line is read and returned. By default, no answer is read.
        type: str
        default: ""
      source:
        description: The address of this host to connect from. By default, the kernel chooses.
        type: str
  timeout:
    description:
      - Seconds that an attempt waits for an answer. After a connection is established, its service has the same time
        again for sending its line.
      - Use 3.5 or more to distinguish an address that no host has (V(no_route)) from a silent one.
    type: float
    default: 3.5
  window:
    description:
      - The most attempts in flight to one address. Attempts that have been silent for 50 milliseconds do not count.
      - The window doubles while no connection is established, because refused and dropped SYNs take no
        place in an accept queue. It returns to this value when a connection is established.
      - Keep the sum of the windows of all hosts that probe an address below the backlog of its services.
    type: int
    default: 256
  echo:
    description:
      - Whether to send ICMP echo requests to every address too, at most three within 3 seconds.
      - This needs root or a group in C(net.ipv4.ping_group_range). If the host has neither, the result says so.
    type: bool
    default: false
  secret:
    description:
      - The secret of the verification run, as in M(determined.network.listener), at least 16 characters.
      - With it, the lines of the listeners of the run are readable, and every UDP datagram carries the proof that
        listeners ask for. Anybody else's line is returned with C(unproven:) before it.
      - Without it, lines are returned as they come, and listeners do not answer datagrams.
    type: str
notes:
  - Needs Linux and Python 3.6 or later on the managed host.
  - The soft limit of open files is raised to the hard one. At most 20,000 sockets are open at the same time, which
    take about 110 MB of kernel memory. With a low limit a sweep over dropped ports takes longer and has the
    same result.
  - Every probed port makes an entry in the connection tracking tables of the firewalls on the path
    (C(net.netfilter.nf_conntrack_max)), and sweeps trigger intrusion detection. Sweep whole ranges of
    production hosts only if both can bear it.
seealso:
  - module: determined.network.listener
"""

EXAMPLES = r"""
- name: Test whether this agent reaches the rendezvous port of the next one, and which host answers
  determined.network.probe:
    targets:
      - address: 192.0.2.12
        ports: 12355
        identify: 12355
    secret: "{{ secret_of_the_run }}"
  register: probed

- name: Test whether every ephemeral port of that agent is permitted
  determined.network.probe:
    echo: true
    targets:
      - address: 192.0.2.12
        ports: 1024-65535
      - address: 2001:db8::12
        ports: 1024-65535
"""

RETURN = r"""
observations:
  description: One for each of O(targets), in their order. Every port is in exactly one of the states.
  returned: always
  type: list
  elements: dict
  contains:
    address:
      description: The address probed.
      type: str
    protocol:
      description: The protocol probed.
      type: str
    open:
      description: Compact ports on which a connection was established. For UDP, the ports that answered.
      type: str
    refused:
      description: Compact ports from which a RST came back.
      type: str
    rejected:
      description:
        - Compact ports for which an ICMP error came back, or whose packets this host's own firewall held back.
      type: str
    filtered:
      description: Compact ports from which nothing came back.
      type: str
    no_route:
      description: Compact ports to which this host has no route.
      type: str
    error:
      description: Compact ports that could not be tested.
      type: str
    answers:
      description:
        - The compact ports of O(targets[].identify) by the first line that they sent.
        - With O(secret), a line that no listener of the run has sealed begins with C(unproven:).
        - The key is empty for open ports that sent nothing.
      type: dict
    rejections:
      description: The compact ports in RV(observations[].rejected) by the kind and the sender of the ICMP error.
      type: dict
    errors:
      description:
        - The compact ports in RV(observations[].error) and RV(observations[].no_route) by their reason.
      type: dict
    sent:
      description: The number of SYNs or datagrams that were sent, without the kernel's own repetitions.
      type: int
    resets_sent:
      description:
        - The number of RSTs that the stack of this host sent because of these probes. The probe sends one if a service
          does not close within two seconds after the probe's FIN, or goes on sending, and after more than 2,000 ports
          of O(targets[].identify).
        - A SYN-ACK that comes later than O(timeout) makes the stack send a RST too, which is not counted here.
      type: int
    refused_repeatedly:
      description:
        - The number of ports in RV(observations[].refused) that were tried more than once, so that the destination
          may have sent more RSTs than this host received.
      type: int
    resets_received:
      description:
        - The number of established connections that the destination reset. Its stack counts these RSTs too, besides
          those of the ports in RV(observations[].refused).
      type: int
    connect_milliseconds:
      description: The median time until the first answers (SYN-ACK or RST), or null if there were none.
      type: float
    echo:
      description:
        - The result of the ICMP echo. RV(observations[].echo.answered) is null, with a reason, if no request
          could be sent.
      returned: if O(echo=true)
      type: dict
      contains:
        answered:
          description: Whether a reply came.
          type: bool
        milliseconds:
          description: The time until the reply, or null.
          type: float
        reason:
          description: Why there is no reply, or empty.
          type: str
  sample:
    - address: 192.0.2.12
      protocol: tcp
      open: "12355"
      refused: 1024-12354,12356-65535
      rejected: ""
      filtered: ""
      no_route: ""
      error: ""
      answers: {"determined.network run-20260102-1 agent2": "12355"}
      rejections: {}
      errors: {}
      sent: 64512
      refused_repeatedly: 0
      resets_sent: 0
      resets_received: 0
      connect_milliseconds: 0.21
      echo: {"answered": true, "milliseconds": 0.25, "reason": ""}
resets_sent:
  description: The sum of RV(observations[].resets_sent).
  returned: always
  type: int
  sample: 0
seconds:
  description: The duration of the whole batch.
  returned: always
  type: float
  sample: 0.83
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.determined.network.plugins.module_utils._probe import batch, observation


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "targets": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "address": {"type": "str", "required": True},
                    "protocol": {"type": "str", "choices": ["tcp", "udp"], "default": "tcp"},
                    "ports": {"type": "str", "required": True},
                    "identify": {"type": "str", "default": ""},
                    "source": {"type": "str"},
                },
            },
            "timeout": {"type": "float", "default": 3.5},
            "window": {"type": "int", "default": 256},
            "echo": {"type": "bool", "default": False},
            "secret": {"type": "str", "no_log": True},
        },
        supports_check_mode=True,
    )
    try:
        targets = observation.read_targets(module.params["targets"], module.params["secret"])
        batch.check_settings(module.params["timeout"], module.params["window"])
    except ValueError as problem:
        module.fail_json(msg=str(problem))
    started = time.monotonic()
    result = batch.run(targets, module.params["timeout"], module.params["window"], module.params["echo"])
    module.exit_json(changed=False, seconds=round(time.monotonic() - started, 3), **result)


if __name__ == "__main__":
    main()
