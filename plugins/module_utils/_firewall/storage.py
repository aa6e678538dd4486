# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that are stored for the next boot: read them, stage new ones beside them, and put these in place.

Every step that can fail because of missing space or permission happens in :func:`stage`, before the firewall
changes. After the confirmation, :func:`promote` only renames files.
"""

import contextlib
import errno
import os
import stat
from typing import Collection, Dict, Iterable, List, Optional, Sequence

from ansible_collections.determined.network.plugins.module_utils._firewall import stored
from ansible_collections.determined.network.plugins.module_utils._host import systemd
from ansible_collections.determined.network.plugins.module_utils._host.commands import HostError
from ansible_collections.determined.network.plugins.module_utils._host.runner import Runner

_OTHER_KINDS = ((stat.S_ISCHR, "device"), (stat.S_ISBLK, "device"), (stat.S_ISFIFO, "pipe"), (stat.S_ISSOCK, "socket"))
_PERSIST_FALSE = ", or store nothing for the next boot: set persist: false"


def read(paths: Iterable[str]) -> Dict[str, Optional[stored.Entry]]:
    """What is at each path, None where nothing is. HostError if a path cannot be read."""
    return {path: _read_one(path) for path in paths}


def _read_one(path: str) -> Optional[stored.Entry]:
    try:
        found = os.lstat(path)
        mode = stat.S_IMODE(found.st_mode)
        if stat.S_ISLNK(found.st_mode):
            return stored.Entry("link", os.readlink(path), owner=found.st_uid)
        if stat.S_ISDIR(found.st_mode):
            return stored.Entry("folder", _foreign(path), mode, found.st_uid)
        if stat.S_ISREG(found.st_mode):
            with open(path, encoding="utf-8", errors="surrogateescape") as handle:
                return stored.Entry("file", handle.read(), mode, found.st_uid)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as problem:
        raise HostError("%s cannot be read: %s" % (path, problem)) from problem
    kind = next((kind for test, kind in _OTHER_KINDS if test(found.st_mode)), "unknown")
    return stored.Entry(kind, "", mode, found.st_uid)


def _foreign(folder: str) -> str:
    """The names of the foreign files in our folder, one in each line."""
    ours = [os.path.basename(path) for path in stored.PATHS if os.path.dirname(path) == folder]
    return "\n".join(
        name for name in sorted(os.listdir(folder)) if name not in ours and stored.staged_token(name) is None
    )


def orphaned(folders: Iterable[str], unsettled: Collection[str]) -> List[str]:
    """Sorted paths of the staged files of changes that no longer exist, for example after a reboot.

    ``folders``: where a backend stores further files. ``unsettled``: tokens of changes that still need
    their staged files.
    """
    found: List[str] = []
    for folder in sorted({os.path.dirname(path) for path in stored.PATHS} | set(folders)):
        try:
            names = os.listdir(folder)
        except (FileNotFoundError, NotADirectoryError):
            continue
        for name in names:
            token = stored.staged_token(name)
            if token is not None and token not in unsettled:
                found.append(os.path.join(folder, name))
    return sorted(found)


def refuse(steps: Sequence[stored.Step]) -> None:
    """HostError if the Steps cannot be taken, as far as this can be known without writing."""
    for step in steps:
        _refuse_folder(step)
    for folder in sorted({os.path.dirname(step.path) for step in steps}):
        while not os.path.lexists(folder):
            folder = os.path.dirname(folder)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise _unstorable(folder, OSError(errno.EROFS, os.strerror(errno.EROFS)), steps)


def stage(steps: Sequence[stored.Step]) -> None:
    """Write the files that the Steps will put in place, and fsync(2) them. After a HostError none of them remains."""
    refuse(steps)
    path = ""
    try:
        for step in steps:
            path = step.path
            if step.entry is not None:
                _stage_one(step, step.entry)
    except OSError as problem:
        discard(steps)
        raise _unstorable(path, problem, steps) from problem


def _refuse_folder(step: stored.Step) -> None:
    found = _read_one(step.path)
    if found is None:
        return
    is_folder = step.entry.kind == "folder" if step.entry else step.path == stored.FOLDER
    if (found.kind == "folder") != is_folder:
        raise HostError(
            "%s is a %s, and this collection did not make it. Examine it, then move it away. Nothing was changed"
            % (step.path, found.kind)
        )


def _stage_one(step: stored.Step, entry: stored.Entry) -> None:
    folder = os.path.dirname(step.path)
    if entry.kind == "folder":
        with contextlib.suppress(FileExistsError):
            os.mkdir(step.path, entry.mode)
        return
    _make_folder(folder)
    if entry.kind == "link":
        os.symlink(entry.text, step.staged)
        return
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(step.staged, flags, 0o600), "w", encoding="utf-8") as handle:
        os.fchmod(handle.fileno(), entry.mode)
        handle.write(entry.text)
        handle.flush()
        os.fsync(handle.fileno())


def _make_folder(folder: str) -> None:
    """Make a foreign folder if it is missing, such as the folder of links of a systemd target."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, 0o755)


def discard(steps: Sequence[stored.Step]) -> None:
    """The change is not kept: remove the staged files, and folders that are empty. Never fails."""
    for step in steps:
        if step.staged:
            with contextlib.suppress(OSError):
                os.unlink(step.staged)
    _remove_empty(steps)


def promote(steps: Sequence[stored.Step], runner: Runner) -> None:
    """The change is kept: put the staged files in place, and remove the outdated ones. HostError if this fails.

    A step is done completely or not at all. After a crash between two steps, the next run of the module does the rest.
    """
    if stored.removes_units(steps):
        systemd.forget_units(runner, stored.UNITS)
    for step in steps:
        try:
            _promote_one(step)
        except OSError as problem:
            raise HostError("%s: %s" % (step.path, problem)) from problem
    _remove_empty(steps)
    for folder in sorted({os.path.dirname(step.path) for step in steps}):
        _sync(folder)
    if stored.removes_units(steps):
        systemd.reload(runner)


def _promote_one(step: stored.Step) -> None:
    if step.entry is None:
        with contextlib.suppress(FileNotFoundError):
            if step.path == stored.FOLDER:
                return  # foreign files in it stay: see _remove_empty
            os.unlink(step.path)
    elif step.entry.kind == "folder":
        os.chmod(step.path, step.entry.mode)
        os.chown(step.path, step.entry.owner, -1)
    else:
        os.rename(step.staged, step.path)


def _remove_empty(steps: Sequence[stored.Step]) -> None:
    """Remove folders that are empty after these steps are done or given up."""
    for folder in (stored.FOLDER, stored.WANTS_FOLDER):
        if any(folder in (step.path, os.path.dirname(step.path)) for step in steps):
            with contextlib.suppress(OSError):
                os.rmdir(folder)


def _sync(folder: str) -> None:
    """Write the renames in a folder to the disk (fsync(2): the fsync of a file does not)."""
    with contextlib.suppress(FileNotFoundError):
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _unstorable(path: str, problem: OSError, steps: Sequence[stored.Step]) -> HostError:
    remedies: Dict[Optional[int], str] = {
        errno.EROFS: "Mount its file system so that it can be written (mount -o remount,rw)",
        errno.ENOSPC: "Free some space there (df -h %s, df -i %s)" % (os.path.dirname(path), os.path.dirname(path)),
        errno.EDQUOT: "Free some space there, or raise the quota",
    }
    remedy = remedies.get(problem.errno, "Make it possible to write there")
    what = "What is stored for the next boot cannot be removed"
    if any(step.action == "put" for step in steps):
        what = "The firewall cannot be stored for the next boot"
        # A backend that has files of its own writes there even where nothing is stored.
        remedy += "" if stored.puts_files_of_a_backend(steps) else _PERSIST_FALSE
    return HostError("%s: %s: %s. %s. Nothing was changed" % (what, path, problem.strerror or problem, remedy))
