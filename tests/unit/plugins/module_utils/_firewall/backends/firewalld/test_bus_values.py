"""What busctl prints, as values. The texts were printed by busctl 252 and 257."""

import pytest
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld import bus_values


@pytest.mark.parametrize(
    "text, value",
    [
        ("", None),
        ('s "1.3.3"\n', "1.3.3"),
        ("b true\n", True),
        ("i -32768\n", -32768),
        ('as 3 "allow-host-ipv6" "determined" "determined-out"\n', ["allow-host-ipv6", "determined", "determined-out"]),
        ("as 0\n", []),
        ('o "/org/fedoraproject/FirewallD1/config/zone/6"\n', "/org/fedoraproject/FirewallD1/config/zone/6"),
        (
            '(ssssa{ss}as) "" "" "" "hash:net" 2 "family" "inet" "maxelem" "65536" 2 "192.0.2.11" "198.51.100.0/24"\n',
            ("", "", "", "hash:net", {"family": "inet", "maxelem": "65536"}, ["192.0.2.11", "198.51.100.0/24"]),
        ),
        ("(a(sss)a(sssias)a(sas)) 0 0 0\n", ([], [], [])),
        (
            'a(sssias) 1 "ipv4" "filter" "INPUT" 0 3 "-s" "203.0.113.252" "-j"\n',
            [("ipv4", "filter", "INPUT", 0, ["-s", "203.0.113.252", "-j"])],
        ),
        (
            'a{sv} 3 "rich_rules" as 1 "rule family=\\"ipv4\\" accept" "masquerade" b false "priority" i -15000\n',
            {"rich_rules": ['rule family="ipv4" accept'], "masquerade": False, "priority": -15000},
        ),
        ('a{sv} 1 "ports" a(ss) 1 "7777" "tcp"\n', {"ports": [("7777", "tcp")]}),
        (r's "a\\b\"c\n\303\251\x41"', 'a\\b"c\n\u00e9A'),
    ],
)
def test_parse(text, value):
    assert bus_values.parse(text) == value


@pytest.mark.parametrize("text", ['as 2 "one"', 's "a" "b"', "s plain", 'as "one"', "b maybe", "(s 1", "q! 1"])
def test_anything_else_is_an_error(text):
    with pytest.raises((KeyError, ValueError)):
        bus_values.parse(text)
