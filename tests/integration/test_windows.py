"""No moment is open while our rules change, on a host that is closed before and after.

The host's own rules close it where ours do not. The control is an open host that
answers the same probes.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from ._firewall_host import Host, link, policy, rule
from ._window import stays_closed, window

VICTIMS, OWNS = ["192.0.2.1", "2001:db8::1"], ["192.0.2.2", "2001:db8::2"]
PORTS = [8000, 8001]
OFFICE = {"ipv4": ["198.51.100.0/24"], "ipv6": ["2001:db8:1::/48"]}
MORE = {"ipv4": ["198.51.100.0/24", "203.0.113.7"], "ipv6": ["2001:db8:1::/48", "2001:db8:2::7"]}


def wanted(mode: str, peers: dict | None = None) -> dict:
    return policy(mode, {"office": peers or OFFICE}, [rule("tcp", "8000-8001", "office")])


class Hosts:
    def __init__(self, managed: Host, outsider: Host, variant: str):
        self.managed, self.outsider, self.variant = managed, outsider, variant

    def window(self):
        mac = self.managed.run("ip", "-br", "link", "show", "dev", "eth0").split()[2]

        def start(*arguments: str) -> subprocess.Popen:
            return self.outsider.start(sys.executable, *arguments, stdin=subprocess.PIPE)

        return window(start, mac, VICTIMS, OWNS, PORTS)

    def stays_closed(self, name: str, before: dict | None, after: dict | None) -> None:
        def step() -> None:
            assert self.managed.apply(after)["changed"], name

        stays_closed(name, self.window, lambda: self.managed.apply(before), step)

    def own_rules(self, *words: str) -> None:
        for tool in ("iptables", "ip6tables"):
            self.managed.run(f"{tool}-{self.variant}", *words)

    def close_by_own_rules(self) -> None:
        self.own_rules("-A", "INPUT", "-p", "tcp", "--dport", "8000:8001", "-j", "DROP")

    def open_own_rules(self) -> None:
        self.own_rules("-D", "INPUT", "-p", "tcp", "--dport", "8000:8001", "-j", "DROP")


@pytest.fixture(params=["nft", "legacy"])
def hosts(request):
    with Host() as managed, Host() as outsider:
        link(managed, ["192.0.2.1/24", "2001:db8::1/64"], outsider, ["192.0.2.2/24", "2001:db8::2/64"], "eth0")
        for family in "46":
            managed.listen(family, "tcp", PORTS[0])
        made = Hosts(managed, outsider, request.param)
        made.own_rules("-A", "OUTPUT", "-p", "sctp", "-j", "ACCEPT")  # so that our rules are of this variant
        yield made


def test_no_probe_gets_through_while_rules_change(hosts):
    managed = hosts.managed
    with hosts.window() as result:
        pass
    assert result["through"] > 1000, f"the control: an open host answers, {result}"

    hosts.close_by_own_rules()
    restrict, permit = wanted("restrict"), wanted("permit")
    # Closed before and after each step, by our rules or by the host's own.
    for name, before, after in (
        ("apply", None, restrict),
        ("restrict to permit", restrict, permit),
        ("permit to restrict", permit, restrict),
        ("remove", restrict, None),
    ):
        hosts.stays_closed(name, before, after)

    # Closed by our rules alone.
    managed.apply(restrict)
    hosts.open_own_rules()
    more = wanted("restrict", MORE)
    more["inbound"].append(rule("udp", "5000", "office"))
    hosts.stays_closed("other members", restrict, wanted("restrict", MORE))
    hosts.stays_closed("other rules", restrict, more)

    def unconfirmed() -> None:
        assert managed.module("firewall", policy=more, confirm_timeout=4)["changed"]
        managed.wait_until(lambda: any(name.startswith("restored") for name in managed.left_in_run()))

    stays_closed("rollback", hosts.window, lambda: managed.apply(restrict), unconfirmed)
    managed.apply(None)
    with hosts.window() as result:
        pass
    assert result["through"] > 1000, "and it was our rules that closed it"
