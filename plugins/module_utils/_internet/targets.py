# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Services outside the cluster, the proxies that lead to them, and how an attempt to reach one ended. Pure."""

import base64
import ipaddress
import string
from typing import Any, Collection, Dict, List, Mapping, NamedTuple, Optional, Tuple

from ansible_collections.determined.network.plugins.module_utils import _no_proxy

HTTP, HTTPS, TCP = "http", "https", "tcp"
SCHEMES = (HTTPS, HTTP, TCP)
REGISTRY, RESOURCE = "registry", "resource"
PURPOSES = (REGISTRY, RESOURCE)

# The steps of an attempt, in their order.
NAME, CONNECT, PROXY, TLS, ANSWER = "name", "connect", "proxy", "tls", "http"

# Who has to repair what is wrong.
HOST, NETWORK, THE_PROXY, TARGET = "host", "network", "proxy", "target"
PROXY_OR_TARGET = "proxy_or_target"  # the proxy took the request and does not answer

# How an attempt ended, besides the states of _socket_states.
NAME_NOT_FOUND = "name_not_found"
NAME_SERVER_SILENT = "name_server_silent"
TIMEOUT = "timeout"
CLOSED = "closed"  # the connection broke off in the middle
PROXY_CREDENTIALS = "proxy_credentials"
PROXY_FORBIDS = "proxy_forbids"
PROXY_CANNOT = "proxy_cannot"
CERTIFICATE_UNTRUSTED = "certificate_untrusted"
CERTIFICATE_EXPIRED = "certificate_expired"
CERTIFICATE_NOT_YET_VALID = "certificate_not_yet_valid"
CERTIFICATE_OF_ANOTHER = "certificate_of_another"
TLS_FAILED = "tls_failed"
NO_HTTP = "no_http"
HTTP_STATUS = "http_status"

# dockerd, which is written in Go, pulls a registry's images. Python's requests loads most packages and data.
_CLIENTS = {REGISTRY: _no_proxy.GO, RESOURCE: _no_proxy.REQUESTS}

# Every client leaves these ports out of a URL (RFC 9110, 4.2.1 and 4.2.2).
_DEFAULT_PORTS = {HTTP: 80, HTTPS: 443}

# A registry answers this path with one of these (OCI Distribution Specification, "Determining Support").
REGISTRY_PATH = "/v2/"
REGISTRY_STATUS = (200, 401)


def scheme_of(port: int, purpose: str) -> str:
    """The scheme that a port most likely serves: one of SCHEMES.

    Ports 80 and 443 have their schemes. A registry serves HTTPS on every other port too, so dockerd pulls from it
    through the proxy. Any other service is tried by a TCP connection alone.
    """
    usual = HTTPS if purpose == REGISTRY else TCP
    return {number: scheme for scheme, number in _DEFAULT_PORTS.items()}.get(port, usual)


class Target(NamedTuple):
    """One port of a service. ``path`` is requested if the scheme is http or https; "" selects one by the purpose."""

    host: str
    port: int
    scheme: str
    purpose: str
    path: str

    def request_path(self) -> str:
        """The path to request, in ASCII."""
        return _percent_encoded(self.path) or (REGISTRY_PATH if self.purpose == REGISTRY else "/")

    def must_be_registry(self) -> bool:
        """Whether the target is right only if it answers as a registry does."""
        return self.purpose == REGISTRY and not self.path

    def netloc(self) -> str:
        """Host and port as a request line and a Host field write them, always with the port."""
        return "%s:%d" % (bracketed(self.host), self.port)


class Proxy(NamedTuple):
    """A proxy: its scheme and address, and the value of Proxy-Authorization, or ""."""

    scheme: str
    host: str
    port: int
    authorization: str

    def netloc(self) -> str:
        """Host and port as results show them, never with credentials."""
        return "%s:%d" % (bracketed(self.host), self.port)


class Outcome(NamedTuple):
    """How an attempt ended.

    ``state`` is _socket_states.OPEN or what went wrong at ``step``. ``blame`` says who has to repair it.
    ``status`` is that of the HTTP answer, or None without one.
    """

    state: str
    step: str
    blame: str = ""
    reason: str = ""
    status: Optional[int] = None


class AttemptFailed(Exception):
    """An attempt failed before its last step; ``outcome`` says why."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome


def _percent_encoded(path: str) -> str:
    """A path whose characters outside ASCII are percent-encoded (RFC 3987, 3.1)."""
    return "".join(
        char if char < "\x7f" else "".join("%%%02X" % byte for byte in char.encode("utf-8", "replace")) for char in path
    )


def bracketed(host: str) -> str:
    """A host as a URL writes it (RFC 3986, 3.2.2)."""
    return "[%s]" % host if ":" in host else host


_PRIVATE = [ipaddress.ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")]


def is_private(address: str) -> bool:
    """Whether an address is private (RFC 1918, RFC 4193), link-local or of this host's loopback."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    inside = any(parsed.version == network.version and parsed in network for network in _PRIVATE)
    return inside or parsed.is_link_local or parsed.is_loopback


def basic_authorization(username: str, password: str) -> str:
    """Credentials -> the value of Proxy-Authorization (RFC 7617, in UTF-8)."""
    return "Basic " + base64.b64encode(("%s:%s" % (username, password)).encode("utf-8")).decode("ascii")


def read_targets(items: List[Dict[str, Any]]) -> Tuple[Target, ...]:
    """Read the module's parameter ``targets``. Raises ValueError that names every bad one."""
    problems: List[str] = []
    for number, item in enumerate(items, 1):
        problems += ["targets[%d]: %s" % (number, text) for text in _host_and_port_problems(item)]
        if _ascii(item["host"]).encode("ascii", "replace") != _ascii(item["host"]).encode("utf-8"):
            problems.append("targets[%d]: %r is not a valid DNS name" % (number, item["host"]))
        if item["path"] and not item["path"].startswith("/") or set(item["path"]) & set(" \r\n\t"):
            problems.append("targets[%d]: path %r does not start with / or contains spaces" % (number, item["path"]))
    if problems:
        raise ValueError("; ".join(problems))
    return tuple(
        Target(
            _ascii(item["host"].strip("[]").rstrip(".")), item["port"], item["scheme"], item["purpose"], item["path"]
        )
        for item in items
    )


def _ascii(host: str) -> str:
    """A name as DNS and HTTP write it (RFC 3490)."""
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError:
        return host


def read_proxies(items: List[Dict[str, Any]]) -> Dict[str, Proxy]:
    """Read the module's parameter ``proxies``, by the scheme of targets. Raises ValueError that names every bad one."""
    problems: List[str] = []
    proxies: Dict[str, Proxy] = {}
    for number, item in enumerate(items, 1):
        found = _host_and_port_problems(item)
        authorization = item["authorization"] or ""
        if not set(authorization) <= set(string.printable) - set("\r\n"):
            found.append("authorization contains a line break or a character that is not ASCII")
        if item["serves"] in proxies:
            found.append("another proxy serves %s already" % item["serves"])
        problems += ["proxies[%d]: %s" % (number, text) for text in found]
        proxies[item["serves"]] = Proxy(item["scheme"], item["host"].strip("[]"), item["port"], authorization)
    if problems:
        raise ValueError("; ".join(problems))
    return proxies


def _host_and_port_problems(item: Dict[str, Any]) -> List[str]:
    problems = []
    if not item["host"] or set(item["host"]) & set(" \r\n\t/@"):
        problems.append("%r is neither a name nor an address" % item["host"])
    if not 1 <= item["port"] <= 65535:
        problems.append("%d is not a port from 1 to 65535" % item["port"])
    return problems


def proxy_for(
    target: Target, proxies: Mapping[str, Proxy], no_proxy: str, cluster: Collection[str] = ()
) -> Optional[Proxy]:
    """The Proxy that the workloads' client uses for a target; None if it connects directly.

    ``proxies``: scheme of targets -> Proxy. ``no_proxy``: the variable's text.
    ``cluster``: names and addresses that are never reached through a proxy.
    A plain TCP connection uses no proxy.
    """
    proxy = proxies.get(target.scheme)
    if proxy is None or target.host.lower() in cluster:
        return None
    port_in_url = None if target.port == _DEFAULT_PORTS[target.scheme] else target.port
    client = _CLIENTS[target.purpose]
    return None if _no_proxy.bypasses(client, no_proxy, target.host, port_in_url) else proxy
