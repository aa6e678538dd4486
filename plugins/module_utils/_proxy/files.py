# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The only place that reads and writes files of the proxy: whole files at once, and back again when one fails."""

import contextlib
import errno
import os
import stat
import tempfile

from ansible_collections.determined.network.plugins.module_utils._proxy.record import State

RECORD = "/var/lib/determined-network/proxy.json"


class FileProblem(Exception):
    """A file that cannot be read or written; the text says which and why."""


class Unrestored(Exception):
    """A change failed and could not be undone; the text says what is left of it."""


def read(path):
    """-> State, or None where there is no file. A link is followed. Raises FileProblem."""
    try:
        with open(path, "rb") as handle:
            found = os.fstat(handle.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise FileProblem("%s is no ordinary file" % path)
            return State(handle.read(), stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as problem:
        raise FileProblem("%s cannot be read: %s" % (path, problem.strerror)) from problem


def write(path, state):
    """Make the file what ``state`` says, None for no file -> the folders that were made for it, outermost first.

    At every moment the file is either old or new. A link stays one: the file that it leads to changes.
    """
    place = os.path.realpath(path)
    try:
        if state is None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(place)
            return []
        folders = make_folders(os.path.dirname(place))
        try:
            _replace(place, state)
        except BaseException:
            remove_folders(folders)
            raise
        return folders
    except OSError as problem:
        raise FileProblem("%s cannot be written: %s" % (path, problem.strerror)) from problem


def make_folders(folder, mode=0o755):
    """Make a folder and what is missing above it -> those made, outermost first."""
    missing = []
    while not os.path.isdir(folder):
        missing.insert(0, folder)
        folder = os.path.dirname(folder)
    for made in missing:
        os.mkdir(made, mode)
        os.chmod(made, mode)  # whatever the umask is
    return missing


def remove_folders(folders):
    """Remove those of the folders that are empty -> those that are still there."""
    left = []
    for folder in sorted(folders, key=len, reverse=True):
        try:
            os.rmdir(folder)
        except FileNotFoundError:
            continue
        except OSError as problem:
            if problem.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise FileProblem("%s cannot be removed: %s" % (folder, problem.strerror)) from problem
            left.append(folder)
    return left


def _replace(place, state):
    descriptor, temporary = tempfile.mkstemp(prefix=".determined-network-", dir=os.path.dirname(place))
    try:
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(state.data)
            os.fchown(handle.fileno(), state.uid, state.gid)
            os.fchmod(handle.fileno(), state.mode)
            _copy_label(place, temporary)
            handle.flush()
            os.fsync(handle.fileno())
        os.rename(temporary, place)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _copy_label(place, temporary):
    """Keep the SELinux label of the file that is replaced; a new one gets that of its folder."""
    try:
        label = os.getxattr(place, "security.selinux")
    except OSError:
        return  # no file yet, or no SELinux
    os.setxattr(temporary, "security.selinux", label)


@contextlib.contextmanager
def all_or_nothing(steps):
    """Write the steps (Step of _proxy_record) -> the folders made. If that or what follows in the block fails, put
    back what was there; FileProblem names what could not be put back."""
    done, folders = [], []
    try:
        for step in steps:
            folders += write(step.path, step.after)
            done.append(step)
        yield folders
    except BaseException as reason:
        lost = []
        for step in reversed(done):
            try:
                write(step.path, step.before)
            except FileProblem as problem:
                lost.append(str(problem))
        remove_folders(folders)
        if lost:
            left = "%s; and of what had changed, not all could be put back: %s" % (reason, "; ".join(lost))
            raise Unrestored(left) from reason
        raise


def read_record():
    """-> the record's text, "" when there is none. Raises FileProblem."""
    state = read(RECORD)
    try:
        return state.data.decode("utf-8") if state else ""
    except UnicodeDecodeError as problem:
        raise FileProblem("%s is damaged: %s" % (RECORD, problem)) from problem


def write_record(text):
    """Keep the record's text, which may hold old credentials: root's alone. "" removes it."""
    if text:
        try:
            make_folders(os.path.dirname(RECORD), 0o700)
        except OSError as problem:
            raise FileProblem("%s cannot be made: %s" % (os.path.dirname(RECORD), problem.strerror)) from problem
        write(RECORD, State(text.encode("utf-8"), 0o600, 0, 0))
        return
    write(RECORD, None)
    with contextlib.suppress(OSError):
        os.rmdir(os.path.dirname(RECORD))  # others of this collection keep things there, too
