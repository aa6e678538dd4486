# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inventories for property tests: right ones, wrong ones, and any mixture."""

from ansible_collections.determined.network.plugins.plugin_utils._cluster import settings
from hypothesis import Phase
from hypothesis import strategies as st

# Hypothesis explores; a run in CI must not differ from the one before.
CHECKED = {"derandomize": True, "deadline": None, "phases": (Phase.explicit, Phase.generate, Phase.shrink)}

junk = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=12),
        st.binary(max_size=4),
        st.sampled_from(["", " ", "192.0.2.1/24", "::1", "0.0.0.0/0", "{{ x }}", "\ud800", "a\0b", "65536", "1-"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner),
        st.dictionaries(st.one_of(st.text(max_size=5), st.integers()), inner, max_size=3),
    ),
    max_leaves=6,
)

addresses = st.one_of(
    st.integers(1, 60).map(lambda number: f"192.0.2.{number}"),
    st.integers(1, 60).map(lambda number: f"2001:db8::{number:x}"),
)
# The first addresses are those of right_hosts(), so that networks often hold some of a host and not all.
networks = st.one_of(
    st.integers(1, 12).map(lambda number: f"192.0.2.{number}"),
    st.integers(1, 12).map(lambda number: f"2001:db8::{number}"),
    st.sampled_from(
        [
            "192.0.2.0/24",
            "192.0.2.32/27",
            "192.0.2.0/28",
            "198.51.100.0/24",
            "0.0.0.0/0",
            "2001:db8::/32",
            "::/0",
        ]
    ),
)
ports = st.one_of(
    st.integers(1, 65535),
    st.sampled_from(["22", "80,443", "1-1023", "1024-65535", "1-65535", [22, "9000-9010"], "12355"]),
)
roles = st.sampled_from(["master", "agents", "clients", "networks"])


@st.composite
def extra_rows(draw):
    rows = []
    for number in range(draw(st.integers(0, 3))):
        source, destination = draw(
            st.sampled_from(
                [
                    ("agents", "agents"),
                    ("agents", "master"),
                    ("clients", "agents"),
                    ("master", "agents"),
                    ("networks", "master"),
                    ("networks", "agents"),
                    ("agents", "networks"),
                ]
            )
        )
        row = {"id": f"extra{number}", "from": source, "to": destination, "ports": draw(ports)}
        row["protocol"] = draw(st.sampled_from(["tcp", "tcp", "udp"]))
        if "networks" in (source, destination):
            row["networks"] = draw(st.lists(networks, min_size=1, max_size=3))
        rows.append(row)
    return rows


services = st.lists(
    st.fixed_dictionaries(
        {"host": st.one_of(st.sampled_from(["registry.example.com", "a.b"]), networks), "ports": ports},
        optional={"purpose": st.sampled_from(["registry", "resource"])},
    ),
    max_size=3,
)
management = st.lists(
    st.fixed_dictionaries({"ports": ports}, optional={"networks": st.lists(networks, min_size=1, max_size=2)}),
    min_size=1,
    max_size=2,
)

right_options = st.fixed_dictionaries(
    {},
    optional={
        "tls": st.sampled_from([True, False, "yes"]),
        "master_port": st.integers(1, 65535),
        "client_networks": st.lists(networks, max_size=3),
        "mode": st.sampled_from(["permit", "restrict"]),
        "agent_ports": st.sampled_from(["all", "documented"]),
        "services": services,
        "extra_requirements": extra_rows(),
        "management": management,
    },
)


@st.composite
def right_hosts(draw):
    """Host -> (roles, addresses): a cluster as it should be, of one or two families."""
    families = draw(st.sampled_from([["192.0.2.{}"], ["2001:db8::{}"], ["192.0.2.{}", "2001:db8::{}"]]))
    hosts = {"master": [draw(st.sampled_from([("master",), ("master",), ("master", "agents")]))]}
    for role, most in (("agents", 3), ("clients", 2), ("outsiders", 2)):
        for number in range(draw(st.integers(1 if role == "agents" else 0, most))):
            hosts[f"{role}{number}"] = [(role,)]
    number = 0
    for entry in hosts.values():
        texts = []
        for family in families:
            for _unused in range(draw(st.sampled_from([1, 1, 1, 2]))):
                number += 1
                texts.append(family.format(number))
        entry.append(texts)
    return {name: tuple(entry) for name, entry in hosts.items()}


def _sometimes(good):
    return st.one_of(good, good, good, junk)


_VALUES = {
    "determined_address": st.one_of(addresses, st.lists(addresses, max_size=2), st.just("known.example.com")),
    "ansible_host": st.one_of(addresses, st.sampled_from(["known.example.com", "gone.example.com"])),
    "determined_gpus": st.sampled_from([None, 0, 8, "8"]),
    "ansible_port": st.sampled_from([22, "2222", None]),
    "ansible_ssh_port": st.sampled_from([22, 2200]),
}

any_options = st.fixed_dictionaries(
    {},
    optional={
        option: _sometimes(right_options.map(lambda values, name=option: values.get(name)))
        for option in settings.VARIABLES
    },
)


@st.composite
def any_inventory(draw):
    """Roles of hosts, their variables, the cluster-wide options: each value right or junk."""
    held = st.lists(st.sampled_from(["master", "agents", "agents", "clients", "outsiders"]), min_size=1, max_size=2)
    named = draw(
        st.dictionaries(st.one_of(st.sampled_from("abcdef"), st.text(min_size=1, max_size=6)), held, max_size=5)
    )
    found = {name: tuple(dict.fromkeys(some)) for name, some in named.items()}
    if draw(st.booleans()):
        found["m"], found["n"] = ("master",), ("agents",)
    variables = {
        name: draw(st.fixed_dictionaries({}, optional={key: _sometimes(good) for key, good in _VALUES.items()}))
        for name in found
    }
    return found, variables, draw(any_options)


def resolver(names):
    """One name is known; the answers of the rest are of every kind that a resolver gives."""
    kinds = [["127.0.1.1"], ["fe80::1"], "Name or service not known", [], ["192.0.2.99"]]
    answers = {name: kinds[len(name) % len(kinds)] for name in names}
    return {
        **answers,
        **{name: ["192.0.2.98", "2001:db8::98"] for name in names if name == "known.example.com"},
    }
