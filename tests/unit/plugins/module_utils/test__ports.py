# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets of ports: what people write, what is refused, and their algebra."""

import pytest
from ansible_collections.determined.network.plugins.module_utils import _ports


@pytest.mark.parametrize(
    "value, expected",
    [
        ("", ""),
        ("  ", ""),
        ([], ""),
        (22, "22"),
        ("22", "22"),
        ("1-65535", "1-65535"),
        (" 22 , 80 - 90 ", "22,80-90"),
        ("90,80", "80,90"),
        ("80,81", "80-81"),
        ("80-85,83-90,86", "80-90"),
        ("80,80", "80"),
        ([22, "80-90", ["443"]], "22,80-90,443"),
        (("22", 23), "22-23"),
        ("007", "7"),
    ],
)
def test_parse(value, expected):
    assert _ports.format_ports(_ports.parse_ports(value)) == expected


@pytest.mark.parametrize(
    "value, told",
    [
        (0, "'0' in ports 0: ports are 1 to 65535"),
        (65536, "'65536' in ports 65536: ports are 1 to 65535"),
        ("1024-65536", "'1024-65536' in ports '1024-65536': ports are 1 to 65535"),
        (-1, "'-1' in ports -1: not a number"),
        ("90-80", "'90-80' in ports '90-80': the range runs backwards"),
        ("80-", "'80-' in ports '80-': not a number"),
        ("-", "not a number"),
        ("1-2-3", "not a number"),
        ("22,", "'' in ports '22,': not a number"),
        ("ssh", "'ssh' in ports 'ssh': not a number"),
        ("+1", "not a number"),
        ("1_0", "not a number"),
        ("1.5", "not a number"),
        ("0x16", "not a number"),
        ("\u0662\u0662", "not a number"),
        ("22\n,\u00a03\u00b2", "not a number"),
        ("9" * 30, "ports are 1 to 65535"),
        ("9" * 5000, ""),
        (True, "True is not a port, a range like 1024-65535, or a list of them"),
        (None, "None is not a port"),
        (22.0, "22.0 is not a port"),
        ({}, "{} is not a port"),
        ([22, None], "None is not a port"),
        ([[["x"]]], "not a number"),
    ],
)
def test_parse_says_what_is_wrong(value, told):
    with pytest.raises(ValueError) as caught:
        _ports.parse_ports(value)
    assert told in str(caught.value)


P = _ports.parse_ports


@pytest.mark.parametrize(
    "left, right, union, difference, common",
    [
        ("", "", "", "", ""),
        ("1-9", "", "1-9", "1-9", ""),
        ("", "1-9", "1-9", "", ""),
        ("1-9", "1-9", "1-9", "", "1-9"),
        ("1-9", "5", "1-9", "1-4,6-9", "5"),
        ("5", "1-9", "1-9", "", "5"),
        ("1-9", "5-20", "1-20", "1-4", "5-9"),
        ("5-20", "1-9", "1-20", "10-20", "5-9"),
        ("1-3,7-9", "3-7", "1-9", "1-2,8-9", "3,7"),
        ("1-65535", "22,80,443", "1-65535", "1-21,23-79,81-442,444-65535", "22,80,443"),
        ("1,3,5,7", "2-6", "1-7", "1,7", "3,5"),
        ("1-10,20-30", "10-20", "1-30", "1-9,21-30", "10,20"),
    ],
)
def test_algebra(left, right, union, difference, common):
    assert _ports.union(P(left), P(right)) == P(union)
    assert _ports.subtract(P(left), P(right)) == P(difference)
    assert _ports.intersect(P(left), P(right)) == P(common)


def test_union_of_any_number_of_sets():
    assert _ports.union() == ()
    assert _ports.union(P("1"), P("3"), P("2")) == P("1-3")


def test_numbers_count_contains():
    ports = P("1,5-7")
    assert list(_ports.numbers(ports)) == [1, 5, 6, 7]
    assert _ports.count(ports) == 4
    assert [number for number in range(10) if _ports.contains(ports, number)] == [1, 5, 6, 7]
    assert _ports.from_numbers([7, 1, 6, 5, 5]) == ports
    assert _ports.count(_ports.ALL_PORTS) == 65535


@pytest.mark.parametrize("size", [1, 2, 5, 255, 256, 257, 1000, 65535])
@pytest.mark.parametrize("amount", [1, 2, 16, 256])
def test_evenly_keeps_both_ends(size, amount):
    ports = list(range(1, size + 1))
    chosen = _ports.evenly(ports, amount)
    assert len(chosen) == len(set(chosen)) == min(size, amount)
    assert chosen == sorted(chosen)
    assert chosen[0] == 1
    if amount > 1:
        assert chosen[-1] == size
        gaps = [chosen[index + 1] - chosen[index] for index in range(len(chosen) - 1)]
        assert not gaps or max(gaps) - min(gaps) <= 1
    assert _ports.spread(_ports.from_numbers(ports), amount) == _ports.from_numbers(chosen)
