# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""For all agents' addresses: each is reached without the proxy, and one more neighbour changes nothing."""

import ipaddress

from ansible_collections.determined.network.plugins.module_utils import _no_proxy
from ansible_collections.determined.network.plugins.module_utils._proxy import attached_networks
from hypothesis import given
from hypothesis import strategies as st

ATTACHED = tuple(ipaddress.ip_network(text) for text in ("192.0.2.128/28", "192.0.2.0/24", "2001:db8::/64"))
ADDRESSES = st.one_of(
    st.integers(0, 2**10 - 1).map(lambda number: ipaddress.ip_address("192.0.0.0") + number),
    st.integers(0, 2**18 - 1).map(lambda number: ipaddress.ip_address("2001:db8::") + (number << 50)),
)


@given(st.lists(ADDRESSES, unique=True), st.booleans())
def test_every_agent_is_reached_without_the_proxy(agents, attached):
    """By Go's rule, and by no entry that nobody needs."""
    texts = [str(address) for address in agents]
    networks = ATTACHED if attached else ()
    found = attached_networks.entries(texts + ["agent"], (), networks)
    for text in texts:
        assert _no_proxy.bypasses(_no_proxy.GO, ",".join(found), text, 12345)
    assert len(found) <= max(1, len(texts))


@given(st.lists(ADDRESSES), st.integers(1, 127))
def test_a_new_neighbour_changes_nothing(agents, number):
    before = [*map(str, agents), "192.0.2.21"]
    after = [*before, "new", f"192.0.2.{number}"]
    assert attached_networks.entries(before, (), ATTACHED) == attached_networks.entries(after, (), ATTACHED)
