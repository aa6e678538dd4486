# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agents as determined-master reaches them: by networks, so that a new agent changes nothing. Pure.

determined-master is a Go program, which understands networks, and reaches tasks by the addresses of their agents.
"""

import ipaddress
import re

from ansible_collections.determined.network.plugins.module_utils import _no_proxy

# "2: eth0    inet 192.0.2.10/24 brd ..." and "3: tun0    inet 10.8.0.1 peer 10.8.0.2/32 ..." (ip-address(8), -oneline)
_ADDRESS = re.compile(r"\d+: +\S+ +inet6? +(?:\S+ +peer +)?([0-9A-Fa-f:.]+/\d+) ")


def networks(text):
    """What ``ip -oneline address show`` prints -> the networks with neighbours in them, narrowest first."""
    found = {ipaddress.ip_interface(address).network for address in _ADDRESS.findall(text)}
    shared = [
        network
        for network in found
        if 0 < network.prefixlen < network.max_prefixlen and not network.is_loopback and not network.is_link_local
    ]
    return tuple(sorted(shared, key=lambda one: (one.version, -one.prefixlen, int(one.network_address))))


def entries(no_proxy, stable, attached):
    """All entries, those without the agents, and networks as above -> what determined-master gets, a tuple of entries.

    An agent's address gives the narrowest of these networks that holds it, or stands there itself. Agents' names are
    left out, unless the list holds no address of an agent at all.
    """
    known, text = frozenset(stable), ",".join(stable)
    agents = [entry for entry in no_proxy if entry not in known]
    found = {entry: _no_proxy.address_of(entry.strip("[]")) for entry in agents}
    addresses = {entry: address for entry, address in found.items() if address}
    if not addresses:
        return tuple(no_proxy)
    covering, single = set(), []
    for entry, address in addresses.items():
        if _no_proxy.bypasses(_no_proxy.GO, text, str(address)):
            continue
        network = next((one for one in attached if one.version == address.version and address in one), None)
        if network:
            covering.add(network)
        else:
            single.append(entry)
    return tuple(stable) + tuple(str(network) for network in attached if network in covering) + tuple(single)
