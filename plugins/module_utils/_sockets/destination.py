# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a socket connects to. Pure."""

from typing import Optional


class Destination:
    """An address to reach, by which protocol, and the source address of this host (None: the kernel's choice)."""

    def __init__(self, address: str, protocol: str = "tcp", source: Optional[str] = None) -> None:
        self.address = address
        self.protocol = protocol
        self.source = source
        self.family = "ipv6" if ":" in address else "ipv4"
