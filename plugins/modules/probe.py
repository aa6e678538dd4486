#!/usr/bin/python
# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: probe
short_description: Try many ports of other hosts from this one, and say what came back
version_added: 0.1.0
description:
  - Opens connections from the managed host to addresses and ports, many at once, and returns one state for
    every port. It needs nothing on the host but Python, and no root.
  - V(open) means that the connection was established. For ports in O(targets[].identify) the first line
    that the service sends is returned too, so that the caller sees who answered.
  - V(refused) means that a RST came back. That is what a host's TCP stack answers where nothing listens, so
    the SYN has passed every firewall; but a firewall can imitate it (REJECT with tcp-reset). The
    destination's counter of resets sent tells the two apart, see M(determined.network.listener).
  - V(rejected) means that an ICMP error came back, or that this host's own firewall held the
    packet back. RV(observations[].rejections) names kind and sender.
  - V(filtered) means that nothing came back.
  - V(no_route) means that this host has no way to the address, or that nobody there answers ARP or neighbour
    discovery.
  - V(error) means that the question could not be asked, for example because this host ran out of open files.
    A shortage is waited for first; it never makes a port V(filtered).
  - "How a sweep concludes. A single SYN can be lost, so V(filtered) is never said after one quick look. A
    target of up to 256 ports is asked once, and every port waits O(timeout). A target of more ports is
    asked in a fast pass first, which waits 1.2 seconds at most, and O(timeout) if that is shorter. If the
    address has answered on any port in that pass (V(open) or V(refused)), a path exists, and every silent
    port is asked again with the full O(timeout). If nothing at all came back, 256 silent ports, spread over
    the range, and those of O(targets[].identify) are asked again with the full O(timeout). While such a
    pass is answered on ports that were silent before, everything that is silent still is asked again, three
    times at most."
  - "What V(filtered) rests on, therefore. Within a wait of 1.1 seconds the kernel sends a SYN twice, within
    3.5 seconds at least three times; with a O(timeout) below 1 second every SYN is sent once per pass."
  - Silence that this host's own firewall makes (OUTPUT DROP) is recognised by the kernel's counter of
    retransmissions that could not be sent, if O(timeout) is at least 1.1 seconds. With drops here and
    elsewhere in one batch, at most ten ports are tested for it.
author:
  - The determined.network maintainers (@determined-network)
extends_documentation_fragment: [determined.network.asks]
attributes:
  check_mode:
    support: full
    details: Probing changes nothing on the host, so it is done in check mode too.
options:
  targets:
    description: What to probe. All targets are probed at the same time.
    type: list
    elements: dict
    required: true
    suboptions:
      address:
        description: The IPv4 or IPv6 address to connect to. Names are not resolved.
        type: str
        required: true
      protocol:
        description:
          - Transport protocol.
          - For UDP, three datagrams are sent within O(timeout). V(open) needs an answer, so a service that
            does not answer strangers is V(filtered). A closed port of a host without a firewall is
            V(rejected), since UDP has nothing but ICMP to say so.
        type: str
        choices: [tcp, udp]
        default: tcp
      ports:
        description: Compact ports, for example V(22,1024-65535).
        type: str
        required: true
      identify:
        description: Those of O(targets[].ports) whose service is expected to send a line, which is read.
        type: str
        default: ""
      source:
        description: The address of this host to connect from. By default the kernel chooses.
        type: str
  timeout:
    description:
      - Seconds that a probe waits for an answer. An established connection may take as long again to send its
        line.
      - Use 3.5 or more to tell an address that nobody has (V(no_route)) from a silent one.
    type: float
    default: 3.5
  window:
    description:
      - How many probes may be in flight to one address before they are answered or have been silent for
        50 milliseconds.
      - The window doubles while no connection gets established, because refused and dropped SYNs take no
        place in an accept queue, and falls back to this value when one is.
      - Keep the sum of the windows of all hosts that probe an address below the backlog of its services.
    type: int
    default: 256
  echo:
    description:
      - Whether to send ICMP echo requests to every address too, up to three, within 3 seconds.
      - That needs root or a group in C(net.ipv4.ping_group_range); where neither is given the result says so.
    type: bool
    default: false
notes:
  - Needs Linux and Python 3.6 or later on the managed host.
  - The soft limit of open files is raised to the hard one; up to 20,000 sockets are open at once, which
    take about 110 MB of kernel memory. With a low limit a sweep over dropped ports takes longer, with the
    same result.
  - Every probed port makes an entry in the connection tracking tables of firewalls on the path
    (C(net.netfilter.nf_conntrack_max)), and sweeps set off intrusion detection. Sweep whole ranges of
    production hosts only when both are known to bear it.
seealso:
  - module: determined.network.listener
"""

EXAMPLES = r"""
- name: Does this agent reach the rendezvous port of the next one, and is it the right host
  determined.network.probe:
    targets:
      - address: 192.0.2.12
        ports: 12355
        identify: 12355
  register: probed

- name: Is every ephemeral port of it let through
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
  description: One for each of O(targets), in their order. Every port asked is in exactly one of the states.
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
      description: Compact ports on which a connection was established (UDP, that answered).
      type: str
    refused:
      description: Compact ports that a RST came back from.
      type: str
    rejected:
      description:
        - Compact ports that an ICMP error came back from, or that this host's own firewall held back.
      type: str
    filtered:
      description: Compact ports that nothing came back from.
      type: str
    no_route:
      description: Compact ports to which this host has no way.
      type: str
    error:
      description: Compact ports that could not be asked.
      type: str
    answers:
      description:
        - First line read to the compact ports of O(targets[].identify) that sent it.
        - The key is empty for a port that is open and says nothing.
      type: dict
    rejections:
      description: For the ports in RV(observations[].rejected), ICMP kind and sender to compact ports.
      type: dict
    errors:
      description:
        - For the ports in RV(observations[].error) and RV(observations[].no_route), reason to compact
          ports.
      type: dict
    sent:
      description: How many SYNs or datagrams were sent at least, without the kernel's own repetitions.
      type: int
    resets_sent:
      description:
        - How many RSTs the stack of this host sent because of these probes. Only a service that neither talks
          nor closes within two seconds after the probe said goodbye is left by one.
        - A SYN-ACK that comes later than O(timeout) makes the stack send a RST too, which is not among them.
      type: int
    refused_repeatedly:
      description:
        - How many of the ports in RV(observations[].refused) were asked more than once, so that the destination
          may have sent more resets than were seen.
      type: int
    resets_received:
      description:
        - How many established connections the destination reset. Its stack counts these RSTs too, besides
          those of the ports in RV(observations[].refused).
      type: int
    connect_milliseconds:
      description: Median time of the first answers (SYN-ACK or RST), or null where there was none.
      type: float
    echo:
      description:
        - What the ICMP echo gave. RV(observations[].echo.answered) is null, with a reason, where no request
          could be sent.
      returned: if O(echo=true)
      type: dict
      contains:
        answered:
          description: Whether a reply came.
          type: bool
        milliseconds:
          description: Time until the reply, or null.
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
  description: How long the whole batch took.
  returned: always
  type: float
  sample: 0.83
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.determined.network.plugins.module_utils._probe import batch, observation


def main():
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
        },
        supports_check_mode=True,
    )
    try:
        targets = observation.read_targets(module.params["targets"])
        batch.check_settings(module.params["timeout"], module.params["window"])
    except ValueError as problem:
        module.fail_json(msg=str(problem))
    started = time.monotonic()
    result = batch.run(targets, module.params["timeout"], module.params["window"], module.params["echo"])
    module.exit_json(changed=False, seconds=round(time.monotonic() - started, 3), **result)


if __name__ == "__main__":
    main()
