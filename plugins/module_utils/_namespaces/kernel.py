# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The system calls of a rehearsal: namespaces, mounts and the identity of processes.

These are thin wrappers over the system calls of namespaces(7), mount(2), prctl(2) and over proc(5).
Each raises OSError with the path or the call in its text.
"""

import ctypes
import os
from typing import List, Optional

# <linux/sched.h>
CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

# <linux/mount.h>
MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_REC = 0x4000
MS_SLAVE = 0x80000

# <sys/mount.h>
_MNT_DETACH = 2

# <linux/prctl.h>
_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15

# <linux/capability.h>: CAP_NET_ADMIN, CAP_SYS_CHROOT (setns into a mount namespace), CAP_SYS_ADMIN
_NEEDED_CAPABILITIES = (1 << 12) | (1 << 18) | (1 << 21)

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


def unshare(flags: int) -> None:
    """Move this process (for CLONE_NEWPID and its children: those to come) into new namespaces."""
    _check(_libc.unshare(flags), "unshare")


def enter(descriptor: int) -> None:
    """Move this process into the namespace that the open file ``descriptor`` names."""
    _check(_libc.setns(descriptor, 0), "setns")


def mount(source: str, target: str, kind: str, flags: int = 0, data: str = "") -> None:
    """mount(2); ``kind`` is the file system's type, or "" for a bind mount or a change of flags."""
    _check(
        _libc.mount(
            os.fsencode(source),
            os.fsencode(target),
            os.fsencode(kind) if kind else None,
            ctypes.c_ulong(flags),
            os.fsencode(data) if data else None,
        ),
        "mount of %s on %s" % (kind or source, target),
    )


def unmount(target: str) -> None:
    """umount2(2), lazily: the mount leaves this namespace now and ends with its last user."""
    _check(_libc.umount2(os.fsencode(target), _MNT_DETACH), "unmount of %s" % target)


def set_host_name(name: str) -> None:
    """sethostname(2); longer names are cut to the kernel's 64 bytes."""
    value = name.encode("utf-8")[:64]
    _check(_libc.sethostname(value, ctypes.c_size_t(len(value))), "sethostname")


def set_process_name(name: str) -> None:
    """Set what ps(1) shows as COMMAND, at most 15 bytes of ASCII."""
    _check(_libc.prctl(_PR_SET_NAME, ctypes.c_char_p(name.encode("ascii")), 0, 0, 0), "prctl")


def die_with_parent(signal_number: int) -> None:
    """Have the kernel send ``signal_number`` to this process when its parent ends."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal_number), 0, 0, 0), "prctl")


def map_to_root(user: int, group: int) -> None:
    """In a new user namespace, make the outer ``user`` and ``group`` ids its root (user_namespaces(7))."""
    for name, text in (
        ("uid_map", "0 %d 1" % user),
        ("setgroups", "deny"),
        ("gid_map", "0 %d 1" % group),
    ):
        with open("/proc/self/" + name, "w") as file:
            file.write(text)


def may_administer() -> bool:
    """Whether this process holds the capabilities that build namespaces without a user namespace."""
    with open("/proc/self/status") as file:
        for line in file:
            if line.startswith("CapEff:"):
                return int(line.split()[1], 16) & _NEEDED_CAPABILITIES == _NEEDED_CAPABILITIES
    return False


def start_time(pid: int) -> Optional[int]:
    """When the process ``pid`` started, in clock ticks since boot; None if no such process runs.

    The kernel uses process ids again, so only an id and its start time name one process. A zombie has ended.
    """
    try:
        with open("/proc/%d/stat" % pid) as file:
            # The second field is the name in parentheses and may hold anything; proc(5).
            fields = file.read().rpartition(")")[2].split()
    except (OSError, ValueError):
        return None
    if not fields or fields[0] in "ZXx":
        return None
    return int(fields[19])


def mount_points() -> List[str]:
    """The directories and files on which something is mounted, in the order of mounting (proc(5), mountinfo)."""
    paths = []
    with open("/proc/self/mountinfo", "rb") as file:
        for line in file:
            path = line.split(b" ")[4]
            for octal, char in ((b"\\040", b" "), (b"\\011", b"\t"), (b"\\012", b"\n"), (b"\\134", b"\\")):
                path = path.replace(octal, char)
            paths.append(os.fsdecode(path))
    return paths


def setting(name: str) -> Optional[str]:
    """The value of a sysctl ("user.max_user_namespaces") as text; None if the kernel lacks it."""
    try:
        with open("/proc/sys/" + name.replace(".", "/")) as file:
            return file.read().strip()
    except OSError:
        return None
