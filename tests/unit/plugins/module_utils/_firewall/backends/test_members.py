"""Members without overlaps: the same addresses, each said once."""

import pytest
from ansible_collections.determined.network.plugins.module_utils._firewall.backends import members


@pytest.mark.parametrize(
    "given, expected",
    [
        ([], ()),
        (["192.0.2.2", "192.0.2.10"], ("192.0.2.2", "192.0.2.10")),
        (["192.0.2.0/24", "192.0.2.7", "192.0.2.128/25", "192.0.3.1"], ("192.0.2.0/24", "192.0.3.1")),
        (["192.0.2.0/25", "192.0.2.128/25"], ("192.0.2.0/25", "192.0.2.128/25")),
        (["2001:db8::2", "2001:db8::/64", "2001:DB8::0:3"], ("2001:db8::/64",)),
        (["192.0.2.7/32", "192.0.2.7"], ("192.0.2.7",)),
    ],
)
def test_disjoint(given, expected):
    assert members.disjoint(given) == expected
    assert members.disjoint(reversed(given)) == expected


def test_overlap_is_seen_in_both_directions():
    assert members.overlap(["192.0.2.0/24"], ["192.0.2.7"])
    assert members.overlap(["192.0.2.7"], ["192.0.2.0/24"])
    assert not members.overlap(["192.0.2.0/25"], ["192.0.2.200"])


def test_what_a_tool_prints_is_ordered_by_address_and_what_is_none_stays():
    assert members.ordered(["odd", "192.0.2.10", "192.0.2.2", "192.0.2.0/24"]) == (
        "192.0.2.0/24",
        "192.0.2.2",
        "192.0.2.10",
        "odd",
    )
