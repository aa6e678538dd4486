# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which clients would send cluster traffic to a proxy, given the proxy settings of a host. Pure."""

from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.determined.network.plugins.module_utils import _no_proxy

MOST_HOSTS = 5  # that a finding names


class Place(NamedTuple):
    """A file or a process that has proxy settings: ``variables``, as in an environment.

    ``clients``: those that read the variables, of _no_proxy.CLIENTS. ``groups``: the groups of hosts that these
    clients connect to.
    """

    name: str
    variables: Dict[str, str]
    clients: Tuple[str, ...]
    groups: Tuple[str, ...]


class Destination(NamedTuple):
    """A host of the cluster by the name or address that clients use, and the port (None: any)."""

    group: str
    host: str
    port: Optional[int]


class ClientSettings(NamedTuple):
    """What a client reads from its environment.

    ``has_proxy``: for http or https. ``variable``: the no_proxy variable that counts. ``no_proxy``: its text.
    """

    has_proxy: bool
    variable: str
    no_proxy: str


def findings(places: Sequence[Place], destinations: Sequence[Destination]) -> List[Dict[str, Any]]:
    """What would go through a proxy.

    Returns dicts ``{"place", "clients", "group", "hosts", "count", "variable"}``. ``hosts`` are the first few
    that the variable does not cover, ``count`` is the number of all of them.
    """
    found: Dict[Tuple[str, str, str, Tuple[str, ...]], List[str]] = {}
    for place in places:
        for client in place.clients:
            settings = client_settings(client, place.variables)
            if not settings.has_proxy:
                continue
            for group in place.groups:
                missing = tuple(
                    destination.host
                    for destination in destinations
                    if destination.group == group
                    and not _no_proxy.bypasses(client, settings.no_proxy, destination.host, destination.port)
                )
                if missing:
                    found.setdefault((place.name, group, settings.variable, missing), []).append(client)
    return [
        {
            "place": name,
            "clients": clients,
            "group": group,
            "hosts": list(missing[:MOST_HOSTS]),
            "count": len(missing),
            "variable": variable,
        }
        for (name, group, variable, missing), clients in found.items()
    ]


# The variables that clients read, in each client's order. ALL_PROXY counts for requests and curl alone.
_GO_PROXIES = (("HTTP_PROXY", "http_proxy"), ("HTTPS_PROXY", "https_proxy"))
_GO_NO_PROXY = ("NO_PROXY", "no_proxy")
# curl does not read HTTP_PROXY, which a CGI script gets from the header Proxy of a request.
_CURL_PROXIES = (("http_proxy",), ("https_proxy", "HTTPS_PROXY"), ("all_proxy", "ALL_PROXY"))
_CURL_NO_PROXY = ("no_proxy", "NO_PROXY")
_PYTHON_PROXIES = {
    _no_proxy.URLLIB: ("http_proxy", "https_proxy"),
    _no_proxy.REQUESTS: ("http_proxy", "https_proxy", "all_proxy"),
}


def client_settings(client: str, variables: Mapping[str, str]) -> ClientSettings:
    """What a client reads from the variables of its environment."""
    if client == _no_proxy.GO:
        return _by_order(_GO_PROXIES, _GO_NO_PROXY, variables)
    if client == _no_proxy.CURL:
        return _by_order(_CURL_PROXIES, _CURL_NO_PROXY, variables)
    return _python_settings(_PYTHON_PROXIES[client], variables)


def _by_order(
    proxies: Sequence[Sequence[str]], no_proxy: Sequence[str], variables: Mapping[str, str]
) -> ClientSettings:
    """The settings of a client that reads the first variable of each sequence that is not empty."""
    has_proxy = any(variables.get(name) for names in proxies for name in names)
    name = next((name for name in no_proxy if variables.get(name)), no_proxy[0])
    return ClientSettings(has_proxy, name, variables.get(name, ""))


def _python_settings(proxies: Sequence[str], variables: Mapping[str, str]) -> ClientSettings:
    """The settings of urllib and requests, which accept any mixture of cases (urllib.request)."""
    lowered = {name.lower(): value for name, value in variables.items() if value}
    # A variable in lowercase wins, and an empty one removes the setting.
    lowered.update((name, value) for name, value in variables.items() if name == name.lower())
    has_proxy = any(lowered.get(name) for name in proxies)
    name = "no_proxy" if variables.get("no_proxy") or "NO_PROXY" not in variables else "NO_PROXY"
    return ClientSettings(has_proxy, name, lowered.get("no_proxy", ""))
