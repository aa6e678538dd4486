# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells whether the controller and the managed host are the same: both read this, and compare."""

import os


def read() -> str:
    """Names this boot and this network namespace. Two processes with the same text share the host. Raises OSError."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as handle:
        return "%s %s" % (handle.read().strip(), os.readlink("/proc/self/ns/net"))
