# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The containers that this host reaches on its own bridges, so that others can be kept from reaching them directly.

Nobody else can say whether a container is there: only if this host itself gets an answer, silence towards others means
that something keeps them out.
"""

import errno
import ipaddress
import itertools
import select
import socket
import time
from typing import Any, Dict, Iterator, List, NamedTuple, Sequence

from ansible_collections.determined.network.plugins.module_utils._sockets import sockets
from ansible_collections.determined.network.plugins.module_utils._sockets.destination import Destination
from ansible_collections.determined.network.plugins.module_utils._wire import kernel

# The ports of a container network are ends of virtual cables, or the cards of virtual machines (ip-link(8)). A bridge
# with any other port connects this host to other hosts.
_INNER_PORTS = ("veth", "netkit", "tun", "dummy")
_MOST_NETWORKS = 16
_MOST_NEIGHBOURS = 8  # of one network that are tried
_FIRST_ADDRESSES = 4  # of a network; container engines give them in their order
_MOST_CONTAINERS = 2  # of one network that are returned
_SECONDS = 0.3  # addresses that nobody has take all of them; a container of this host answers at once


class Network(NamedTuple):
    """A container network of this host. ``tried``: addresses that may be containers'."""

    interface: str
    network: str
    tried: Sequence[str]


def find(port: int) -> List[Dict[str, Any]]:
    """Every container network: ``{"interface", "network", "containers"}``, the last a list of addresses that answer.

    ``port``: the TCP port that is tried; a reset is an answer, too. Raises OSError if the kernel tells nothing.
    """
    networks = list(
        itertools.islice(_networks(kernel.links(), kernel.addresses(), kernel.neighbours()), _MOST_NETWORKS)
    )
    answering = _answering([address for network in networks for address in network.tried], port)
    return [
        {
            "interface": network.interface,
            "network": network.network,
            "containers": [address for address in network.tried if address in answering][:_MOST_CONTAINERS],
        }
        for network in networks
    ]


def _networks(
    links: Sequence[kernel.Link],
    addresses: Sequence[kernel.InterfaceAddress],
    neighbours: Sequence[kernel.Neighbour],
) -> Iterator[Network]:
    own = {one.address for one in addresses}
    for bridge in links:
        ports = [link for link in links if link.master == bridge.number]
        if bridge.kind != "bridge" or any(port.kind not in _INNER_PORTS for port in ports):
            continue
        for one in addresses:
            network = ipaddress.ip_interface("%s/%d" % (one.address, one.length)).network
            if one.interface != bridge.number or one.scope or network.num_addresses == 1:
                continue
            known = [
                neighbour.address
                for neighbour in neighbours
                if neighbour.interface == bridge.number and ipaddress.ip_address(neighbour.address) in network
            ]
            first = [str(address) for address in itertools.islice(network.hosts(), _FIRST_ADDRESSES + 1)]
            tried = [address for address in dict.fromkeys(known[:_MOST_NEIGHBOURS] + first) if address not in own]
            yield Network(bridge.name, str(network), tried)


def _answering(tried: Sequence[str], port: int) -> List[str]:
    """The addresses that accept or refuse a connection."""
    waiting: Dict[int, Any] = {}
    answering = []
    poll = select.poll()
    try:
        for address in tried:
            try:
                sock = sockets.open_socket(Destination(address))
            except OSError:
                break  # this host lacks something; fewer containers are tried
            waiting[sock.fileno()] = (address, sock)
            sock.connect_ex((address, port))
            poll.register(sock.fileno(), select.POLLOUT)
        end, remaining = time.monotonic() + _SECONDS, len(waiting)
        while remaining and time.monotonic() < end:
            for descriptor, _unused in poll.poll(1000 * max(0.0, end - time.monotonic())):
                poll.unregister(descriptor)
                remaining -= 1
                address, sock = waiting[descriptor]
                number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                # A reset leaves the queue of errors empty; a firewall's ICMP error does not.
                if number == 0 or (number == errno.ECONNREFUSED and sockets.read_error_queue(sock) is None):
                    answering.append(address)
    finally:
        for _address, sock in waiting.values():
            sockets.close_with_reset(sock)
    return answering
