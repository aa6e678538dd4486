"""The option forward: which networks a host may forward between."""

import pytest
from ansible_collections.determined.network.plugins.module_utils._firewall import permitted_forwarding
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.forwarding import Allowed


def test_each_pair_of_networks_of_one_family_once():
    entries = [
        {"from": ["192.0.2.0/24", "2001:db8::/32"], "to": ["203.0.113.7", "::/0"]},
        {"from": ["192.0.2.0/24"], "to": ["203.0.113.7/32"]},
    ]
    assert permitted_forwarding.read(entries) == (
        Allowed("ipv4", "192.0.2.0/24", "203.0.113.7/32"),
        Allowed("ipv6", "2001:db8::/32", "::/0"),
    )
    assert permitted_forwarding.read([]) == ()


def test_all_problems_are_named_at_once():
    entries = [
        {"from": ["192.0.2.1/24"], "to": ["pods"]},
        {"from": [], "to": ["192.0.2.0/24"]},
        {"from": ["::/0"], "to": ["0.0.0.0/0"]},
    ]
    with pytest.raises(ValueError) as caught:
        permitted_forwarding.read(entries)
    for part in ("forward[0].from", "forward[0].to", "forward[1].from is empty", "forward[2]: from and to"):
        assert part in str(caught.value)
