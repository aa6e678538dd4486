# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Apply a plan as a whole: either every file and the record change, or everything is restored."""

import contextlib
import os
from typing import Iterable, Iterator, List, Sequence, Set

from ansible_collections.determined.network.plugins.module_utils._host.commands import HostError
from ansible_collections.determined.network.plugins.module_utils._host.runner import Runner
from ansible_collections.determined.network.plugins.module_utils._proxy import activation, files, record, record_file
from ansible_collections.determined.network.plugins.module_utils._proxy.errors import RollbackFailed
from ansible_collections.determined.network.plugins.module_utils._proxy.file_change import FileChange
from ansible_collections.determined.network.plugins.module_utils._proxy.plan import Plan
from ansible_collections.determined.network.plugins.module_utils._proxy.record import Record


def apply(plan: Plan, before: Record, runner: Runner) -> None:
    """Write the changes and the record, and activate the changes. If anything fails, restore everything.

    ``before``: the record as it is stored now. Raises HostError, and RollbackFailed when not all could be restored.
    """
    if not plan.changes and plan.recorded == before.files:
        return
    # The record that knows old and new files comes first: if the host stops in between, the next run can restore all.
    record_file.write(before._replace(files=dict(before.files, **plan.recorded)))
    try:
        with all_or_nothing(plan.changes) as made:
            activation.activate(plan.changes, runner)
            needed = _folders_above(plan.recorded)
            remaining = files.remove_folders(set(before.folders) - needed)
            folders = (set(before.folders) & needed) | set(remaining) | set(made)
            record_file.write(record.of(plan.recorded, folders))
    except RollbackFailed:
        raise  # the record that knows old and new files is kept
    except BaseException:
        record_file.write(before)
        with contextlib.suppress(HostError):  # the failure of one of these programs may be the reason for the rollback
            activation.activate([change.reversed() for change in plan.changes], runner)
        raise


@contextlib.contextmanager
def all_or_nothing(changes: Sequence[FileChange]) -> Iterator[List[str]]:
    """Write the changes, and yield the folders that were made. If this or the block fails, restore the files.

    Raises RollbackFailed, which names the files that could not be restored.
    """
    done: List[FileChange] = []
    folders: List[str] = []
    try:
        for change in changes:
            folders += files.write(change.path, change.after)
            done.append(change)
        yield folders
    except BaseException as reason:
        failed = _restore(done)
        files.remove_folders(folders)
        if failed:
            text = "%s. After that, not every file could be restored: %s" % (str(reason).rstrip("."), "; ".join(failed))
            raise RollbackFailed(text) from reason
        raise


def _restore(changes: Sequence[FileChange]) -> List[str]:
    """Take the changes back, the last one first. Returns a sentence for each that failed."""
    failed = []
    for change in reversed(changes):
        try:
            files.write(change.path, change.before)
        except HostError as problem:
            failed.append(str(problem))
    return failed


def _folders_above(paths: Iterable[str]) -> Set[str]:
    found = set()
    for path in paths:
        while path != "/":
            path = os.path.dirname(path)
            found.add(path)
    return found
