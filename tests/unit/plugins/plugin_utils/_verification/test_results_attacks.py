# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts answer about attacks: any malformed answer costs that host alone, and never a traceback."""

import pytest
from ansible_collections.determined.network.plugins.plugin_utils._verification import results_attacks
from hypothesis import given, settings

from tests.unit.plugins.plugin_utils.inventories import CHECKED, junk

TARGET = {"address": "192.0.2.21", "containers": ["172.30.0.2"]}
ATTEMPT = {
    "address": "192.0.2.21",
    "link": "same",
    "reason": "",
    "control": True,
    "connected": False,
    "open": False,
    "containers": ["172.30.0.2"],
    "datagram_problem": "",
    "lost": 0,
}
NETWORK = {"interface": "br-1", "network": "172.30.0.0/16", "containers": ["172.30.0.2"]}
MADE = {"changed": False, "attempts": [ATTEMPT], "frames": 9}
READ = {"changed": False, "alive": True, "received": ["2b7e151628aed2a6"]}
FOUND = {"changed": False, "networks": [NETWORK]}


def read(**changed):
    """What is read of MADE, READ (as "received") and FOUND, or of what stands in their places."""
    told = {"made": MADE, "received": READ, "found": FOUND, **changed}
    answers = {"made": {"stranger": told["made"], "agent1": {"skipped": True}}}
    answers |= {name: {"agent1": told[name]} for name in ("received", "found")}
    return results_attacks.read(answers, {"stranger": [TARGET]})


def test_right_answers_are_read():
    seen = read()
    assert seen.refused == {}
    assert seen.made == {"stranger": {"attempts": [{n: v for n, v in ATTEMPT.items() if n != "address"}]}, "agent1": {}}
    assert seen.received == {"agent1": {"alive": True, "received": frozenset(READ["received"])}}
    assert seen.found == {"agent1": {"networks": [NETWORK]}}


@pytest.mark.parametrize("name", ["made", "received", "found"])
def test_a_module_that_failed_has_a_message(name):
    seen = read(**{name: {"changed": False, "failed": False, "msg": "no\x1b[2JPython"}})
    (told,) = [one for one in getattr(seen, name).values() if one]
    assert told == {"msg": "no\\x1b[2JPython"} and seen.refused == {}


@pytest.mark.parametrize(
    "host, wrong",
    [
        ("stranger", {"made": {"attempts": []}}),
        ("stranger", {"made": {"attempts": [ATTEMPT, ATTEMPT]}}),
        ("stranger", {"made": {"attempts": [{**ATTEMPT, "address": "192.0.2.22"}]}}),
        ("stranger", {"made": {"attempts": [{**ATTEMPT, "link": "near"}]}}),
        ("stranger", {"made": {"attempts": [{**ATTEMPT, "control": "yes"}]}}),
        ("stranger", {"made": {"attempts": [{**ATTEMPT, "containers": ["172.30.0.3"]}]}}),
        ("stranger", {"made": {"attempts": [{**ATTEMPT, "lost": -1}]}}),
        ("agent1", {"received": {"alive": True}}),
        ("agent1", {"received": {"alive": True, "received": [1]}}),
        ("agent1", {"received": {"alive": 1, "received": []}}),
        ("agent1", {"found": {"networks": [NETWORK] * 17}}),
        ("agent1", {"found": {"networks": [{**NETWORK, "network": "everything"}]}}),
        ("agent1", {"found": {"networks": [{**NETWORK, "containers": ["192.0.2.10"]}]}}),
        ("agent1", {"found": {"networks": [{**NETWORK, "containers": ["172.30.0.2"] * 3}]}}),
        # Python 3.6 does not read these, and the outsider that gets one would make no attack at all.
        ("agent1", {"found": {"networks": [{**NETWORK, "network": "fe80::/64", "containers": ["fe80::2%br-1"]}]}}),
        ("agent1", {"found": {"networks": [{**NETWORK, "network": "fe80::/64", "containers": ["FE80::2"]}]}}),
    ],
)
def test_a_malformed_answer_is_refused_with_the_name_of_its_host(host, wrong):
    seen = read(**wrong)
    assert list(seen.refused) == [host]
    assert seen.refused[host].startswith(f"{host} returned a malformed answer")


@settings(**CHECKED)
@given(junk, junk, junk)
def test_any_answer_is_read_or_refused(made, received, found):
    read(made=made, received=received, found=found)
    read(made={"attempts": made}, received={"alive": True, "received": received}, found={"networks": found})
    read(made={"attempts": [made]}, received={"alive": received}, found={"networks": [found]})
    results_attacks.read_found({"agent1": found})
