# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is ours and what only has a name that we use.

A name proves nothing: an administrator may have a chain ``DETERMINED-INPUT``. So all that we make carries
:data:`MARK`. An object with such a name and without the mark belongs to somebody else. It is not read as ours, not
changed and not removed. A policy that needs its name is refused.
"""

from typing import List, NamedTuple, Sequence

MARK = "determined.network"
_SHOWN = 10


class Foreign(NamedTuple):
    """A foreign object with a name of ours.

    ``what``: names it, such as "the ipset determined_agents_v4". ``look``: a command that shows it. ``remedy``: what
    frees the name, with its commands.
    """

    what: str
    look: str
    remedy: str


def refusal(found: Sequence[Foreign]) -> str:
    """Foreign objects whose names a policy needs -> why nothing was changed, and what to do."""
    named = ["%s (look at it: %s; then %s)" % item for item in found[:_SHOWN]]
    if len(found) > len(named):
        named.append("and %d more" % (len(found) - len(named)))
    return (
        "Refused, nothing was changed: this policy needs names that belong to somebody else on this host: %s. They do "
        "not carry the mark %r of this collection. After that run this again" % ("; ".join(named), MARK)
    )


def warnings(found: Sequence[Foreign]) -> List[str]:
    """Foreign objects with names of ours -> sentences that say that they stay."""
    return [
        "%s has a name that this collection uses, but was not made by it. It stays as it is (see: %s)"
        % (item.what, item.look)
        for item in found
    ]
