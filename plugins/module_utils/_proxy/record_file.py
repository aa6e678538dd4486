# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the record is stored on a host: a file that root alone can read, since it may hold old credentials."""

import contextlib
import os

from ansible_collections.determined.network.plugins.module_utils._host.commands import HostError
from ansible_collections.determined.network.plugins.module_utils._proxy import files, record
from ansible_collections.determined.network.plugins.module_utils._proxy.errors import Problems
from ansible_collections.determined.network.plugins.module_utils._proxy.file_change import FileState
from ansible_collections.determined.network.plugins.module_utils._proxy.record import Record

PATH = "/var/lib/determined-network/proxy.json"


def read() -> Record:
    """Return the stored record, an empty one where there is none. Raises Problems and HostError."""
    state = files.read(PATH)
    try:
        return record.load(state.data.decode("utf-8") if state else "")
    except ValueError as problem:
        raise Problems(
            [
                "%s holds what the files of this host were before they were changed, and it cannot be used: %s. "
                "Restore it from a backup. If there is no backup, remove it and correct the files by "
                "hand" % (PATH, problem)
            ]
        ) from problem


def write(new: Record) -> None:
    """Store the record; an empty one removes the file. Raises HostError."""
    folder, text = os.path.dirname(PATH), record.dump(new)
    if text:
        try:
            files.make_folders(folder, 0o700)
        except OSError as problem:
            raise HostError("%s cannot be made: %s" % (folder, problem.strerror)) from problem
        files.write(PATH, FileState(text.encode("utf-8"), 0o600, 0, 0))
        return
    files.write(PATH, None)
    with contextlib.suppress(OSError):
        os.rmdir(folder)  # it remains if other parts of this collection store something there
