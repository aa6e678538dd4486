# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever comes from the wire, or in a message of nf_tables, is read without an exception."""

from ansible_collections.determined.network.plugins.module_utils._wire import nft_trace, sightings
from hypothesis import given, settings
from hypothesis import strategies as st
from marked_packets import (
    FAMILIES,
    KINDS,
    MARK,
    attribute,
    netlink_message,
    questions,
    replies,
    trace_message,
)

checked = settings(derandomize=True, deadline=None, max_examples=200)
PACKETS = [
    (family, data)
    for family in FAMILIES
    for data in [*questions(family, MARK, 3).values(), *replies(family, MARK, 3).values()]
]


@st.composite
def damaged(draw, data):
    """Bytes of a real packet or message: cut off, longer, or with some other bytes."""
    result = bytearray(draw(data))
    for place, value in draw(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=6)):
        if place < len(result):
            result[place] = value
    return bytes(result[: draw(st.integers(0, len(result)))]) + draw(st.binary(max_size=8))


def check_sighting(kind, data):
    found = sightings.read(MARK, kind, data, sightings.OUT, "eth0", 0.0)
    assert found is None or found.part in sightings.QUESTIONS + sightings.ANSWERS
    assert found is None or sightings.from_dict(found.to_dict()) == found


@checked
@given(st.sampled_from(sorted(KINDS.values())), st.binary(max_size=120))
def test_any_bytes(kind, data):
    check_sighting(kind, data)


@checked
@given(st.sampled_from(sorted(KINDS.values())), damaged(st.sampled_from([data for _family, data in PACKETS])))
def test_damaged_packets(kind, data):
    check_sighting(kind, data)


messages = st.builds(
    trace_message,
    st.integers(0, 3),
    st.sampled_from(["filter", "determined_trace_t", ""]),
    st.sampled_from(["INPUT", ""]),
    st.integers(0, 4),
    headers=st.sampled_from([b"", *(data for family, data in PACKETS if family == "ipv4")]),
    handle=st.integers(0, 2**64 - 1),
    code=st.none() | st.integers(-(2**31), 2**31 - 1),
    target=st.sampled_from(["", "ufw-user"]),
    policy=st.none() | st.integers(0, 2**32 - 1),
)
attributes = st.lists(
    st.builds(attribute, st.integers(0, 20) | st.just(5 | 0x8000), st.binary(max_size=24)), max_size=12
)
invented = st.builds(
    lambda parts: netlink_message(10 << 8 | 17, b"\1\0\0\0" + b"".join(parts)),
    attributes,
)


def check_events(datagrams):
    reader = nft_trace.Reader(MARK)
    events = [event for data in datagrams for event in reader.read(data)]
    assert all(event.number == 3 for event in events)
    decisive = nft_trace.decisive(events)
    assert len(decisive) <= len(events)
    assert nft_trace.decisive(decisive) == decisive


@checked
@given(st.lists(st.binary(max_size=120), max_size=3))
def test_any_datagrams(datagrams):
    check_events(datagrams)


@checked
@given(st.lists(messages | invented, max_size=5))
def test_messages_with_any_attributes(datagrams):
    check_events(datagrams)


@checked
@given(st.lists(damaged(messages), max_size=5))
def test_damaged_messages(datagrams):
    reader = nft_trace.Reader(MARK)
    for data in datagrams:
        nft_trace.decisive(reader.read(data))
