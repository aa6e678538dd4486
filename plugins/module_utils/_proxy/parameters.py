# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the arguments of the module ``proxy`` to settings: everything that is wrong with them is named at once. Pure."""

from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Tuple

from ansible_collections.determined.network.plugins.module_utils import _ports
from ansible_collections.determined.network.plugins.module_utils._proxy import certificate, description, targets
from ansible_collections.determined.network.plugins.module_utils._proxy.request import Settings

# The module's arguments, as its argument_spec declares them.
Parameters = Mapping[str, Any]

# Arguments that are right. With them the files of a host can be examined even when the user's arguments are wrong.
_PLACEHOLDERS: Dict[str, Any] = {
    "http": "http://192.0.2.1:1",
    "https": None,
    "ftp": None,
    "username": None,
    "password": None,
    "no_proxy": [],
    "stable_no_proxy": None,
    "ca_certificate": None,
    "registries": [],
}


class Arguments(NamedTuple):
    """``settings``: None when there are problems. ``problems``: sentences."""

    settings: Optional[Settings]
    problems: List[str]


def read(params: Parameters) -> Arguments:
    """Return the Settings of the arguments, or what is wrong with them."""
    problems: List[str] = []
    no_proxy, stable = params["no_proxy"], params["stable_no_proxy"]
    described, found = description.describe(
        {protocol: params[protocol] for protocol in description.PROTOCOLS},
        params["username"],
        params["password"],
        no_proxy,
        no_proxy if stable is None else stable,
    )
    problems += found
    registries: Tuple[str, ...] = ()
    try:
        registries = tuple(_registry_names(params["registries"]))
    except ValueError as problem:
        problems.append("registries: %s" % problem)
    certificates: List[str] = []
    try:
        certificates = _certificates(params["ca_certificate"])
    except ValueError as problem:
        problems.append("determined_proxy_ca_certificate: %s" % problem)
    if described is None or problems:
        return Arguments(None, problems)
    settings = Settings(
        description=described,
        certificates=tuple(certificates),
        registries=registries,
        targets=tuple(targets.TARGETS if targets.ALL in params["targets"] else params["targets"]),
        docker_method=params["docker_method"],
        task_environment=params["task_environment"],
        share_credentials=params["share_credentials"],
    )
    return Arguments(settings, [])


def placeholder(params: Parameters) -> Settings:
    """Return Settings with the same targets and methods, and with a proxy and lists that are right."""
    settings = read(dict(params, **_PLACEHOLDERS)).settings
    if settings is None:
        raise AssertionError("the placeholders are wrong")
    return settings


def _certificates(text: Optional[str]) -> List[str]:
    if not text:
        return []
    try:
        return certificate.certificates(text)
    except ValueError as problem:
        if "\n" in text.strip():
            raise
        # One line is no certificate: it is the path of a file that the controller could not find.
        raise ValueError("%r: %s" % (text, problem)) from problem


def _registry_names(services: List[Dict[str, Any]]) -> Iterator[str]:
    """Yield each registry as the names of images spell it, which is the name of its folder below Docker's certs.d.

    ``services``: dictionaries with ``host`` and ``ports``. Raises ValueError.
    """
    for service in services:
        if not isinstance(service.get("host"), str) or "ports" not in service:
            raise ValueError("%r must have the keys host and ports" % (service,))
        host = "[%s]" % service["host"] if service["host"].count(":") > 1 else service["host"]
        if "/" in host:
            continue  # a network has no certificate
        for first, last in _ports.parse_ports(service["ports"]):
            if first == last:
                yield host if first == description.SCHEMES["https"] else "%s:%d" % (host, first)
