# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which bridges of a host are container networks, and which addresses in them may be containers'."""

from ansible_collections.determined.network.plugins.module_utils._wire import containers
from ansible_collections.determined.network.plugins.module_utils._wire.kernel import InterfaceAddress, Link, Neighbour

BRIDGE, PORT = Link(3, "docker0", "bridge", 0), Link(4, "veth1", "veth", 3)
OWN = InterfaceAddress(3, "172.17.0.1", 16, 0)


def networks(links, addresses, neighbours=()):
    return list(containers._networks(links, addresses, neighbours))


def test_the_first_addresses_of_a_network_are_tried_but_not_the_hosts_own():
    (found,) = networks([BRIDGE, PORT], [OWN])
    assert (found.interface, found.network) == ("docker0", "172.17.0.0/16")
    assert found.tried == ["172.17.0.2", "172.17.0.3", "172.17.0.4", "172.17.0.5"]


def test_neighbours_are_tried_first():
    elsewhere = Neighbour(2, "172.17.9.8")
    outside = Neighbour(3, "203.0.113.9")
    (found,) = networks([BRIDGE, PORT], [OWN], [elsewhere, outside, Neighbour(3, "172.17.9.9")])
    assert found.tried[:2] == ["172.17.9.9", "172.17.0.2"] and len(found.tried) == 5


def test_a_bridge_to_other_hosts_is_no_container_network():
    for kind in ("", "vxlan", "bond", "vlan"):
        assert networks([BRIDGE, PORT, Link(5, "eth1", kind, 3)], [OWN]) == []


def test_addresses_without_a_network_are_passed_over():
    assert networks([BRIDGE], [InterfaceAddress(3, "172.17.0.1", 32, 0), InterfaceAddress(3, "fe80::1", 64, 253)]) == []


def test_only_bridges_have_container_networks():
    assert networks([Link(3, "eth0", "", 0)], [OWN]) == []
