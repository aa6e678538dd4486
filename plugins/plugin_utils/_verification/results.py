# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts answered in the rounds of a verification -> data of known shape. Pure.

A host can be compromised, and then it answers what it likes. So an answer is data of that host alone: it must have
the shape that the modules ``listener`` and ``probe`` document, and it may speak only of what the host was asked. If it
does not, nothing that this host answered is used, and each of its checks is an error with its name. The checks
between other hosts are as if this host had not answered.

A well-formed lie stays possible: a host can say of its own connections, and of its own counter, what it likes.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.determined.network.plugins.module_utils import _policy, _ports, _socket_states
from ansible_collections.determined.network.plugins.plugin_utils import _escape
from ansible_collections.determined.network.plugins.plugin_utils._flows import PortSet
from ansible_collections.determined.network.plugins.plugin_utils._verification.fields import Fields, Malformed

MOST_LISTENERS = 20_000  # entries of address, protocol and ports; two for each address of a host
LARGEST_COUNTER = (1 << 64) - 1  # proc(5): counters of the kernel have 64 bits at most
MOST_ATTEMPTS = 8  # on one port in one round; the module makes five
LONGEST_WAIT = 600_000.0  # milliseconds

_NO_ANSWER = ("failed", "skipped", "unreachable")

_Asked = Mapping[tuple[str, str], PortSet]  # (address, protocol) -> ports


class Answers(NamedTuple):
    """``rounds``: host -> its results, round by round, as observations.conclude takes them.

    ``refused``: host -> the sentence that says why nothing of its answers is used.
    """

    rounds: dict[str, list[dict[str, Any]]]
    refused: dict[str, str]


def read_rounds(rounds: Mapping[str, Sequence[Mapping[str, Any]]]) -> Answers:
    """Host -> its results, round by round -> Answers. A host of ``refused`` has empty results."""
    found: dict[str, list[dict[str, Any]]] = {}
    refused: dict[str, str] = {}
    for host, results in rounds.items():
        try:
            found[host] = [_round(result) for result in results]
        except Malformed as problem:
            refused[host] = sentence(host, problem)
            found[host] = [{} for _unused in results]
    return Answers(found, refused)


def read_started(
    started: Mapping[str, Any], listeners: Mapping[str, Iterable[Mapping[str, str]]]
) -> dict[str, dict[str, Any]]:
    """Host -> what ``listener`` returned with ``state=started``, and the listeners that it was asked for -> the same
    for the hosts whose answer can be used."""
    found = {}
    for host, answer in started.items():
        try:
            found[host] = _started(answer, _asked(listeners.get(host, ())))
        except Malformed:
            continue  # read_rounds reports it at the end
    return found


def sentence(host: str, problem: Malformed) -> str:
    """Why nothing that a host answered is used, and what to do."""
    return (
        f"{host} returned a malformed answer, so nothing that it answered is used ({_escape.line(str(problem))}): "
        f"find out on {host} whether its Python or its Ansible files were changed, because it may be compromised"
    )


def absent(hosts: Iterable[str], rounds: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, str]:
    """The hosts of a run that gave no answer in any round -> a sentence that says so."""
    found = {}
    for host in map(str, hosts):
        answers = [result.get(name) for result in rounds.get(host) or () for name in ("probe", "read")]
        if not any(map(has_answered, answers)):
            found[host] = (
                f"{host} did not take part: Ansible does not reach it, or its tasks failed earlier in this run."
            )
    return found


def has_answered(answer: Any) -> bool:
    """Whether a module ran on the host and returned more than a failure. What Ansible itself reports is no answer."""
    if answer is None or answer == {}:
        return False
    return not (isinstance(answer, Mapping) and any(answer.get(name) is True for name in _NO_ANSWER))


def _round(result: Mapping[str, Any]) -> dict[str, Any]:
    targets = list(result.get("targets") or [])
    asked = _asked(result["listeners"]) if "listeners" in result else None
    started, read = _started(result.get("started"), asked), _read(result.get("read"))
    if started and read:
        before, after = (part["counters"]["tcp_resets_sent"] for part in (started, read))
        if after < before:
            raise Malformed(f"read.counters.tcp_resets_sent went back from {before} to {after}")
    return {
        "answer": result.get("answer", ""),
        "targets": targets,
        "started": started,
        "probe": _probe(result.get("probe"), targets),
        "read": read,
    }


def _asked(listeners: Iterable[Mapping[str, str]]) -> dict[tuple[str, str], PortSet]:
    asked: dict[tuple[str, str], PortSet] = {}
    for one in listeners:
        key = (_address(one["address"]), one["protocol"])
        asked[key] = _ports.union(asked.get(key, ()), _ports.parse_ports(one["ports"]))
    return asked


def _started(answer: Any, asked: _Asked | None) -> dict[str, Any]:
    if not has_answered(answer):
        return {}
    fields = Fields("started", answer)
    services = fields.fields("listening_services")
    return {
        "listening": _listeners(fields, "listening", asked),
        "held": _listeners(fields, "held", asked),
        "listening_services": {"tcp": _ports.format_ports(services.ports("tcp"))},
        "counters": _counters(fields),
    }


def _listeners(fields: Fields, name: str, asked: _Asked | None) -> list[dict[str, str]]:
    found = []
    for one in fields.items(name, MOST_LISTENERS):
        address, protocol = one.text("address"), one.choice("protocol", _policy.PROTOCOLS)
        within = _ports.ALL_PORTS if asked is None else asked.get((_address(address), protocol), ())
        ports = _ports.format_ports(one.ports("ports", within))
        found.append({"address": address, "protocol": protocol, "ports": ports})
    return found


def _counters(fields: Fields) -> dict[str, int]:
    return {"tcp_resets_sent": fields.fields("counters").whole("tcp_resets_sent", LARGEST_COUNTER)}


def _read(answer: Any) -> dict[str, Any]:
    if not has_answered(answer):
        return {}
    fields = Fields("read", answer)
    return {"alive": fields.flag("alive"), "counters": _counters(fields)}


def _probe(answer: Any, targets: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    if not has_answered(answer):
        return {}
    fields = Fields("probe", answer)
    observations = list(fields.items("observations", len(targets)))
    if len(observations) != len(targets):
        raise fields.wrong("observations", f"has {len(observations)} entries for {len(targets)} targets")
    return {"observations": [_observation(*both) for both in zip(observations, targets, strict=True)]}


def _observation(fields: Fields, target: Mapping[str, Any]) -> dict[str, Any]:
    fields.choice("protocol", [target["protocol"]])
    if _address(fields.text("address")) != _address(target["address"]):
        raise fields.wrong("address", f"is not {target['address']}, which was asked about")
    asked = _ports.parse_ports(target["ports"])
    number = _ports.count(asked)
    states = {state: fields.ports(state, asked) for state in _socket_states.STATES}
    if _ports.union(*states.values()) != asked or sum(map(_ports.count, states.values())) != number:
        raise Malformed(f"{fields.where} does not name each port that was asked about in exactly one state")
    identify = _ports.intersect(states[_socket_states.OPEN], _ports.parse_ports(target.get("identify") or ""))
    failed = _ports.union(states[_socket_states.ERROR], states[_socket_states.NO_ROUTE])
    texts = {
        "answers": fields.ports_by_text("answers", identify),
        "rejections": fields.ports_by_text("rejections", states[_socket_states.REJECTED]),
        "errors": fields.ports_by_text("errors", failed),
    }
    return {
        **{state: _ports.format_ports(ports) for state, ports in states.items()},
        **{name: {text: _ports.format_ports(ports) for text, ports in one.items()} for name, one in texts.items()},
        "resets_sent": fields.whole("resets_sent", MOST_ATTEMPTS * number),
        "resets_received": fields.whole("resets_received", MOST_ATTEMPTS * number),
        "refused_repeatedly": fields.whole("refused_repeatedly", _ports.count(states[_socket_states.REFUSED])),
        "connect_milliseconds": fields.number_or_none("connect_milliseconds", LONGEST_WAIT),
        "echo": {"answered": fields.fields("echo").flag_or_none("answered")} if fields.get("echo") else {},
    }


def _address(text: str) -> str:
    """An address in one form, whoever wrote it; another text as it is."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return text
