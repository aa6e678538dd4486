# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP requests, and what the answers of proxies and services mean for an attempt. Pure."""

import errno
import re
from typing import Dict, NamedTuple, Optional

from ansible_collections.determined.network.plugins.module_utils import _socket_states
from ansible_collections.determined.network.plugins.module_utils._internet import targets
from ansible_collections.determined.network.plugins.module_utils._internet.targets import Outcome, Target

MOST_HEAD = 65536  # bytes of an answer's head


class NotHttp(ValueError):
    """What the other end sent is not HTTP."""


class Head(NamedTuple):
    """The head of an HTTP answer; the names of the fields are in lowercase."""

    status: int
    reason: str
    fields: Dict[str, str]

    def line(self) -> str:
        """The status and its reason, for a sentence."""
        return ("%d %s" % (self.status, self.reason)).strip()


def parse_head(data: bytes) -> Head:
    """Read the bytes up to the empty line (RFC 9112, 4). Raises NotHttp."""
    lines = data.decode("iso-8859-1").split("\n")
    found = re.match(r"HTTP/\d(?:\.\d)? (\d{3})(?: ([^\r]*))?\r?\Z", lines[0])
    if not found:
        raise NotHttp("the answer is not HTTP: %r" % lines[0][:60])
    fields = {}
    for line in lines[1:]:
        name, colon, value = line.rstrip("\r").partition(":")
        if colon:
            fields[name.strip().lower()] = value.strip()
    return Head(int(found.group(1)), _printable(found.group(2) or "")[:60], fields)


def _printable(text: str) -> str:
    """A text of somebody else, with a question mark for every character that is not printable ASCII."""
    return re.sub(r"[^ -~]", "?", text)


def request(method: str, target: str, netloc: str, authorization: str = "") -> bytes:
    """The bytes of a request (RFC 9112, 3)."""
    lines = ["%s %s HTTP/1.1" % (method, target), "Host: %s" % netloc, "User-Agent: determined.network", "Accept: */*"]
    if authorization:
        lines.append("Proxy-Authorization: %s" % authorization)
    if method != "CONNECT":
        lines.append("Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


def tunnel(head: Head, with_credentials: bool) -> Optional[Outcome]:
    """What a proxy's answer to CONNECT means: None if the tunnel is open, otherwise how the attempt ended."""
    if 200 <= head.status < 300:
        return None
    return _by_proxy(head, with_credentials) or Outcome(
        targets.PROXY_CANNOT,
        targets.PROXY,
        targets.THE_PROXY,
        "it answers CONNECT with %s" % head.line(),
        head.status,
    )


def answer(head: Head, target: Target, through_proxy: bool, with_credentials: bool) -> Outcome:
    """What the answer to GET means.

    ``through_proxy``: a proxy took the request, as it does for plain HTTP.
    """
    if through_proxy:
        outcome = _by_proxy(head, with_credentials) if _is_from_proxy(head) else None
        if outcome:
            return outcome
    step = targets.ANSWER
    if head.status in (407, 511) or head.status >= 500:
        return Outcome(targets.HTTP_STATUS, step, targets.TARGET, "it answers %s" % head.line(), head.status)
    if target.must_be_registry() and head.status not in targets.REGISTRY_STATUS:
        reason = "%s answers %s, but a registry answers 200 or 401 there" % (target.request_path(), head.line())
        return Outcome(targets.HTTP_STATUS, step, targets.TARGET, reason, head.status)
    return Outcome(_socket_states.OPEN, step, "", "it answers %s" % head.line(), head.status)


def _is_from_proxy(head: Head) -> bool:
    """Whether a proxy made an answer itself and did not forward it.

    Only proxies answer 407 (RFC 9110, 15.5.8). Squid names its own errors. A forwarded answer has the field Via
    (RFC 9110, 7.6.3), and a proxy may report its own errors in Proxy-Status (RFC 9209).
    """
    if head.status == 407 or "x-squid-error" in head.fields or "error=" in head.fields.get("proxy-status", ""):
        return True
    if "via" in head.fields:
        return False
    return head.status in (403, 500, 502, 503, 504) or _is_from_tinyproxy_401(head)


def _is_from_tinyproxy_401(head: Head) -> bool:
    """Whether tinyproxy refuses wrong credentials: it answers 401 for them, and 407 for missing ones."""
    return head.status == 401 and head.fields.get("server", "").lower().startswith("tinyproxy")


# The errno that Squid writes behind the error's name in X-Squid-Error.
_SQUID_ERRNO = {
    errno.ECONNREFUSED: (_socket_states.REFUSED, "nothing listens there"),
    errno.EHOSTUNREACH: (_socket_states.NO_ROUTE, "no route to the host"),
    errno.ENETUNREACH: (_socket_states.NO_ROUTE, "no route to the network"),
    errno.ETIMEDOUT: (_socket_states.FILTERED, "no answer"),
}


def _by_proxy(head: Head, with_credentials: bool) -> Optional[Outcome]:
    """What an error of the proxy itself means, or None if it is none of the known errors."""
    if head.status == 407 or _is_from_tinyproxy_401(head):
        return _refused_credentials(head, with_credentials)
    squid_error, _unused, number = head.fields.get("x-squid-error", "").partition(" ")
    if head.status == 403:
        reason = "it forbids this target (403)"
        return Outcome(targets.PROXY_FORBIDS, targets.PROXY, targets.THE_PROXY, reason, head.status)
    if squid_error == "ERR_DNS_FAIL":
        reason = "the proxy finds no address for the name"
        return Outcome(targets.NAME_NOT_FOUND, targets.PROXY, targets.TARGET, reason, head.status)
    if squid_error in ("ERR_CONNECT_FAIL", "ERR_READ_TIMEOUT", "ERR_CANNOT_FORWARD"):
        # Squid 5 answers ERR_CANNOT_FORWARD to CONNECT if it does not find the name.
        unknown = (targets.PROXY_CANNOT, "it finds no address for the name, or no route (%s)" % squid_error)
        state, reason = _SQUID_ERRNO.get(int(number) if number.isdecimal() else 0, unknown)
        reason = "the proxy cannot connect: %s (%s)" % (reason, head.line())
        return Outcome(state, targets.PROXY, targets.TARGET, reason, head.status)
    if head.status in (500, 502, 503, 504):
        reason = "the proxy cannot reach it: %s" % head.line()
        return Outcome(targets.PROXY_CANNOT, targets.PROXY, targets.TARGET, reason, head.status)
    return None


def _refused_credentials(head: Head, with_credentials: bool) -> Outcome:
    """The outcome of an answer by which a proxy wants other credentials, or any."""
    if with_credentials:
        reason = "it refuses the credentials (%d)" % head.status
    else:
        reason = "it wants credentials, and none are set (%d)" % head.status
    methods = head.fields.get("proxy-authenticate", "")
    if methods and "basic" not in methods.lower():
        reason += ", and it accepts only the method %s" % _printable(methods.split()[0])[:30]
    return Outcome(targets.PROXY_CREDENTIALS, targets.PROXY, targets.THE_PROXY, reason, head.status)
