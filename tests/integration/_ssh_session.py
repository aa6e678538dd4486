# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A session that is older than a change of the firewall, to see whether it outlives it."""

from __future__ import annotations

import subprocess
import threading

from .systemd_lab import USER, SystemdLab


class Session:
    """An SSH session that stays open: says back what it is told."""

    def __init__(self, lab: SystemdLab, host: str):
        options = ["-o", "ConnectTimeout=30", *lab.ssh_options(), "-o", "ControlPath=none"]
        line = ["ssh", *options, f"{USER}@{lab.addresses[host][0]}", "exec cat"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen(line, text=True, **pipes)
        self._number = 0

    def lives(self) -> bool:
        self._number += 1
        word = f"word {self._number}\n"
        timer = threading.Timer(30, self._process.kill)
        timer.start()
        try:
            self._process.stdin.write(word)
            self._process.stdin.flush()
            return self._process.stdout.readline() == word
        except BrokenPipeError:
            return False
        finally:
            timer.cancel()

    def close(self) -> None:
        self._process.kill()
        with self._process:
            pass
