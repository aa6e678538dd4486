# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a rehearsal cannot be built: what the administrator reads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.determined.network.plugins.module_utils._namespaces import build as builder

from . import _rehearsing as rehearsing

ORDINARY = rehearsing.ORDINARY


def test_a_system_without_user_namespaces_says_what_to_do(desk, name):
    # A limit of 0 in a namespace that maps everybody: forbidden there, and nowhere else on this machine.
    person = rehearsing.Person(ORDINARY, desk)
    script = f"""
import os, sys
sys.path[:0] = {[str(desk / "collections")]!r}
from ansible_collections.determined.network.plugins.module_utils._namespaces import kernel
ready, go = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    kernel.unshare(kernel.CLONE_NEWUSER)
    os.write(ready[1], b"x"); os.read(go[0], 1)
    with open("/proc/sys/user/max_user_namespaces", "w") as file: file.write("0")
    os.setgroups([])
    os.setresgid({ORDINARY}, {ORDINARY}, {ORDINARY})
    os.setresuid({ORDINARY}, {ORDINARY}, {ORDINARY})
    python = {person.python!r}
    os.execve(python, [python, "-c", sys.argv[1], sys.argv[2]], {person.environment()!r})
os.read(ready[0], 1)
for name in ("uid_map", "gid_map"):
    with open("/proc/%d/%s" % (child, name), "w") as file: file.write("0 0 100000")
os.write(go[1], b"x")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    request = rehearsing.request(name, {"a": ["192.0.2.1"]})
    done = subprocess.run(
        [sys.executable, "-c", script, rehearsing.BUILD, request],
        capture_output=True,
        text=True,
        cwd=person.home,
        check=False,
    )
    assert done.returncode == 1
    assert "refused: Cannot create a user namespace" in done.stderr
    assert "sudo sysctl -w user.max_user_namespaces=10000" in done.stderr
    assert person.state_files() == []


@pytest.mark.parametrize(
    "program, expected", [("ip", "'ip' is missing on the control node: install the package iproute2")]
)
def test_a_missing_program_is_named_with_its_package(desk, name, program, expected):
    person = rehearsing.Person(0, desk)
    real = {str(Path(place, program).resolve()) for place in ("/usr/sbin", "/sbin", "/usr/bin", "/bin")}
    hide = "; ".join(f"mount --bind /dev/null {path}" for path in sorted(real) if os.path.exists(path))
    assert hide
    request = rehearsing.request(name, {"a": ["192.0.2.1"]})
    done = person.run(
        "unshare",
        "--mount",
        "sh",
        "-c",
        hide + '; exec "$@"',
        "sh",
        person.python,
        "-c",
        rehearsing.BUILD,
        request,
    )
    assert done.returncode == 1
    assert expected in done.stderr


def test_what_iproute2_refuses_is_told_with_its_command():
    with pytest.raises(builder.BuildError) as problem:
        builder._ip(["link show lo", "link set no-such-device up"], "host agent1")
    assert str(problem.value).startswith("iproute2 cannot set up host agent1: ")
    assert 'Cannot find device "no-such-device"' in str(problem.value)
    assert "(command: ip link set no-such-device up)" in str(problem.value)
