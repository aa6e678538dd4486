# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tunnels that carry a connection to this host, and the outer flow of each of them. Pure.

A tunnel's packets travel inside of other packets: its outer flow. While connection tracking remembers the outer
flow, a new connection through the tunnel passes even if the policy permits no new packet of the outer flow.
Some minutes later the flow is forgotten, and nobody gets in. So the outer flow is judged before the change.

Numbers of attributes: linux/if_link.h, linux/if_tunnel.h.
"""

import ipaddress
import struct
import sys
from typing import Dict, List, NamedTuple, Optional, Sequence, Set, Tuple

from ansible_collections.determined.network.plugins.module_utils import _ports
from ansible_collections.determined.network.plugins.module_utils._policy import HostPolicy

ANYBODY = ("0.0.0.0/0", "::/0")
_FAMILY_OF = {4: "ipv4", 6: "ipv6"}


class Device(NamedTuple):
    """A network device. ``kind``: its type as ip(8) calls it ("wireguard"), "" for hardware. ``master``, ``lower``: the
    indexes of the device that it is a port of, and of the device that it lies on; 0 if there is none in this
    network namespace. ``data``: its attributes by number. ``is_plain``: whether a device without kind is
    hardware or Ethernet, and so surely no tunnel."""

    number: int
    name: str
    kind: str
    master: int = 0
    lower: int = 0
    data: Dict[int, bytes] = {}
    is_plain: bool = True


class OuterFlow(NamedTuple):
    """Packets that carry a tunnel: to ``port`` of this host (0 if the protocol has no ports) from ``peer``.

    ``protocol``: "tcp", "udp", or the text of another IP protocol ("GRE, IP protocol 47"), which no
    policy permits. ``peer``: an address, or one of ANYBODY if it is not known.
    """

    protocol: str
    port: int
    peer: str


class Tunnel(NamedTuple):
    """A tunnel ``device`` ("" for IPsec without one) and its outer flows; the connection uses at least one of them.

    ``name``: what it is ("WireGuard"). ``unknown``: why its outer flows cannot be determined, "" if they are known.
    ``dials``: whether the tunnel is inside of a TCP connection that this host opened, and opens again when it is lost.
    """

    device: str
    name: str
    flows: Tuple[OuterFlow, ...] = ()
    unknown: str = ""
    dials: bool = False

    @property
    def title(self) -> str:
        """How a message names it."""
        return "the tunnel device %s (%s)" % (self.device, self.name) if self.device else self.name


class WireguardPeer(NamedTuple):
    """A peer of a WireGuard device: its outer address ("" before it first spoke), and the networks inside."""

    endpoint: str
    networks: Tuple[str, ...]


class IpsecPolicy(NamedTuple):
    """An IPsec policy for incoming packets. ``templates``: (outer source or "", IP protocol, request id)."""

    source: str
    destination: str
    priority: int
    interface: int
    templates: Tuple[Tuple[str, int, int], ...]


class IpsecState(NamedTuple):
    """An IPsec security association. ``port``: the UDP port of this host if it travels inside of UDP, otherwise 0."""

    source: str
    destination: str
    protocol: int
    request: int
    interface: int
    port: int


# Devices that add no IP header: what arrives through them arrived through what they lie on, or through a port.
_ON_ONE_DEVICE = ("vlan", "macvlan", "macvtap", "ipvlan", "ipvtap", "macsec")
_WITH_PORTS = ("bridge", "bond", "team", "vrf", "openvswitch")
_PLAIN = ("dummy", "veth", "netkit", "ifb", "nlmon", "netdevsim", "ipoib", "wwan", "virt_wifi", "dsa", "hsr")
# IP protocol numbers (IANA) of tunnels without ports.
_GRE, _IPIP, _IPV6 = "GRE, IP protocol 47", "IPIP, IP protocol 4", "IPv6, IP protocol 41"
_IPSEC_PROTOCOLS = {50: "ESP, IP protocol 50", 51: "AH, IP protocol 51", 108: "IPComp, IP protocol 108"}
_IP_KINDS: Dict[str, Tuple[str, Tuple[str, ...]]] = {
    "gre": ("GRE", (_GRE,)),
    "gretap": ("GRE", (_GRE,)),
    "ip6gre": ("GRE", (_GRE,)),
    "ip6gretap": ("GRE", (_GRE,)),
    "erspan": ("ERSPAN", (_GRE,)),
    "ip6erspan": ("ERSPAN", (_GRE,)),
    "ipip": ("IPIP", (_IPIP,)),
    "sit": ("SIT", (_IPV6,)),
    "ip6tnl": ("IPv6 tunnel", (_IPV6, _IPIP)),
}
IPSEC_KINDS = ("xfrm", "vti", "vti6")
UDP_KINDS = ("vxlan", "geneve")


def devices_below(devices: Dict[int, Device], index: int, port: int = 0) -> List[Device]:
    """The devices through which what a device receives can have come to this host: no bridge, VLAN or bond any more.

    ``port``: the index of the port of a bridge at which the sender is, 0 if it is not known: then all ports count.
    """
    found: List[Device] = []
    seen: Set[int] = set()
    waiting = [index]
    while waiting:
        current = devices.get(waiting.pop())
        if current is None or current.number in seen:
            continue
        seen.add(current.number)
        if current.kind in _ON_ONE_DEVICE:
            waiting.append(current.lower)
        elif current.kind in _WITH_PORTS:
            ports = [one.number for one in devices.values() if one.master and _is_port(devices, one, current)]
            waiting += [port] if port in ports else ports
        else:
            found.append(current)
    return sorted(found, key=lambda device: device.number)


def _is_port(devices: Dict[int, Device], port: Device, device: Device) -> bool:
    if port.master == device.number:
        return True
    # All ports of Open vSwitch have one master, ovs-system, whichever of its bridges they belong to.
    master = devices.get(port.master)
    return device.kind == "openvswitch" and master is not None and master.kind == "openvswitch"


def is_tunnel(device: Device) -> bool:
    """Whether a device is a tunnel of this host, or may be one because its kind is not known here."""
    if device.kind == "":
        return not device.is_plain
    return device.kind not in _PLAIN + _ON_ONE_DEVICE + _WITH_PORTS


def of_kind(device: Device, destinations: Sequence[str]) -> Optional[Tunnel]:
    """The tunnel of a device whose own attributes tell the outer flow; None if the kind needs other facts.

    ``destinations``: the outer addresses in the device's forwarding table (VXLAN).
    """
    if device.kind in UDP_KINDS:
        return _udp_tunnel(device, destinations)
    if device.kind in _IP_KINDS:
        name, protocols = _IP_KINDS[device.kind]
        remote_kind, encapsulation_kind = (7, 14) if "gre" in device.kind or "span" in device.kind else (3, 15)
        if _number(device.data.get(encapsulation_kind, b"")):
            return Tunnel(
                device.name, name, unknown="it is inside of UDP (FOU or GUE), and its receiving port is not known"
            )
        peers = _known([_address(device.data.get(remote_kind, b""))]) or list(ANYBODY)
        return Tunnel(device.name, name, tuple(OuterFlow(text, 0, peer) for text in protocols for peer in peers))
    return None


def wireguard(device: str, port: int, peers: Sequence[WireguardPeer], client: str) -> Tunnel:
    """The tunnel of a WireGuard device that listens on a UDP port, for a connection from the address ``client`` inside.

    The peer with the longest network that holds the client is the sender: the kernel drops what comes from another.
    """
    address = ipaddress.ip_address(client)
    best, endpoint = -1, ""
    for peer in peers:
        for text in peer.networks:
            network = ipaddress.ip_network(text)
            if address in network and network.prefixlen > best:
                best, endpoint = network.prefixlen, peer.endpoint
    senders = [endpoint] if endpoint else ANYBODY
    return Tunnel(device, "WireGuard", tuple(OuterFlow("udp", port, one) for one in senders))


def of_program(device: str, is_held: bool, is_held_elsewhere: bool, flows: Sequence[OuterFlow], dials: bool) -> Tunnel:
    """The tunnel of a TUN or TAP device. ``flows``: what the sockets of the programs that hold it can receive.

    ``is_held``, ``is_held_elsewhere``: whether a program of this network namespace holds a device with this
    name, or one of another namespace. ``dials``: whether they have a TCP connection that this host opened.
    """
    name = "TUN/TAP, as of OpenVPN"
    if not is_held:
        where = "only a program of another network namespace holds it" if is_held_elsewhere else "no program holds it"
        return Tunnel(device, name, unknown="%s, so the outer flow is not known" % where)
    return Tunnel(device, name, tuple(sorted(set(flows))), dials=dials)


def ipsec_policy(policies: Sequence[IpsecPolicy], client: str, servers: Sequence[str]) -> Optional[IpsecPolicy]:
    """The IPsec policy with templates for packets from ``client`` to one of ``servers``; None if there is none.

    Policies of a device (xfrm) are judged with that device. The lowest number is the first (ip-xfrm(8)).
    """
    source, destinations = ipaddress.ip_address(client), [ipaddress.ip_address(one) for one in servers]
    matching = [
        one
        for one in policies
        if not one.interface
        and source in ipaddress.ip_network(one.source, strict=False)
        and any(one_end in ipaddress.ip_network(one.destination, strict=False) for one_end in destinations)
    ]
    first = min(matching, key=lambda one: one.priority) if matching else None
    return first if first is not None and first.templates else None


def remote_of_vti(device: Device) -> str:
    """The outer address of the other end of a VTI device."""
    return _address(device.data.get(5, b""))


def interface_of_xfrm(device: Device) -> int:
    """The number that joins an XFRM device with its policies and associations."""
    return int.from_bytes(device.data.get(2, b""), sys.byteorder)


def ipsec(device: str, states: Sequence[IpsecState], bound: Sequence[int]) -> Tunnel:
    """The tunnel of security associations. ``bound``: the UDP ports on which a program here negotiates keys (IKE).

    Without new keys the associations end, so the ports of IKE count as well. They are fixed: RFC 7296, section 2.23.
    """
    flows = set()
    for one in states:
        if one.port:
            flows.add(OuterFlow("udp", one.port, one.source))
        else:
            flows.add(OuterFlow(_IPSEC_PROTOCOLS.get(one.protocol, "IP protocol %d" % one.protocol), 0, one.source))
        flows.update(OuterFlow("udp", port, one.source) for port in bound)
    return Tunnel(device, "IPsec", tuple(sorted(flows)))


def _udp_tunnel(device: Device, destinations: Sequence[str]) -> Tunnel:
    if device.kind == "vxlan":
        name, port_kind, remote_kinds = "VXLAN", 15, (2, 16)
    else:
        name, port_kind, remote_kinds = "Geneve", 5, (2, 7)
    (port,) = struct.unpack(">H", device.data[port_kind])
    remotes = [_address(device.data.get(kind, b"")) for kind in remote_kinds] + list(destinations)
    unicast = [one for one in _known(remotes) if not ipaddress.ip_address(one).is_multicast]
    return Tunnel(device.name, name, tuple(OuterFlow("udp", port, peer) for peer in unicast or ANYBODY))


def _number(data: bytes) -> int:
    return int.from_bytes(data, "little")  # only whether it is 0 counts


def _address(data: bytes) -> str:
    return str(ipaddress.ip_address(data)) if len(data) in (4, 16) else ""


def _known(addresses: Sequence[str]) -> List[str]:
    """Addresses, each once, without empty and unspecified ones."""
    return sorted({one for one in addresses if one and not ipaddress.ip_address(one).is_unspecified})


def permits(policy: HostPolicy, flow: OuterFlow) -> bool:
    """Whether ``policy``, of mode restrict, permits a new packet of ``flow`` from each address of its peer."""
    peer = ipaddress.ip_network(flow.peer)
    family = _FAMILY_OF[peer.version]
    for rule in policy.inbound + policy.management:
        if rule.protocol == flow.protocol and _ports.contains(rule.ports, flow.port):
            for text in policy.peers[rule.peers][family]:
                network = ipaddress.ip_network(text)
                if network.prefixlen <= peer.prefixlen and peer.network_address in network:
                    return True
    return False


def objection(policy: HostPolicy, tunnel: Tunnel, local: Sequence[str], client: str, host: str) -> Optional[str]:
    """Why a policy of mode restrict may close a tunnel: sentences with the remedy; None if the policy permits it.

    ``local``: the addresses of this host. ``client``: whose connection comes through the tunnel.
    ``host``: the name of this host.
    """
    found = "the connection from %s reaches %s through %s" % (client, host, tunnel.title)
    unknown = tunnel.unknown
    if not unknown and any(_ends_here(flow.peer, local) for flow in tunnel.flows):
        unknown = "the other end of its outer flow is this host itself, so another program carries it on"
    if not unknown and not tunnel.flows and tunnel.dials:
        return None  # mode restrict drops no connection that this host opens
    if not unknown and not tunnel.flows:
        unknown = "no outer flow of it was found"
    if unknown:
        return (
            "it cannot be determined whether this policy would cut a connection some minutes after the change: %s; %s. "
            "Connect without a tunnel that ends on this host, or set allow_lockout if there is another way in"
            % (found, unknown)
        )
    closed = [flow for flow in tunnel.flows if not permits(policy, flow)]
    if not closed:
        return None
    without_ports = [flow for flow in closed if not flow.port]
    remedy = "Connect without a tunnel that ends on this host"
    if without_ports:
        remedy = "No variable permits this protocol in mode restrict. %s, or use mode permit for it" % remedy
    else:
        remedy = "%s, or permit the outer flow in determined_extra_requirements: %s" % (remedy, _rows(closed))
    return (
        "this policy would cut a connection some minutes after the change: %s, and mode restrict "
        "permits no new packet of its outer flow, %s. A fresh connection does not show it, because the "
        "host remembers the flow for a while. %s. Or set allow_lockout if there is another way in"
        % (found, "; ".join(_describe(flow) for flow in closed), remedy)
    )


def _ends_here(peer: str, local: Sequence[str]) -> bool:
    return peer not in ANYBODY and (peer in local or ipaddress.ip_address(peer).is_loopback)


def _describe(flow: OuterFlow) -> str:
    sender = "any address (the sender is not known)" if flow.peer in ANYBODY else flow.peer
    if flow.port:
        return "%s port %d from %s" % (flow.protocol.upper(), flow.port, sender)
    return "%s from %s" % (flow.protocol, sender)


def _rows(flows: Sequence[OuterFlow]) -> str:
    """Rows of determined_extra_requirements that permit flows, to be pasted; on a master "to" is master."""
    wanted: Dict[Tuple[str, int], List[str]] = {}
    for flow in flows:
        wanted.setdefault((flow.protocol, flow.port), []).append(flow.peer)
    return ", ".join(
        "{id: tunnel_%s_%d, from: networks, to: agents, protocol: %s, ports: '%d', networks: ['%s']}"
        % (protocol, port, protocol, port, "', '".join(peers))
        for (protocol, port), peers in wanted.items()
    )
