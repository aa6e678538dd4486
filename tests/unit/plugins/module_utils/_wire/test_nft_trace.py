# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's messages about traced packets, built as the kernel builds them."""

import pytest
from ansible_collections.determined.network.plugins.module_utils._wire import nft_trace
from marked_packets import (
    FAMILIES,
    MARK,
    OTHER,
    attribute,
    netlink_message,
    questions,
    replies,
    trace_message,
    word,
)

POLICY, RETURN, RULE = 1, 2, 3
DROP, ACCEPT, QUEUE, CONTINUE, JUMP, GOTO = 0, 1, 3, -1, -3, -4
SYN = questions("ipv4", MARK, 7)["syn"]


def read(*datagrams):
    reader = nft_trace.Reader(MARK)
    return [event for data in datagrams for event in reader.read(data)]


def event(**changed):
    drop = nft_trace.Event(7, "syn", 5, "ip", "filter", "INPUT", "rule", 4, "drop", "")
    return drop._replace(**changed)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_part_is_known_by_its_headers(family):
    every = dict(questions(family, MARK, 7), **replies(family, MARK, 7))
    del every["icmp_error"]  # the table of the trace marks none
    for part, data in every.items():
        message = trace_message(5, "filter", "INPUT", RULE, family, data, handle=4, code=DROP)
        expected = event(part=part, family={"ipv4": "ip", "ipv6": "ip6"}[family])
        assert read(message) == [expected]


def test_only_the_first_message_has_headers():
    found = read(
        trace_message(5, "filter", "INPUT", RULE, headers=SYN, handle=4, code=JUMP, target="ufw-user"),
        trace_message(5, "filter", "ufw-user", RULE, handle=9, code=CONTINUE),
        trace_message(5, "filter", "ufw-user", RETURN),
        trace_message(5, "filter", "INPUT", POLICY, policy=DROP),
    )
    assert found == [
        event(verdict="jump", target="ufw-user"),
        event(chain="ufw-user", handle=9, verdict="continue"),
        event(chain="ufw-user", what="return", handle=0, verdict=""),
        event(what="policy", handle=0),
    ]


def test_several_messages_in_one_datagram():
    first = trace_message(5, "filter", "INPUT", RULE, headers=SYN, handle=4, code=CONTINUE)
    second = trace_message(5, "filter", "INPUT", POLICY, policy=ACCEPT)
    assert [found.verdict for found in read(first + second)] == ["continue", "accept"]


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        (DROP, "drop"),
        (1 << 16, "drop"),  # NF_DROP_ERR(-EPERM)
        (111 << 16, "drop"),  # NF_DROP_ERR(-ECONNREFUSED)
        (ACCEPT, "accept"),
        (2, "stolen"),
        (QUEUE, "queue"),
        (7 << 16 | QUEUE, "queue"),  # NF_QUEUE_NR(7)
        (0xFFFF8003 - (1 << 32), "queue"),  # NF_QUEUE_NR(65535), with the flag for a bypass
        (CONTINUE, "continue"),
        (-2, "break"),
        (JUMP, "jump"),
        (GOTO, "goto"),
        (-5, "return"),
        (9, "9"),
    ],
)
def test_verdicts(code, verdict):
    assert read(trace_message(5, "filter", "INPUT", RULE, headers=SYN, handle=4, code=code))[0].verdict == verdict


@pytest.mark.parametrize(("policy", "verdict"), [(DROP, "drop"), (ACCEPT, "accept"), (77, "?")])
def test_policies(policy, verdict):
    found = read(trace_message(5, "filter", "INPUT", POLICY, headers=SYN, policy=policy))
    assert found == [event(what="policy", handle=0, verdict=verdict)]


def test_a_verdict_that_cannot_be_read_is_told_so():
    message = trace_message(5, "filter", "INPUT", RULE, headers=SYN, handle=4)
    without_code = netlink_message(10 << 8 | 17, message[16:] + attribute(5, attribute(2, b"x\0")))
    short = netlink_message(10 << 8 | 17, message[16:] + attribute(5, attribute(1, b"\0\0")))
    assert [found.verdict for found in read(message, without_code, short)] == ["", "?", "?"]


def test_unknown_attributes_change_nothing():
    message = trace_message(5, "filter", "INPUT", RULE, headers=SYN, handle=4, code=DROP)
    longer = netlink_message(10 << 8 | 17, message[16:] + attribute(17, word(1)) + attribute(300, b"x"))
    assert read(longer) == [event()]


@pytest.mark.parametrize("missing", [1, 2, 4, 6, 15])
def test_a_message_without_what_it_needs_is_no_event(missing):
    parts = {1: b"filter\0", 2: b"INPUT\0", 4: word(RULE), 6: word(5), 8: SYN[:20], 9: SYN[20:], 15: word(2)}

    def build(kinds):
        return netlink_message(10 << 8 | 17, b"\1\0\0\0" + b"".join(attribute(kind, parts[kind]) for kind in kinds))

    assert len(read(build(parts))) == 1
    assert read(build(kind for kind in parts if kind != missing)) == []


def test_other_kinds_of_messages_are_no_events():
    message = trace_message(5, "filter", "INPUT", RULE, headers=SYN, handle=4, code=DROP)
    assert read(netlink_message(2, message[16:]), netlink_message(10 << 8 | 6, message[16:])) == []


def test_a_packet_that_somebody_else_traces_is_no_event():
    foreign = questions("ipv4", OTHER, 7)["syn"]
    first = trace_message(5, "filter", "INPUT", RULE, headers=foreign, handle=4, code=JUMP, target="x")
    assert read(first, trace_message(5, "filter", "x", RULE, handle=1, code=DROP)) == []


def test_an_id_that_the_kernel_uses_again_is_of_the_new_packet():
    foreign = questions("ipv4", OTHER, 7)["syn"]
    other = questions("ipv4", MARK, 8)["datagram"]
    found = read(
        trace_message(5, "filter", "INPUT", RULE, headers=SYN, handle=4, code=DROP),
        trace_message(5, "filter", "INPUT", RULE, headers=foreign, handle=4, code=CONTINUE),
        trace_message(5, "filter", "INPUT", POLICY, policy=DROP),
        trace_message(5, "filter", "INPUT", RULE, headers=other, handle=6, code=DROP),
    )
    assert found == [event(), event(number=8, part="datagram", handle=6)]


# --- decisive ---------------------------------------------------------------------------------------


def test_of_repeated_packets_the_last_one_counts():
    events = [event(packet=packet, verdict=verdict) for packet, verdict in [(1, "accept"), (2, "drop")]]
    assert nft_trace.decisive(events) == [events[1]]


def test_a_syn_and_its_answer_are_packets_of_their_own():
    events = [event(packet=1), event(packet=2, part="syn_ack")]
    assert nft_trace.decisive(events) == events


def test_rules_that_decide_nothing_are_left_out():
    verdicts = ["continue", "break", "", "jump", "goto", "return", "accept", "drop", "queue", "stolen", "?", "9"]
    events = [event(verdict=verdict) for verdict in verdicts]
    assert [found.verdict for found in nft_trace.decisive(events)] == ["accept", "drop", "queue", "stolen"]


def test_of_our_own_table_one_event_for_each_hook_remains():
    own = event(table=nft_trace.table_name("t"), chain="prerouting", handle=2, verdict="continue")
    events = [
        own,
        own._replace(handle=3),
        own._replace(what="policy", handle=0, verdict="accept"),
        event(),
        own._replace(chain="output", what="policy", handle=0, verdict="accept"),
    ]
    assert nft_trace.decisive(events) == [own._replace(handle=0), event(), own._replace(chain="output", handle=0)]
    assert [nft_trace.is_own(found) for found in nft_trace.decisive(events)] == [True, False, True]


def test_an_event_is_plain_data():
    assert nft_trace.Event(**event().to_dict()) == event()


# --- the table --------------------------------------------------------------------------------------


def test_the_table_holds_the_numbers_of_the_run_and_decides_nothing():
    text = nft_trace.table("run-1", MARK)
    assert text.startswith("table inet determined_trace_run-1 {\n") and text.endswith("}\n")
    assert text.count(f"tcp sequence {MARK.sequence(0)}-{MARK.sequence(0xFFFF)}") == 2
    assert text.count("policy accept;") == 2
    assert not {"drop", "accept", "reject", "return"} & set(text.replace("policy accept;", "").split())
