# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run one job of ansible-runner where nothing can be written but what Tower lets a job write.

A script, started by test_tower.py in a mount namespace of its own, with a JSON object on the command line:
``private_data_dir``, ``home`` (an existing folder), and arguments of ``ansible_runner.run``. Its last line is a JSON
object: the job's ``status`` and ``rc``, and the files that it ``left`` in its home and in /tmp.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

# The kernel's own, and what Python shares between processes.
KERNEL = ("/proc", "/sys", "/dev")


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def mounted() -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line.split()[4].encode().decode("unicode_escape") for line in lines]


def close(artifacts: str, scratch: list[str]) -> None:
    """Make every file system read-only, except the artifacts, and empty scratch places in memory."""
    mount("--bind", artifacts, artifacts)
    for place in mounted():
        if place == artifacts or place.startswith(KERNEL) or not os.path.isdir(place):
            continue
        try:
            mount("-o", "remount,bind,ro", place)
        except subprocess.CalledProcessError:
            if place in mounted():  # and was not just unmounted by somebody else
                raise
    for place in scratch:
        if artifacts.startswith(place + "/"):
            raise SystemExit(f"{place} holds the artifacts")
        mount("-t", "tmpfs", "tmpfs", place)


def main() -> None:
    request = json.loads(sys.argv[1])
    folder, home = request["private_data_dir"], request.pop("home")
    import ansible_runner

    close(f"{folder}/artifacts", [home, "/var/tmp"])
    os.environ["HOME"] = home
    os.environ["TMPDIR"] = "/var/tmp"
    job = ansible_runner.run(quiet=True, **request)
    left = [str(path) for place in (home, "/var/tmp") for path in Path(place).rglob("*") if not path.is_dir()]
    print(json.dumps({"status": job.status, "rc": job.rc, "left": left}))


if __name__ == "__main__":
    main()
