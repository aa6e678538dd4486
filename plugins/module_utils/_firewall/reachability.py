# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decides before a change whether people could still reach this host after it, also some minutes after it.

In two cases a confirmation over a fresh connection shows nothing: the connection comes through a tunnel that ends on
this host, and the controller is this host itself.
"""

import errno
import ipaddress
import os
from typing import Dict, List, Optional, Sequence, Set

from ansible_collections.determined.network.plugins.module_utils import _ports
from ansible_collections.determined.network.plugins.module_utils._firewall import (
    kernel_facts,
    lockout,
    network_identity,
    socket_owners,
    ssh_connection,
    tunnels,
)
from ansible_collections.determined.network.plugins.module_utils._firewall.lockout import SshConnection
from ansible_collections.determined.network.plugins.module_utils._policy import HostPolicy

_MOST_TUNNELS = 8  # tunnels inside of tunnels; no host has so many
_IKE_PORTS = (500, 4500)  # RFC 7296, section 2.23


def objection(policy: Optional[HostPolicy], controller: Optional[str]) -> Optional[str]:
    """Why ``policy`` must not be applied without allow_lockout: sentences with the remedy; None if it may be.

    ``controller``: the ``network_identity`` of the controller, "" if its system tells none (so it is not Linux),
    None if it did not say: then it counts as this host.
    """
    if policy is None or policy.mode != "restrict":
        return None
    host = policy.host or os.uname()[1]
    connection = ssh_connection.find()
    if connection is not None and not lockout.is_local(connection):
        return _tunnel_objection(policy, connection, host)
    connections = management_connections(policy)
    for one in connections:
        if not lockout.permits(policy, one):
            return lockout.management_objection(one, host)
        found = _tunnel_objection(policy, one, host)
        if found:
            return found
    if not connections and controller in (None, network_identity.read()):
        return lockout.no_evidence(host)
    return None


def management_connections(policy: HostPolicy) -> List[SshConnection]:
    """The established connections of other hosts by which this host is administered now.

    They are connections to a port of the policy's management, and connections of sshd to any other port. Of the
    connections of sshd those count in which somebody has logged in: anybody can open one. A connection that no process
    has accepted does not count either.
    """
    sockets = socket_owners.read()
    listening = {one.port for one in sockets if one.is_listening}
    candidates = []
    for one in sockets:
        connection = SshConnection(one.remote, one.remote_port, one.address, one.port)
        if one.is_established and one.port in listening and not lockout.is_local(connection):
            candidates.append((one, connection))
    owners = socket_owners.owners(one.inode for one, _connection in candidates)
    found = []
    for one, connection in candidates:
        holders = owners.get(one.inode, set())
        servers = [pid for pid in holders if socket_owners.is_ssh_server(pid)]
        if servers:
            if any(socket_owners.is_logged_in(pid) for pid in servers):
                found.append(connection)
        elif holders and any(_ports.contains(rule.ports, one.port) for rule in policy.management):
            found.append(connection)
    return sorted(set(found))


def _tunnel_objection(policy: HostPolicy, connection: SshConnection, host: str) -> Optional[str]:
    try:
        local = kernel_facts.addresses()
        for tunnel in tunnels_of(connection):
            found = tunnels.objection(policy, tunnel, sorted(local), connection.client, host)
            if found:
                return found
    except OSError as problem:
        return (
            "it cannot be determined on %s through which device the connection from %s arrives (netlink said: %s). "
            "Set allow_lockout if it is no tunnel of this host, or if there is another way in"
            % (host, connection.client, problem)
        )
    return None


def tunnels_of(connection: SshConnection) -> List[tunnels.Tunnel]:
    """The tunnels that a connection comes through, and the tunnels that these come through. Raises OSError."""
    devices, local = kernel_facts.devices(), kernel_facts.addresses()
    found: List[tunnels.Tunnel] = []
    seen: Set[str] = set()
    waiting = [connection]
    while waiting and len(found) < _MOST_TUNNELS:
        current = waiting.pop()
        if current.client in seen:
            continue
        seen.add(current.client)
        new = _ipsec_of(current, local)
        for device in _entrances(current, devices, local):
            if tunnels.is_tunnel(device):
                new.append(_tunnel(device, current, local))
        found += [tunnel for tunnel in new if tunnel not in found]
        for tunnel in new:
            for flow in tunnel.flows:
                if flow.peer not in tunnels.ANYBODY:
                    waiting.append(SshConnection(flow.peer, 0, "", flow.port))
    return found


def _entrances(
    connection: SshConnection, devices: Dict[int, tunnels.Device], local: Dict[str, Set[int]]
) -> List[tunnels.Device]:
    """The devices through which the packets of ``connection`` can arrive.

    One is where the answers go. A tunnel that has the address to which they come is another one: a routing rule for
    marked packets can send the answers elsewhere than the kernel says here.
    """
    ports: Dict[int, int] = {}
    client = ipaddress.ip_address(connection.client)
    if client.version == 6 and client.is_link_local:
        # Every device has a route to these addresses. The devices that know the neighbour are the possible ones.
        for index in kernel_facts.neighbour_devices(connection.client):
            ports[index] = _port(index, connection.client)
    else:
        route = kernel_facts.route(connection.client, connection.server)
        if route is not None:
            ports[route.device] = _port(route.device, route.next_hop)
        for index in local.get(connection.server, ()):
            if route is None or tunnels.is_tunnel(devices[index]):
                ports.setdefault(index, 0)
    if not ports:
        raise OSError(errno.ENETUNREACH, "no route to %s" % connection.client)
    found: Dict[int, tunnels.Device] = {}
    for index, port in ports.items():
        found.update((device.number, device) for device in tunnels.devices_below(devices, index, port))
    return [found[index] for index in sorted(found)]


def _port(device: int, next_hop: str) -> int:
    address = kernel_facts.link_layer_address(device, next_hop)
    return kernel_facts.bridge_port(address) if address else 0


def _tunnel(device: tunnels.Device, connection: SshConnection, local: Dict[str, Set[int]]) -> tunnels.Tunnel:
    """A tunnel device with its outer flows, or with the reason why they cannot be determined."""
    known = tunnels.of_kind(device, kernel_facts.outer_destinations(device.number))
    if known is not None:
        return known
    if device.kind == "wireguard":
        return _wireguard(device, connection)
    if device.kind == "tun":
        return _tun(device, local)
    if device.kind in tunnels.IPSEC_KINDS:
        states = [one for one in kernel_facts.ipsec_states() if one.source not in local]
        if device.kind == "xfrm":
            states = [one for one in states if one.interface == tunnels.interface_of_xfrm(device)]
        else:
            states = [one for one in states if one.source == tunnels.remote_of_vti(device)]
        return _ipsec(device.name, states)
    return tunnels.Tunnel(
        device.name, device.kind or "type unknown", unknown="the kernel does not tell what carries such a device"
    )


def _wireguard(device: tunnels.Device, connection: SshConnection) -> tunnels.Tunnel:
    try:
        port, peers = kernel_facts.wireguard(device.name)
    except OSError as problem:
        return tunnels.Tunnel(device.name, "WireGuard", unknown="the kernel did not tell its port: %s" % problem)
    return tunnels.wireguard(device.name, port, peers, connection.client)


def _tun(device: tunnels.Device, local: Dict[str, Set[int]]) -> tunnels.Tunnel:
    """A TUN or TAP device: its outer flow is among the sockets of the program that holds it (OpenVPN and others)."""
    here, elsewhere = socket_owners.tun_owners(device.name)
    sockets = socket_owners.read()
    listening = {one.port for one in sockets if one.is_listening}
    flows: List[tunnels.OuterFlow] = []
    dials = False
    for pid in sorted(here):
        for one in socket_owners.held_by(pid, sockets):
            if ipaddress.ip_address(one.address).is_loopback:
                continue
            if one.protocol == "udp":
                known = [one.remote] if one.remote_port else kernel_facts.udp_peers(one.port, set(local))
                unknown = tunnels.ANYBODY if ":" in one.address else tunnels.ANYBODY[:1]
                flows += [tunnels.OuterFlow("udp", one.port, peer) for peer in known or unknown]
            elif one.is_established and one.port in listening:
                flows.append(tunnels.OuterFlow("tcp", one.port, one.remote))
            elif one.is_established:
                dials = True
    return tunnels.of_program(device.name, bool(here), elsewhere, flows, dials)


def _ipsec_of(connection: SshConnection, local: Dict[str, Set[int]]) -> List[tunnels.Tunnel]:
    """IPsec without a device of its own: what its policies say about packets from the client to this host."""
    policy = tunnels.ipsec_policy(
        kernel_facts.ipsec_policies(), connection.client, [connection.server] if connection.server else sorted(local)
    )
    if policy is None:
        return []
    states = [
        one
        for one in kernel_facts.ipsec_states()
        for source, protocol, request in policy.templates
        if one.source == (source or connection.client) and one.protocol == protocol and request in (0, one.request)
    ]
    return [_ipsec("", states)]


def _ipsec(device: str, states: Sequence[tunnels.IpsecState]) -> tunnels.Tunnel:
    bound = {one.port for one in socket_owners.read() if one.protocol == "udp"} & set(_IKE_PORTS)
    return tunnels.ipsec(device, states, sorted(bound))
