# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the answers of proxies and services mean."""

import pytest
from ansible_collections.determined.network.plugins.module_utils._internet import answers, targets

REGISTRY = targets.Target("r.example.com", 443, "https", "registry", "")
RESOURCE = targets.Target("p.example.com", 80, "http", "resource", "")


def head(status, **fields):
    lines = [f"HTTP/1.1 {status} Words"] + [f"{name.replace('_', '-')}: {fields[name]}" for name in fields]
    return answers.parse_head("\r\n".join(lines).encode("iso-8859-1"))


def outcome(found):
    return found and (found.state, found.step, found.blame)


def test_a_head():
    found = answers.parse_head(b"HTTP/1.0 407 Who\xe9 are you\r\nA-B: c: d\r\nEmpty:\r\nno field")
    assert found == (407, "Who? are you", {"a-b": "c: d", "empty": ""})
    assert found.line() == "407 Who? are you"
    assert answers.parse_head(b"HTTP/1.1 200").line() == "200"


@pytest.mark.parametrize("data", [b"", b"220 mail ESMTP", b"HTTP/1.1 2000 OK", b"HTTP/1.1 OK", b"\x15\x03\x01"])
def test_what_is_not_http(data):
    with pytest.raises(answers.NotHttp, match="the answer is not HTTP"):
        answers.parse_head(data)


def test_requests():
    assert answers.request("CONNECT", "a:443", "a:443", "Basic eA==") == (
        b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\nUser-Agent: determined.network\r\nAccept: */*\r\n"
        b"Proxy-Authorization: Basic eA==\r\n\r\n"
    )
    assert b"Connection: close" in answers.request("GET", "/", "a:80")


# The proxy's answer to CONNECT, whether credentials were sent -> state, step, blame.
TUNNELS = [
    (head(200), True, None),
    (head(204), False, None),
    (head(407), True, ("proxy_credentials", "proxy", "proxy")),
    (head(407), False, ("proxy_credentials", "proxy", "proxy")),
    (head(401, Server="tinyproxy/1.11.1"), True, ("proxy_credentials", "proxy", "proxy")),
    (head(403), True, ("proxy_forbids", "proxy", "proxy")),
    (head(503, X_Squid_Error="ERR_DNS_FAIL 0"), True, ("name_not_found", "proxy", "target")),
    (head(503, X_Squid_Error="ERR_CONNECT_FAIL 111"), True, ("refused", "proxy", "target")),
    (head(503, X_Squid_Error="ERR_CONNECT_FAIL 113"), True, ("no_route", "proxy", "target")),
    (head(503, X_Squid_Error="ERR_CONNECT_FAIL 110"), True, ("filtered", "proxy", "target")),
    (head(503, X_Squid_Error="ERR_CONNECT_FAIL what"), True, ("proxy_cannot", "proxy", "target")),
    (head(503, X_Squid_Error="ERR_CONNECT_FAIL \u00b2"), True, ("proxy_cannot", "proxy", "target")),
    (head(500, X_Squid_Error="ERR_CANNOT_FORWARD 0"), True, ("proxy_cannot", "proxy", "target")),
    (head(502), True, ("proxy_cannot", "proxy", "target")),
    (head(504), True, ("proxy_cannot", "proxy", "target")),
    (head(405), True, ("proxy_cannot", "proxy", "proxy")),
    (head(302), True, ("proxy_cannot", "proxy", "proxy")),
]


@pytest.mark.parametrize("answer, credentials, expected", TUNNELS)
def test_tunnels(answer, credentials, expected):
    assert outcome(answers.tunnel(answer, credentials)) == expected


def test_the_reason_says_whether_credentials_were_sent():
    assert "refuses" in answers.tunnel(head(407), True).reason
    assert "none are set" in answers.tunnel(head(407), False).reason
    negotiate = answers.tunnel(head(407, Proxy_Authenticate="Negotiate"), True)
    assert negotiate.reason.endswith("and it accepts only the method Negotiate")


OPEN = ("open", "http", "")
STATUS = ("http_status", "http", "target")
# The answer to GET, the target, whether a proxy handed the request on -> state, step, blame.
ANSWERS = [
    (head(200), REGISTRY, False, OPEN),
    (head(401), REGISTRY, False, OPEN),
    (head(404), REGISTRY, False, STATUS),
    (head(404), REGISTRY._replace(path="/token"), False, OPEN),
    (head(503), REGISTRY, False, STATUS),
    (head(404), RESOURCE, False, OPEN),
    (head(403), RESOURCE, False, OPEN),
    (head(302), RESOURCE, False, OPEN),
    (head(500), RESOURCE, False, STATUS),
    (head(407), RESOURCE, False, STATUS),
    (head(511), RESOURCE, False, STATUS),
    (head(200, Via="1.1 p"), RESOURCE, True, OPEN),
    (head(403, Via="1.1 p"), RESOURCE, True, OPEN),
    (head(503, Via="1.1 p"), RESOURCE, True, STATUS),
    (head(401), RESOURCE, True, OPEN),
    (head(401, Server="tinyproxy/1.11.1"), RESOURCE, True, ("proxy_credentials", "proxy", "proxy")),
    (head(407, Via="1.1 p"), RESOURCE, True, ("proxy_credentials", "proxy", "proxy")),
    (head(403), RESOURCE, True, ("proxy_forbids", "proxy", "proxy")),
    (head(403, Via="1.1 p", X_Squid_Error="ERR_ACCESS_DENIED 0"), RESOURCE, True, ("proxy_forbids", "proxy", "proxy")),
    (head(503, Via="1.1 p", X_Squid_Error="ERR_DNS_FAIL 0"), RESOURCE, True, ("name_not_found", "proxy", "target")),
    (head(502, Via="1.1 p", Proxy_Status="p; error=dns_error"), RESOURCE, True, ("proxy_cannot", "proxy", "target")),
    (head(500), RESOURCE, True, ("proxy_cannot", "proxy", "target")),
]


@pytest.mark.parametrize("answer, target, through_proxy, expected", ANSWERS)
def test_answers(answer, target, through_proxy, expected):
    assert outcome(answers.answer(answer, target, through_proxy, True)) == expected
