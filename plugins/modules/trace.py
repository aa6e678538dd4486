#!/usr/bin/python
# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: trace
short_description: Watch what becomes of marked packets on their way between hosts
version_added: 0.3.0
description:
  - Finds out where packets between two hosts stop, and which rule stops them. The role C(determined.network.verify)
    uses it for checks that are wrong.
  - Every packet of a run carries a mark, by which each host on its way knows it, also behind address translation. A SYN
    has the mark in its sequence number, a datagram and an echo request have it in their payload.
  - With O(state=started) a host begins to watch. It captures the marked packets on all interfaces, and lets nf_tables
    trace them. What arrives is seen before any firewall of the host, and what leaves only if the firewall let it pass.
  - With O(state=sent) a host sends packets. They open no connection, so no program at the other end notices them.
  - With O(state=ended) a host tells what it saw, and stops watching.
author:
  - The determined.network maintainers (@determined-network)
extends_documentation_fragment: [determined.network.asks]
attributes:
  check_mode:
    support: full
    details: In check mode nothing is watched and nothing is sent.
options:
  state:
    description:
      - V(started) begins to watch in the background, V(sent) sends O(packets) and waits about two seconds for answers,
        and V(ended) stops watching and returns what was seen.
    type: str
    choices: [started, sent, ended]
    required: true
  token:
    description: Name of the run, 1 to 64 letters, digits, C(-) and C(_). It is no secret.
    type: str
    required: true
  tag:
    description:
      - A number from 1 to 65535, the same for all hosts of a run. It is best chosen at random, so that the packets of
        two runs are told apart. Required if O(state) is V(started) or V(sent).
    type: int
  lifetime:
    description: Seconds after which a host stops watching by itself, from 1 to 600. Used if O(state=started).
    type: int
    default: 60
  packets:
    description: What to send. Required if O(state=sent).
    type: list
    elements: dict
    suboptions:
      number:
        description: The number of the packet, from 0 to 65534. No two packets of a run have the same number.
        type: int
        required: true
      protocol:
        description: V(tcp) sends a SYN, V(udp) a datagram, and V(icmp) an echo request.
        type: str
        choices: [tcp, udp, icmp]
        required: true
      address:
        description: The IPv4 or IPv6 address to send to.
        type: str
        required: true
      port:
        description: The port to send to. Not used for V(icmp).
        type: int
        default: 0
      source:
        description: The address of this host to send from. Without it the kernel chooses.
        type: str
        default: ""
notes:
  - Needs root, and Python 3.6 or later. Rules are traced only where the program C(nft) is installed. The counters of
    iptables-legacy are compared, if it has rules.
  - The table C(determined_trace_TOKEN) of nf_tables exists only while the host watches. A background process removes
    it, also when the process that watches is killed.
seealso:
  - module: determined.network.probe
  - module: determined.network.listener
"""

EXAMPLES = r"""
- name: Watch
  determined.network.trace:
    state: started
    token: run-20260102-1
    tag: 4711

- name: Send a SYN to a port that should be open
  determined.network.trace:
    state: sent
    token: run-20260102-1
    tag: 4711
    packets:
      - number: 0
        protocol: tcp
        address: 192.0.2.12
        port: 1734
  when: inventory_hostname == 'agent1'

- name: Stop watching, and tell what was seen
  determined.network.trace:
    state: ended
    token: run-20260102-1
  register: seen
"""

RETURN = r"""
problem:
  description: Why this host cannot trace rules, or empty. Packets are captured in any case.
  returned: if O(state=started)
  type: str
  sample: nft is not installed
sent:
  description: What became of each packet on this host.
  returned: if O(state=sent)
  type: list
  elements: dict
  contains:
    number:
      description: The number of the packet.
      type: int
    source:
      description: The address it was sent from, empty if this host has no route to its destination.
      type: str
    source_port:
      description: The port it was sent from, 0 for V(icmp).
      type: int
    error:
      description: Why it could not be sent, or empty.
      type: str
  sample: [{"number": 0, "source": "192.0.2.11", "source_port": 40123, "error": ""}]
watched:
  description: Whether this host has watched until now.
  returned: if O(state=ended)
  type: bool
  sample: true
sightings:
  description: The packets that were seen, with their addresses as they were at that moment.
  returned: if O(state=ended)
  type: list
  elements: dict
  sample:
    - number: 0
      part: syn
      way: in
      interface: eth0
      source: 192.0.2.11
      source_port: 40123
      destination: 192.0.2.12
      destination_port: 1734
      hop_limit: 64
      about: [0, 0]
      milliseconds: 1520.3
      times: 3
events:
  description:
    - The rules and policies of nf_tables that ended the packets in a chain of the kernel, in order. An event of the
      table of the trace shows that a packet came to its hook.
  returned: if O(state=ended)
  type: list
  elements: dict
  sample:
    - number: 0
      part: syn
      packet: 2248043639
      family: ip
      table: filter
      chain: INPUT
      what: rule
      handle: 12
      verdict: drop
      target: ""
rules:
  description: The text of each rule in RV(events) that dropped or accepted a packet.
  returned: if O(state=ended)
  type: list
  elements: dict
  sample:
    - family: ip
      table_family: ip
      table: filter
      chain: INPUT
      handle: 12
      position: 3
      program: iptables-nft
      text: -A INPUT -p tcp -m tcp --dport 1734 -j DROP
legacy:
  description: Rules of iptables-legacy that have dropped or rejected packets while the host watched.
  returned: if O(state=ended)
  type: list
  elements: dict
  sample:
    - family: ip
      table: filter
      chain: INPUT
      position: 3
      rule: -A INPUT -p tcp -m tcp --dport 1734 -j DROP
      packets: 3
counters:
  description: How much counters of the kernel grew while the host watched, and the size of the table of connections.
  returned: if O(state=ended)
  type: dict
  sample: {"conntrack_count": 12, "conntrack_max": 65536, "conntrack_drop": 0, "ListenOverflows": 0}
set_up:
  description: Whether rules of this collection are on the host, or null if that is not known.
  returned: if O(state=ended)
  type: bool
  sample: true
lost_packets:
  description: How many packets were not captured, because there were too many.
  returned: if O(state=ended)
  type: int
  sample: 0
lost_events:
  description: How many times the kernel could not tell about traced packets, because there were too many.
  returned: if O(state=ended)
  type: int
  sample: 0
"""

from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.determined.network.plugins.module_utils._host.commands import HostError
from ansible_collections.determined.network.plugins.module_utils._wire import marks, sender, tracing


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["started", "sent", "ended"], "required": True},
            "token": {"type": "str", "required": True, "no_log": False},
            "tag": {"type": "int"},
            "lifetime": {"type": "int", "default": 60},
            "packets": {
                "type": "list",
                "elements": "dict",
                "options": {
                    "number": {"type": "int", "required": True},
                    "protocol": {"type": "str", "choices": ["tcp", "udp", "icmp"], "required": True},
                    "address": {"type": "str", "required": True},
                    "port": {"type": "int", "default": 0},
                    "source": {"type": "str", "default": ""},
                },
            },
        },
        required_if=[("state", "started", ("tag",)), ("state", "sent", ("tag", "packets"))],
        supports_check_mode=True,
    )
    try:
        result = _run(module.params, module.check_mode)
    except PermissionError:
        module.fail_json(
            msg="This user may not capture packets: the capability CAP_NET_RAW is missing. "
            "Run the task as root (become: true). A host that is a container needs the capability, too"
        )
    except (ValueError, OSError, HostError) as problem:
        module.fail_json(msg=str(problem))
    module.exit_json(changed=False, **result)


def _run(params: Dict[str, Any], check_mode: bool) -> Dict[str, Any]:
    """The module's parameters -> its result. Raises ValueError for wrong ones; OSError, HostError."""
    token = tracing.read_token(params["token"])
    if params["state"] == "ended":
        return {} if check_mode else tracing.end(token)
    mark = marks.Mark(params["tag"])
    if params["state"] == "started":
        lifetime = tracing.read_lifetime(params["lifetime"])
        return {"msg": "check mode: nothing is watched"} if check_mode else tracing.start(token, mark, lifetime)
    packets = tracing.read_packets(params["packets"])
    if check_mode:
        return {"msg": "check mode: nothing was sent"}
    with sender.Sender(mark) as sending:
        return {"sent": [one.to_dict() for one in sending.send(packets)]}


if __name__ == "__main__":
    main()
