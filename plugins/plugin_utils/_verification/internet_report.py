# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the Internet x what the hosts saw -> cells of the report. Pure.

These cells also have ``via`` (the proxy, "" for a direct connection), ``step`` (the step at which the attempt ended)
and ``blame`` (who has to act).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.determined.network.plugins.module_utils import _ports, _socket_states
from ansible_collections.determined.network.plugins.module_utils._internet import targets as internet_targets
from ansible_collections.determined.network.plugins.plugin_utils._cluster import addresses
from ansible_collections.determined.network.plugins.plugin_utils._verification import results_outside
from ansible_collections.determined.network.plugins.plugin_utils._verification.cells import (
    CORRECT,
    ERROR,
    FLAKY,
    UNKNOWN,
    WRONG,
    Cell,
)
from ansible_collections.determined.network.plugins.plugin_utils._verification.internet_checks import (
    PROXY_BYPASS,
    BypassCheck,
    InternetChecks,
    ServiceCheck,
    index_of,
    positions,
    targets_of,
)

DIRECT, THROUGH_PROXY = "direct", "proxy"

_STEPS = {
    internet_targets.NAME: "looking up the name",
    internet_targets.CONNECT: "connecting",
    internet_targets.PROXY: "at the proxy",
    internet_targets.TLS: "in the TLS handshake",
    internet_targets.ANSWER: "asking over HTTP",
}
_BLAMES = {
    internet_targets.HOST: "{source} itself is to blame",
    internet_targets.NETWORK: "the network between is to blame",
    internet_targets.THE_PROXY: "the proxy is to blame",
    internet_targets.TARGET: "the service is to blame",
    internet_targets.PROXY_OR_TARGET: "the proxy or the service behind it is to blame",
}
_CERTIFICATE = "let determined_proxy_ca_certificate hold the authority that signed it, or correct the certificate"
_REMEDIES = {
    internet_targets.NAME_NOT_FOUND: "correct the host in determined_services, or repair the name service",
    internet_targets.NAME_SERVER_SILENT: "correct /etc/resolv.conf, or repair the name servers in it",
    _socket_states.FILTERED: (
        "find the firewall that drops it, or set determined_proxy_https and determined_proxy_http if hosts need a proxy"
    ),
    _socket_states.REJECTED: "find the firewall that rejects it",
    _socket_states.REFUSED: "check that the service runs, and on this port",
    _socket_states.NO_ROUTE: (
        "give it a route, or set determined_proxy_https and determined_proxy_http if hosts need a proxy"
    ),
    internet_targets.PROXY_CREDENTIALS: "correct determined_proxy_username and determined_proxy_password",
    internet_targets.PROXY_FORBIDS: "permit it on the proxy",
    internet_targets.CERTIFICATE_UNTRUSTED: _CERTIFICATE,
    internet_targets.CERTIFICATE_EXPIRED: "renew the certificate",
    internet_targets.CERTIFICATE_NOT_YET_VALID: "check that the clocks are right",
    internet_targets.CERTIFICATE_OF_ANOTHER: "check the name, and which server answers there",
    internet_targets.NO_HTTP: "check which service listens there; `scheme` in determined_services selects the protocol",
}


def internet_cells(
    checks: InternetChecks, targets: Sequence[dict[str, Any]], results: Mapping[str, Mapping[str, Any]]
) -> list[Cell]:
    """Checks, the targets that the hosts were given, and host -> what the module ``internet`` returned -> cells."""
    index = index_of(targets)
    cells = [_service_cell(check, positions(check, index), results.get(check.source)) for check in checks.services]
    return cells + [_bypass_cell(check, results.get(check.source)) for check in checks.bypasses]


def _service_cell(check: ServiceCheck, places: Sequence[int], result: Mapping[str, Any] | None) -> Cell:
    seen = (result or {}).get("targets") or []
    if len(seen) <= max(places):
        return _cell(check, UNKNOWN, ERROR, "", [_no_answer(check.source, result)])
    mine = [seen[place] for place in places]
    bad = [one for one in mine if one["state"] != _socket_states.OPEN]
    if not bad:
        repeated = [one for one in mine if one["attempts"] > 1]
        evidence = list(dict.fromkeys(_good(one) for one in mine))
        if len(targets_of(check)) < _ports.count(check.service.ports):
            evidence.append(f"{len(mine)} of {_ports.count(check.service.ports)} ports tried")
        if repeated:
            evidence.insert(0, f"the first attempts failed, and attempt {repeated[0]['attempts']} succeeded")
        return _cell(check, _socket_states.OPEN, FLAKY if repeated else CORRECT, "", evidence, mine[0])
    wrong = _ports.format_ports(_ports.from_numbers(one["port"] for one in bad))
    verdict = ERROR if bad[0]["state"] == _socket_states.ERROR else WRONG
    sentences = dict.fromkeys(_bad(one, check.source) for one in bad)
    return _cell(check, bad[0]["state"], verdict, wrong, sentences, bad[0])


def _no_answer(source: str, result: Mapping[str, Any] | None) -> str:
    if result and result.get(results_outside.REFUSED):
        return str(result[results_outside.REFUSED])
    if result and result.get("msg"):
        return f"{source} could not run the check: {result['msg']}"
    return f"{source} gave no answer: unreachable, or it failed earlier in this run"


def _way(seen: Mapping[str, Any]) -> str:
    return f"through the proxy {seen['via']}" if seen["via"] else "directly"


def _good(seen: Mapping[str, Any]) -> str:
    return f"{_way(seen)}: {seen['reason']}"


def _bad(seen: Mapping[str, Any], source: str) -> str:
    """What happened, who is to blame, and what to do about it, for one port."""
    step = seen["step"]
    what = _STEPS[step]
    # Without a tunnel, the name and the connection are those of the proxy.
    if seen["via"] and step in (internet_targets.NAME, internet_targets.CONNECT):
        what += " of the proxy" if step == internet_targets.NAME else " to the proxy"
    elif seen["via"] and step == internet_targets.TLS and seen["blame"] == internet_targets.THE_PROXY:
        what += " with the proxy"
    elif step == internet_targets.TLS:
        what += " with the target"
    remedy = _REMEDIES.get(seen["state"], "")
    if seen["via"] and step in (internet_targets.NAME, internet_targets.CONNECT):
        remedy = (
            "check that determined_proxy_https and determined_proxy_http name a proxy that runs, and that this host "
            "may reach it"
        )
    blame = _BLAMES.get(seen["blame"], "").format(source=source)
    return ", ".join(part for part in (f"{_way(seen)}, {what}: {seen['reason']}", blame, remedy) if part)


def _cell(
    check: ServiceCheck,
    observed: str,
    verdict: str,
    wrong_ports: str,
    evidence: Iterable[str],
    seen: Mapping[str, Any] | None = None,
) -> Cell:
    parsed = addresses.parse_address(check.service.host)
    seen = seen or {"via": "", "step": "", "blame": ""}
    return Cell(
        check.requirement,
        check.source,
        check.service.host,
        parsed[1] if parsed else "",
        parsed[0] if parsed else "",
        "tcp",
        _ports.format_ports(check.service.ports),
        _socket_states.OPEN,
        observed,
        verdict,
        tuple(evidence),
        wrong_ports,
        seen["via"],
        seen["step"],
        seen["blame"],
    )


def _bypass_cell(check: BypassCheck, result: Mapping[str, Any] | None) -> Cell:
    bypass = (result or {}).get("bypass")
    # A proxy setting knows no ports.
    cell = Cell(
        PROXY_BYPASS, check.source, check.destination, "", "", "tcp", "", DIRECT, UNKNOWN, ERROR, (), "", "", "", ""
    )
    if bypass is None:
        return cell._replace(evidence=(_no_answer(check.source, result),))
    findings = [finding for finding in bypass["findings"] if finding["group"] == check.group]
    if findings:
        remedy = "run the role determined.network.proxy, or add them; then restart the programs that already run"
        evidence = (*(_finding(finding) for finding in findings), remedy)
        return cell._replace(observed=THROUGH_PROXY, verdict=WRONG, blame=internet_targets.HOST, evidence=evidence)
    if bypass["problems"]:
        return cell._replace(
            evidence=tuple(f"{check.source} could not read {problem}" for problem in bypass["problems"])
        )
    places = ", ".join(bypass["places"])
    text = (
        f"no_proxy covers it in every place that sets a proxy: {places}" if places else "no proxy is set on this host"
    )
    return cell._replace(observed=DIRECT, verdict=CORRECT, evidence=(text,))


def _finding(finding: Mapping[str, Any]) -> str:
    hosts = ", ".join(finding["hosts"])
    more = finding["count"] - len(finding["hosts"])
    hosts += f" and {more} more" if more > 0 else ""
    clients = ", ".join(finding["clients"])
    return f"{clients} would go through the proxy: in {finding['place']}, {finding['variable']} does not cover {hosts}"
