# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a batch concludes from the findings of single ports."""

import pytest
from ansible_collections.determined.network.plugins.module_utils import _socket_states
from ansible_collections.determined.network.plugins.module_utils._probe import batch, observation
from ansible_collections.determined.network.plugins.module_utils._sockets import errors
from ansible_collections.determined.network.plugins.module_utils._sockets.errors import Finding

NO_NEIGHBOUR = Finding(_socket_states.NO_ROUTE, "nobody answers", errors.NO_NEIGHBOUR)
OWN_UNREACHABLE = Finding(_socket_states.REJECTED, "unreachable", errors.OWN_UNREACHABLE)
FILTERED, OPEN = Finding(_socket_states.FILTERED), Finding(_socket_states.OPEN)


def target(*findings):
    made = observation.Target("192.0.2.2", "tcp", ((1, 1000),))
    for port, finding in enumerate(findings, 1):
        made.record(port, finding)
    return made


def states(made):
    return {state: ports for state, ports in made.states.items() if ports}


@pytest.mark.parametrize(
    "findings, expected",
    [
        # The whole address has no neighbour: also the ports that were tried shortly before.
        ((NO_NEIGHBOUR, OWN_UNREACHABLE, FILTERED), {"no_route": [1, 2, 3]}),
        # A reason that reads alike decides nothing.
        (
            (Finding(_socket_states.NO_ROUTE, NO_NEIGHBOUR.reason), OWN_UNREACHABLE, FILTERED),
            {"no_route": [1], "rejected": [2], "filtered": [3]},
        ),
        ((OWN_UNREACHABLE, FILTERED), {"rejected": [1], "filtered": [2]}),
        ((NO_NEIGHBOUR, FILTERED, OPEN), {"no_route": [1], "filtered": [2], "open": [3]}),
        (
            (NO_NEIGHBOUR, Finding(_socket_states.REJECTED, "icmp", errors.OWN_FIREWALL)),
            {"no_route": [1], "rejected": [2]},
        ),
    ],
)
def test_a_missing_neighbour_concerns_the_whole_address(findings, expected):
    made = target(*findings)
    batch._settle_neighbour_failure(made)
    assert states(made) == expected


@pytest.mark.parametrize(
    "answered, silent, count",
    [(True, 900, 900), (False, 256, 256), (False, 900, 256), (False, 3, 3)],
)
def test_of_an_address_that_never_answered_a_sample_is_retried(answered, silent, count):
    made = target(*([OPEN] if answered else []), *([FILTERED] * silent))
    assert len(batch._worth_a_retry(made)) == count


@pytest.mark.parametrize("timeout, window", [(0.05, 1), (61, 1), (1, 0), (1, 20001)])
def test_settings_out_of_range_are_refused(timeout, window):
    with pytest.raises(ValueError, match="timeout is|window is"):
        batch.check_settings(timeout, window)
