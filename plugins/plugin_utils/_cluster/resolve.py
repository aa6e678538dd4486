# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Resolve names on the controller, many at the same time."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

# Queries at the same time. More would load the name servers and save little time.
_MOST_PARALLEL = 32


def resolve_names(names: Sequence[str]) -> dict[str, list[str] | str]:
    """Names -> for each its addresses (IPv4 and IPv6 texts), or the reason why there are none."""
    with ThreadPoolExecutor(max_workers=min(_MOST_PARALLEL, len(names) or 1)) as pool:
        return dict(zip(names, pool.map(_resolve, names), strict=True))


def _resolve(name: str) -> list[str] | str:
    try:
        answers = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as problem:
        return getattr(problem, "strerror", None) or str(problem)
    # A link-local answer carries its interface ("fe80::1%eth0"), which has no meaning on another host.
    return sorted({str(answer[4][0]).partition("%")[0] for answer in answers})
