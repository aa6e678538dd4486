# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a program of the host and read what it prints."""

from ansible_collections.determined.network.plugins.module_utils._host.commands import Command, HostError
from ansible_collections.determined.network.plugins.module_utils._host.runner import Runner

_TIMEOUT = 120.0  # seconds


def run(runner: Runner, name: str, *arguments: str) -> str:
    """Return what the program prints. Raises HostError when it is missing or fails."""
    path = runner.find(name)
    if not path:
        raise HostError("%s is not installed" % name)
    output = runner.run(Command(argv=(path,) + arguments, timeout=_TIMEOUT))
    if output.code != 0:
        said = (output.stderr or output.stdout).strip()
        raise HostError("%s failed: %s" % (" ".join((name,) + arguments), said))
    return output.stdout
