# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option ``forward``: between which networks a host may forward new packets in mode ``restrict``. Pure."""

import ipaddress
from typing import Any, Dict, List, Mapping, Sequence, Set, Tuple, Union

from ansible_collections.determined.network.plugins.module_utils._firewall.backends.forwarding import Allowed

_Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]

# The option of a module that writes or compares a policy, for its argument_spec.
ARGUMENT_SPEC: Dict[str, Dict[str, Any]] = {
    "forward": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "from": {"type": "list", "elements": "str", "required": True},
            "to": {"type": "list", "elements": "str", "required": True},
        },
    }
}


def read(entries: Sequence[Mapping[str, Sequence[str]]]) -> Tuple[Allowed, ...]:
    """The entries that a user wrote -> each pair of networks of one family, once, sorted.

    One ValueError lists all problems.
    """
    problems: List[str] = []
    found: Set[Allowed] = set()
    for index, entry in enumerate(entries):
        ends = [_read_networks("forward[%d].%s" % (index, key), entry[key], problems) for key in ("from", "to")]
        pairs = {
            Allowed("ipv%d" % source.version, str(source), str(destination))
            for source in ends[0]
            for destination in ends[1]
            if source.version == destination.version
        }
        if ends[0] and ends[1] and not pairs:
            problems.append("forward[%d]: from and to have no network of the same family" % index)
        found |= pairs
    if problems:
        raise ValueError("; ".join(problems))
    return tuple(sorted(found))


def _read_networks(where: str, values: Sequence[str], problems: List[str]) -> List[_Network]:
    networks: List[_Network] = []
    for value in values:
        try:
            networks.append(ipaddress.ip_network(value))
        except ValueError as problem:
            problems.append("%s: %s" % (where, problem))
    if not values:
        problems.append("%s is empty: name at least one network, 0.0.0.0/0 and ::/0 for every address" % where)
    return networks
