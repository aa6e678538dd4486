# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text about foreign settings that a rollback has removed. The module and its action plugin show it. Pure."""

from typing import Optional, Sequence

_SHOWN = 20  # more sentences than these make a message unreadable


def describe(lost: Optional[Sequence[str]]) -> str:
    """The end of a sentence about a rollback: what others have lost by it; "" if they have lost nothing.

    ``lost``: one sentence for each lost setting, without a full stop.
    """
    if not lost:
        return ""
    shown = list(lost[:_SHOWN])
    if len(lost) > len(shown):
        shown.append("and %d more" % (len(lost) - len(shown)))
    return "; others have lost by that: %s" % "; ".join(shown)
