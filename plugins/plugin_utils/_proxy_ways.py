# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the variables that describe a proxy to the option ``proxies`` of the module ``internet``. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.determined.network.plugins.module_utils._internet import targets
from ansible_collections.determined.network.plugins.module_utils._proxy import description


def proxy_ways(variables: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the option ``proxies``.

    ``variables``: those of the role ``proxy`` without the prefix of their names (``http``, ``https``, ``username``,
    ``password``); each may be None. Raises ValueError, which names everything that is wrong and shows no secret.
    """
    # A password of digits is a number in an inventory.
    texts = {name: None if value is None else str(value) for name, value in variables.items()}
    urls = {protocol: texts.get(protocol) or None for protocol in ("http", "https")}
    username, password = texts.get("username"), texts.get("password")
    if not any(urls.values()):
        username = password = None  # they may be for determined_proxy_ftp alone
    described, problems = description.describe(urls, username, password, (), ())
    if described is None:
        raise ValueError("; ".join(problems))
    return [_option(protocol, proxy) for protocol, proxy in described.proxies.items()]


def _option(protocol: str, proxy: description.Proxy) -> dict[str, Any]:
    found = {"serves": protocol, "scheme": proxy.scheme, "host": proxy.host.strip("[]"), "port": proxy.port}
    if proxy.username:
        found["authorization"] = targets.basic_authorization(proxy.username, proxy.password)
    return found
