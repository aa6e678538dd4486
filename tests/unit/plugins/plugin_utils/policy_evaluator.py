# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host policy lets pass, decided from its text alone and by other means than the code under test:
the bits of a number stand for ports, and addresses are those of the standard library."""

import ipaddress

from ansible_collections.determined.network.plugins.module_utils._policy import FAMILIES


def port_bits(text):
    """A compact text of ports -> a number in which bit n is set for port n."""
    bits = 0
    for part in text.split(",") if text else []:
        first, _unused, last = part.partition("-")
        bits |= ((1 << (int(last or first) - int(first) + 1)) - 1) << int(first)
    return bits


EVERY_PORT = port_bits("1-65535")


class Evaluator:
    """One policy, as a dictionary from JSON. Its answers are port bits."""

    def __init__(self, policy):
        self.mode = policy["mode"]
        self._peers = {
            name: {family: [ipaddress.ip_network(text) for text in families[family]] for family in FAMILIES}
            for name, families in policy["peers"].items()
        }
        self._rules = {direction: policy[direction] for direction in ("inbound", "outbound", "management")}

    def inbound(self, source, protocol):
        """Ports of this host that ``source`` may connect to by a required rule."""
        return self._ports("inbound", source, protocol)

    def outbound(self, destination, protocol):
        """Ports of ``destination`` that this host may connect to by a required rule."""
        return self._ports("outbound", destination, protocol)

    def dropped(self, source, protocol):
        """Ports of this host that are closed to new connections of ``source``."""
        if self.mode == "permit":
            return 0
        passing = self._ports("inbound", source, protocol) | self._ports("management", source, protocol)
        return EVERY_PORT & ~passing

    def _ports(self, direction, other, protocol):
        address = ipaddress.ip_address(other)
        family = f"ipv{address.version}"
        bits = 0
        for rule in self._rules[direction]:
            if rule["protocol"] == protocol and any(address in net for net in self._peers[rule["peers"]][family]):
                bits |= port_bits(rule["ports"])
        return bits
