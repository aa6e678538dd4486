# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs that must run so that changed files take effect: those of the trust store, and systemd's reload."""

from typing import Sequence

from ansible_collections.determined.network.plugins.module_utils._host import systemd
from ansible_collections.determined.network.plugins.module_utils._host.runner import Runner
from ansible_collections.determined.network.plugins.module_utils._proxy import paths, programs
from ansible_collections.determined.network.plugins.module_utils._proxy.file_change import FileChange


def activate(changes: Sequence[FileChange], runner: Runner) -> None:
    """Run what these changes need. Raises HostError."""
    for program in sorted({change.program for change in changes if change.program}):
        removes = any(change.after is None for change in changes if change.program == program)
        # Only with this option does it remove its links to removed files. (Red Hat's update-ca-trust writes everything
        # anew each time.)
        options = ("--fresh",) if removes and program == "update-ca-certificates" else ()
        programs.run(runner, program, *options)
    if any(change.path.startswith(paths.UNITS + "/") for change in changes):
        systemd.reload(runner)
