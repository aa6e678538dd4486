# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of one verification run, as the role calls them with plain values of Ansible. Pure.

``run`` is a dictionary: ``token``, ``hosts`` (names that take part), ``sweep``, ``seed``, ``sample_size``,
``max_peers``, ``attack`` (whether outsiders try to break in). For the report it also has ``internet``, host -> what the
module ``internet`` returned there, or None where the Internet was left out; ``attacks``, what was found, made and
received by host, or None where nobody was attacked; and ``traces``: ``plan`` of trace_plan, and ``seen``, host -> what
the module ``trace`` returned there, by state. Each step computes the checks again, because that is faster than passing
them through Ansible's variables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.determined.network.plugins.plugin_utils import _flows
from ansible_collections.determined.network.plugins.plugin_utils._cluster import requirements
from ansible_collections.determined.network.plugins.plugin_utils._cluster.cluster import Cluster
from ansible_collections.determined.network.plugins.plugin_utils._verification import (
    advice,
    attack_checks,
    attack_report,
    causes,
    internet_checks,
    internet_report,
    observations,
    results,
    results_attacks,
    results_outside,
    results_traces,
    traces,
)
from ansible_collections.determined.network.plugins.plugin_utils._verification import checks as verification_checks
from ansible_collections.determined.network.plugins.plugin_utils._verification import report as verification_report
from ansible_collections.determined.network.plugins.plugin_utils._verification import rounds as verification_rounds
from ansible_collections.determined.network.plugins.plugin_utils._verification.cells import Cell
from ansible_collections.determined.network.plugins.plugin_utils._verification.checks import RESTRICT

Rounds = Mapping[str, Sequence[Mapping[str, Any]]]


def first_listeners(cluster: Mapping[str, Any], run: Mapping[str, Any]) -> dict[str, Any]:
    """The listeners of the first round and of the attacks: destination -> listeners."""
    checks = _derive(cluster, run)
    listeners = verification_rounds.first_listeners(checks)
    wanted = _attacked(cluster, run, checks)
    for host, more in attack_checks.listeners(wanted, attack_checks.candidates(checks, int(run["seed"]))).items():
        listeners[host] = [*listeners.get(host, []), *more]
    return listeners


def first_targets(
    cluster: Mapping[str, Any], run: Mapping[str, Any], started: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """The targets of the first round, after the listeners have started: source -> targets."""
    options = verification_rounds.Options(run["sweep"], int(run["sample_size"]), int(run["seed"]))
    checks = _derive(cluster, run)
    read = results.read_started(started, first_listeners(cluster, run))
    return verification_rounds.first_round(checks, options, read).targets


def next_round(cluster: Mapping[str, Any], run: Mapping[str, Any], rounds: Rounds) -> dict[str, Any]:
    """The next round: ``{"listeners": ..., "targets": ...}``; both are empty when no port must be probed again."""
    answers = results.read_rounds(rounds)
    known = observations.conclude(answers.rounds)
    # A host whose answers are refused is not asked again.
    known = {pair: one for pair, one in known.items() if not {pair.source, pair.destination} & set(answers.refused)}
    return verification_rounds.later_round(_derive(cluster, run), known)._asdict()


def trace_plan(cluster: Mapping[str, Any], run: Mapping[str, Any], rounds: Rounds) -> dict[str, Any]:
    """What the hosts send and watch to explain the wrong cells: see traces.to_plan."""
    answers = results.read_rounds(rounds)
    known = observations.conclude(answers.rounds)
    wrong = verification_report.build_report(_derive(cluster, run).checks, (), known, {}, refused=answers.refused)
    return traces.to_plan(traces.plan(wrong.cells), _hosts(run))


def attack_plan(
    cluster: Mapping[str, Any],
    run: Mapping[str, Any],
    started: Mapping[str, Mapping[str, Any]] | None = None,
    found: Mapping[str, Mapping[str, Any]] | None = None,
    forward: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
) -> dict[str, Any]:
    """What the outsiders attack, after the listeners have started and containers were found.

    ``{"hosts": [attacked host ...], "port": to find containers with, "targets": {outsider: [target ...]}}``.
    """
    checks = _derive(cluster, run)
    wanted = _attacked(cluster, run, checks)
    ports = attack_checks.candidates(checks, int(run["seed"]))
    read = results.read_started(started or {}, first_listeners(cluster, run))
    attacks = _attacks(cluster, run, checks, read, results_attacks.read_found(found or {}), forward or {})
    hosts = attack_checks.hosts_to_ask(wanted) if ports else []
    return {"hosts": hosts, "port": ports[0] if ports else 0, "targets": attack_checks.targets_by_host(attacks)}


def _attacked(
    cluster: Mapping[str, Any], run: Mapping[str, Any], checks: verification_checks.Checks
) -> list[verification_checks.Check]:
    # Depending on its version, Ansible hands on a truth value as a text.
    wanted = str(run.get("attack", False)).lower() == "true"
    return attack_checks.attacked(Cluster.from_dict(cluster), checks) if wanted else []


def _attacks(
    cluster: Mapping[str, Any],
    run: Mapping[str, Any],
    checks: verification_checks.Checks,
    started: Mapping[str, Mapping[str, Any]],
    found: Mapping[str, Mapping[str, Any]],
    forward: Mapping[str, Sequence[Mapping[str, Any]]],
) -> list[attack_checks.Attack]:
    return attack_checks.derive_attacks(
        Cluster.from_dict(cluster),
        _attacked(cluster, run, checks),
        attack_checks.candidates(checks, int(run["seed"])),
        attack_checks.Listening(started),
        attack_checks.containers_of(found),
        forward,
        str(run.get("token", "")),
    )


def internet_plan(cluster: Mapping[str, Any], run: Mapping[str, Any]) -> dict[str, Any]:
    """The part of the hosts in the checks of the Internet: see internet_checks.plan."""
    return internet_checks.plan(Cluster.from_dict(cluster), _hosts(run))


def report(cluster: Mapping[str, Any], run: Mapping[str, Any], rounds: Rounds) -> verification_report.Report:
    """All results of all rounds -> the report."""
    checks = _derive(cluster, run)
    read = Cluster.from_dict(cluster)
    answers = results.read_rounds(rounds)
    known = observations.conclude(answers.rounds)
    described = {"mode": cluster["settings"]["mode"], "sweep": run["sweep"]}
    # Extra variables may be texts, but the report has numbers.
    described |= {name: int(run[name]) for name in ("seed", "sample_size", "max_peers")}
    rows = [row.id for row in _flows.requirements_of(read) if row.kind == requirements.INTERNET]
    outside = run.get("internet")
    described["not_verified"] = [*rows, internet_checks.PROXY_BYPASS] if outside is None else []
    # --limit leaves hosts out; then the report must not look like one about all of them.
    described["left_out"] = sorted(set(cluster["hosts"]) - set(map(str, run["hosts"])))
    cells: list[Cell] = []
    uncovered = list(checks.uncovered)
    refused = answers.refused
    attacked = run.get("attacks")
    if attacked is not None:
        # The same plan as before the attacks, so that the outsiders' answers belong to it.
        started = {host: told[0].get("started") for host, told in rounds.items() if told}
        first = results.read_started(started, first_listeners(cluster, run))
        found = results_attacks.read_found(attacked["found"])
        attacks = _attacks(cluster, run, checks, first, found, attacked["forward"])
        seen = results_attacks.read(attacked, attack_checks.targets_by_host(attacks))
        refused = {**seen.refused, **refused}
        cells += attack_report.attack_cells(attacks, seen, known, refused)
    elif described["mode"] == RESTRICT and read.with_role("outsiders"):
        described["not_attacked"] = list(attack_checks.ATTACKS)
    if outside is not None:
        internet = internet_checks.derive_internet_checks(read, _hosts(run))
        plan = internet_checks.plan(read, _hosts(run))
        outside = results_outside.read(outside, plan)
        cells += internet_report.internet_cells(internet, plan["targets"], outside)
        cells += [*advice.cloud_cells(outside), *advice.distance_cells(read, known)]
        uncovered += internet.uncovered
    built = verification_report.build_report(checks.checks, uncovered, known, described, cells, refused)
    told = run.get("traces") or {"plan": (), "seen": {}}
    packets = traces.from_plan(told["plan"])
    traced = results_traces.read(told["seen"], packets)
    addresses = {host.name: frozenset().union(*host.addresses.values()) for host in read.hosts}
    absent = {**results.absent(run["hosts"], rounds), **refused, **traced.refused}
    return built._replace(causes=causes.find(built.cells, packets, traced.views, addresses, absent))


def _hosts(run: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(map(str, run["hosts"]))


def _derive(cluster: Mapping[str, Any], run: Mapping[str, Any]) -> verification_checks.Checks:
    scope = verification_checks.Scope(_hosts(run), int(run["max_peers"]), int(run["seed"]))
    return verification_checks.derive_checks(Cluster.from_dict(cluster), scope)
