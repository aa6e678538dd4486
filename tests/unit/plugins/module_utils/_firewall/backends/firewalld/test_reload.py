"""The foreign settings that a reload would lose, and those that it would keep."""

import pytest
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld import reload

PUBLIC = {"short": "Public", "services": ["ssh", "dhcpv6-client"], "target": "default", "masquerade": False}


@pytest.mark.parametrize(
    "runtime, permanent, expected",
    [
        (PUBLIC, PUBLIC, []),
        (dict(PUBLIC, services=["dhcpv6-client", "ssh"], short="Other"), PUBLIC, []),
        (dict(PUBLIC, ports=[]), PUBLIC, []),
        (dict(PUBLIC, ports=[("7777", "tcp")]), PUBLIC, ["zone public: ports (has 7777 tcp)"]),
        (dict(PUBLIC, services=["ssh"]), PUBLIC, ["zone public: services (lacks dhcpv6-client)"]),
        (dict(PUBLIC, masquerade=True), PUBLIC, ["zone public: masquerade is True, and None in its file"]),
        (dict(PUBLIC, interfaces=["eth1"]), PUBLIC, ["zone public: interfaces (has eth1)"]),
        (PUBLIC, None, ["zone public is in none of firewalld's files"]),
    ],
)
def test_settings_that_are_in_force_only(runtime, permanent, expected):
    assert reload.runtime_only("zone public", runtime, permanent) == expected


@pytest.mark.parametrize(
    "name, manager, flush_all, kept",
    [
        ("public", False, True, ()),
        ("docker", False, True, ("interfaces",)),
        ("libvirt-routed", False, True, ("interfaces",)),
        ("public", True, True, ("interfaces",)),
        ("public", False, False, ("interfaces",)),
    ],
)
def test_interfaces_that_somebody_restores(name, manager, flush_all, kept):
    assert reload.zone_keeps(name, manager, flush_all) == kept


@pytest.mark.parametrize(
    "version, backend, direct, flushes",
    [
        ((1, 3), "nftables", False, True),
        ((2, 0), "nftables", False, False),
        ((2, 3), "nftables", True, True),
        ((2, 3), "iptables", False, True),
    ],
)
def test_when_a_reload_flushes_iptables(version, backend, direct, flushes):
    assert reload.flushes_iptables(version, backend, direct) is flushes


def test_the_refusal_counts_what_it_does_not_show():
    text = reload.refusal([f"zone z{number}" for number in range(30)])
    assert "zone z19; and 10 more" in text and "zone z20" not in text
    assert text.startswith("Refused, nothing was changed") and "firewall-cmd --runtime-to-permanent" in text
