# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The only place that reads and writes the files of the proxy. A file is always replaced as a whole."""

import contextlib
import errno
import os
import stat
import tempfile
from typing import Iterable, List, Optional

from ansible_collections.determined.network.plugins.module_utils._host.commands import HostError
from ansible_collections.determined.network.plugins.module_utils._proxy.file_change import FileState


def read(path: str) -> Optional[FileState]:
    """Return the state of a file, None where there is none. A link is followed. Raises HostError."""
    try:
        with open(path, "rb") as handle:
            found = os.fstat(handle.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise HostError("%s is not a regular file" % path)
            return FileState(handle.read(), stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as problem:
        raise HostError("%s cannot be read: %s" % (path, problem.strerror)) from problem


def write(path: str, state: Optional[FileState]) -> List[str]:
    """Give a file this state, None for no file. Returns the folders that were made for it, outermost first.

    At every moment the file is either old or new. A link is followed: it stays, and the file to which it leads changes.
    Raises HostError.
    """
    real_path = os.path.realpath(path)
    try:
        if state is None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(real_path)
            return []
        folders = make_folders(os.path.dirname(real_path))
        try:
            _replace(real_path, state)
        except BaseException:
            remove_folders(folders)
            raise
        return folders
    except OSError as problem:
        raise HostError("%s cannot be written: %s" % (path, problem.strerror)) from problem


def make_folders(folder: str, mode: int = 0o755) -> List[str]:
    """Make a folder and the missing ones above it. Returns those that were made, outermost first. Raises OSError."""
    missing: List[str] = []
    while not os.path.isdir(folder):
        missing.insert(0, folder)
        folder = os.path.dirname(folder)
    for made in missing:
        os.mkdir(made, mode)
        os.chmod(made, mode)  # whatever the umask is
    return missing


def remove_folders(folders: Iterable[str]) -> List[str]:
    """Remove those of the folders that are empty. Returns those that remain, innermost first. Raises HostError."""
    remaining = []
    for folder in sorted(folders, key=len, reverse=True):
        try:
            os.rmdir(folder)
        except FileNotFoundError:
            continue
        except OSError as problem:
            if problem.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise HostError("%s cannot be removed: %s" % (folder, problem.strerror)) from problem
            remaining.append(folder)
    return remaining


def _replace(path: str, state: FileState) -> None:
    descriptor, temporary = tempfile.mkstemp(prefix=".determined-network-", dir=os.path.dirname(path))
    try:
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(state.data)
            os.fchown(handle.fileno(), state.uid, state.gid)
            os.fchmod(handle.fileno(), state.mode)
            _copy_label(path, temporary)
            handle.flush()
            os.fsync(handle.fileno())
        os.rename(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _copy_label(path: str, temporary: str) -> None:
    """Keep the SELinux label of the file that is replaced. A new file gets the label of its folder."""
    try:
        label = os.getxattr(path, "security.selinux")
    except OSError:
        return  # there is no file yet, or no SELinux
    os.setxattr(temporary, "security.selinux", label)
