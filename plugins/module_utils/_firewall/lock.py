# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The folder of a change that is under way, and the lock that lets only one be.

Everything lies in /run: a reboot ends the change, the rules it made and its traces alike.
The folder exists only while something is in it.
"""

import contextlib
import errno
import fcntl
import os
import stat
import time

from ansible_collections.determined.network.plugins.module_utils._host.commands import HostError

DIRECTORY = "/run/determined-network"
_PAUSE_SECONDS = 0.05


def make_directory(directory):
    """Make the folder (0700) if it is missing; HostError when it is not safely ours."""
    try:
        os.mkdir(directory, 0o700)
    except FileExistsError:
        pass
    except OSError as problem:
        raise HostError("The folder %s cannot be made: %s. Nothing was changed" % (directory, problem)) from problem
    try:
        found = os.lstat(directory)
    except FileNotFoundError:
        return make_directory(directory)  # another run has just tidied up
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise HostError(
            "%s is not a folder that only root may write, so what lies in it cannot be trusted. Look at it, "
            "then remove it. Nothing was changed" % directory
        )
    return None


def tidy(directory):
    """Remove the folder if nothing is left in it."""
    with contextlib.suppress(OSError):
        os.rmdir(directory)


class Lock:
    """``with Lock(directory, seconds) as lock``: at most one holder per host; ``lock.fd`` holds it.

    Waits up to ``seconds`` for another holder, then raises HostError. The file is
    removed on the way out, by the one who holds it.
    """

    def __init__(self, directory, seconds):
        self._directory = directory
        self._path = os.path.join(directory, "lock")
        self._seconds = seconds
        self.fd = None

    def __enter__(self):
        deadline = time.monotonic() + self._seconds
        while not self._try():
            if time.monotonic() >= deadline:
                raise HostError(
                    "Another run of determined.network.firewall is changing this host's firewall and did not "
                    "end within %g s. Run this again when it has ended. Nothing was changed" % self._seconds
                )
            time.sleep(_PAUSE_SECONDS)
        return self

    def _try(self):
        make_directory(self._directory)
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except FileNotFoundError:
            return False  # the folder was tidied up in between
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(fd).st_ino == os.stat(self._path).st_ino:
                self.fd = fd
                return True
        except OSError as problem:
            if problem.errno not in (errno.EAGAIN, errno.EACCES, errno.ENOENT):
                os.close(fd)
                raise
        os.close(fd)  # held, or no longer the file that others will find
        return False

    def __exit__(self, *dummy):
        with contextlib.suppress(OSError):
            os.unlink(self._path)
        os.close(self.fd)
        self.fd = None
        tidy(self._directory)
