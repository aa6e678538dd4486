# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the files of /proc and /sys whose absence is an answer, too (proc(5))."""

from typing import List, Optional


def present(path: str) -> Optional[str]:
    """The text of a file, None if the kernel has no such file. Raises OSError for any other reason."""
    try:
        with open(path, encoding="ascii") as handle:
            return handle.read()
    except FileNotFoundError:
        return None


def readable(path: str) -> Optional[str]:
    """The text of a file of a process or a device, None if it cannot be read, as when it has just ended."""
    try:
        with open(path, encoding="utf-8", errors="replace") as handle:
            return handle.read()
    except OSError:
        return None


def tables(protocol: str) -> List[str]:
    """The socket tables of "tcp" or "udp", of the families that the kernel has."""
    found = [present("/proc/net/%s%s" % (protocol, suffix)) for suffix in ("", "6")]
    return [text for text in found if text is not None]
