# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the hosts of a cluster reach without the proxy, written so that all clients read it alike. Pure.

Clients read ``no_proxy`` by different rules. Go reads networks. Python's urllib does not, and needs IPv6 addresses in
brackets, while others need them without brackets. Some need a domain with its leading dot, some without. So every name
and address is an entry of its own, in each form that some client needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ansible_collections.determined.network.plugins.plugin_utils._cluster.cluster import Cluster

# The host itself, and the metadata service of clouds (a link-local address, and Google's name for it).
LOCAL = ("localhost", "127.0.0.1", "::1", "169.254.169.254", "metadata.google.internal")


class NoProxy(NamedTuple):
    """``entries``: all entries. ``stable``: those without the agents, which stay the same when an agent is added."""

    entries: tuple[str, ...]
    stable: tuple[str, ...]


def compose(
    cluster: Cluster,
    names: Mapping[str, Sequence[str]],
    extra: Iterable[str] = (),
    override: Iterable[str] | None = None,
) -> NoProxy:
    """Return the entries.

    ``names``: host -> the names and addresses by which the inventory calls it. ``extra``: what users add. ``override``:
    what users set in place of all entries, None for nothing. Entries that are neither names nor addresses are passed on
    unchanged; who writes the list checks them.
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
    # An agent that is a registry is stable, so that dockerd reaches it without the proxy: services change more rarely
    # than agents.
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
    """Return the entries of texts that are entries or comma-separated lists of them."""
    texts = [texts] if isinstance(texts, str) else texts
    return [part.strip() for text in texts for part in str(text).split(",") if part.strip()]


def _once(entries: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(entries))


def _forms(text: str) -> list[str]:
    """Return a host's name or address in each form that some client needs."""
    if text.count(":") > 1:
        bare = text.strip("[]")
        return [bare, f"[{bare}]"]  # Python's urllib compares the URL's host with its brackets
    return [text.rstrip(".")] if text.rstrip(".") else []


def _domain_forms(text: str) -> list[str]:
    """Return what a user adds in each form that some client needs: a domain with and without its leading dot."""
    if text.count(":") > 1:
        return _forms(text) if "/" not in text else [text]
    bare = text.removeprefix("*").lstrip(".")
    if not bare or ":" in bare or "/" in bare or not any(letter.isalpha() for letter in bare) or "." not in bare:
        return [text]
    return [bare.rstrip("."), "." + bare.rstrip(".")]
