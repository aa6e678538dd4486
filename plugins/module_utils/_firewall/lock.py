# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The folder of a change that awaits its confirmation, and the lock that permits one change at a time.

The folder is in /run: a reboot ends the change, and removes the rules that it made and its files.
The folder exists only as long as it holds a file.
"""

import contextlib
import errno
import fcntl
import os
import stat
import time
from typing import Optional

from ansible_collections.determined.network.plugins.module_utils._host.commands import HostError

DIRECTORY = "/run/determined-network"
_PAUSE_SECONDS = 0.05


def make_directory(directory: str) -> None:
    """Make the folder (0700) if it is missing. HostError if others than root may write in it."""
    try:
        os.mkdir(directory, 0o700)
    except FileExistsError:
        pass
    except OSError as problem:
        raise HostError("The folder %s cannot be made: %s. Nothing was changed" % (directory, problem)) from problem
    try:
        found = os.lstat(directory)
    except FileNotFoundError:
        make_directory(directory)  # another run has just removed it
        return
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise HostError(
            "%s must be a folder in which only root may write. It is not, so its files cannot be trusted. Examine "
            "it, then remove it. Nothing was changed" % directory
        )


def tidy(directory: str) -> None:
    """Remove the folder if it is empty."""
    with contextlib.suppress(OSError):
        os.rmdir(directory)


class Lock:
    """``with Lock(directory, seconds) as lock``: at most one lock owner on a host.

    ``lock.fd`` is the descriptor that holds the lock. HostError if another lock owner does not end
    within ``seconds``. The lock owner removes the file at the end.
    """

    def __init__(self, directory: str, seconds: float) -> None:
        self._directory = directory
        self._path = os.path.join(directory, "lock")
        self._seconds = seconds
        self.fd: Optional[int] = None

    def __enter__(self) -> "Lock":
        deadline = time.monotonic() + self._seconds
        while not self._try():
            if time.monotonic() >= deadline:
                raise HostError(
                    "Another run of determined.network.firewall is changing this host's firewall and did not "
                    "end within %g s. Run this again when it has ended. Nothing was changed" % self._seconds
                )
            time.sleep(_PAUSE_SECONDS)
        return self

    def _try(self) -> bool:
        make_directory(self._directory)
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except FileNotFoundError:
            return False  # another run has removed the folder in between
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(fd).st_ino == os.stat(self._path).st_ino:
                self.fd = fd
                return True
        except OSError as problem:
            if problem.errno not in (errno.EAGAIN, errno.EACCES, errno.ENOENT):
                os.close(fd)
                raise
        os.close(fd)  # another run owns it, or it is no longer the file that others will open
        return False

    def __exit__(self, *dummy: object) -> None:
        with contextlib.suppress(OSError):
            os.unlink(self._path)
        if self.fd is not None:
            os.close(self.fd)
        self.fd = None
        tidy(self._directory)
