# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A mark comes back as the number of its packet, and no other number passes for one."""

import pytest
from ansible_collections.determined.network.plugins.module_utils._wire import marks
from marked_packets import MARK, OTHER

NUMBERS = [0, 1, 0xFF, 0x100, marks.MOST_NUMBERS]


@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_comes_back_from_everything_that_bears_it(number):
    sequence = MARK.sequence(number)
    assert MARK.of_sequence(sequence) == number
    assert MARK.of_acknowledgement(sequence + 1) == number
    assert MARK.of_payload(MARK.payload(number)) == number


@pytest.mark.parametrize("number", NUMBERS)
def test_the_mark_of_another_run_is_none(number):
    assert OTHER.of_sequence(MARK.sequence(number)) is None
    assert OTHER.of_acknowledgement(MARK.sequence(number) + 1) is None
    assert OTHER.of_payload(MARK.payload(number)) is None


def test_the_last_numbers_of_a_tag():
    assert MARK.of_sequence(MARK.first_sequence + 0xFFFF) is None
    assert MARK.of_acknowledgement(MARK.first_sequence) is None  # it would be of number -1
    assert MARK.of_payload(MARK.payload(0)[:4] + b"\xff\xff") is None


def test_no_acknowledgement_is_below_zero():
    assert marks.Mark(0xFFFF).of_acknowledgement(0) is None
    assert marks.Mark(0xFFFF).of_acknowledgement(0xFFFFFFFF) == 0xFFFE
    assert marks.Mark(1).of_acknowledgement(0) is None


def test_a_payload_has_its_length_and_its_start():
    payload = MARK.payload(3)
    assert len(payload) == marks.PAYLOAD_LENGTH
    assert int.from_bytes(payload[:4], "big") == MARK.payload_start


@pytest.mark.parametrize("length", [0, 1, 4, 5])
def test_too_short_a_payload_is_not_marked(length):
    assert MARK.of_payload(MARK.payload(3)[:length]) is None


def test_six_bytes_of_a_payload_are_enough():
    assert MARK.of_payload(MARK.payload(3)[:6]) == 3


@pytest.mark.parametrize("tag", [1, 0xFFFF])
def test_a_tag(tag):
    assert marks.Mark(tag).tag == tag


@pytest.mark.parametrize("tag", [0, -1, 0x10000])
def test_a_tag_that_does_not_fit(tag):
    with pytest.raises(ValueError) as caught:
        marks.Mark(tag)
    assert str(tag) in str(caught.value) and "1 to 65535" in str(caught.value)
