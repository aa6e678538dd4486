# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts answered about attacks -> data of known shape. Pure.

See ``results``: a host whose answer has another shape is refused, and costs the checks of that host alone an error.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.determined.network.plugins.plugin_utils import _escape
from ansible_collections.determined.network.plugins.plugin_utils._verification import results
from ansible_collections.determined.network.plugins.plugin_utils._verification.fields import Fields, Malformed

MOST_NETWORKS = 16  # of containers on one host
MOST_CONTAINERS = 2  # of one network
MOST_MARKS = 1 << 20  # one worker of a listener remembers 4,096
MOST_LOST = (1 << 32) - 1  # packet(7): the counter of the kernel has 32 bits

LINKS = ("same", "other", "not_permitted", "unknown")

_Answers = Mapping[str, Any]  # by host


class Attacks(NamedTuple):
    """``found``, ``made``, ``received``: host -> what it answered; at most a ``msg`` if the module did not run.

    ``refused``: host -> the sentence that says why nothing of its answers is used.
    """

    found: dict[str, dict[str, Any]]
    made: dict[str, dict[str, Any]]
    received: dict[str, dict[str, Any]]
    refused: dict[str, str]


def read(answers: Mapping[str, _Answers], targets: Mapping[str, Sequence[Mapping[str, Any]]]) -> Attacks:
    """``{"found": by host, "made": by host, "received": by host}``, and outsider -> its targets -> Attacks."""
    refused: dict[str, str] = {}
    made = _read(answers["made"], refused, lambda host, answer: _made(answer, targets.get(host, ())))
    received = _read(answers["received"], refused, lambda _host, answer: _received(answer))
    found = _read(answers["found"], refused, lambda _host, answer: _found(answer))
    return Attacks(found, made, received, refused)


def read_found(answers: _Answers) -> dict[str, dict[str, Any]]:
    """Host -> what ``attack`` returned with ``state=found`` -> the same for the hosts whose answer can be used."""
    return _read(answers, {}, lambda _host, answer: _found(answer))


def _read(
    answers: _Answers, refused: dict[str, str], how: Callable[[str, Any], dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for host, answer in answers.items():
        try:
            if results.has_answered(answer):
                found[host] = how(host, answer)
            else:
                found[host] = _message(answer or {})
        except Malformed as problem:
            refused[host] = results.sentence(host, problem)
    return found


def _made(answer: Any, targets: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    # The role lets the play go on after a failure, so only a message tells of it.
    if not targets or (isinstance(answer, Mapping) and "attempts" not in answer):
        return _message(answer)
    fields = Fields("attack", answer)
    told = list(fields.items("attempts", len(targets)))
    if len(told) != len(targets):
        raise fields.wrong("attempts", f"has {len(told)} entries for {len(targets)} targets")
    return {"attempts": [_attempt(*both) for both in zip(told, targets, strict=True)]}


def _attempt(fields: Fields, target: Mapping[str, Any]) -> dict[str, Any]:
    fields.choice("address", [target["address"]])
    containers = fields.texts("containers", len(target["containers"]))
    if not set(containers) <= set(target["containers"]):
        raise fields.wrong("containers", "names others than were asked about")
    return {
        "link": fields.choice("link", LINKS),
        "reason": fields.text("reason"),
        "control": fields.flag("control"),
        "connected": fields.flag("connected"),
        "open": fields.flag("open"),
        "containers": containers,
        "datagram_problem": fields.text("datagram_problem"),
        "lost": fields.whole("lost", MOST_LOST),
    }


def _received(answer: Any) -> dict[str, Any]:
    if isinstance(answer, Mapping) and "alive" not in answer:
        return _message(answer)
    fields = Fields("read", answer)
    alive = fields.flag("alive")
    # Where no listener runs any more, there are no marks either.
    return {"alive": alive, "received": frozenset(fields.texts("received", MOST_MARKS)) if alive else frozenset()}


def _found(answer: Any) -> dict[str, Any]:
    if isinstance(answer, Mapping) and "networks" not in answer:
        return _message(answer)
    return {"networks": [_network(one) for one in Fields("attack", answer).items("networks", MOST_NETWORKS)]}


def _network(fields: Fields) -> dict[str, Any]:
    try:
        network = ipaddress.ip_network(fields.text("network"))
    except ValueError as problem:
        raise fields.wrong("network", "is no network") from problem
    containers = fields.texts("containers", MOST_CONTAINERS)
    for address in containers:
        if not _is_in(address, network):
            raise fields.wrong("containers", f"names {address}, which is not an address of {network}")
    return {"interface": fields.text("interface"), "network": str(network), "containers": containers}


def _is_in(text: str, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    """Whether a text is an address of a network, written as every host reads it.

    Outsiders are given such a text. One that only some versions of Python read, such as with an index of an interface,
    would cost an outsider all of its attacks.
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return address in network and text == str(address) and "%" not in text


def _message(answer: Mapping[str, Any]) -> dict[str, Any]:
    text = answer.get("msg")
    return {"msg": _escape.line(text)} if isinstance(text, str) else {}
