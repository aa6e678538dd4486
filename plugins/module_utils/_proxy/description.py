# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One description of a proxy: read what users wrote, and say everything that is wrong with it. Pure."""

import re
from typing import NamedTuple

SCHEMES = {"http": 80, "https": 443}  # how the proxy itself is reached, and the port without any (RFC 9110, 4.2)
PROTOCOLS = ("http", "https", "ftp")

# What Linux takes as one string of a process's environment (execve(2), MAX_ARG_STRLEN: 32 pages of 4,096 bytes),
# less its name.
LONGEST_NO_PROXY = 131072 - 64

_URL = re.compile(r"([^:/?#@\s]*)://(.*)\Z", re.DOTALL)
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?"
_HOST_NAME = re.compile(r"(?=.{1,253}\Z)%s(?:\.%s)*\.?\Z" % (_LABEL, _LABEL))
_IPV6 = re.compile(r"\[[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\]\Z")
_USERINFO = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*\Z")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_CONTROL = re.compile("[\x00-\x1f\x7f]")
_NO_PROXY_ENTRY = re.compile(r"[A-Za-z0-9._:/\[\]*-]+\Z")


class Proxy(NamedTuple):
    """One proxy. ``username`` and ``password`` as they are, "" for none; ``host`` of an IPv6 address in brackets."""

    scheme: str
    host: str
    port: int
    username: str
    password: str

    @property
    def bare(self):
        """The URL without credentials."""
        return "%s://%s:%d" % (self.scheme, self.host, self.port)

    @property
    def url(self):
        """The URL as every client reads it: what is not unreserved (RFC 3986, 2.3) in credentials is
        percent-encoded UTF-8, and the port is always there, since curl's default is not that of others."""
        return self._with_userinfo(encode)

    @property
    def url_for_latin_1(self):
        """The URL for a client that decodes the credentials and sends them as Latin-1, as Python's requests does: so
        written that UTF-8 leaves it all the same."""
        return self._with_userinfo(_encode_for_latin_1)

    def _with_userinfo(self, encoded):
        if not self.username:
            return self.bare
        userinfo = encoded(self.username) + (":" + encoded(self.password) if self.password else "")
        return "%s://%s@%s:%d" % (self.scheme, userinfo, self.host, self.port)


class Description(NamedTuple):
    """``proxies``: protocol (http, https, ftp) -> Proxy, only those that are wanted. ``no_proxy`` and
    ``stable_no_proxy``: tuples of entries, the latter without those that change when an agent is added."""

    proxies: dict
    no_proxy: tuple
    stable_no_proxy: tuple

    @property
    def has_credentials(self):
        return any(proxy.username for proxy in self.proxies.values())

    def secrets(self):
        """Texts that must not be shown, longest first: passwords as they are and encoded."""
        passwords = {proxy.password for proxy in self.proxies.values() if proxy.password}
        forms = (str, encode, _encode_for_latin_1)
        return sorted({form(text) for form in forms for text in passwords}, key=len, reverse=True)

    def without_credentials(self):
        bare = {protocol: proxy._replace(username="", password="") for protocol, proxy in self.proxies.items()}
        return self._replace(proxies=bare)


def encode(text):
    """A text -> percent-encoded UTF-8 (RFC 3986, 2.1), nothing but unreserved characters left."""
    return "".join(chr(byte) if byte in _UNRESERVED else "%%%02X" % byte for byte in text.encode("utf-8"))


def _encode_for_latin_1(text):
    return encode(text.encode("utf-8").decode("latin-1"))


def decode(text):
    """The inverse of encode. Raises ValueError for bytes that are no UTF-8."""
    parts = re.split(r"%([0-9A-Fa-f]{2})", text)
    raw = b"".join(bytes([int(part, 16)]) if index % 2 else part.encode("utf-8") for index, part in enumerate(parts))
    return raw.decode("utf-8")


def describe(urls, username, password, no_proxy, stable_no_proxy):
    """What a user wrote -> (Description, problems). The Description is None when there are problems.

    ``urls``: protocol -> URL or None. ``username``, ``password``: str or None. The two lists hold str.
    A problem is a sentence that names what is wrong and what to do, and shows no secret.
    """
    problems = []
    proxies = {}
    for protocol in PROTOCOLS:
        if urls.get(protocol):
            name = "proxy_%s" % protocol
            try:
                proxies[protocol] = parse(urls[protocol])
            except ValueError as problem:
                problems.append("%s: %s" % (name, problem))
    username, password = username or "", password or ""
    problems += _credential_problems(username, password)
    for protocol, proxy in proxies.items():
        if not proxy.username:
            proxies[protocol] = proxy._replace(username=username, password=password)
        elif username and (proxy.username, proxy.password) != (username, password):
            problems.append(
                "proxy_%s: its URL carries credentials, and they differ from proxy_username and proxy_password. "
                "Write them once" % protocol
            )
    if (username or password) and not any(urls.get(protocol) for protocol in PROTOCOLS):
        problems.append("proxy_username: there is no proxy to use it for. Set proxy_http or proxy_https")
    problems += no_proxy_problems(no_proxy)
    if problems:
        return None, problems
    return Description(proxies, tuple(no_proxy), tuple(stable_no_proxy)), []


def parse(url):
    """A proxy's URL -> Proxy. Raises ValueError, whose text shows nothing that could be a secret."""
    found = _URL.match(url.strip())
    if not found:
        raise ValueError("the URL has no scheme. Write it in full, such as http://proxy.example.com:3128")
    scheme, rest = found.group(1).lower(), found.group(2)
    if scheme not in SCHEMES:
        raise ValueError("the scheme %r is unknown. Write http:// or https://, the way to the proxy itself" % scheme)
    userinfo, at, place = rest.rpartition("@")
    if at and not _USERINFO.match(userinfo.replace(":", "", 1)):
        raise ValueError(
            "the URL's credentials hold a character that must be percent-encoded (: / ? # [ ] @ %, a space, a "
            "double quote, or what is no ASCII). Encode it, or write them as they are in proxy_username and "
            "proxy_password"
        )
    if "/" in place.rstrip("/") or "?" in place or "#" in place or place.endswith("//"):
        raise ValueError(
            "the URL has a path, a query or a fragment, or its credentials hold / ? or # that must be percent-encoded. "
            "A proxy is scheme://host:port"
        )
    host, port = _host_and_port(place.rstrip("/"), SCHEMES[scheme])
    name, _unused, secret = userinfo.partition(":")
    try:
        name, secret = decode(name), decode(secret)
    except ValueError:
        raise ValueError("the URL's credentials are no UTF-8 once they are percent-decoded") from None
    problems = _credential_problems(name, secret)
    if at and not name:
        problems.append("the URL has an @ but no user name before it")
    if problems:
        raise ValueError("; ".join(problems))
    return Proxy(scheme, host, port, name, secret)


def _host_and_port(place, default):
    host, colon, port = place, "", ""
    if not place.endswith("]"):
        before, colon, port = place.rpartition(":")
        host = before if colon else place
    if not (_HOST_NAME.match(host) or _IPV6.match(host)):
        raise ValueError(
            "%r is no name or address of a proxy (an IPv6 address stands in brackets, an international name in its "
            "xn-- form)" % host
        )
    if not colon:
        return host, default
    if not re.match(r"[0-9]{1,5}\Z", port) or not 0 < int(port) < 65536:
        raise ValueError("%r is no port, 1 to 65535" % port)
    return host, int(port)


def _credential_problems(username, password):
    problems = []
    if password and not username:
        problems.append("proxy_password: there is a password, but no user name. Set proxy_username")
    if ":" in username:
        problems.append("proxy_username: a user name cannot hold a colon (RFC 7617, section 2)")
    for name, text in (("proxy_username", username), ("proxy_password", password)):
        if _CONTROL.search(text):
            problems.append("%s: holds a control character, such as the end of a line. Remove it" % name)
        elif re.search("[\ud800-\udfff]", text):
            problems.append("%s: holds bytes that are no UTF-8. Mend the file that it comes from" % name)
    return problems


def no_proxy_problems(entries):
    """Entries of a no_proxy list -> sentences about what is wrong with them."""
    problems = []
    for entry in entries:
        if entry == "*":
            problems.append("proxy_no_proxy: * alone means that nothing uses the proxy. Leave the proxy out instead")
        elif not _NO_PROXY_ENTRY.match(entry):
            problems.append(
                "proxy_no_proxy: %r is no name, domain, address or network (international names in their xn-- form)"
                % entry
            )
    size = len(",".join(entries))
    if size > LONGEST_NO_PROXY:
        problems.append(
            "proxy_no_proxy: the list has %d bytes, and a process's environment takes %d for one variable. Set "
            "proxy_no_proxy to a short one that covers the hosts by their domain or network" % (size, LONGEST_NO_PROXY)
        )
    return problems


def environment(description, stable=False, ftp=True):
    """A Description -> [(variable, value)], each variable in upper and lower case with the same value.

    ``stable``: with the list that adding an agent does not change.
    """
    values = [
        ("%s_proxy" % protocol, description.proxies[protocol].url)
        for protocol in PROTOCOLS
        if protocol in description.proxies and (ftp or protocol != "ftp")
    ]
    entries = description.stable_no_proxy if stable else description.no_proxy
    if values and entries:
        values.append(("no_proxy", ",".join(entries)))
    return [pair for name, value in values for pair in ((name.upper(), value), (name, value))]


# Every variable that environment() can give.
VARIABLES = tuple(name for base in PROTOCOLS + ("no",) for name in (("%s_proxy" % base).upper(), "%s_proxy" % base))
