# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts answered about the Internet and their proxy settings -> data of known shape. Pure.

See ``results``: an answer that the module ``internet`` never returns costs the checks of that host an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.determined.network.plugins.module_utils import _no_proxy, _ports, _socket_states
from ansible_collections.determined.network.plugins.module_utils._internet import targets as internet_targets
from ansible_collections.determined.network.plugins.plugin_utils import _escape
from ansible_collections.determined.network.plugins.plugin_utils._verification import results
from ansible_collections.determined.network.plugins.plugin_utils._verification.fields import Fields, Malformed

REFUSED = "refused"  # the key of a result whose host's answer cannot be used; the value is a sentence

MOST_ENTRIES = 200  # files, processes and findings of one host
MOST_ADDRESSES = 64  # of an instance of a cloud
MOST_TRIES = 1000  # of one target
MOST_HOSTS = 1_000_000  # that a finding counts

_STEPS = (
    internet_targets.NAME,
    internet_targets.CONNECT,
    internet_targets.PROXY,
    internet_targets.TLS,
    internet_targets.ANSWER,
)
_BLAMES = (
    "",
    internet_targets.HOST,
    internet_targets.NETWORK,
    internet_targets.THE_PROXY,
    internet_targets.TARGET,
    internet_targets.PROXY_OR_TARGET,
)
_STATES = (
    *_socket_states.STATES,
    internet_targets.NAME_NOT_FOUND,
    internet_targets.NAME_SERVER_SILENT,
    internet_targets.TIMEOUT,
    internet_targets.CLOSED,
    internet_targets.PROXY_CREDENTIALS,
    internet_targets.PROXY_FORBIDS,
    internet_targets.PROXY_CANNOT,
    internet_targets.CERTIFICATE_UNTRUSTED,
    internet_targets.CERTIFICATE_EXPIRED,
    internet_targets.CERTIFICATE_NOT_YET_VALID,
    internet_targets.CERTIFICATE_OF_ANOTHER,
    internet_targets.TLS_FAILED,
    internet_targets.NO_HTTP,
    internet_targets.HTTP_STATUS,
)
_PROVIDERS = ("", "gcp", "aws")


def read(answers: Mapping[str, Any], plan: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Host -> what ``internet`` returned there, and the plan of internet_checks -> the same, of known shape.

    The result of a host whose answer cannot be used is ``{REFUSED: sentence}``. A host that was not asked, or on which
    the module did not run, has at most a ``msg``.
    """
    found: dict[str, dict[str, Any]] = {}
    for host, answer in answers.items():
        asked = plan["hosts"].get(host)
        try:
            found[host] = {} if asked is None else _one(answer, asked, plan["targets"])
        except Malformed as problem:
            found[host] = {REFUSED: results.sentence(host, problem)}
    return found


def _one(answer: Any, asked: Mapping[str, Any], targets: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    # The role lets the play go on after a failure, so only a message tells of it.
    if not results.has_answered(answer) or (isinstance(answer, Mapping) and not {"targets", "bypass"} & set(answer)):
        text = answer.get("msg") if isinstance(answer, Mapping) else None
        return {"msg": _escape.line(text)} if isinstance(text, str) else {}
    fields = Fields("internet", answer)
    expected = targets if asked["outside"] else ()
    seen = list(fields.items("targets", len(expected)))
    if len(seen) != len(expected):
        raise fields.wrong("targets", f"has {len(seen)} entries for {len(expected)} targets")
    found = {
        "targets": [_target(*both) for both in zip(seen, expected, strict=True)],
        "bypass": _bypass(fields.fields("bypass"), asked["reaches"]),
    }
    if asked["outside"]:
        found["cloud"] = _cloud(fields.fields("cloud"))
    return found


def _target(fields: Fields, asked: Mapping[str, Any]) -> dict[str, Any]:
    port = fields.whole("port", _ports.LAST_PORT, _ports.FIRST_PORT)
    if port != asked["port"]:
        raise fields.wrong("port", f"is {port}, but port {asked['port']} was asked about")
    fields.choice("scheme", [asked["scheme"]])
    return {
        "port": port,
        "via": fields.text("via"),
        "state": fields.choice("state", _STATES),
        "step": fields.choice("step", _STEPS),
        "blame": fields.choice("blame", _BLAMES),
        "reason": fields.text("reason"),
        "attempts": fields.whole("attempts", MOST_TRIES),
    }


def _bypass(fields: Fields, reaches: Sequence[str]) -> dict[str, Any]:
    return {
        "places": fields.texts("places", MOST_ENTRIES),
        "problems": fields.texts("problems", MOST_ENTRIES),
        "findings": [_finding(one, reaches) for one in fields.items("findings", MOST_ENTRIES)],
    }


def _finding(fields: Fields, reaches: Sequence[str]) -> dict[str, Any]:
    clients = fields.texts("clients", len(_no_proxy.CLIENTS))
    if not set(clients) <= set(_no_proxy.CLIENTS):
        raise fields.wrong("clients", f"names others than {', '.join(_no_proxy.CLIENTS)}")
    return {
        "place": fields.text("place"),
        "clients": clients,
        "group": fields.choice("group", reaches),
        "hosts": fields.texts("hosts", MOST_ENTRIES),
        "count": fields.whole("count", MOST_HOSTS),
        "variable": fields.text("variable"),
    }


def _cloud(fields: Fields) -> dict[str, Any]:
    return {
        "provider": fields.choice("provider", _PROVIDERS),
        "external": fields.texts("external", MOST_ADDRESSES),
        "known": fields.flag("known"),
        "reason": fields.text("reason"),
        "egress": fields.flag_or_none("egress"),
        "egress_to": fields.text("egress_to"),
    }
