"""Whose an object of firewalld or an nft table is, when its name is one of ours."""

import json

import pytest
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld import (
    files,
    nft_listing,
    nft_table,
)
from ansible_collections.determined.network.plugins.module_utils._host import commands

from .conftest import BACKEND, make_policy

FILE = """<?xml version="1.0" encoding="utf-8"?>
<policy target="CONTINUE"><description>%s</description></policy>
"""


def refused(host, mode="restrict"):
    before = (dict(host.files), host.table, host.policies.copy(), host.sets.copy())
    with pytest.raises(commands.HostError) as caught:
        BACKEND.render(make_policy(mode), host.read())
    assert "nothing was changed" in str(caught.value)
    host.change(None)
    assert (host.files, host.table, host.policies, host.sets) == before
    return str(caught.value)


def test_a_foreign_policy_object_is_refused_by_name(host):
    host.policies["determined"] = {"target": "DROP", "description": "the site's own"}
    message = refused(host)
    assert "the policy determined of firewalld" in message
    assert "firewall-cmd --permanent --delete-policy=determined" in message


def test_a_foreign_ipset_is_refused_if_the_policy_needs_its_name(host):
    host.sets["determined-agents-v4"] = ["hash:net", {}, ["203.0.113.9"]]
    assert "the ipset determined-agents-v4 of firewalld" in refused(host)
    host.sets = {"determined-backup-v4": ["hash:net", {}, ["203.0.113.9"]]}
    assert BACKEND.render(make_policy(), host.read())
    assert "determined-backup-v4" in str(host.read().warnings)


def test_a_zone_with_the_name_of_our_policy_object_is_refused(host):
    host.zones["determined"] = host.zone_files["determined"] = {"target": "default"}
    assert "the zone determined of firewalld" in refused(host)


@pytest.mark.parametrize(
    "path", ["policies/determined.xml", "policies/determined.xml.new", "ipsets/determined-agents-v4.xml"]
)
def test_a_foreign_file_is_refused_by_its_path(host, path):
    host.files["/etc/firewalld/" + path] = FILE % "the site's own"
    assert f"mv /etc/firewalld/{path} /root" in refused(host)


def test_files_of_ours_are_ours_whatever_firewalld_or_a_killed_change_made_of_them():
    text = FILE % "Written by determined.network.firewall, which undoes changes by hand."
    assert all(files.is_ours("determined.xml" + ending, text) for ending in ("", ".old", ".new"))
    assert files.is_ours("determined.xml.new", text[:50])
    assert not files.is_ours("determined.xml", text[:50])


FOREIGN_TABLE = nft_table.Table((), (nft_table.Chain("inbound", "input", 0, ("tcp dport 80 drop",)),))


def test_a_foreign_nft_table_is_refused_only_where_we_need_one(host):
    host.table = nft_table.text(FOREIGN_TABLE)
    assert "nft delete table inet determined" in refused(host, "restrict")
    assert BACKEND.render(make_policy("permit"), host.read())


def test_whose_a_table_is():
    ours = nft_table.render(make_policy("restrict"), ("ipv4", "ipv6"), ("docker0",))
    # What the versions 0.2 and 0.3 wrote: fewer chains, and one jump in the chain prerouting.
    old = [
        chain._replace(rules=chain.rules[:1]) if chain.name == "prerouting" else chain
        for chain in ours.chains
        if chain.name not in ("raw", "forged", "routed")
    ]
    without_mark = tuple(
        chain._replace(rules=tuple(rule for rule in chain.rules if rule != nft_table.MARK_RULE)) for chain in old
    )
    flushed = tuple(chain._replace(rules=()) for chain in ours.chains)
    for chains in (ours.chains, without_mark, flushed):
        assert nft_table.is_ours(ours._replace(chains=chains))
    assert nft_table.is_ours(nft_table.Table((), ()))
    assert not nft_table.is_ours(FOREIGN_TABLE)
    assert not nft_table.is_ours(nft_table.Table(ours.sets, ()))
    for number, chain in enumerate(without_mark):
        if chain.name != "forward":
            changed = list(without_mark)
            changed[number] = chain._replace(rules=chain.rules + ("tcp dport 80 drop",))
            assert not nft_table.is_ours(ours._replace(chains=tuple(changed)))


def test_the_mark_is_read_back():
    rule = {"chain": "inbound", "comment": "determined.network", "expr": [{"counter": {"packets": 3, "bytes": 180}}]}
    chain = {"name": "inbound", "family": "inet", "table": "determined"}
    table, counters = nft_listing.parse(json.dumps({"nftables": [{"chain": chain}, {"rule": rule}]}))
    assert nft_table.is_ours(table)
    assert counters[0].packets == 3
