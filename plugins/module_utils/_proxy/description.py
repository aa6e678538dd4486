# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One description of a proxy: it reads what users wrote, and names everything that is wrong with it. Pure."""

import re
from typing import Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

# How the proxy itself is reached, and the port of a URL that names none (RFC 9110, 4.2).
SCHEMES = {"http": 80, "https": 443}
PROTOCOLS = ("http", "https", "ftp")

# Bytes: the longest string that Linux takes in a process's environment (execve(2), MAX_ARG_STRLEN: 32 pages of 4,096
# bytes), less some room for the variable's name.
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
    """One proxy.

    ``host``: a name or an address, an IPv6 address in brackets. ``username`` and ``password``: not
    encoded, "" for none.
    """

    scheme: str
    host: str
    port: int
    username: str
    password: str

    @property
    def bare(self) -> str:
        """The URL without credentials."""
        return "%s://%s:%d" % (self.scheme, self.host, self.port)

    @property
    def url(self) -> str:
        """The URL as every client reads it.

        In the credentials, all but unreserved characters (RFC 3986, 2.3) are percent-encoded UTF-8. The URL always
        names the port, since curl's default port differs from that of other clients.
        """
        return self._with_userinfo(encode)

    @property
    def url_for_latin_1(self) -> str:
        """The URL for a client that decodes the credentials and sends them as Latin-1, as Python's requests does.

        The credentials are written in such a way that the client sends UTF-8 nevertheless.
        """
        return self._with_userinfo(_encode_for_latin_1)

    def _with_userinfo(self, encoded: Callable[[str], str]) -> str:
        if not self.username:
            return self.bare
        userinfo = encoded(self.username) + (":" + encoded(self.password) if self.password else "")
        return "%s://%s@%s:%d" % (self.scheme, userinfo, self.host, self.port)


class Description(NamedTuple):
    """``proxies``: protocol (http, https, ftp) -> Proxy, only those that are described. ``no_proxy``: the entries that
    are reached without a proxy. ``stable_no_proxy``: those of them that do not change when an agent is added."""

    proxies: Dict[str, Proxy]
    no_proxy: Tuple[str, ...]
    stable_no_proxy: Tuple[str, ...]

    @property
    def has_credentials(self) -> bool:
        return any(proxy.username for proxy in self.proxies.values())

    @property
    def web_proxy(self) -> Optional[Proxy]:
        """The proxy of programs that take only one: that for HTTPS, else that for HTTP, else None."""
        return self.proxies.get("https") or self.proxies.get("http")

    def secrets(self) -> List[str]:
        """Texts that must not be shown, longest first: the passwords, as they are and in each encoding."""
        passwords = {proxy.password for proxy in self.proxies.values() if proxy.password}
        forms = passwords | {encoded(text) for text in passwords for encoded in (encode, _encode_for_latin_1)}
        return sorted(forms, key=len, reverse=True)


def encode(text: str) -> str:
    """Percent-encode a text as UTF-8 (RFC 3986, 2.1), all but its unreserved characters."""
    return "".join(chr(byte) if byte in _UNRESERVED else "%%%02X" % byte for byte in text.encode("utf-8"))


def _encode_for_latin_1(text: str) -> str:
    return encode(text.encode("utf-8").decode("latin-1"))


def decode(text: str) -> str:
    """The inverse of :func:`encode`. Raises ValueError for bytes that are not UTF-8."""
    parts = re.split(r"%([0-9A-Fa-f]{2})", text)
    raw = b"".join(bytes([int(part, 16)]) if index % 2 else part.encode("utf-8") for index, part in enumerate(parts))
    return raw.decode("utf-8")


def describe(
    urls: Mapping[str, Optional[str]],
    username: Optional[str],
    password: Optional[str],
    no_proxy: Sequence[str],
    stable_no_proxy: Sequence[str],
) -> Tuple[Optional[Description], List[str]]:
    """Return the Description of what a user wrote, and the problems with it. With problems, the Description is None.

    ``urls``: protocol -> URL, None for no proxy. ``username``, ``password``: for every proxy whose URL has none.
    A problem is a sentence that says what is wrong and what to do. It shows no secret.
    """
    problems = []
    proxies = {}
    for protocol in PROTOCOLS:
        url = urls.get(protocol)
        if url:
            try:
                proxies[protocol] = parse(url)
            except ValueError as problem:
                problems.append("determined_proxy_%s: %s" % (protocol, problem))
    username, password = username or "", password or ""
    problems += _credential_problems(username, password)
    for protocol, proxy in proxies.items():
        if not proxy.username:
            proxies[protocol] = proxy._replace(username=username, password=password)
        elif username and (proxy.username, proxy.password) != (username, password):
            problems.append(
                "determined_proxy_%s: its URL carries credentials, and they differ from determined_proxy_username and "
                "determined_proxy_password. "
                "Write them once" % protocol
            )
    if (username or password) and not any(urls.get(protocol) for protocol in PROTOCOLS):
        problems.append(
            "determined_proxy_username: there is no proxy to use it for. Set determined_proxy_http or "
            "determined_proxy_https"
        )
    problems += no_proxy_problems(no_proxy)
    if problems:
        return None, problems
    return Description(proxies, tuple(no_proxy), tuple(stable_no_proxy)), []


def parse(url: str) -> Proxy:
    """Read the URL of a proxy. Raises ValueError, whose text shows nothing that could be a secret."""
    found = _URL.match(url.strip())
    if not found:
        raise ValueError("the URL has no scheme. Write it in full, such as http://proxy.example.com:3128")
    scheme, rest = found.group(1).lower(), found.group(2)
    if scheme not in SCHEMES:
        raise ValueError(
            "the scheme %r is unknown. Write http:// or https://: how the proxy itself is reached" % scheme
        )
    userinfo, at, authority = rest.rpartition("@")
    if at and not _USERINFO.match(userinfo.replace(":", "", 1)):
        raise ValueError(
            "the URL's credentials hold a character that must be percent-encoded (: / ? # [ ] @ %, a space, a "
            "double quote, or a character beyond ASCII). Encode it, or write the credentials without any encoding in "
            "determined_proxy_username and determined_proxy_password"
        )
    if "/" in authority.rstrip("/") or "?" in authority or "#" in authority or authority.endswith("//"):
        raise ValueError(
            "the URL has a path, a query or a fragment, or its credentials hold / ? or # that must be percent-encoded. "
            "A proxy is scheme://host:port"
        )
    host, port = _host_and_port(authority.rstrip("/"), SCHEMES[scheme])
    name, _unused, secret = userinfo.partition(":")
    try:
        name, secret = decode(name), decode(secret)
    except ValueError:
        raise ValueError("the URL's credentials are not UTF-8 once they are percent-decoded") from None
    problems = _credential_problems(name, secret)
    if at and not name:
        problems.append("the URL has an @ but no user name before it")
    if problems:
        raise ValueError("; ".join(problems))
    return Proxy(scheme, host, port, name, secret)


def _host_and_port(text: str, default: int) -> Tuple[str, int]:
    host, colon, port = text, "", ""
    if not text.endswith("]"):
        before, colon, port = text.rpartition(":")
        host = before if colon else text
    if not (_HOST_NAME.match(host) or _IPV6.match(host)):
        raise ValueError(
            "%r is no name or address of a proxy (an IPv6 address needs brackets, an international name its "
            "xn-- form)" % host
        )
    if not colon:
        return host, default
    if not re.match(r"[0-9]{1,5}\Z", port) or not 0 < int(port) < 65536:
        raise ValueError("%r is no port, 1 to 65535" % port)
    return host, int(port)


def _credential_problems(username: str, password: str) -> List[str]:
    problems = []
    if password and not username:
        problems.append(
            "determined_proxy_password: there is a password, but no user name. Set determined_proxy_username"
        )
    if ":" in username:
        problems.append("determined_proxy_username: a user name cannot hold a colon (RFC 7617, section 2)")
    for name, text in (("determined_proxy_username", username), ("determined_proxy_password", password)):
        if _CONTROL.search(text):
            problems.append("%s: the value holds a control character, such as the end of a line. Remove it" % name)
        elif re.search("[\ud800-\udfff]", text):
            problems.append("%s: the value holds bytes that are not UTF-8. Correct the file that it comes from" % name)
    return problems


def no_proxy_problems(entries: Sequence[str]) -> List[str]:
    """Return a sentence for everything that is wrong with the entries of a no_proxy list."""
    problems = []
    for entry in entries:
        if entry == "*":
            problems.append(
                "determined_proxy_no_proxy: * alone means that nothing uses the proxy. Remove the proxy instead"
            )
        elif not _NO_PROXY_ENTRY.match(entry):
            problems.append(
                "determined_proxy_no_proxy: %r is no name, domain, address or network (international names in their "
                "xn-- form)" % entry
            )
    size = len(",".join(entries))
    if size > LONGEST_NO_PROXY:
        problems.append(
            "determined_proxy_no_proxy: the list has %d bytes, and a process's environment takes %d for one variable. "
            "Set "
            "determined_proxy_no_proxy to a short one that covers the hosts by their domain or network"
            % (size, LONGEST_NO_PROXY)
        )
    return problems


def environment(description: Description, stable: bool = False, ftp: bool = True) -> List[Tuple[str, str]]:
    """Return the environment: (variable, value), each variable in upper and in lower case with the same value.

    ``stable``: whether no_proxy is the list that does not change when an agent is added. ``ftp``: whether the proxy for
    FTP is among the variables.
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
