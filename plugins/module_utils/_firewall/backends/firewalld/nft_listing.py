# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``nft -j list`` prints -> the values of :mod:`nft_table`. Source: libnftables-json(5).

Releases of nft list the same rule in different forms: flags as a list or as a tree, one operator or another. Here each
part of a rule that we write has one text. Any other part of a rule keeps its JSON as its text, so that the rule differs
from each of ours.
"""

import json
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from ansible_collections.determined.network.plugins.module_utils._firewall.backends import members
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld.nft_table import (
    FAMILY,
    NAME,
    Chain,
    Set,
    Table,
)

_CT_STATES = ("established", "related", "new", "invalid", "untracked")
_FIB_TYPES = ("local", "broadcast", "multicast")
# (mask, operator, flags) -> text
_TCP_FLAGS = {
    (frozenset(("syn", "ack")), "!=", "syn"): "tcp flags & (syn | ack) != syn",
}

# A value of JSON. Its type differs between releases of nft.
_Json = Any


class Counter(NamedTuple):
    """A rule's counter. ``rule``: the rule's text. ``packets``, ``octets``: None for a rule without a counter."""

    chain: str
    rule: str
    packets: Optional[int]
    octets: Optional[int]


def parse(text: str) -> Tuple[Table, List[Counter]]:
    """The output of ``nft -j list table inet determined`` -> (Table, one Counter for each rule in nft's order).

    Raises ValueError when the text is not such an output.
    """
    sets: List[Set] = []
    chains: List[Chain] = []
    counters: List[Counter] = []
    for item in _objects(text):
        kind, value = next(iter(item.items()))
        if kind == "set":
            sets.append(_set(value))
        elif kind == "chain":
            chains.append(_chain(value))
        elif kind == "rule":
            counters.append(_counter(value))
        elif kind not in ("metainfo", "table"):
            # We make no flow table and no map: as a set of its own it shows as a difference.
            sets.append(Set(json.dumps(item, sort_keys=True), kind, "", ()))
    with_rules = [
        chain._replace(rules=tuple(counter.rule for counter in counters if counter.chain == chain.name))
        for chain in chains
    ]
    return Table(tuple(sorted(sets)), tuple(sorted(with_rules))), counters


def has_table(text: str) -> bool:
    """The output of ``nft -j list tables`` -> whether our table exists.

    Raises ValueError when the text is not such an output.
    """
    tables = [item["table"] for item in _objects(text) if "table" in item]
    return any(table["family"] == FAMILY and table["name"] == NAME for table in tables)


def _objects(text: str) -> List[Dict[str, _Json]]:
    try:
        objects: List[Dict[str, _Json]] = json.loads(text)["nftables"]
    except (KeyError, TypeError, ValueError) as problem:
        raise ValueError("it is not what nft -j prints: %s" % problem) from problem
    return objects


def _set(value: Dict[str, _Json]) -> Set:
    elements = [_element(element) for element in value.get("elem", ())]
    flags = ",".join(sorted(value.get("flags", ())))
    return Set(value["name"], str(value["type"]), flags, members.ordered(elements))


def _element(element: _Json) -> str:
    if isinstance(element, dict) and "prefix" in element:
        return "%s/%s" % (element["prefix"]["addr"], element["prefix"]["len"])
    return element if isinstance(element, str) else _as_json(element)


def _chain(value: Dict[str, _Json]) -> Chain:
    """A Chain without its rules. A type or policy that is not ours becomes part of the hook, as a difference."""
    policy = value.get("policy", "accept")
    is_ours = policy == "accept" and value.get("type", "filter") == "filter"
    hook = value.get("hook", "") + ("" if is_ours else " %s" % policy)
    return Chain(value["name"], hook, value.get("prio", 0), ())


def _counter(value: Dict[str, _Json]) -> Counter:
    """A rule -> its text and the values of its counter."""
    texts: List[str] = []
    packets, octets = None, None
    for part in value["expr"]:
        texts.append(_statement(part))
        if texts[-1] == "counter":
            packets, octets = part["counter"].get("packets"), part["counter"].get("bytes")
    if "comment" in value:
        texts.append('comment "%s"' % value["comment"])
    return Counter(value["chain"], " ".join(texts), packets, octets)


def _statement(part: Dict[str, _Json]) -> str:
    """One statement of a rule -> its text. A statement that we never write keeps its JSON."""
    kind, value = next(iter(part.items()))
    if kind == "match":
        return _match(value) or _as_json(part)
    if kind == "counter" and isinstance(value, dict):
        return "counter"
    if kind in ("return", "drop") and value is None:
        return kind
    if kind == "jump":
        return "jump %s" % value["target"]
    return _as_json(part)


def _match(match: Dict[str, _Json]) -> Optional[str]:
    """The text of a match that we write; None for any other match."""
    operator, right = match["op"], match["right"]
    kind, left = next(iter(match["left"].items()))
    if kind == "&":
        return _match_of_flags(left, operator, right)
    if operator == "!=":
        return _match_of_others(kind, left, right)
    known = _MATCHES.get(kind)
    return known(left, right) if known and operator in ("==", "in") else None


def _match_of_others(kind: str, left: _Json, right: _Json) -> Optional[str]:
    """The text of one of our matches with the operator ``!=``; None for any other match."""
    if kind == "meta" and (left, right) in (({"key": "l4proto"}, "tcp"), ({"key": "iifname"}, "lo")):
        return "meta l4proto != tcp" if right == "tcp" else 'iifname != "lo"'
    values = sorted(right["set"]) if isinstance(right, dict) and set(right) == {"set"} else [right]
    if not all(isinstance(value, str) for value in values):
        return None
    if kind == "fib" and left.get("result") == "type":
        if _fib_flags(left) == "daddr":
            return "fib daddr type != { %s }" % ", ".join(sorted(values, key=_order_of_fib))
        return "fib saddr . iif type != local" if (_fib_flags(left), right) == ("iif . saddr", "local") else None
    if kind == "payload" and left == {"protocol": "ether", "field": "daddr"}:
        return "ether daddr != { %s }" % ", ".join(values)
    return None


def _order_of_fib(name: str) -> Tuple[int, str]:
    """The key that sorts types of addresses as we write them, and other names after them."""
    return (_FIB_TYPES.index(name) if name in _FIB_TYPES else len(_FIB_TYPES)), name


def _fib_flags(left: Dict[str, _Json]) -> str:
    """The flags of a fib expression, sorted. Some releases of nft list a single one without a list."""
    flags = left.get("flags")
    return " . ".join(sorted(_flags(flags)))


def _match_of_flags(left: _Json, operator: str, right: _Json) -> Optional[str]:
    """A match of TCP flags -> its text in the table of ours."""
    field, mask = left
    if field != {"payload": {"protocol": "tcp", "field": "flags"}} or not isinstance(right, str):
        return None
    return _TCP_FLAGS.get((frozenset(_flags(mask)), operator, right))


def _flags(mask: _Json) -> List[str]:
    """The flags of a mask, which is a list in old releases of nft and a tree in new ones."""
    if isinstance(mask, dict) and set(mask) == {"|"}:
        mask = mask["|"]
    if isinstance(mask, list):
        return [flag for part in mask for flag in _flags(part)]
    return [mask if isinstance(mask, str) else _as_json(mask)]


def _match_of_meta(left: Dict[str, _Json], right: _Json) -> Optional[str]:
    if not isinstance(right, str):
        return None
    key = left["key"]
    return '%s "%s"' % (key, right) if key in ("iifname", "oifname") else "meta %s %s" % (key, right)


def _match_of_ct(left: Dict[str, _Json], right: _Json) -> Optional[str]:
    if set(left) != {"key"} or left["key"] not in ("state", "status"):
        return None
    names = [right] if isinstance(right, str) else right
    names = names.get("set", names) if isinstance(names, dict) else names
    if not all(isinstance(name, str) for name in names):
        return None
    return "ct %s %s" % (left["key"], ",".join(sorted(names, key=_order_of_ct)))


def _order_of_ct(name: str) -> Tuple[int, str]:
    """The key that sorts states as nft prints them, and other names after them."""
    return (_CT_STATES.index(name) if name in _CT_STATES else len(_CT_STATES)), name


def _match_of_fib(left: Dict[str, _Json], right: _Json) -> Optional[str]:
    flags = _fib_flags(left)
    ours = left.get("result") == "type" and flags in ("daddr", "saddr")
    return "fib %s type %s" % (flags, right) if ours else None


def _match_of_payload(left: Dict[str, _Json], right: _Json) -> Optional[str]:
    value = _values(right) if set(left) == {"protocol", "field"} else None
    return "%s %s %s" % (left["protocol"], left["field"], value) if value else None


_MATCHES = {"meta": _match_of_meta, "ct": _match_of_ct, "fib": _match_of_fib, "payload": _match_of_payload}


def _values(right: _Json) -> Optional[str]:
    """Ports, an address, a network or the name of a set -> text; None for anything else."""
    if isinstance(right, dict) and set(right) == {"set"}:
        parts = [_values(part) for part in right["set"]]
        return "{ %s }" % ", ".join(part for part in parts if part) if all(parts) else None
    if isinstance(right, dict) and set(right) == {"range"}:
        return "%s-%s" % tuple(right["range"])
    if isinstance(right, dict) and set(right) == {"prefix"}:
        return _element(right)
    return str(right) if isinstance(right, (int, str)) else None


def _as_json(part: _Json) -> str:
    return json.dumps(part, sort_keys=True)
