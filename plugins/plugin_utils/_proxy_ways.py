# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The variables that describe a proxy -> what the module ``internet`` takes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.determined.network.plugins.module_utils._internet import targets
from ansible_collections.determined.network.plugins.module_utils._proxy import description


def proxy_ways(variables: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The variables of the role ``proxy`` without their first word (``http``, ``https``, ``username``, ``password``),
    each may be None -> the module's ``proxies``.

    ValueError names everything that is wrong with them, and shows no secret.
    """
    # A password of digits is a number in an inventory.
    texts = {name: None if value is None else str(value) for name, value in variables.items()}
    urls = {protocol: texts.get(protocol) or None for protocol in ("http", "https")}
    username, password = texts.get("username"), texts.get("password")
    if not any(urls.values()):
        username = password = None  # they may serve proxy_ftp alone
    described, problems = description.describe(urls, username, password, (), ())
    if described is None:
        raise ValueError("; ".join(problems))
    return [_way(protocol, proxy) for protocol, proxy in described.proxies.items()]


def _way(protocol: str, proxy: description.Proxy) -> dict[str, Any]:
    way = {"serves": protocol, "scheme": proxy.scheme, "host": proxy.host.strip("[]"), "port": proxy.port}
    if proxy.username:
        way["authorization"] = targets.basic_authorization(proxy.username, proxy.password)
    return way
