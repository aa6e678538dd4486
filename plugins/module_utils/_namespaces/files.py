# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private file systems: a host of a rehearsal cannot write to the machine's own files.

System directories get an overlay (the kernel's Documentation/filesystems/overlayfs.rst) whose upper
layer is in the lab's memory; /run is empty and in memory. That also hides the sockets of systemd, D-Bus
and Docker, so that no role uses the machine's own services by mistake. /home, /root and /tmp remain the
machine's own, because Ansible and its Python may be there.

In a user namespace only one user is mapped, and the kernel refuses to write below directories, or to
copy files up, that belong to anybody else. So an ordinary user's overlays have one more layer: a
private copy of /etc, and copies of the directories, without their files, for the others.
"""

import os
import shutil
import stat
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.determined.network.plugins.module_utils._namespaces import kernel

# Those of hier(7) that configuration management writes to. Links (/bin -> usr/bin) are left alone.
PRIVATE = (
    "/bin",
    "/boot",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/opt",
    "/sbin",
    "/srv",
    "/usr",
    "/var",
)

# How deep an ordinary user's hosts may write below the directories that exist.
_DEPTH = 4

Overlay = Tuple[str, Tuple[Optional[str], ...]]  # as Plan.overlays


class Plan(NamedTuple):
    """How each host gets its private files.

    ``overlays``: pairs of (directory, layers above it): an overlay over the directory, uppermost
    layer first. A last layer of None stands for the directory itself.
    ``copies``: pairs of (copy, file): a single file that was mounted, to be written into the overlay.
    """

    overlays: Tuple[Overlay, ...]
    copies: Tuple[Tuple[str, str], ...]


def prepare(lab: str, ordinary_user: bool) -> Plan:
    """Make the layers that all hosts share under the directory ``lab`` -> a Plan.

    Raises OSError where the kernel has no overlay file system.
    """
    paths = [path for path in PRIVATE if os.path.isdir(path) and not os.path.islink(path)]
    mounted = sorted(set(kernel.mount_points()), key=lambda path: path.count("/"))
    _probe(lab, ordinary_user)
    if ordinary_user:
        return _prepare_for_user(lab, paths, mounted)
    overlays: List[Overlay] = []
    copies: List[Tuple[str, str]] = []
    for path in paths:
        overlays.append((path, (None,)))
        # An overlay does not show what is mounted below its layers.
        for below in mounted:
            if not below.startswith(path + "/"):
                continue
            if os.path.isdir(below):
                overlays.append((below, (None,)))
            elif os.path.isfile(below):
                copy = os.path.join(lab, "file%d" % len(copies))
                shutil.copy2(below, copy)
                copies.append((copy, below))
    return Plan(tuple(overlays), tuple(copies))


def _prepare_for_user(lab: str, paths: Sequence[str], mounted: Sequence[str]) -> Plan:
    overlays: List[Overlay] = []
    for path in paths:
        layer = os.path.join(lab, "layer", path[1:])
        if path == "/etc":
            _copy(path, layer)
            overlays.append((path, (layer,)))
            continue
        # The kernel refuses a layer with a locked mount below it, so such a directory is divided.
        for part in _without_mounts(path, mounted):
            part_layer = os.path.join(lab, "layer", part[1:])
            _copy_directories(part, part_layer, _DEPTH)
            overlays.append((part, (part_layer, None)))
    return Plan(tuple(overlays), ())


def _without_mounts(directory: str, mounted: Sequence[str]) -> List[str]:
    """A directory -> itself if nothing is mounted below it, otherwise its subdirectories without mounts."""
    if not any(below.startswith(directory + "/") for below in mounted):
        return [directory] if os.access(directory, os.R_OK | os.X_OK) else []
    try:
        parts = sorted(entry.path for entry in os.scandir(directory) if entry.is_dir(follow_symlinks=False))
    except OSError:
        return []
    return [found for part in parts for found in _without_mounts(part, mounted)]


def make_private(plan: Plan, private: str, ordinary_user: bool) -> None:
    """In a host's own mount namespace: mount the plan's overlays and an empty /run.

    ``private`` is a new directory of the lab for this host's upper layers. Raises OSError.
    """
    # All are opened first. When an overlay covers /var, no path leads to what was mounted below it.
    opened = _open_all(plan)
    try:
        for index, (path, layers) in enumerate(plan.overlays):
            if index not in opened or not os.path.isdir(path):
                continue
            below = "/proc/self/fd/%d" % opened[index]
            lowers = [below if layer is None else layer for layer in layers]
            try:
                _overlay(path, lowers, os.path.join(private, str(index)), ordinary_user)
            except OSError:
                if path in PRIVATE or ordinary_user:
                    raise
                # This file system cannot be a layer. The host can read it, and cannot write to it.
                kernel.mount(below, path, "", kernel.MS_BIND)
                kernel.mount(
                    "none",
                    path,
                    "",
                    kernel.MS_BIND | kernel.MS_REMOUNT | kernel.MS_RDONLY | kernel.MS_NOSUID,
                )
    finally:
        for descriptor in opened.values():
            os.close(descriptor)
    for copy, path in plan.copies:
        shutil.copy2(copy, path)
    kernel.mount("run", "/run", "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=0755")
    os.mkdir("/run/lock", 0o1777)
    os.chmod("/run/lock", 0o1777)


def _open_all(plan: Plan) -> Dict[int, int]:
    """Index of an overlay -> the descriptor of its directory."""
    opened = {}
    for index, (path, _layers) in enumerate(plan.overlays):
        try:
            opened[index] = os.open(path, os.O_PATH | os.O_DIRECTORY)
        except FileNotFoundError:
            # A program on this machine, Docker for example, may remove its mount points at any time.
            if path in PRIVATE:
                raise
    return opened


def _probe(lab: str, ordinary_user: bool) -> None:
    """Mount one overlay over an empty directory: OSError if this kernel has no overlay file system."""
    path = os.path.join(lab, "probe")
    lower = os.path.join(path, "lower")
    os.makedirs(lower)
    os.mkdir(os.path.join(path, "merged"))
    _overlay(os.path.join(path, "merged"), [lower], os.path.join(path, "private"), ordinary_user)


def _overlay(directory: str, lowers: Sequence[str], private: str, ordinary_user: bool) -> None:
    """Mount an overlay on ``directory``; ``lowers``: its layers; ``private``: a new directory for what is written."""
    upper = os.path.join(private, "upper")
    work = os.path.join(private, "work")
    os.makedirs(upper)
    os.mkdir(work)
    # The root of an overlay looks like its uppermost layer.
    os.chmod(upper, stat.S_IMODE(os.stat(lowers[0]).st_mode))
    options = "lowerdir=%s,upperdir=%s,workdir=%s" % (":".join(lowers), upper, work)
    kernel.mount("overlay", directory, "overlay", 0, options + (",userxattr" if ordinary_user else ""))


def _copy(source: str, target: str) -> None:
    """Copy the readable files of a tree. They then belong to this user."""
    os.makedirs(target)
    for entry in os.scandir(source):
        path = os.path.join(target, entry.name)
        try:
            if entry.is_symlink():
                os.symlink(os.readlink(entry.path), path)
            elif entry.is_dir():
                _copy(entry.path, path)
            elif entry.is_file():
                shutil.copy2(entry.path, path)
        except PermissionError:
            # The user may not read /etc/shadow and similar files, so the rehearsal has none.
            continue
    shutil.copymode(source, target)


def _copy_directories(source: str, target: str, depth: int) -> None:
    """Copy the directories of a tree, without their files, ``depth`` levels deep."""
    os.makedirs(target)
    if depth:
        for entry in os.scandir(source):
            # An unreadable directory is not copied: an empty directory of the layer would not show its content.
            if entry.is_dir(follow_symlinks=False) and os.access(entry.path, os.R_OK | os.X_OK):
                _copy_directories(entry.path, os.path.join(target, entry.name), depth - 1)
    shutil.copymode(source, target)
