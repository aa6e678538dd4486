# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What determined-master reaches without the proxy: networks where it has neighbours, else addresses."""

import pytest
from ansible_collections.determined.network.plugins.module_utils._proxy import attached_networks

LISTING = r"""1: lo    inet 127.0.0.1/8 scope host lo\       valid_lft forever preferred_lft forever
1: lo    inet6 ::1/128 scope host \       valid_lft forever preferred_lft forever
2: eth0    inet 192.0.2.10/24 brd 192.0.2.255 scope global eth0\       valid_lft forever preferred_lft forever
2: eth0    inet 192.0.2.11/24 scope global secondary eth0\       valid_lft forever preferred_lft forever
2: eth0    inet6 2001:db8::10/64 scope global \       valid_lft forever preferred_lft forever
2: eth0    inet6 fe80::1/64 scope link \       valid_lft forever preferred_lft forever
3: ens4    inet 10.128.0.7/32 scope global dynamic ens4\       valid_lft 2000sec preferred_lft 2000sec
4: tun0    inet 10.8.0.1 peer 10.8.0.2/32 scope global tun0\       valid_lft forever preferred_lft forever
5: bond0.7@bond0    inet 192.0.2.130/28 brd 192.0.2.143 scope global bond0.7\       valid_lft forever
"""
ATTACHED = attached_networks.networks(LISTING)


def test_networks_with_neighbours_narrowest_first():
    assert list(map(str, ATTACHED)) == ["192.0.2.128/28", "192.0.2.0/24", "2001:db8::/64"]
    assert attached_networks.networks("") == ()


@pytest.mark.parametrize(
    "agents, stable, expected",
    [
        ([], ["localhost"], ["localhost"]),
        (["agent1", "192.0.2.21"], ["localhost"], ["localhost", "192.0.2.0/24"]),
        (["agent1", "192.0.2.21", "agent2", "192.0.2.22"], ["localhost"], ["localhost", "192.0.2.0/24"]),
        (["192.0.2.131", "2001:db8::2", "[2001:db8::2]"], [], ["192.0.2.128/28", "2001:db8::/64"]),
        (["agent1", "198.51.100.7"], ["a"], ["a", "198.51.100.7"]),
        (["[2001:db8:1::7]"], ["a"], ["a", "[2001:db8:1::7]"]),
        (["agent1", "198.51.100.7"], ["198.51.100.0/24"], ["198.51.100.0/24"]),
        (["agent1", ".example.com"], ["a"], ["a", "agent1", ".example.com"]),
    ],
)
def test_entries(agents, stable, expected):
    assert list(attached_networks.entries(stable + agents, stable, ATTACHED)) == expected
