# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``nft -j list`` prints -> the values of :mod:`nft_table`. Source: libnftables-json(5).

Releases list the same rule with other words (a list of flags or a tree of them, an operator or
another); here each part that we write has one text. Whatever else a rule holds keeps its JSON: it
then differs from every rule of ours.
"""

import json

from ansible_collections.determined.network.plugins.module_utils._firewall.backends import members as backends_members
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld import nft_table

_CT_STATES = ("established", "related", "new", "invalid", "untracked")
_TCP_FLAGS = ("syn", "rst", "ack")


def parse(text):
    """The text of ``nft -j list table inet determined`` -> (Table, counters).

    ``counters``: list of (chain, rule's text, packets or None, bytes or None) in the order of the chains.
    ValueError when it is no such text.
    """
    sets, chains, rules, counters = [], [], {}, []
    for item in _objects(text):
        kind, value = next(iter(item.items()))
        if kind == "set":
            members = [_member(element) for element in value.get("elem", ())]
            flags = ",".join(sorted(value.get("flags", ())))
            sets.append((value["name"], str(value["type"]), flags, backends_members.ordered(members)))
        elif kind == "chain":
            policy = value.get("policy", "accept")
            hook = value.get("hook", "")
            # A policy or a type that is not ours must show as a difference.
            odd = "" if policy == "accept" and value.get("type", "filter") == "filter" else " %s" % policy
            chains.append((value["name"], hook + odd, value.get("prio", 0)))
        elif kind == "rule":
            rule, count = _rule(value)
            rules.setdefault(value["chain"], []).append(rule)
            counters.append((value["chain"], rule) + count)
        elif kind not in ("metainfo", "table"):
            sets.append((json.dumps(item, sort_keys=True), kind, "", ()))  # a flow table, a map: not ours
    found = tuple(
        nft_table.Chain(name, hook, priority, tuple(rules.get(name, ()))) for name, hook, priority in sorted(chains)
    )
    return nft_table.Table(tuple(sorted(sets)), found), counters


def has_table(text):
    """The text of ``nft -j list tables`` -> whether our table is among them; ValueError when it is no such text."""
    names = [item["table"] for item in _objects(text) if "table" in item]
    return any(name["family"] == nft_table.FAMILY and name["name"] == nft_table.NAME for name in names)


def _objects(text):
    try:
        return json.loads(text)["nftables"]
    except (KeyError, TypeError, ValueError) as problem:
        raise ValueError("it is not what nft -j prints: %s" % problem) from problem


def _member(element):
    if isinstance(element, dict) and "prefix" in element:
        return "%s/%s" % (element["prefix"]["addr"], element["prefix"]["len"])
    return element if isinstance(element, str) else json.dumps(element, sort_keys=True)


def _rule(value):
    words, count = [], (None, None)
    for part in value["expr"]:
        kind, inner = next(iter(part.items()))
        if kind == "match":
            words.append(_match(inner) or json.dumps(part, sort_keys=True))
        elif kind == "counter" and isinstance(inner, dict):
            count = (inner.get("packets"), inner.get("bytes"))
            words.append("counter")
        elif kind in ("return", "drop") and inner is None:
            words.append(kind)
        elif kind == "jump":
            words.append("jump %s" % inner["target"])
        else:
            words.append(json.dumps(part, sort_keys=True))
    if "comment" in value:
        words.append('comment "%s"' % value["comment"])
    return " ".join(words), count


def _match(match):
    """The text of a match that we write; None for any other."""
    left, right, operator = match["left"], match["right"], match["op"]
    kind, inner = next(iter(left.items()))
    if kind == "&":
        return _flags(inner, right, operator)
    if operator not in ("==", "in"):
        return None
    if kind == "meta" and isinstance(right, str):
        key = inner["key"]
        return '%s "%s"' % (key, right) if key in ("iifname", "oifname") else "meta %s %s" % (key, right)
    if kind == "ct" and set(inner) == {"key"} and inner["key"] in ("state", "status"):
        names = [right] if isinstance(right, str) else right
        names = names.get("set", names) if isinstance(names, dict) else names
        if not all(isinstance(name, str) for name in names):
            return None
        ordered = sorted(names, key=lambda name: (_CT_STATES.index(name) if name in _CT_STATES else 9, name))
        return "ct %s %s" % (inner["key"], ",".join(ordered))
    if kind == "fib" and inner.get("result") == "type" and inner.get("flags") == ["daddr"]:
        return "fib daddr type %s" % right
    if kind == "payload" and set(inner) == {"protocol", "field"}:
        value = _value(right)
        return value and "%s %s %s" % (inner["protocol"], inner["field"], value)
    return None


def _flags(sides, right, operator):
    """``tcp flags & (syn | rst | ack) == ack``: the mask is a list in old releases, a tree in new ones."""
    field, mask = sides
    if isinstance(mask, dict) and set(mask) == {"|"}:
        mask = mask["|"]
    flat = _flattened(mask)
    if field != {"payload": {"protocol": "tcp", "field": "flags"}} or operator != "==" or right != "ack":
        return None
    return "tcp flags & (%s) == ack" % " | ".join(_TCP_FLAGS) if set(flat) == set(_TCP_FLAGS) else None


def _flattened(mask):
    if isinstance(mask, dict) and set(mask) == {"|"}:
        mask = mask["|"]
    if isinstance(mask, list):
        return [flag for part in mask for flag in _flattened(part)]
    return [mask if isinstance(mask, str) else json.dumps(mask)]


def _value(right):
    """Ports or a set's name as text; None for anything else."""
    if isinstance(right, dict) and set(right) == {"set"}:
        parts = [_value(part) for part in right["set"]]
        return "{ %s }" % ", ".join(parts) if all(parts) else None
    if isinstance(right, dict) and set(right) == {"range"}:
        return "%s-%s" % tuple(right["range"])
    return str(right) if isinstance(right, (int, str)) else None
