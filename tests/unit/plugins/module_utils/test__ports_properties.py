# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The algebra of port sets against Python's own sets."""

from ansible_collections.determined.network.plugins.module_utils import _ports
from hypothesis import given, settings
from hypothesis import strategies as st

# Few ports, so that sets touch, overlap and coincide often; and all ports, for the ends.
small = st.sets(st.integers(1, 40))
ends = st.sets(st.sampled_from([1, 2, 3, 65533, 65534, 65535, 1023, 1024, 1025]))
port_numbers = st.one_of(small, ends, st.sets(st.integers(1, 65535), max_size=12))
checked = settings(derandomize=True, deadline=None, max_examples=150)


def normal(ports):
    """Sorted, disjoint, not adjacent, and within what a port can be."""
    flat = [number for pair in ports for number in pair]
    assert flat == sorted(flat)
    assert all(first <= last for first, last in ports)
    assert all(after[0] > before[1] + 1 for before, after in zip(ports, ports[1:], strict=False))
    assert not flat or (flat[0] >= 1 and flat[-1] <= 65535)
    return ports


@checked
@given(port_numbers, port_numbers)
def test_algebra(left, right):
    one, other = _ports.from_numbers(left), _ports.from_numbers(right)
    assert set(_ports.numbers(normal(one))) == left
    assert set(_ports.numbers(normal(_ports.union(one, other)))) == left | right
    assert set(_ports.numbers(normal(_ports.subtract(one, other)))) == left - right
    assert set(_ports.numbers(normal(_ports.intersect(one, other)))) == left & right


@checked
@given(port_numbers, st.integers(0, 65536))
def test_members(numbers, number):
    ports = _ports.from_numbers(numbers)
    assert _ports.count(ports) == len(numbers)
    assert _ports.contains(ports, number) is (number in numbers)


@checked
@given(st.lists(st.tuples(st.integers(1, 65535), st.integers(1, 65535)).map(lambda pair: tuple(sorted(pair)))))
def test_any_ranges_become_one_set(ranges):
    ports = normal(_ports.normalize(ranges))
    expected = set()
    for first, last in ranges[:3]:
        expected.update(range(first, last + 1))
    assert expected <= set(_ports.numbers(ports))
    assert _ports.normalize(reversed(ranges)) == ports


@checked
@given(port_numbers)
def test_texts_are_read_back(numbers):
    ports = _ports.from_numbers(numbers)
    assert _ports.parse_ports(_ports.format_ports(ports)) == ports


@checked
@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.text("0123456789,- ")),
        lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(), inner, max_size=2)),
    )
)
def test_anything_is_a_port_set_or_a_sentence(value):
    try:
        ports = _ports.parse_ports(value)
    except ValueError as problem:
        assert str(problem)
    else:
        assert _ports.parse_ports(_ports.format_ports(normal(ports))) == ports
