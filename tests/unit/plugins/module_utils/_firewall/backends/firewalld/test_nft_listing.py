"""The texts of what nft lists. The rules were listed by nft 1.0.6 and 1.1.3."""

import json

import pytest
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld import (
    nft_listing,
    nft_table,
)


def match(left, right, operator="=="):
    return {"match": {"op": operator, "left": left, "right": right}}


def payload(protocol, field):
    return {"payload": {"protocol": protocol, "field": field}}


def text_of(expressions, **more):
    listed = {"nftables": [{"rule": {"chain": "inbound", "expr": expressions, **more}}]}
    _table, (counter,) = nft_listing.parse(json.dumps(listed))
    return counter.rule


COUNTER = {"counter": {"packets": 3, "bytes": 180}}
FLAGS = payload("tcp", "flags")
NO_SYN = "tcp flags & (syn | ack) != syn"


@pytest.mark.parametrize(
    "expressions, text",
    [
        ([match({"fib": {"result": "type", "flags": ["daddr"]}}, "local"), {"jump": {"target": "inbound"}}],
         "fib daddr type local jump inbound"),
        ([match({"meta": {"key": "iifname"}}, "br-*"), {"return": None}], 'iifname "br-*" return'),
        ([match({"ct": {"key": "state"}}, ["related", "established"], "in"), {"return": None}],
         "ct state established,related return"),
        ([match({"ct": {"key": "status"}}, "dnat", "in"), {"return": None}], "ct status dnat return"),
        ([match({"&": [FLAGS, ["syn", "ack"]]}, "syn", "!=")], NO_SYN),
        ([match({"&": [FLAGS, {"|": ["syn", "ack"]}]}, "syn", "!=")], NO_SYN),
        ([match({"fib": {"result": "type", "flags": "daddr"}}, "multicast")], "fib daddr type multicast"),
        ([match({"meta": {"key": "iifname"}}, "lo", "!="),
          match({"fib": {"result": "type", "flags": ["saddr"]}}, "local"), {"jump": {"target": "forged"}}],
         'iifname != "lo" fib saddr type local jump forged'),
        ([match(payload("ip6", "saddr"), {"prefix": {"addr": "fe80::", "len": 10}}),
          match({"fib": {"result": "type", "flags": ["saddr", "iif"]}}, "local", "!="), {"return": None}],
         "ip6 saddr fe80::/10 fib saddr . iif type != local return"),
        ([match(payload("ip", "saddr"), "@agents_v4"), match(payload("tcp", "dport"), {"range": [1, 65535]})],
         "ip saddr @agents_v4 tcp dport 1-65535"),
        ([match(payload("tcp", "dport"), {"set": [22, {"range": [2600, 2900]}]})], "tcp dport { 22, 2600-2900 }"),
        ([match({"meta": {"key": "nfproto"}}, "ipv6"), match(payload("udp", "sport"), 547)],
         "meta nfproto ipv6 udp sport 547"),
        ([match({"meta": {"key": "l4proto"}}, "ipv6-icmp"), COUNTER, {"drop": None}],
         "meta l4proto ipv6-icmp counter drop"),
    ],
)  # fmt: skip
def test_rules_that_we_write(expressions, text):
    assert text_of(expressions) == text
    assert text_of(expressions, comment="why") == f'{text} comment "why"'


@pytest.mark.parametrize(
    "expression",
    [
        match({"meta": {"key": "iifname"}}, "br-*", "!="),
        match({"meta": {"key": "iifname"}}, {"set": ["a", "b"]}),
        match({"&": [FLAGS, ["syn", "rst"]]}, "syn", "!="),
        match({"&": [FLAGS, ["syn", "rst", "ack"]]}, "ack"),
        match({"fib": {"result": "type", "flags": ["saddr", "iif"]}}, "local"),
        match({"fib": {"result": "oif", "flags": ["saddr"]}}, "local"),
        match({"fib": {"result": "type", "flags": ["saddr", "mark"]}}, "local", "!="),
        match(payload("tcp", "dport"), {"set": [{"elem": {"val": 22}}]}),
        match({"ct": {"key": "state", "dir": "original"}}, "new"),
        {"accept": None},
        {"limit": {"rate": 1}},
    ],
)
def test_any_other_rule_differs_from_ours(expression):
    assert text_of([expression]) == json.dumps(expression, sort_keys=True)


def listing(*items):
    return json.dumps({"nftables": [{"metainfo": {"json_schema_version": 1}}] + list(items)})


SET = {"set": {"family": "inet", "name": "a_v4", "table": "determined", "type": "ipv4_addr", "flags": ["interval"]}}
BASE = {"chain": {"name": "input", "type": "filter", "hook": "input", "prio": -150, "policy": "accept"}}


def test_a_table():
    members = ["192.0.2.11", {"prefix": {"addr": "198.51.100.0", "len": 24}}, "192.0.2.2"]
    text = listing(
        {"set": dict(SET["set"], elem=members)},
        BASE,
        {"chain": {"name": "inbound"}},
        {"rule": {"chain": "inbound", "expr": [COUNTER, {"drop": None}], "comment": "rest"}},
    )
    table, counters = nft_listing.parse(text)
    assert table == nft_table.Table(
        (("a_v4", "ipv4_addr", "interval", ("192.0.2.2", "192.0.2.11", "198.51.100.0/24")),),
        (
            nft_table.Chain("inbound", "", 0, ('counter drop comment "rest"',)),
            nft_table.Chain("input", "input", -150, ()),
        ),
    )
    assert counters == [("inbound", 'counter drop comment "rest"', 3, 180)]


def test_a_base_chain_that_drops_is_not_ours():
    table, _unused = nft_listing.parse(listing({"chain": dict(BASE["chain"], policy="drop")}))
    assert table.chains[0].hook != "input"


def test_whether_our_table_exists():
    assert nft_listing.has_table(listing({"table": {"family": "inet", "name": "determined"}}))
    assert not nft_listing.has_table(listing({"table": {"family": "ip", "name": "determined"}}))
    assert not nft_listing.has_table(listing())


@pytest.mark.parametrize("text", ["", "{}", "[]", "table inet determined {", '{"nftables": '])
def test_anything_else_is_an_error(text):
    with pytest.raises(ValueError):
        nft_listing.has_table(text)
    with pytest.raises(ValueError):
        nft_listing.parse(text)
