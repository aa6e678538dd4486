"""Peers as ipsets."""

import pytest
from ansible_collections.determined.network.plugins.module_utils._firewall.backends import ipset
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.ipset import Set

SAVED = """create determined_a_v4 hash:net family inet hashsize 1024 maxelem 65536 bucketsize 12 initval 0x1
add determined_a_v4 198.51.100.0/24
add determined_a_v4 192.0.2.10
add determined_a_v4 192.0.2.9
create blocked hash:ip family inet hashsize 1024 maxelem 65536 timeout 600
add blocked 192.0.2.1 timeout 12
create determined_a_v6 hash:net family inet6 hashsize 1024 maxelem 65536
add determined_a_v6 2001:DB8::0001
create determined_b_v4 hash:net family inet hashsize 1024 maxelem 65536 comment
add determined_b_v4 192.0.2.9 comment "determined.network"
add determined_b_v4 192.0.2.10 comment "of somebody"
create determined_c_v4 hash:net family inet hashsize 1024 maxelem 65536 comment
"""


def test_save_is_read_whatever_its_order():
    saved = ipset.parse_save(SAVED)
    assert saved.marked == {"determined_b_v4"}
    assert saved.sets == {
        "determined_a_v4": Set("hash:net", "family inet maxelem 65536", ("192.0.2.9", "192.0.2.10", "198.51.100.0/24")),
        "determined_a_v6": Set("hash:net", "family inet6 maxelem 65536", ("2001:db8::1",)),
        "determined_b_v4": Set(
            "hash:net", "family inet maxelem 65536 comment", ("192.0.2.9", '192.0.2.10 comment "of somebody"')
        ),
        "determined_c_v4": Set("hash:net", "family inet maxelem 65536 comment", ()),
    }


def test_ours_are_marked_used_by_our_rules_or_new_and_empty():
    saved = ipset.parse_save(SAVED)
    assert set(ipset.ours(saved, ())) == {"determined_b_v4", "determined_c_v4"}
    assert set(ipset.ours(saved, ("determined_a_v6",))) == {"determined_a_v6", "determined_b_v4", "determined_c_v4"}


@pytest.mark.parametrize("text", ["add nobody 192.0.2.1", "destroy x", "create"])
def test_what_is_no_save_is_refused(text):
    with pytest.raises(ValueError):
        ipset.parse_save(text)


@pytest.mark.parametrize(
    "name, ours",
    [
        ("determined_a_v4", True),
        ("determined_" + "a" * 16 + "_t6", True),
        ("determined_a", False),
        ("determined_a_v5", False),
        ("f2b", False),
    ],
)
def test_names(name, ours):
    assert bool(ipset.NAMED_LIKE_OURS.match(name)) is ours
    assert len(ipset.set_name("a" * 16, "ipv6")) <= 31
    assert ipset.temporary_name("determined_a_v4") == "determined_a_t4"


@pytest.mark.parametrize("count, maxelem", [(0, 65536), (65536, 65536), (65537, 131072)])
def test_a_set_fits_its_members(count, maxelem):
    addresses = [f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}" for number in range(count)]
    assert ipset.make_set(addresses, "ipv4").options == f"family inet maxelem {maxelem}"


def test_unwanted_sets_go_but_not_the_one_that_the_swap_destroys():
    old = {"determined_a_v4": Set("hash:net", "family inet maxelem 65536", ("192.0.2.1",))}
    new = {"determined_a_v4": Set("hash:net", "family inet maxelem 65536", ("192.0.2.2",))}
    left = dict(old, determined_a_t4=old["determined_a_v4"], determined_b_t4=old["determined_a_v4"])
    assert ipset.restore_text(left, new).splitlines()[0] == "destroy determined_a_t4"
    assert ipset.outdated(left, new) == ["determined_b_t4"]
    assert ipset.outdated(left, old) == ["determined_a_t4", "determined_b_t4"]
    assert ipset.restore_text(old, old) == ""
