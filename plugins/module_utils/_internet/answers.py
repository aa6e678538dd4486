# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What proxies, TLS and services answer -> how an attempt ended. Pure."""

import calendar
import errno
import re
from typing import NamedTuple

from ansible_collections.determined.network.plugins.module_utils import _socket_states
from ansible_collections.determined.network.plugins.module_utils._internet import targets
from ansible_collections.determined.network.plugins.module_utils._internet.targets import Outcome

MOST_HEAD = 65536  # bytes of an answer's head


class Head(NamedTuple):
    """The head of an HTTP answer; the names of fields in small letters."""

    status: int
    reason: str
    fields: dict

    def line(self):
        """Its status for a sentence."""
        return ("%d %s" % (self.status, self.reason)).strip()


def parse_head(data):
    """Bytes up to the empty line -> Head (RFC 9112, 4). ValueError if that is no HTTP."""
    lines = data.decode("iso-8859-1").split("\n")
    found = re.match(r"HTTP/\d(?:\.\d)? (\d{3})(?: ([^\r]*))?\r?\Z", lines[0])
    if not found:
        raise ValueError("the answer is no HTTP: %r" % lines[0][:60])
    fields = {}
    for line in lines[1:]:
        name, colon, value = line.rstrip("\r").partition(":")
        if colon:
            fields[name.strip().lower()] = value.strip()
    words = re.sub(r"[^ -~]", "?", found.group(2) or "")[:60]
    return Head(int(found.group(1)), words, fields)


def request(method, target, netloc, authorization=""):
    """The bytes of a request (RFC 9112, 3)."""
    lines = ["%s %s HTTP/1.1" % (method, target), "Host: %s" % netloc, "User-Agent: determined.network", "Accept: */*"]
    if authorization:
        lines.append("Proxy-Authorization: %s" % authorization)
    if method != "CONNECT":
        lines.append("Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


def tunnel(head, with_credentials):
    """A proxy's answer to CONNECT -> None if the tunnel stands, else Outcome."""
    if 200 <= head.status < 300:
        return None
    return _by_proxy(head, with_credentials) or Outcome(
        targets.PROXY_CANNOT,
        targets.PROXY,
        targets.THE_PROXY,
        "it answers CONNECT with %s" % head.line(),
        head.status,
    )


def answer(head, target, through_proxy, with_credentials):
    """The answer to GET -> Outcome. ``through_proxy``: a proxy took the request, as it does for plain http."""
    if through_proxy:
        outcome = _by_proxy(head, with_credentials) if _is_the_proxys_own(head) else None
        if outcome:
            return outcome
    step = targets.ANSWER
    if head.status in (407, 511) or head.status >= 500:
        return Outcome(targets.HTTP_STATUS, step, targets.TARGET, "it answers %s" % head.line(), head.status)
    if target.asked_as_registry() and head.status not in targets.REGISTRY_STATUS:
        reason = "%s answers %s, and a registry says 200 or 401 there" % (target.asked_path(), head.line())
        return Outcome(targets.HTTP_STATUS, step, targets.TARGET, reason, head.status)
    return Outcome(_socket_states.OPEN, step, "", "it answers %s" % head.line(), head.status)


def _is_the_proxys_own(head):
    """Whether a proxy made an answer itself instead of handing it on.

    407 is a proxy's alone (RFC 9110, 15.5.8). Squid names its own errors; what a proxy hands on bears Via
    (RFC 9110, 7.6.3), and Proxy-Status (RFC 9209) tells of its troubles.
    """
    if head.status == 407 or "x-squid-error" in head.fields or "error=" in head.fields.get("proxy-status", ""):
        return True
    if "via" in head.fields:
        return False
    return head.status in (403, 500, 502, 503, 504) or _is_tinyproxys_401(head)


def _is_tinyproxys_401(head):
    """tinyproxy says 407 where credentials are missing, and 401 where they are wrong."""
    return head.status == 401 and head.fields.get("server", "").lower().startswith("tinyproxy")


# What Squid says in X-Squid-Error, and in the error's number behind it.
_SQUID_ERRNO = {
    errno.ECONNREFUSED: (_socket_states.REFUSED, "nothing listens there"),
    errno.EHOSTUNREACH: (_socket_states.NO_ROUTE, "no route to the host"),
    errno.ENETUNREACH: (_socket_states.NO_ROUTE, "no route to the network"),
    errno.ETIMEDOUT: (_socket_states.FILTERED, "no answer"),
}


def _by_proxy(head, with_credentials):
    """What a proxy says of its own troubles -> Outcome, or None if this is none that is known."""
    own = targets.THE_PROXY
    if head.status == 407 or _is_tinyproxys_401(head):
        methods = head.fields.get("proxy-authenticate", "")
        if with_credentials:
            reason = "it refuses the credentials (%d)" % head.status
        else:
            reason = "it wants credentials, and none are set (%d)" % head.status
        if methods and "basic" not in methods.lower():
            reason += ", and it takes none but %s" % re.sub(r"[^ -~]", "?", methods.split()[0])[:30]
        return Outcome(targets.PROXY_CREDENTIALS, targets.PROXY, own, reason, head.status)
    squid, _unused, number = head.fields.get("x-squid-error", "").partition(" ")
    if head.status == 403:
        return Outcome(targets.PROXY_FORBIDS, targets.PROXY, own, "it forbids this target (403)", head.status)
    if squid == "ERR_DNS_FAIL":
        reason = "the proxy finds no address for the name"
        return Outcome(targets.NAME_NOT_FOUND, targets.PROXY, targets.TARGET, reason, head.status)
    if squid in ("ERR_CONNECT_FAIL", "ERR_READ_TIMEOUT", "ERR_CANNOT_FORWARD"):
        # Asked for a tunnel to an unknown name, Squid 5 says ERR_CANNOT_FORWARD.
        known = (targets.PROXY_CANNOT, "it finds no address for the name, or no way (%s)" % squid)
        state, reason = _SQUID_ERRNO.get(int(number) if number.isdigit() else 0, known)
        reason = "the proxy cannot connect: %s (%s)" % (reason, head.line())
        return Outcome(state, targets.PROXY, targets.TARGET, reason, head.status)
    if head.status in (500, 502, 503, 504):
        reason = "the proxy cannot reach it: %s" % head.line()
        return Outcome(targets.PROXY_CANNOT, targets.PROXY, targets.TARGET, reason, head.status)
    return None


# OpenSSL's X509_V_ERR numbers (x509_vfy.h).
_VERIFY = {
    9: targets.CERTIFICATE_NOT_YET_VALID,
    10: targets.CERTIFICATE_EXPIRED,
    62: targets.CERTIFICATE_OF_ANOTHER,
    64: targets.CERTIFICATE_OF_ANOTHER,
}


def certificate_state(code):
    """OpenSSL's verification error -> state."""
    return _VERIFY.get(code, targets.CERTIFICATE_UNTRUSTED)


def validity(der):
    """A certificate (DER) -> seconds since 1970, (not before, not after). ValueError if it cannot be read.

    RFC 5280, 4.1: Certificate { tbsCertificate { [0] version?, serialNumber, signature, issuer, validity ... } }.
    """
    try:
        certificate = _children(der)[0][1]
        fields = _children(_children(certificate)[0][1])
        if fields[0][0] == 0xA0:  # the version, which stands there since version 2
            fields = fields[1:]
        return tuple(_time(tag, value.decode("ascii")) for tag, value in _children(fields[3][1])[:2])
    except (IndexError, UnicodeDecodeError) as problem:
        raise ValueError("this is no certificate: %s" % problem) from None


def _children(data):
    """DER (X.690) -> its elements, (tag, content) each."""
    found = []
    while data:
        tag, length, start = data[0], data[1], 2
        if length & 0x80:
            start += length & 0x7F
            length = int.from_bytes(data[2:start], "big")
        if start + length > len(data):
            raise ValueError("this is no certificate: an element is cut off")
        found.append((tag, data[start : start + length]))
        data = data[start + length :]
    return found


def _time(tag, text):
    """UTCTime or GeneralizedTime (RFC 5280, 4.1.2.5) -> seconds since 1970."""
    found = re.match(r"(\d\d|\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z\Z", text)
    if not found:
        raise ValueError("this is no certificate: %r is no time" % text)
    year, rest = int(found.group(1)), [int(part) for part in found.groups()[1:]]
    if tag == 0x17:
        year += 1900 if year >= 50 else 2000
    return calendar.timegm(tuple([year] + rest))
