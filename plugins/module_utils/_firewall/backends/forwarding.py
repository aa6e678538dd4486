# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backend must know to judge forwarded packets in mode ``restrict``. Values only.

New packets that arrive by an outer interface are not forwarded, unless :class:`Allowed` names them. An interface that
is not outer belongs to the host's own containers and virtual machines, and what they send is forwarded. So a container
network that somebody makes after the last change is closed to other hosts at once, and its containers reach the outside
at once. A new outer interface is known by its name at once, or after the next change.
"""

from typing import NamedTuple, Tuple

# Names of outer interfaces, as in iptables(8). udev(7) and the kernel give these names to network cards, bonds,
# wireless and mobile cards, IP over InfiniBand, and the tunnels of OpenVPN, WireGuard and PPP.
OUTER_PATTERNS = (
    "bond+",
    "eno+",
    "enp+",
    "ens+",
    "enx+",
    "eth+",
    "ib+",
    "ppp+",
    "team+",
    "tun+",
    "wg+",
    "wl+",
    "ww+",
)


class Allowed(NamedTuple):
    """What may be forwarded: ``family`` is "ipv4" or "ipv6", the others are networks ("198.51.100.0/24")."""

    family: str
    source: str
    destination: str


class LanBridge(NamedTuple):
    """A bridge that is connected to other hosts, for example by a network card.

    ``hardware``: the hardware addresses of the bridge and of the ports to other hosts, sorted. A frame with another
    destination passes through the bridge from port to port, and this host does not route it.
    ``like_containers``: whether its name matches a pattern of the bridges of containers.
    """

    name: str
    hardware: Tuple[str, ...]
    like_containers: bool = False


class Forwarding(NamedTuple):
    """``allowed``: sorted. ``lan_bridges``: sorted. ``outer``: names and patterns of the other outer interfaces.
    ``bridge_filter``: whether the kernel shows bridged frames to iptables (the module br_netfilter is loaded)."""

    allowed: Tuple[Allowed, ...] = ()
    lan_bridges: Tuple[LanBridge, ...] = ()
    outer: Tuple[str, ...] = OUTER_PATTERNS
    bridge_filter: bool = False


# Before the interfaces of a host are known.
PATTERNS_ONLY = Forwarding()
