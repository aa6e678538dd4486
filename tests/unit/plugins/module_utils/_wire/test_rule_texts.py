# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The texts of rules: what is asked of a host, and what is made of its answers."""

import pytest
from ansible_collections.determined.network.plugins.module_utils._host.commands import FindTool, Output
from ansible_collections.determined.network.plugins.module_utils._wire import rule_texts

ALL_TOOLS = ("nft", "iptables-nft", "ip6tables-nft")
INPUT = """table ip filter { # handle 1
\tchain INPUT { # handle 1
\t\ttype filter hook input priority filter; policy drop;
\t\tiifname "lo" counter packets 7 bytes 420 accept # handle 5
\t\ttcp dport 80 counter packets 3 bytes 180 drop # handle 4
\t\tcounter packets 0 bytes 0 jump ufw-user # handle 9
\t}
}
"""
IPTABLES = """-P INPUT DROP
-A INPUT -i lo -j ACCEPT
-A INPUT -p tcp -m tcp --dport 80 -j DROP
-A INPUT -j ufw-user
"""
HOOK = "type filter hook input priority filter; policy drop;"
MISSING = Output(1, "", "Error: No such file or directory")


def ask(wanted, answers, tools=ALL_TOOLS):
    """Drive a conversation -> (its result, the commands it ran, without the first word's folder)."""
    ran = []
    conversation = rule_texts.read(wanted)
    try:
        question = next(conversation)
        while True:
            if isinstance(question, FindTool):
                answer = "/sbin/" + question.name if question.name in tools else None
            else:
                command = " ".join(question.argv).replace("/sbin/", "")
                ran.append(command)
                answer = answers.get(command, MISSING)
                answer = answer if isinstance(answer, Output) else Output(0, answer, "")
            question = conversation.send(answer)
    except StopIteration as end:
        return end.value, ran


LIST_INPUT = "nft --handle list chain ip filter INPUT"
LIST_IPTABLES = "iptables-nft --wait 5 --table filter --list-rules INPUT"


def test_rules_of_iptables_are_shown_as_iptables_prints_them():
    wanted = [("ip", "filter", "INPUT", 4), ("ip", "filter", "INPUT", 0)]
    found, ran = ask(wanted, {LIST_INPUT: INPUT, LIST_IPTABLES: IPTABLES})
    assert found == [
        rule_texts.RuleText(
            "ip", "ip", "filter", "INPUT", 4, 2, "iptables-nft", "-A INPUT -p tcp -m tcp --dport 80 -j DROP"
        ),
        rule_texts.RuleText("ip", "ip", "filter", "INPUT", 0, 0, "nft", HOOK),
    ]
    assert ran == [LIST_INPUT, LIST_IPTABLES]
    assert rule_texts.RuleText(**found[0].to_dict()) == found[0]


@pytest.mark.parametrize(
    "answer",
    [IPTABLES + "-A INPUT -j DROP\n", "-P INPUT DROP\n", Output(1, "", "incompatible, use 'nft' tool"), MISSING],
)
def test_when_the_programs_do_not_agree_nft_is_right(answer):
    found, _ran = ask([("ip", "filter", "INPUT", 4)], {LIST_INPUT: INPUT, LIST_IPTABLES: answer})
    assert found == [rule_texts.RuleText("ip", "ip", "filter", "INPUT", 4, 2, "nft", "tcp dport 80 counter drop")]


def test_without_iptables_nft_is_shown():
    found, ran = ask([("ip", "filter", "INPUT", 5)], {LIST_INPUT: INPUT}, tools=("nft",))
    assert [rule.text for rule in found] == ['iifname "lo" counter accept']
    assert ran == [LIST_INPUT]


def test_without_nft_nothing_is_asked():
    assert ask([("ip", "filter", "INPUT", 5)], {}, tools=()) == ([], [])


def test_ipv6_asks_the_program_of_ipv6():
    listed = "nft --handle list chain ip6 filter INPUT"
    saved = "ip6tables-nft --wait 5 --table filter --list-rules INPUT"
    found, ran = ask(
        [("ip6", "filter", "INPUT", 4)], {listed: INPUT.replace("ip filter", "ip6 filter"), saved: IPTABLES}
    )
    assert [(rule.family, rule.program, rule.position) for rule in found] == [("ip6", "ip6tables-nft", 2)]
    assert ran == [listed, saved]


FIREWALLD = """table inet firewalld { # handle 3
\tchain filter_INPUT { # handle 100
\t\ttype filter hook input priority filter + 10; policy accept;
\t\tct state { established, related } accept # handle 110
\t\tmeta l4proto { tcp, udp } th dport vmap { 53 : drop, 80 : jump x } # handle 111
\t\treject with icmpx admin-prohibited comment "rule # handle 99" # handle 112
\t}
}
"""


def test_a_table_of_family_inet_is_found_behind_the_packets_family():
    listed = "nft --handle list chain inet firewalld filter_INPUT"
    wanted = [("ip", "firewalld", "filter_INPUT", 112), ("ip", "firewalld", "filter_INPUT", 0)]
    found, ran = ask(wanted, {listed: FIREWALLD})
    assert [(rule.table_family, rule.handle, rule.position, rule.program, rule.text) for rule in found] == [
        ("inet", 112, 3, "nft", 'reject with icmpx admin-prohibited comment "rule # handle 99"'),
        ("inet", 0, 0, "nft", "type filter hook input priority filter + 10; policy accept;"),
    ]
    assert ran == ["nft --handle list chain ip firewalld filter_INPUT", listed]


def test_a_table_of_the_same_name_that_lacks_the_rule_is_passed_over():
    listed = "nft --handle list chain inet filter INPUT"
    inet = INPUT.replace("ip filter", "inet filter").replace("handle 4", "handle 44")
    found, _ran = ask([("ip", "filter", "INPUT", 44)], {LIST_INPUT: INPUT, LIST_IPTABLES: IPTABLES, listed: inet})
    # iptables has no tables of family inet, so what it prints is of another chain.
    assert [(rule.table_family, rule.program, rule.text) for rule in found] == [
        ("inet", "nft", "tcp dport 80 counter drop")
    ]


def test_a_rule_that_is_not_there_any_more_is_left_out():
    found, ran = ask([("ip", "filter", "INPUT", 77), ("ip", "gone", "c", 3)], {LIST_INPUT: INPUT})
    assert found == []
    assert "nft --handle list chain inet gone c" in ran


def test_sets_and_chains_have_handles_and_are_no_rules():
    listed = FIREWALLD.replace("\tchain", "\tset blocked { # handle 110\n\t\ttype ipv4_addr\n\t}\n\n\tchain")
    found, _ran = ask(
        [("ip", "firewalld", "filter_INPUT", 110)], {"nft --handle list chain inet firewalld filter_INPUT": listed}
    )
    assert [(rule.position, rule.text) for rule in found] == [(1, "ct state { established, related } accept")]


def test_a_chain_without_a_hook_has_no_policy():
    listed = "table ip t {\n\tchain c { # handle 1\n\t\tdrop # handle 2\n\t}\n}\n"
    wanted = [("ip", "t", "c", 2), ("ip", "t", "c", 0)]
    found, _ran = ask(wanted, {"nft --handle list chain ip t c": listed})
    assert [(rule.handle, rule.text) for rule in found] == [(2, "drop")]


def test_each_chain_is_asked_once_and_no_more_than_the_limit():
    wanted = [("ip", "t", f"c{number:03}", handle) for number in range(100) for handle in (1, 2)]
    _found, ran = ask(wanted, {})
    assert len(ran) == 2 * rule_texts.MOST_CHAINS
    assert len(set(ran)) == len(ran)
