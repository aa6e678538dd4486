# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a cluster's hosts reach without the proxy, in words that all clients understand alike. Pure.

Clients read ``no_proxy`` by different rules: Go takes networks, Python's urllib does not and wants IPv6 addresses in
brackets, others want them without; some take a domain with its leading dot, some without. So every name and address
stands there literally, in each form that some client needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ansible_collections.determined.network.plugins.plugin_utils._cluster.cluster import Cluster

# The host itself, and where clouds tell an instance about itself (a link-local address, and Google's name for it).
LOCAL = ("localhost", "127.0.0.1", "::1", "169.254.169.254", "metadata.google.internal")


class NoProxy(NamedTuple):
    """``entries``: everything. ``stable``: without the agents, so that it stays the same when one is added."""

    entries: tuple[str, ...]
    stable: tuple[str, ...]


def compose(
    cluster: Cluster,
    names: Mapping[str, Sequence[str]],
    extra: Iterable[str] = (),
    override: Iterable[str] | None = None,
) -> NoProxy:
    """The cluster, host -> the texts by which the inventory calls it (names and addresses), what users add, and what
    they set instead of everything (None: nothing) -> NoProxy. Entries that are no names or addresses are passed on as
    they are; whoever writes the list checks it.
    """
    if override is not None:
        fixed = _once(_split(override))
        return NoProxy(fixed, fixed)
    by_role = {
        role: [
            form
            for host in cluster.with_role(role)
            for text in (host.name, *names.get(host.name, ()), *(a for found in host.addresses.values() for a in found))
            for form in _forms(text)
        ]
        for role in ("master", "agents")
    }
    local = [form for text in LOCAL for form in _forms(text)]
    extras = [form for text in _split(extra) for form in _domain_forms(text)]
    # An agent that serves images stays off the proxy for dockerd, too: services come and go more rarely than agents.
    agents = frozenset(by_role["agents"])
    registries = [
        form
        for service in cluster.settings.services
        for form in _forms(service.host)
        if service.purpose == "registry" and form in agents
    ]
    stable = _once([*local, *by_role["master"], *registries, *extras])
    return NoProxy(_once([*stable, *by_role["agents"]]), stable)


def _split(texts: Iterable[str]) -> list[str]:
    """Entries, or comma-separated lists of them, as one list without spaces."""
    texts = [texts] if isinstance(texts, str) else texts
    return [part.strip() for text in texts for part in str(text).split(",") if part.strip()]


def _once(entries: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(entries))


def _forms(text: str) -> list[str]:
    """A host's name or address in each form that some client needs."""
    if text.count(":") > 1:
        bare = text.strip("[]")
        return [bare, f"[{bare}]"]  # Python's urllib compares with the brackets of the URL, others without
    return [text.rstrip(".")] if text.rstrip(".") else []


def _domain_forms(text: str) -> list[str]:
    """A name or domain that a user adds: with everything in it, with and without the leading dot."""
    if text.count(":") > 1:
        return _forms(text) if "/" not in text else [text]
    bare = text.removeprefix("*").lstrip(".")
    if not bare or ":" in bare or "/" in bare or not any(letter.isalpha() for letter in bare) or "." not in bare:
        return [text]
    return [bare.rstrip("."), "." + bare.rstrip(".")]
