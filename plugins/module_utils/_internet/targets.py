# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Services outside the cluster, the proxies on the way, and how an attempt to reach one ended. Pure."""

import base64
import ipaddress
from typing import NamedTuple

from ansible_collections.determined.network.plugins.module_utils import _no_proxy

HTTP, HTTPS, TCP = "http", "https", "tcp"
SCHEMES = (HTTPS, HTTP, TCP)
REGISTRY, RESOURCE = "registry", "resource"
PURPOSES = (REGISTRY, RESOURCE)

# The steps on the way, in their order.
NAME, CONNECT, PROXY, TLS, ANSWER = "name", "connect", "proxy", "tls", "http"

# Who has to mend it.
HOST, NETWORK, THE_PROXY, TARGET = "host", "network", "proxy", "target"
BEYOND = "proxy_or_target"  # the proxy was asked, and says nothing

# How an attempt ended, besides the words of _model for what a socket sees.
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

# A registry's images are pulled by dockerd, which Go made; packages and data mostly by Python's requests.
_CLIENTS = {REGISTRY: _no_proxy.GO, RESOURCE: _no_proxy.REQUESTS}

# What every client leaves out of a URL (RFC 9110, 4.2.1 and 4.2.2).
_DEFAULT_PORTS = {HTTP: 80, HTTPS: 443}

# Where a registry tells what it is (OCI Distribution Specification, "Determining Support").
REGISTRY_PATH = "/v2/"
REGISTRY_STATUS = (200, 401)


def scheme_of(port, purpose):
    """What is spoken at a port, as far as anybody can tell. A registry's is HTTPS wherever it listens, and so is pulled
    from through the proxy."""
    usual = HTTPS if purpose == REGISTRY else TCP
    return {number: scheme for scheme, number in _DEFAULT_PORTS.items()}.get(port, usual)


class Target(NamedTuple):
    """One port of a service; ``path`` is asked for if the scheme is http or https, "" picks one by the purpose."""

    host: str
    port: int
    scheme: str
    purpose: str
    path: str

    def asked_path(self):
        """The path to ask for."""
        return self.path or (REGISTRY_PATH if self.purpose == REGISTRY else "/")

    def asked_as_registry(self):
        """Whether only a registry's answers will do."""
        return self.purpose == REGISTRY and not self.path

    def netloc(self):
        """Host and port as a request line and a Host field write them, the port always."""
        return "%s:%d" % (bracketed(self.host), self.port)


class Proxy(NamedTuple):
    """A proxy: how to reach it, and the value of Proxy-Authorization, or ""."""

    scheme: str
    host: str
    port: int
    authorization: str

    def netloc(self):
        """How it is called in results: never with credentials."""
        return "%s:%d" % (bracketed(self.host), self.port)


class Outcome(NamedTuple):
    """How an attempt ended: ``state`` is _model.OPEN or what went wrong at ``step``, ``blame`` who has to mend it."""

    state: str
    step: str
    blame: str = ""
    reason: str = ""
    status: object = None  # of HTTP, where there was one


class Broken(Exception):
    """An attempt that ended before its aim."""

    def __init__(self, outcome):
        super().__init__(outcome.reason)
        self.outcome = outcome


def bracketed(host):
    """A host as a URL writes it (RFC 3986, 3.2.2)."""
    return "[%s]" % host if ":" in host else host


def is_address(host):
    """Whether a host is an address, not a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


_PRIVATE = [ipaddress.ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")]


def is_private(address):
    """Whether an address lies in a private network (RFC 1918, RFC 4193), on one link or in this host."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    inside = any(parsed.version == network.version and parsed in network for network in _PRIVATE)
    return inside or parsed.is_link_local or parsed.is_loopback


def basic_authorization(username, password):
    """Credentials -> the value of Proxy-Authorization (RFC 7617, in UTF-8)."""
    return "Basic " + base64.b64encode(("%s:%s" % (username, password)).encode("utf-8")).decode("ascii")


def read_targets(items):
    """The module's parameter ``targets`` -> tuple of Target. ValueError names every bad one."""
    problems = []
    for number, item in enumerate(items, 1):
        problems += ["targets[%d]: %s" % (number, text) for text in _host_and_port_problems(item)]
        if _ascii(item["host"]).encode("ascii", "replace") != _ascii(item["host"]).encode("utf-8"):
            problems.append("targets[%d]: %r cannot be a name of DNS" % (number, item["host"]))
        if item["path"] and not item["path"].startswith("/") or set(item["path"]) & set(" \r\n\t"):
            problems.append("targets[%d]: path %r does not start with / or holds spaces" % (number, item["path"]))
    if problems:
        raise ValueError("; ".join(problems))
    return tuple(
        Target(
            _ascii(item["host"].strip("[]").rstrip(".")), item["port"], item["scheme"], item["purpose"], item["path"]
        )
        for item in items
    )


def _ascii(host):
    """A name as DNS and HTTP write it (RFC 3490)."""
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError:
        return host


def read_proxies(items):
    """The module's parameter ``proxies`` -> scheme of targets -> Proxy. ValueError names every bad one."""
    problems = []
    proxies = {}
    for number, item in enumerate(items, 1):
        found = _host_and_port_problems(item)
        authorization = item["authorization"] or ""
        if set(authorization) & set("\r\n"):
            found.append("authorization holds a line break")
        if item["serves"] in proxies:
            found.append("there is a proxy for %s already" % item["serves"])
        problems += ["proxies[%d]: %s" % (number, text) for text in found]
        proxies[item["serves"]] = Proxy(item["scheme"], item["host"].strip("[]"), item["port"], authorization)
    if problems:
        raise ValueError("; ".join(problems))
    return proxies


def _host_and_port_problems(item):
    problems = []
    if not item["host"] or set(item["host"]) & set(" \r\n\t/@"):
        problems.append("%r is neither a name nor an address" % item["host"])
    if not 1 <= item["port"] <= 65535:
        problems.append("%d is no port" % item["port"])
    return problems


def way_of(target, proxies, no_proxy, cluster=()):
    """The Proxy that the workloads' client takes to a target; None if it goes directly.

    ``no_proxy``: the variable's text. ``cluster``: names and addresses that are never reached through a proxy.
    A plain TCP connection knows no proxy.
    """
    proxy = proxies.get(target.scheme)
    if proxy is None or target.host.lower() in cluster:
        return None
    spelt = None if target.port == _DEFAULT_PORTS[target.scheme] else target.port
    return None if _no_proxy.bypasses(_CLIENTS[target.purpose], no_proxy, target.host, spelt) else proxy
