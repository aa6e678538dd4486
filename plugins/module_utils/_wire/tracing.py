# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The work of the module ``trace`` on one host: watch, send, and tell what was seen."""

import ipaddress
import os
import re
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

from ansible_collections.determined.network.plugins.module_utils._host.commands import Command
from ansible_collections.determined.network.plugins.module_utils._host.runner import Runner
from ansible_collections.determined.network.plugins.module_utils._wire import (
    kernel_counters,
    legacy_counters,
    marks,
    nft_trace,
    rule_texts,
    sender,
    witness,
)

_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_LONGEST_LIFETIME = 600  # seconds
_OURS = "determined"  # in the names of our chains and tables
# The kernel has such a file once a table of iptables-legacy is loaded. Without it, asking would load one.
_LEGACY_TABLES = {"ip": "/proc/net/ip_tables_names", "ip6": "/proc/net/ip6_tables_names"}
_LEGACY_PROGRAMS = {
    "ip": ("iptables-legacy-save", "iptables-save"),
    "ip6": ("ip6tables-legacy-save", "ip6tables-save"),
}


class Before(NamedTuple):
    """What the host had counted when it began to watch. ``legacy``: family -> what iptables-save printed."""

    counters: Mapping[str, int]
    legacy: Mapping[str, str]


def read_token(token: str) -> str:
    """A token -> the same token. It becomes a file's and a table's name; ValueError when it cannot."""
    if not _TOKEN.match(token or ""):
        raise ValueError("token is %r, not 1 to 64 letters, digits, - and _" % (token,))
    return token


def read_lifetime(lifetime: int) -> int:
    """Seconds -> the same; ValueError unless from 1 to 600."""
    if not 1 <= lifetime <= _LONGEST_LIFETIME:
        raise ValueError("lifetime is %d, not a number of seconds from 1 to %d" % (lifetime, _LONGEST_LIFETIME))
    return lifetime


def read_packets(items: Sequence[Mapping[str, Any]]) -> List[sender.Packet]:
    """The module's option -> packets. ValueError names all wrong ones."""
    problems = []
    packets = []
    for place, item in enumerate(items):
        packet = sender.Packet(item["number"], item["protocol"], item["address"], item["port"], item["source"])
        packets.append(packet)
        if not 0 <= packet.number <= marks.MOST_NUMBERS:
            problems.append("packet %d: number is %d, not 0 to %d" % (place, packet.number, marks.MOST_NUMBERS))
        if packet.protocol != "icmp" and not 1 <= packet.port <= 65535:
            problems.append("packet %d: port is %d, not 1 to 65535" % (place, packet.port))
        versions = set()
        for name in ("address", "source"):
            try:
                if getattr(packet, name) or name == "address":
                    versions.add(ipaddress.ip_address(getattr(packet, name).partition("%")[0]).version)
            except ValueError as problem:
                problems.append("packet %d: %s: %s" % (place, name, problem))
        if len(versions) == 2:
            problems.append("packet %d: address and source are not both of IPv4 or of IPv6" % place)
    numbers = [packet.number for packet in packets]
    if len(set(numbers)) != len(numbers):
        problems.append("several packets have the same number")
    if problems:
        raise ValueError("; ".join(problems))
    return packets


def start(token: str, mark: marks.Mark, lifetime: int) -> Dict[str, Any]:
    """Begin to watch -> the module's result. Raises OSError, HostError; PermissionError without root."""
    runner = Runner()
    before = {"counters": _counters(), "legacy": _legacy(runner)}
    return {"problem": witness.start(token, mark, float(lifetime), before)}


def end(token: str) -> Dict[str, Any]:
    """Stop watching -> the module's result. Raises OSError, HostError."""
    observed = witness.stop(token)
    if observed is None:
        return {"watched": False}
    runner = Runner()
    events = nft_trace.decisive(observed.events)
    before = Before(**observed.before)
    after = _counters()
    legacy = _legacy(runner)
    grown = [
        one
        for family in sorted(legacy)
        for one in legacy_counters.growth(family, before.legacy.get(family, ""), legacy[family])
    ]
    return {
        "watched": True,
        "sightings": [sighting.to_dict() for sighting in observed.sightings],
        "events": [event.to_dict() for event in events],
        "rules": [rule.to_dict() for rule in runner.drive(rule_texts.read(_ending(events)))],
        "legacy": [one.to_dict() for one in grown],
        "counters": _grown(before.counters, after),
        "set_up": _set_up(runner, legacy),
        "lost_packets": observed.lost_packets,
        "lost_events": observed.lost_events,
    }


def _ending(events: Sequence[nft_trace.Event]) -> List[rule_texts.Place]:
    """The rules that ended a packet, and the policies of the chains it came to the end of."""
    return sorted(
        {
            (event.family, event.table, event.chain, event.handle)
            for event in events
            if event.verdict in nft_trace.ENDING and not nft_trace.is_own(event)
        }
    )


def _counters() -> Dict[str, int]:
    texts = {}
    for path in kernel_counters.FILES:
        if os.path.exists(path):
            with open(path, encoding="ascii", errors="replace") as counters:
                texts[path] = counters.read()
    return kernel_counters.read(texts)


def _grown(before: Mapping[str, int], after: Mapping[str, int]) -> Dict[str, int]:
    """How much each counter grew; sizes stay as they are."""
    return {
        name: value if name in kernel_counters.SIZES else value - before.get(name, 0) for name, value in after.items()
    }


def _legacy(runner: Runner) -> Dict[str, str]:
    """Family -> the rules of iptables-legacy with their counters, for the families that have any."""
    found = {}
    for family, names in _LEGACY_TABLES.items():
        program = _legacy_program(runner, family) if os.path.exists(names) else None
        if program is not None:
            output = runner.run(Command((program, "--counters")))
            if output.code == 0:
                found[family] = output.stdout
    return found


def _set_up(runner: Runner, legacy: Mapping[str, str]) -> Optional[bool]:
    """Whether rules of this collection are there, whatever the backend; None if it cannot be known without nft."""
    if any(_OURS in text.lower() for text in legacy.values()):
        return True
    nft = runner.find("nft")
    if nft is None:
        return None
    listed = runner.run(Command((nft, "list", "chains"))).stdout.lower()
    return any(_OURS in line and nft_trace.TABLE_PREFIX not in line for line in listed.splitlines())


def _legacy_program(runner: Runner, family: str) -> Any:
    explicit, plain = (runner.find(name) for name in _LEGACY_PROGRAMS[family])
    if explicit is not None or plain is None:
        return explicit
    version = runner.run(Command((plain, "--version"))).stdout
    return None if "nf_tables" in version else plain
