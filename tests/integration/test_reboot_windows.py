"""No probe opens a connection while a closed host boots: thousands of them, at most ten milliseconds apart.

The network of a test host is up before its first process runs, and so before our rules. Until they are loaded, the
host answers with resets, because no service listens yet; a host whose network begins later says nothing at all.
"""

from __future__ import annotations

import pytest

from ._boot import HOST, PERMITTED, PORTS, STRANGER, UNITS, BootLab
from ._window import ATTEMPTS, PROBES, is_dense, window

_RECEIVED = "cat /sys/class/net/eth0/statistics/rx_packets"


class ProbedLab(BootLab):
    def __init__(self, kind: str):
        super().__init__("firewalld" if kind == "firewalld" else "iptables")
        self.kind = kind

    def furnish(self) -> None:
        if self.kind == "legacy":
            for tool in ("iptables", "ip6tables"):
                self.shell(HOST, f"update-alternatives --quiet --set {tool} /usr/sbin/{tool}-legacy")
            self.shell(HOST, "nft flush ruleset")  # this machine's Docker put the rules of its name server there
        super().furnish()

    def boot_with_probes(self) -> tuple[dict, int]:
        """Boot while the stranger probes -> what it saw, and how many packets had reached the host when it served."""
        hardware = self.shell(HOST, "cat /sys/class/net/eth0/address").strip()
        start = lambda *arguments: self.begin(STRANGER, "python3", *arguments)  # noqa: E731
        with window(start, hardware, self.addresses[HOST], self.addresses[STRANGER], list(PORTS), "forged") as result:
            self.boot()
            for port in PORTS:
                self.wait_until(lambda port=port: self.fetch(HOST, "127.0.0.1", port), 60, f"{port} does not serve")
            arrived = int(self.shell(HOST, _RECEIVED))
        return result, arrived


@pytest.fixture(scope="module", params=["nft", "legacy", "firewalld"])
def lab(request):
    with ProbedLab(request.param) as made:
        made.furnish()
        yield made


def test_no_probe_opens_a_connection_while_the_host_boots(lab):
    assert lab.apply(policy=lab.policy("permit"))["persisted"]
    result, arrived = lab.boot_with_probes()
    print("CONTROL", result, arrived)
    assert set(result["opened"]) == set(lab.targets), f"the control: an open host answers, {result}"

    result = lab.apply(policy=lab.policy())
    assert result["persisted"] and lab.kind in (result.get("variant"), "firewalld"), result
    for _attempt in range(ATTEMPTS):
        result, arrived = lab.boot_with_probes()
        print("RESTRICT", result, arrived)
        assert result["opened"] == {} and arrived > 2 * PROBES, (result, arrived)
        loaded = int(lab.shell(HOST, f"systemctl show --property=ActiveEnterTimestampMonotonic --value {UNITS[0]}"))
        assert result["last"] < loaded / 1e6 + 0.1, (result, loaded)
        if is_dense(result):
            break
    else:
        raise AssertionError(f"this machine is too busy for a window without pauses, {result}")
    lab.wait_until(lambda: lab.gets_in(PERMITTED) == lab.targets, 60, "a permitted peer does not get in")
