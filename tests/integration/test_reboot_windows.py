# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No probe opens a connection while a closed host boots: thousands of them, at most ten milliseconds apart.

The network of a test host is up before its first process runs, and so before our rules. Until they are loaded, the
host answers with resets, because no service listens yet; a host whose network begins later says nothing at all.
"""

from __future__ import annotations

import subprocess
from contextlib import AbstractContextManager

import pytest

from ._boot import HOST, PERMITTED, PORTS, STRANGER, UNITS, BootLab
from ._window import ATTEMPTS, PROBES, is_dense, window


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

    def received(self) -> int:
        """How many packets have come to the host since its network began, with this boot."""
        return int(self.shell(HOST, "cat /sys/class/net/eth0/statistics/rx_packets"))

    def probing(self) -> AbstractContextManager[dict]:
        def start(*arguments: str) -> subprocess.Popen[str]:
            return self.begin(STRANGER, "python3", *arguments)

        hardware = self.shell(HOST, "cat /sys/class/net/eth0/address").strip()
        return window(start, hardware, self.addresses[HOST], self.addresses[STRANGER], list(PORTS), "forged")

    def boot_with_probes(self) -> tuple[dict, int, int]:
        """Boot while the stranger probes -> what it saw, and how many packets had come before both ports served, and
        afterwards. Half of them are SYNs."""
        with self.probing() as result:
            self.boot()
            for port in PORTS:
                self.wait_until(lambda port=port: self.fetch(HOST, "127.0.0.1", port), 60, f"{port} does not serve")
            before = self.received()
            self.wait_until(lambda: self.received() - before > PROBES, 60, "the probes do not arrive")
            afterwards = self.received() - before
        return result, before, afterwards


@pytest.fixture(scope="module", params=["nft", "legacy", "firewalld"])
def lab(request):
    with ProbedLab(request.param) as made:
        made.furnish()
        yield made


def test_no_probe_opens_a_connection_while_the_host_boots(lab):
    assert lab.apply(policy=lab.policy("permit"))["persisted"]
    result, _before, _afterwards = lab.boot_with_probes()
    assert set(result["opened"]) == set(lab.targets), f"the control: an open host answers, {result}"

    applied = lab.apply(policy=lab.policy())
    assert applied["persisted"] and lab.kind in (applied.get("variant"), applied["backend"]), applied
    for _attempt in range(ATTEMPTS):
        result, before, afterwards = lab.boot_with_probes()
        assert result["opened"] == {} and before > 2 * PROBES and afterwards > PROBES, (result, before, afterwards)
        loaded = int(lab.shell(HOST, f"systemctl show --property=ActiveEnterTimestampMonotonic --value {UNITS[0]}"))
        assert result["last"] < loaded / 1e6 + 0.1, f"the loaded rules let nothing be answered, {result}, {loaded}"
        if is_dense(result):
            break
    else:
        raise AssertionError(f"this machine is too busy for a window without pauses, {result}")
    lab.wait_until(lambda: lab.gets_in(PERMITTED) == lab.targets, 60, "a permitted peer does not get in")
