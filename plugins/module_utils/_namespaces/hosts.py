# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rehearsal's hosts as plain values: the requested hosts, and the commands for iproute2.

A *lab* is one network namespace that routes between the namespaces of the hosts and has no
way out. Every host has one interface ``eth0``, a veth pair whose other end is in the lab; its
addresses are /32 and /128, and everything else is behind the lab. So hosts of different
subnets reach each other, and no host needs a neighbour entry per peer: the kernel's neighbour
tables hold 1,024 entries for all namespaces of the machine together (``gc_thresh3`` in
arp(7)), which a mesh of 33 hosts on a bridge would overflow.

Everything here is pure.
"""

import ipaddress
import re
from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

# What hosts see as their gateway: link-local (RFC 3927, RFC 4291 2.5.6), so that it can be
# no host's own address.
GATEWAY_IPV4 = "169.254.1.1"
GATEWAY_IPV6 = "fe80::1"

# Up to here neighbours are found by ARP and ND, as on a real network: a policy that drops
# neighbour discovery then fails in the rehearsal too. A host costs two entries per family; above,
# entries are permanent, which the tables' limit does not count (Linux 5.0).
MOST_HOSTS_WITH_DISCOVERY = 200

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\Z")
_Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]


class Host(NamedTuple):
    """One host: its inventory name, its number in the lab (from 0), its addresses as canonical texts."""

    name: str
    number: int
    ipv4: Tuple[str, ...]
    ipv6: Tuple[str, ...]


def check_name(name: str) -> str:
    """The name of a rehearsal -> the same name; ValueError if it cannot be a file's name."""
    if not _NAME.match(name):
        raise ValueError("name is %r: a rehearsal's name is at most 64 letters, digits, '_', '-' and '.'" % (name,))
    return name


def read_hosts(hosts: Mapping[str, Sequence[str]]) -> Tuple[Host, ...]:
    """``{name: [address, ...]}`` -> a tuple of :class:`Host`, sorted by name.

    ValueError lists every problem: no host, a host without address, a text that is no address, an
    address that cannot be reached from another host, an address that two hosts claim.
    """
    problems = []
    owners: Dict[_Address, str] = {}
    result = []
    if not hosts:
        problems.append("hosts is empty: give at least one host with its addresses")
    for number, name in enumerate(sorted(hosts)):
        families: Dict[int, List[str]] = {4: [], 6: []}
        values = hosts[name]
        if not isinstance(values, (list, tuple)) or not values:
            problems.append("%s has no address: give a list of IPv4 or IPv6 addresses" % name)
            continue
        for value in values:
            try:
                address = _read_address(value)
            except ValueError as problem:
                problems.append("%s: %s" % (name, problem))
                continue
            if owners.setdefault(address, name) != name:
                problems.append("%s: address %s is also that of %s" % (name, address, owners[address]))
            elif str(address) not in families[address.version]:
                families[address.version].append(str(address))
        result.append(Host(name, number, tuple(families[4]), tuple(families[6])))
    if problems:
        raise ValueError("; ".join(problems))
    return tuple(result)


def _read_address(value: object) -> _Address:
    """An address by which another host can reach its host; ValueError otherwise."""
    address = ipaddress.ip_address(str(value))
    unfit = address.is_loopback or address.is_multicast or address.is_unspecified or address.is_link_local
    # 240.0.0.0/4 with the broadcast address, and IPv4-mapped IPv6 addresses (RFC 4291, 2.5.5.2).
    if isinstance(address, ipaddress.IPv6Address):
        unfit = unfit or address.ipv4_mapped is not None
    else:
        unfit = unfit or address.is_reserved
    if unfit:
        raise ValueError("%s is no address by which another host can reach it" % address)
    return address


def addresses(hosts: Sequence[Host]) -> Dict[str, List[str]]:
    """Hosts -> ``{name: [address, ...]}`` in canonical form; equal requests give equal dicts."""
    return {host.name: list(host.ipv4 + host.ipv6) for host in hosts}


def lab_settings(has_ipv6: bool) -> List[Tuple[str, str]]:
    """What to write under /proc/sys/net in the lab -> pairs of (path, value).

    A new namespace inherits the IPv4 settings of the machine; a hardened machine's would keep
    the lab from answering ARP for the gateway.
    """
    settings = [("ipv4/ip_forward", "1")] + _plain_arp()
    if has_ipv6:
        settings += [
            ("ipv6/conf/all/forwarding", "1"),
            ("ipv6/conf/default/forwarding", "1"),
            ("ipv6/conf/default/accept_dad", "0"),
        ]
    return settings


def host_settings(has_ipv6: bool) -> List[Tuple[str, str]]:
    """What to write under /proc/sys/net in a host's namespace -> pairs of (path, value)."""
    settings = _plain_arp()
    if has_ipv6:
        # There is no router and no duplicate address, so an address can be used at once.
        settings += [("ipv6/conf/default/accept_ra", "0"), ("ipv6/conf/default/accept_dad", "0")]
    return settings


def _plain_arp() -> List[Tuple[str, str]]:
    return [
        ("ipv4/conf/%s/%s" % (scope, setting), "0")
        for scope in ("all", "default")
        for setting in ("arp_ignore", "arp_announce", "arp_filter", "rp_filter")
    ]


def lab_commands(hosts: Sequence[Host], namespaces: Mapping[str, str], has_ipv6: bool) -> List[str]:
    """Hosts, and for each the file of its network namespace -> lines for ``ip -batch`` in the lab."""
    lines = ["link set lo up", "address add %s/32 dev lo" % GATEWAY_IPV4]
    for host in hosts:
        device = "v%d" % host.number
        lines.append(
            "link add %s address %s type veth peer name eth0 address %s netns %s"
            % (device, _lab_mac(host), _host_mac(host), namespaces[host.name])
        )
        if has_ipv6:
            lines.append("link set %s addrgenmode none" % device)
        lines.append("link set %s up" % device)
        if has_ipv6:
            lines.append("address add %s/64 dev %s nodad" % (GATEWAY_IPV6, device))
        for address in host.ipv4 + host.ipv6:
            lines.append("route add %s dev %s" % (_single(address), device))
            if len(hosts) > MOST_HOSTS_WITH_DISCOVERY:
                lines.append("neighbour add %s lladdr %s dev %s nud permanent" % (address, _host_mac(host), device))
    return lines


def host_commands(host: Host, number_of_hosts: int) -> List[str]:
    """A host -> lines for ``ip -batch`` in its own network namespace."""
    lines = ["link set lo up", "link set eth0 up"]
    for family, gateway in ((host.ipv4, GATEWAY_IPV4), (host.ipv6, GATEWAY_IPV6)):
        if not family:
            continue
        for address in family:
            lines.append("address add %s dev eth0%s" % (_single(address), " nodad" if ":" in address else ""))
        lines.append("route add default via %s dev eth0 onlink" % gateway)
        if number_of_hosts > MOST_HOSTS_WITH_DISCOVERY:
            lines.append("neighbour add %s lladdr %s dev eth0 nud permanent" % (gateway, _lab_mac(host)))
    return lines


def _single(address: str) -> str:
    return "%s/%d" % (address, 128 if ":" in address else 32)


def _lab_mac(host: Host) -> str:
    return _mac(0x02, host.number)


def _host_mac(host: Host) -> str:
    return _mac(0x06, host.number)


def _mac(first: int, number: int) -> str:
    """A locally administered address (IEEE 802-2014, 8.4): the second lowest bit of ``first`` is set."""
    return ":".join(
        "%02x" % octet for octet in (first, 0, number >> 24, number >> 16 & 255, number >> 8 & 255, number & 255)
    )


# Why the kernel refused, most specific first: (setting, value that forbids, sentence, remedy).
_FORBIDDING = (
    (
        "user.max_user_namespaces",
        "0",
        "sysctl user.max_user_namespaces is 0, so nobody may create user namespaces",
        "sudo sysctl -w user.max_user_namespaces=10000",
    ),
    (
        "kernel.unprivileged_userns_clone",
        "0",
        "sysctl kernel.unprivileged_userns_clone is 0, so only root may create user namespaces",
        "sudo sysctl -w kernel.unprivileged_userns_clone=1",
    ),
    (
        "kernel.apparmor_restrict_unprivileged_userns",
        "1",
        "sysctl kernel.apparmor_restrict_unprivileged_userns is 1, so AppArmor takes every right from a user "
        "namespace that an ordinary user creates",
        "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
    ),
)
FORBIDDING_SETTINGS = tuple(row[0] for row in _FORBIDDING)


def explain_refusal(
    step: str, problem: OSError, limit_reached: bool, ordinary_user: bool, settings: Mapping[str, Optional[str]]
) -> str:
    """A refused step -> the message for the administrator.

    ``step``: what was tried ("create a user namespace"); ``problem``: the error.
    ``limit_reached``: whether the error was ENOSPC, by which namespaces(7) says that a limit is reached.
    ``ordinary_user``: whether this was tried through an unprivileged user namespace.
    ``settings``: {sysctl: text of its value, None where the kernel lacks it}, of FORBIDDING_SETTINGS.
    """
    text = "Cannot %s: %s." % (step, problem)
    if ordinary_user:
        for setting, forbidding, sentence, remedy in _FORBIDDING:
            if settings.get(setting) == forbidding:
                return "%s The %s. Run ansible-playbook with sudo, or allow it: %s" % (text, sentence, remedy)
    if limit_reached:
        return text + (
            " A limit of 'sysctl user' is reached, or memory is full: raise user.max_net_namespaces and "
            "user.max_mnt_namespaces, or end other rehearsals and containers."
        )
    if ordinary_user:
        return text + (
            " An ordinary user needs unprivileged user namespaces, which a seccomp profile, a security "
            "module or a container forbids here. Run ansible-playbook with sudo, or on a machine where "
            "they are allowed."
        )
    return text + (
        " This process is root, but lacks a right: in a container, give it CAP_SYS_ADMIN and CAP_NET_ADMIN "
        "and lift its seccomp and AppArmor profiles."
    )
