# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds the interfaces over which other hosts send to this host, and what this host forwards. Pure.

A generator yields the same questions as a backend (see ``backends.base``) and is sent the answers. The kernel says the
kind of each interface (ip-link(8)): the interfaces of containers and virtual machines are bridges, pairs of virtual
cards and taps. Every other kind, known or not, is outer: network cards, bonds, VLANs and tunnels. A bridge with a port
of such a kind is outer as well, whatever its name.
"""

import json
import re
from typing import Any, Collection, Dict, List, NamedTuple, Sequence, Tuple

from ansible_collections.determined.network.plugins.module_utils._firewall.backends.forwarding import (
    OUTER_PATTERNS,
    Allowed,
    Forwarding,
    LanBridge,
)
from ansible_collections.determined.network.plugins.module_utils._firewall.container_interfaces import (
    ROUTES_IPV4,
    ROUTES_IPV6,
    matches,
    uplinks,
)
from ansible_collections.determined.network.plugins.module_utils._host.commands import (
    Command,
    Conversation,
    FindTool,
    HostError,
    ListDirectory,
    ReadFile,
)

# The kernel has this folder once its module br_netfilter is loaded. A rule with the match physdev would load it.
BRIDGE_FILTER = "/proc/sys/net/bridge"
_SYSCTLS = {"ipv4": "/proc/sys/net/ipv4/ip_forward", "ipv6": "/proc/sys/net/ipv6/conf/all/forwarding"}

# Kinds of rtnetlink(7), as ip-link(8) prints them.
_PAIRS = ("veth", "netkit")
_WITHOUT_OTHERS = ("dummy", "ifb", "nlmon")  # no packet of another host arrives by these
_STACKED = ("macvlan", "macvtap", "ipvlan", "ipvtap")
_CARRIERS = ("bridge", "bond", "team", "openvswitch")  # a port of these delivers nothing by itself
_TUNNELS = ("tun", "wireguard", "ppp", "vxlan", "geneve", "gre", "gretap", "ip6gre", "ipip", "ip6tnl", "sit", "xfrm")
# Interfaces that the networks of Kubernetes make.
_KUBERNETES = ("antrea+", "cali+", "cilium+", "cni0", "flannel+", "kube+", "lxc+", "vxlan.calico", "weave+")
_WRITABLE = re.compile(r"[A-Za-z0-9_.:@-]{1,15}\Z")  # names that iptables, nft and a shell read alike
_SHOWN = 8


class Found(NamedTuple):
    """``forwarding``: what a backend must know. ``warnings``: sentences for a change of the policy."""

    forwarding: Forwarding
    warnings: Tuple[str, ...]


class _Link(NamedTuple):
    """``kind``: "" for a network card. ``master``: "" without one. ``networks``: whether it has a global address of a
    network in which other hosts are, too. ``addressed``: whether it has any global address."""

    name: str
    kind: str
    master: str
    hardware: str
    networks: bool
    addressed: bool


def find(container_interfaces: Sequence[str], allowed: Sequence[Allowed]) -> Conversation[Found]:
    """Ask for the interfaces of the host. ``container_interfaces``: what ``container_interfaces.read`` returned.

    HostError when they cannot be read.
    """
    ip = yield from FindTool("ip").ask()
    if ip is None:
        raise HostError(
            "The program ip is missing, and mode restrict must know which interfaces lead to other hosts. Install "
            "iproute2 (on Red Hat: iproute). Nothing was changed"
        )
    links = _parse_links((yield from _ask(ip, "-json", "-details", "address", "show")))
    routes_ipv4 = yield from ReadFile(ROUTES_IPV4).ask()
    routes_ipv6 = yield from ReadFile(ROUTES_IPV6).ask()
    ways_out = {name for name, _why in uplinks(routes_ipv4, routes_ipv6, None)}
    bridge_filter = (yield from ListDirectory(BRIDGE_FILTER).ask()) is not None
    outer = [link for link in links if link.kind != "bridge" and _is_outer(link, ways_out)]
    bridges = [
        _lan_bridge(link, ports, container_interfaces)
        for link, ports in ((link, [port for port in outer if port.master == link.name]) for link in links)
        if link.kind == "bridge" and (ports or link.name in ways_out)
    ]
    carriers = {link.name for link in links if link.kind in _CARRIERS}
    arriving = [link for link in outer if link.master not in carriers]
    forwarding = Forwarding(
        allowed=tuple(allowed),
        lan_bridges=tuple(sorted(bridges)),
        outer=OUTER_PATTERNS + tuple(sorted(_further_names(arriving, container_interfaces))),
        bridge_filter=bridge_filter,
    )
    for name in forwarding.outer[len(OUTER_PATTERNS) :] + tuple(bridge.name for bridge in bridges):
        if not _WRITABLE.match(name):
            raise HostError(
                "The interface %r has a name that no rule can hold. Rename it (ip link set ... name ...). Nothing was "
                "changed" % name
            )
    warnings = _of_bridges(outer, forwarding.lan_bridges)
    warnings += yield from _of_stacked(links, outer)
    if not allowed:
        warnings += yield from _of_forwarding(links, arriving)
    return Found(forwarding, tuple(warnings))


def _ask(*argv: str) -> Conversation[Any]:
    command = Command(argv, purpose="read the network interfaces")
    output = yield from command.ask()
    try:
        if output.code == 0:
            return json.loads(output.stdout or "[]")
        problem = output.stderr.strip()
    except ValueError as error:
        problem = str(error)
    raise HostError(
        "Could not read the network interfaces with %s: %s. iproute2 4.14 is the first release that can print JSON. "
        "Nothing was changed" % (" ".join(argv), problem)
    )


def _parse_links(data: Sequence[Dict[str, Any]]) -> List[_Link]:
    links = []
    for item in data:
        # Some releases print an empty object for each interface that a filter left out.
        if not item or item.get("link_type") == "loopback":
            continue
        about = item.get("linkinfo", {})
        kind = about.get("info_kind", "")
        if kind == "tun" and about.get("info_data", {}).get("type") == "tap":
            kind = "tap"
        lengths = [
            (address.get("prefixlen", 0), 32 if address["family"] == "inet" else 128)
            for address in item.get("addr_info", ())
            if address.get("scope") == "global"
        ]
        links.append(
            _Link(
                name=item["ifname"],
                kind=kind,
                master=item.get("master", ""),
                hardware=item.get("address", ""),
                networks=any(length < longest for length, longest in lengths),
                addressed=bool(lengths),
            )
        )
    return links


def _is_outer(link: _Link, ways_out: Collection[str]) -> bool:
    """Whether other hosts send over an interface that is no bridge.

    In a container the uplink itself is one end of a pair. It has the name of a network card, or carries the default
    route, or has an address with a network. The pairs of a host's containers are ports of a bridge, or have no such
    address, because each container has a route of its own.
    """
    if link.kind in _WITHOUT_OTHERS:
        return False
    if link.kind in _PAIRS + ("tap",):
        named = any(matches(pattern, link.name) for pattern in OUTER_PATTERNS)
        return named or link.name in ways_out or (link.networks and not link.master)
    return True


def _lan_bridge(bridge: _Link, ports: Sequence[_Link], container_interfaces: Sequence[str]) -> LanBridge:
    hardware = {link.hardware for link in [bridge, *ports]}
    alike = any(matches(pattern, bridge.name) for pattern in container_interfaces)
    return LanBridge(bridge.name, tuple(sorted(hardware)), alike)


def _further_names(arriving: Sequence[_Link], container_interfaces: Sequence[str]) -> List[str]:
    """The names of the interfaces that no pattern of outer interfaces covers. A user may count an overlay network of
    Kubernetes as an interface of containers."""
    patterns = OUTER_PATTERNS + tuple(container_interfaces)
    return [link.name for link in arriving if not any(matches(pattern, link.name) for pattern in patterns)]


def _of_bridges(outer: Sequence[_Link], bridges: Sequence[LanBridge]) -> List[str]:
    warnings = []
    for bridge in bridges:
        ports = [link.name for link in outer if link.master == bridge.name]
        if bridge.like_containers and ports:
            warnings.append(
                "the bridge %s has the name of a container network, but its port %s leads to other hosts: what comes "
                "in through it is judged like traffic from any other host (see: bridge link)" % (bridge.name, ports[0])
            )
    return warnings


def _of_stacked(links: Sequence[_Link], outer: Sequence[_Link]) -> Conversation[List[str]]:
    """A warning about containers with an address on a network of the host. A network card has a second hardware address
    for each of them, also when the container's interface is in another network namespace."""
    found = {link.name: "%s (%s)" % (link.name, link.kind) for link in links if link.kind in _STACKED}
    bridge = yield from FindTool("bridge").ask()
    if bridge is not None:
        known = {link.hardware for link in links}
        # The table of a tunnel such as VXLAN holds the addresses of other hosts instead (bridge(8), "dst").
        parents = {link.name for link in outer if not link.master and link.kind not in _TUNNELS}
        for entry in (yield from _ask(bridge, "-json", "fdb", "show")):
            name, hardware = entry.get("ifname"), entry.get("mac", "01")
            several = int(hardware[:2], 16) & 1  # IEEE 802: the first bit of an address of a group
            if name in parents and "self" in entry.get("flags", ()) and not several and hardware not in known:
                found[name] = "an interface with the hardware address %s on %s" % (hardware, name)
    if not found:
        return []
    return [
        "packets of containers or virtual machines with an address of their own on the network (macvlan, ipvlan) do "
        "not pass this host's firewall, so mode restrict does not protect them: %s. Give them a bridge of the host, or "
        "filter in the network" % _some(sorted(found.values()))
    ]


def _of_forwarding(links: Sequence[_Link], arriving: Sequence[_Link]) -> Conversation[List[str]]:
    enabled = []
    for family in sorted(_SYSCTLS):
        if ((yield from ReadFile(_SYSCTLS[family]).ask()) or "").strip() not in ("", "0"):
            enabled.append("IPv%s" % family[-1])
    addressed = [link.name for link in arriving if link.addressed]
    tunnels = [link.name for link in arriving if link.kind in _TUNNELS and link.addressed]
    pods = [
        link.name
        for link in links
        if any(matches(pattern, link.name) for pattern in _KUBERNETES)
        or (link.kind in _PAIRS and not link.master and link not in arriving)
    ]
    signs = []
    if pods:
        signs.append("interfaces of pods (%s)" % _some(pods))
    if tunnels:
        signs.append("tunnels (%s)" % _some(tunnels))
    if len(addressed) > 1:
        signs.append("several interfaces to other hosts (%s)" % _some(addressed))
    if not enabled or not signs:
        return []
    return [
        "this host forwards packets (%s) and has %s. In mode restrict it forwards nothing new that arrives from other "
        "hosts, except to permitted published ports. A router, a VPN gateway or a node of Kubernetes whose pods other "
        "hosts reach needs determined_firewall_forward (the module's forward), which names what it may forward"
        % (" and ".join(enabled), " and ".join(signs))
    ]


def _some(names: Sequence[str]) -> str:
    text = ", ".join(names[:_SHOWN])
    return text if len(names) <= _SHOWN else "%s and %d more" % (text, len(names) - _SHOWN)
