# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How determined-master reaches the agents without the proxy: by networks, so that a new agent changes nothing. Pure.

determined-master is a Go program, which reads networks in no_proxy. It reaches tasks by the addresses of their agents.
"""

import ipaddress
import re
from typing import List, Sequence, Set, Tuple

from ansible_collections.determined.network.plugins.module_utils import _no_proxy
from ansible_collections.determined.network.plugins.module_utils._proxy.request import Network

# "2: eth0    inet 192.0.2.10/24 brd ..." and "3: tun0    inet 10.8.0.1 peer 10.8.0.2/32 ..." (ip-address(8), -oneline)
_ADDRESS = re.compile(r"\d+: +\S+ +inet6? +(?:\S+ +peer +)?([0-9A-Fa-f:.]+/\d+) ")


def networks(text: str) -> Tuple[Network, ...]:
    """Return the networks in which a host can have neighbours, narrowest first.

    ``text``: what ``ip -oneline address show`` prints.
    """
    found = {ipaddress.ip_interface(address).network for address in _ADDRESS.findall(text)}
    return tuple(sorted((network for network in found if _has_neighbours(network)), key=_narrowest_first))


def _has_neighbours(network: Network) -> bool:
    if network.is_loopback or network.is_link_local:
        return False
    return 0 < network.prefixlen < network.max_prefixlen


def _narrowest_first(network: Network) -> Tuple[int, int, int]:
    return network.version, -network.prefixlen, int(network.network_address)


def entries(no_proxy: Sequence[str], stable: Sequence[str], attached: Sequence[Network]) -> Tuple[str, ...]:
    """Return the no_proxy entries of determined-master.

    ``no_proxy``: all entries. ``stable``: those without the agents. ``attached``: as :func:`networks` returns them.

    An agent's address is replaced by the narrowest of the networks that holds it, or else is an entry of its own. The
    agents' names are no entries, unless no_proxy holds no address of an agent at all.
    """
    known, text = frozenset(stable), ",".join(stable)
    agents = [entry for entry in no_proxy if entry not in known]
    addresses = {entry: _no_proxy.address_of(entry.strip("[]")) for entry in agents}
    if not any(addresses.values()):
        return tuple(no_proxy)
    covering: Set[Network] = set()
    single: List[str] = []
    for entry, address in addresses.items():
        if address is None or _no_proxy.bypasses(_no_proxy.GO, text, str(address)):
            continue
        network = next((one for one in attached if one.version == address.version and address in one), None)
        if network:
            covering.add(network)
        else:
            single.append(entry)
    return tuple(stable) + tuple(str(network) for network in attached if network in covering) + tuple(single)
