# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a captured packet is: every part of a trace, of both families."""

import json

import pytest
from ansible_collections.determined.network.plugins.module_utils._wire import marks, sightings
from marked_packets import (
    ACK,
    ENDS,
    FAMILIES,
    ICMP,
    ICMPV6,
    IPV4,
    KINDS,
    MARK,
    OTHER,
    RESET,
    SYN,
    TCP,
    UDP,
    datagram,
    echo,
    ipv4,
    message,
    packet,
    questions,
    replies,
    segment,
)

PORTS = {"syn": (40001, 1734), "syn_ack": (40001, 1734), "reset": (40001, 1734), "datagram": (40001, 1734)}


def read(family, data, mark=MARK):
    return sightings.read(mark, KINDS[family], data, sightings.IN, "eth0", 12.5)


@pytest.mark.parametrize("number", [0, 300, marks.MOST_NUMBERS])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_part(family, number):
    every = dict(questions(family, MARK, number), **replies(family, MARK, number))
    assert set(every) == set(sightings.QUESTIONS + sightings.ANSWERS)
    about = (3, 3) if family == "ipv4" else (1, 3)
    for part, data in every.items():
        ports = PORTS.get(part, (0, 0))
        assert read(family, data) == sightings.Sighting(
            number=number,
            part=part,
            way="in",
            interface="eth0",
            source=ENDS[family][0],
            source_port=ports[0],
            destination=ENDS[family][1],
            destination_port=ports[1],
            hop_limit=63,
            about=about if part == "icmp_error" else (0, 0),
            milliseconds=12.5,
            times=1,
        )


@pytest.mark.parametrize("family", FAMILIES)
def test_packets_of_another_run_are_none(family):
    every = dict(questions(family, OTHER, 1), **replies(family, OTHER, 1))
    assert [part for part, data in every.items() if read(family, data)] == []


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("flags", "sequence", "acknowledgement"),
    [
        (ACK, MARK.sequence(1), MARK.sequence(1) + 1),  # a connection that happens to be there
        (SYN | ACK, MARK.sequence(1), 5),
        (RESET, MARK.sequence(1) + 1, 0),  # the source resets a SYN/ACK
        (RESET | ACK, MARK.sequence(1), 5),
        (0, MARK.sequence(1), 0),
    ],
)
def test_other_segments_are_none(family, flags, sequence, acknowledgement):
    assert read(family, packet(family, TCP, segment(flags, sequence, acknowledgement))) is None


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("part", ["syn", "datagram", "echo"])
def test_an_error_with_the_whole_packet_tells_its_number(family, part):
    kind, code = {"ipv4": (11, 0), "ipv6": (3, 0)}[family]
    found = read(family, packet(family, ICMP, message(kind, code, questions(family, MARK, 9)[part])))
    assert (found.number, found.part, found.about) == (9, "icmp_error", (kind, code))


@pytest.mark.parametrize("family", FAMILIES)
def test_eight_repeated_bytes_tell_the_number_of_a_syn_only(family):
    start = 20 if family == "ipv4" else 40
    kind = {"ipv4": 3, "ipv6": 1}[family]
    found = {
        part: read(family, packet(family, ICMP, message(kind, 1, data[: start + 8])))
        for part, data in questions(family, MARK, 9).items()
    }
    assert found["syn"].number == 9
    # A datagram's number is in its payload, which is not repeated.
    assert found["datagram"] is None and found["echo"] is None


@pytest.mark.parametrize("repeated", range(28))
def test_an_error_that_repeats_less_is_none(repeated):
    data = questions("ipv4", MARK, 9)["syn"][:repeated]
    assert read("ipv4", packet("ipv4", ICMP, message(3, 1, data))) is None


@pytest.mark.parametrize(("family", "kinds"), [("ipv4", {3, 11}), ("ipv6", {1, 2, 3, 4})], ids=["ipv4", "ipv6"])
def test_the_kinds_of_errors(family, kinds):
    syn = questions(family, MARK, 9)["syn"]
    found = {kind for kind in range(256) if read(family, packet(family, ICMP, message(kind, 0, syn)))}
    assert found == kinds


def test_an_error_about_a_later_fragment_is_none():
    about = ipv4(TCP, segment(SYN, MARK.sequence(9)), fragment=185)
    assert read("ipv4", packet("ipv4", ICMP, message(3, 1, about))) is None


def test_options_of_ipv4_are_skipped():
    found = read("ipv4", ipv4(TCP, segment(SYN, MARK.sequence(7)), b"\1" * 40))
    assert (found.number, found.source_port) == (7, 40001)


def test_a_header_that_says_it_is_too_short_is_none():
    # Its last four bytes would be the ports of a SYN.
    data = bytearray(ipv4(TCP, segment(SYN, MARK.sequence(7))[4:]))
    data[0] = 4 << 4 | 4
    assert read("ipv4", bytes(data)) is None


@pytest.mark.parametrize("kind", [0x0806, 0x8100, 0])
def test_other_kinds_of_packets_are_none(kind):
    assert sightings.read(MARK, kind, questions("ipv4", MARK, 1)["syn"], sightings.IN, "eth0", 0.0) is None


def test_the_version_of_the_packet_decides_too():
    assert sightings.read(MARK, KINDS["ipv6"], questions("ipv4", MARK, 1)["syn"], sightings.IN, "eth0", 0.0) is None
    assert sightings.read(MARK, IPV4, questions("ipv6", MARK, 1)["syn"], sightings.IN, "eth0", 0.0) is None


def test_icmp_of_the_other_family_is_none():
    assert read("ipv4", ipv4(ICMPV6, echo("ipv4", MARK.payload(1)))) is None


def test_a_datagram_without_a_payload_is_none():
    assert read("ipv4", ipv4(UDP, datagram(b""))) is None


def test_plain_data_and_back():
    found = read("ipv6", replies("ipv6", MARK, 5)["icmp_error"])
    plain = json.loads(json.dumps(found.to_dict()))
    assert plain["about"] == [1, 3]
    assert sightings.from_dict(plain) == found


def test_repetitions_become_one_and_keep_the_first_time():
    first = read("ipv4", questions("ipv4", MARK, 1)["syn"])
    second = read("ipv4", questions("ipv4", MARK, 2)["syn"])
    again = first._replace(milliseconds=320.0)
    elsewhere = first._replace(interface="eth1", milliseconds=400.0)
    found = {}
    for one in (first, second, again, elsewhere, again._replace(times=4)):
        assert sightings.add(found, one, most=3)
    assert list(found.values()) == [
        first._replace(times=6),
        second,
        elsewhere,
    ]


def test_more_sightings_than_there_is_room_for_are_refused():
    first = read("ipv4", questions("ipv4", MARK, 1)["syn"])
    found = {}
    assert sightings.add(found, first, most=1) and sightings.add(found, first, most=1)
    assert not sightings.add(found, first._replace(interface="eth1"), most=1) and len(found) == 1


def test_a_repetition_differs_in_its_time_only():
    first = read("ipv4", questions("ipv4", MARK, 1)["syn"])
    assert sightings.without_time(first) == sightings.without_time(first._replace(milliseconds=9.0, times=3))
    assert sightings.without_time(first) != sightings.without_time(first._replace(way=sightings.OUT))
