# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel says about the ways of packets into this host: devices, routes, tunnels, IPsec. It only reads.

Sources: rtnetlink(7), and the kernel's linux/if_link.h, linux/wireguard.h, linux/xfrm.h and
linux/netfilter/nfnetlink_conntrack.h.
"""

import errno
import ipaddress
import os
import struct
from typing import Dict, Iterator, List, NamedTuple, Optional, Set, Tuple

from ansible_collections.determined.network.plugins.module_utils._firewall import proc_files
from ansible_collections.determined.network.plugins.module_utils._firewall.tunnels import (
    Device,
    IpsecPolicy,
    IpsecState,
    WireguardPeer,
)
from ansible_collections.determined.network.plugins.module_utils._sockets import netlink, rtnetlink

_ETHERNET, _INFINIBAND, _LOOPBACK = 1, 32, 772  # hardware types (linux/if_arp.h)
_NETWORK_DEVICES = "/sys/class/net"


def devices() -> Dict[int, Device]:
    """All network devices of this network namespace, by index. Raises OSError."""
    found: Dict[int, Device] = {}
    for (_family, hardware, index, _flags, _change), values in rtnetlink.links():
        information = netlink.attributes(values.get(18, b""))
        name = netlink.text(values[3])
        elsewhere = 37 in values  # IFLA_LINK_NETNSID: the index is one of another network namespace
        found[index] = Device(
            index,
            name,
            netlink.text(information.get(1, b"")),
            rtnetlink.number(values.get(10, b"")),
            0 if elsewhere else rtnetlink.number(values.get(5, b"")),
            netlink.attributes(information.get(2, b"")),
            _is_hardware(name, hardware),
        )
    return found


def _is_hardware(name: str, hardware: int) -> bool:
    """Whether a device without kind is hardware or Ethernet. Such a device of L2TP is Ethernet, too, and is none."""
    folder = os.path.join(_NETWORK_DEVICES, name)
    if os.path.exists(os.path.join(folder, "device")) or hardware == _LOOPBACK:
        return True
    return hardware in (_ETHERNET, _INFINIBAND) and "DEVTYPE=l2tp" not in (
        proc_files.readable(os.path.join(folder, "uevent")) or ""
    )


def addresses() -> Dict[str, Set[int]]:
    """All addresses of this host, each with the indexes of the devices that have it. Raises OSError."""
    found: Dict[str, Set[int]] = {}
    for (_family, _length, _flags, _scope, index), values in rtnetlink.addresses():
        # rtnetlink(7): on a point-to-point device IFA_ADDRESS is the other end's, and IFA_LOCAL is ours.
        packed = values.get(2, values.get(1, b""))
        if len(packed) in (4, 16):
            found.setdefault(str(ipaddress.ip_address(packed)), set()).add(index)
    return found


class Route(NamedTuple):
    """Where this host sends a packet: the index of the device, and the address of the next host on its link."""

    device: int
    next_hop: str


def route(destination: str, source: str) -> Optional[Route]:
    """The route to an address, from a local address ("": from any); None if there is no route. Raises OSError."""
    try:
        values = rtnetlink.route(destination, source).values
    except OSError as problem:
        if problem.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EINVAL):  # EINVAL: source is not local now
            return None
        raise
    if 4 not in values:
        return None
    gateway = values.get(5) or values.get(18, b"")[2:] or ipaddress.ip_address(destination).packed
    return Route(rtnetlink.number(values[4]), str(ipaddress.ip_address(gateway)))


def link_layer_address(device: int, address: str) -> bytes:
    """The link-layer address of a neighbour on a device, as bytes; empty if it is not known. Raises OSError."""
    packed = ipaddress.ip_address(address).packed
    for index, values in _neighbours(rtnetlink.INET if len(packed) == 4 else rtnetlink.INET6):
        if index == device and values.get(1) == packed:
            return values.get(2, b"")
    return b""


def neighbour_devices(address: str) -> Set[int]:
    """The indexes of the devices on which an address is a known neighbour. Raises OSError."""
    packed = ipaddress.ip_address(address).packed
    family = rtnetlink.INET if len(packed) == 4 else rtnetlink.INET6
    return {index for index, values in _neighbours(family) if values.get(1) == packed and values.get(2)}


def bridge_port(address: bytes) -> int:
    """The index of the port of a bridge behind which a link-layer address is; 0 if none or several are known."""
    ports = {index for index, values in _neighbours(rtnetlink.BRIDGE) if values.get(2) == address and 9 in values}
    return ports.pop() if len(ports) == 1 else 0


def outer_destinations(device: int) -> List[str]:
    """The outer addresses in the forwarding table of a VXLAN device. Raises OSError."""
    return [
        str(ipaddress.ip_address(values[1]))
        for index, values in _neighbours(rtnetlink.BRIDGE)
        if index == device and len(values.get(1, b"")) in (4, 16)
    ]


def _neighbours(family: int) -> Iterator[Tuple[int, Dict[int, bytes]]]:
    for answer in rtnetlink.neighbours(family):
        yield answer.header[1], answer.values


def wireguard(name: str) -> Tuple[int, List[WireguardPeer]]:
    """The UDP port on which a WireGuard device listens, and its peers. Raises OSError."""
    asked = netlink.attribute(2, name.encode("utf-8") + b"\0")
    return read_wireguard(netlink.ask_generic("wireguard", 0, netlink.DUMP, asked))


def read_wireguard(answers: List[bytes]) -> Tuple[int, List[WireguardPeer]]:
    """The same from the attributes of the answers: a peer with many networks is spread over several of them."""
    port = 0
    peers: Dict[bytes, WireguardPeer] = {}
    for answer in answers:
        values = netlink.attributes(answer)
        port = rtnetlink.number(values.get(6, b"")) or port
        for _kind, data in netlink.attribute_list(values.get(8, b"")):
            peer = netlink.attributes(data)
            networks = [netlink.attributes(entry) for _kind, entry in netlink.attribute_list(peer.get(9, b""))]
            before = peers.get(peer[1], WireguardPeer("", ()))
            peers[peer[1]] = WireguardPeer(
                _socket_address(peer.get(4, b"")) or before.endpoint,
                before.networks + tuple("%s/%d" % (ipaddress.ip_address(one[2]), one[3][0]) for one in networks),
            )
    return port, list(peers.values())


def _socket_address(data: bytes) -> str:
    """The address in a struct sockaddr_in or sockaddr_in6."""
    if len(data) < 8:
        return ""
    (family,) = struct.unpack_from("=H", data)
    address = ipaddress.ip_address(data[4:8] if family == rtnetlink.INET else data[8:24])
    return str(getattr(address, "ipv4_mapped", None) or address)


def ipsec_policies() -> List[IpsecPolicy]:
    """The policies for incoming packets; none if the kernel has no IPsec. Raises OSError."""
    return [one for one in map(read_ipsec_policy, _ipsec(0x15)) if one is not None]


def ipsec_states() -> List[IpsecState]:
    """All security associations. Raises OSError."""
    return [read_ipsec_state(message) for message in _ipsec(0x12)]


def _ipsec(kind: int) -> List[bytes]:
    try:
        return netlink.ask(netlink.XFRM, kind, netlink.DUMP, b"")
    except OSError as problem:
        if problem.errno == errno.EPROTONOSUPPORT:
            return []
        raise


def read_ipsec_policy(message: bytes) -> Optional[IpsecPolicy]:
    """struct xfrm_userpolicy_info, and its attributes; None for another direction than "in"."""
    family, long, short = struct.unpack_from("=HBB", message, 40)
    priority, _index, direction, action = struct.unpack_from("=IIBB", message, 152)
    values = netlink.attributes(message[168:])
    if direction != 0 or action != 0:
        return None
    templates = []
    data = values.get(5, b"")
    for start in range(0, len(data) - 63, 64):
        outer_family = struct.unpack_from("=H", data, start + 24)[0]
        (request,) = struct.unpack_from("=I", data, start + 44)
        source = _address(data[start + 28 : start + 44], outer_family)
        templates.append(("" if ipaddress.ip_address(source).is_unspecified else source, data[start + 20], request))
    return IpsecPolicy(
        "%s/%d" % (_address(message[16:32], family), short),
        "%s/%d" % (_address(message[0:16], family), long),
        priority,
        rtnetlink.number(values.get(31, b"")),
        tuple(templates),
    )


def read_ipsec_state(message: bytes) -> IpsecState:
    """struct xfrm_usersa_info, and its attributes."""
    (family,) = struct.unpack_from("=H", message, 212)
    values = netlink.attributes(message[224:])
    port = struct.unpack_from(">H", values[4], 4)[0] if 4 in values else 0
    return IpsecState(
        _address(message[80:96], family),
        _address(message[56:72], family),
        message[76],
        struct.unpack_from("=I", message, 208)[0],
        rtnetlink.number(values.get(31, b"")),
        port,
    )


def _address(data: bytes, family: int) -> str:
    """An xfrm_address_t."""
    return str(ipaddress.ip_address(data[:4] if family == rtnetlink.INET else data[:16]))


def udp_peers(port: int, local: Set[str]) -> List[str]:
    """The addresses that exchange UDP with a port of this host, from connection tracking; none if it tracks nothing."""
    found: Set[str] = set()
    try:
        answers = netlink.ask(netlink.NETFILTER, 0x101, netlink.DUMP, bytes(4))
    except OSError:
        return []  # the kernel has no connection tracking
    for message in answers:
        original = netlink.attributes(netlink.attributes(message[4:]).get(1, b""))
        ends, ports = netlink.attributes(original.get(1, b"")), netlink.attributes(original.get(2, b""))
        if ports.get(1) != b"\x11" or 2 not in ports or 3 not in ports:
            continue
        source, destination = (str(ipaddress.ip_address(ends.get(kind) or ends[kind + 2])) for kind in (1, 2))
        if destination in local and struct.unpack(">H", ports[3])[0] == port:
            found.add(source)
        elif source in local and struct.unpack(">H", ports[2])[0] == port:
            found.add(destination)
    return sorted(found)
