# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A network that exists only in memory, and a verification played on it as the role plays it.

The truth of every path is set by the test; listeners and probes answer as the modules `listener` and
`probe` would. Everything passes through JSON on its way, as it does between a controller and its hosts.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from ansible_collections.determined.network.plugins.module_utils import _ports
from ansible_collections.determined.network.plugins.plugin_utils._verification import steps
from ansible_collections.determined.network.plugins.plugin_utils._verification.report import Report

MOST_ROUNDS = 9  # a verification that still asks after so many rounds would never end


class Path(NamedTuple):
    """What happens to packets from one host to one address of another, by destination port."""

    dropped: tuple = ()
    rejected: tuple = ()  # answered by an ICMP error of a firewall
    imitated: tuple = ()  # answered by a reset of a firewall
    no_route: tuple = ()
    impostor: tuple = ()  # answered by another host
    echo: bool = True

    def closed(self):
        return _ports.union(self.dropped, self.rejected, self.imitated, self.no_route, self.impostor)


OPEN_PATH = Path()


class Network:
    """``paths``: (source, address, protocol) -> Path, or a list of them, one for each round (the last one stays).
    ``services``: host -> TCP ports at which its own services listen on every address.
    ``unbindable``: ports at which a listener cannot listen, as without root.
    """

    def __init__(self, cluster, paths=None, services=None, unbindable=()):
        self.cluster = cluster
        self.paths = paths or {}
        self.services = services or {}
        self.unbindable = unbindable
        self.round = 0
        self.resets = {host.name: 1000 for host in cluster.hosts}
        self.listening = {}

    def path(self, source, address, protocol):
        path = self.paths.get((source, address, protocol), OPEN_PATH)
        return path if isinstance(path, Path) else path[min(self.round, len(path) - 1)]

    def listen(self, host, listeners):
        """What the module `listener` returns for ``state: started``."""
        result = {"listening": [], "held": [], "counters": self._counters(host)}
        result["listening_services"] = {"tcp": _ports.format_ports(self.services.get(host, ()))}
        for listener in listeners:
            ports = _ports.parse_ports(listener["ports"])
            held = _ports.intersect(ports, self.services.get(host, ())) if listener["protocol"] == "tcp" else ()
            bound = _ports.subtract(_ports.subtract(ports, held), self.unbindable)
            key = (listener["address"], listener["protocol"])
            self.listening[key] = _ports.union(self.listening.get(key, ()), bound)
            for name, found in (("listening", bound), ("held", held)):
                if found:
                    result[name].append({**listener, "ports": _ports.format_ports(found)})
        return result

    def read(self, host):
        """What the module `listener` returns for ``state: read``."""
        return {"alive": True, "counters": self._counters(host)}

    def probe(self, source, targets):
        """What the module `probe` returns."""
        return {"observations": [self._observe(source, target) for target in targets]}

    def _counters(self, host):
        return {"tcp_resets_sent": self.resets[host]}

    def _observe(self, source, target):
        asked, identify = _ports.parse_ports(target["ports"]), _ports.parse_ports(target["identify"])
        assert asked and not _ports.subtract(identify, asked)
        path = self.path(source, target["address"], target["protocol"])
        fate = {name: _ports.intersect(asked, getattr(path, name)) for name in Path._fields[:5]}
        passing = _ports.subtract(asked, path.closed())
        listening = _ports.intersect(passing, self.listening.get((target["address"], target["protocol"]), ()))
        services = _ports.intersect(passing, self.services.get(target["destination"], ()))
        closed = _ports.subtract(_ports.subtract(passing, listening), services)
        if target["protocol"] == "tcp":
            # In a small sweep some ports are asked twice and reset twice. In a large one a few SYNs get lost on the
            # way: their ports are asked twice, but reset once.
            large = _ports.count(closed) > 1000
            repeated = 3 if large else _ports.count(closed) // 3
            self.resets[target["destination"]] += _ports.count(closed) + (0 if large else repeated)
            refused, rejected = _ports.union(fate["imitated"], closed), fate["rejected"]
        else:
            repeated = 0
            refused, rejected = (), _ports.union(fate["rejected"], fate["imitated"], closed)
        opened = _ports.union(listening, services, fate["impostor"])
        # A source may have to reset connections of its own, which its counter then shows, too.
        own_resets = _ports.count(opened)
        self.resets[source] += own_resets
        answers = {
            f"line of {target['destination']}": listening,
            "SSH-2.0-OpenSSH": services,
            "line of a stranger": fate["impostor"],
        }
        answers = {line: _ports.intersect(ports, identify) for line, ports in answers.items()}
        return {
            "address": target["address"],
            "protocol": target["protocol"],
            "open": _ports.format_ports(opened),
            "refused": _ports.format_ports(refused),
            "rejected": _ports.format_ports(rejected),
            "filtered": _ports.format_ports(fate["dropped"]),
            "no_route": _ports.format_ports(fate["no_route"]),
            "error": "",
            "answers": {line: _ports.format_ports(ports) for line, ports in answers.items() if ports},
            "rejections": {"icmp: prohibited": _ports.format_ports(rejected)} if rejected else {},
            "errors": {},
            "resets_sent": own_resets,
            "resets_received": 0,
            "refused_repeatedly": repeated,
            "echo": {"answered": path.echo},
            "connect_milliseconds": 0.2,
        }


class Played(NamedTuple):
    """A whole verification: its report as a value (``result``) and as the content of report.json (``report``), the
    rounds, and whether something remained to be asked at the end."""

    result: Report
    report: dict
    rounds: dict
    remaining: bool


def _carry(value):
    return json.loads(json.dumps(value))


def _honest(_host, _module, answer):
    return answer


def play(network, hosts=None, tamper=_honest, **run):
    """Play a verification as the role does -> Played. ``hosts`` take part (all by default).

    ``tamper``: host, what it answers ("started", "probe" or "read"), its honest answer -> what it answers.
    """
    cluster = _carry(network.cluster.to_dict())
    names = [host.name for host in network.cluster.hosts] if hosts is None else list(hosts)
    run = {"hosts": names, "sweep": "full", "seed": 1, "sample_size": 64, "max_peers": 0, **run}
    rounds = {name: [] for name in names}
    listeners = _carry(steps.first_listeners(cluster, run))
    targets = None
    again = {"listeners": {}, "targets": {}}
    for number in range(MOST_ROUNDS):
        network.round = number
        network.listening = {}
        started = {
            name: tamper(name, "started", _carry(network.listen(name, listeners.get(name, [])))) for name in names
        }
        targets = again["targets"] or _carry(steps.first_targets(cluster, run, started))
        probed = {name: tamper(name, "probe", _carry(network.probe(name, targets.get(name, [])))) for name in names}
        for name in names:
            rounds[name].append(
                {
                    "answer": f"line of {name}",
                    "started": started[name],
                    "targets": targets.get(name, []),
                    "probe": probed[name],
                    "read": tamper(name, "read", _carry(network.read(name))),
                    "listeners": listeners.get(name, []),
                }
            )
        again = _carry(steps.next_round(cluster, run, rounds))
        listeners = again["listeners"]
        if not again["targets"]:
            break
    result = steps.report(cluster, run, rounds)
    return Played(result, _carry(result.to_dict()), rounds, bool(again["targets"]))
