# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module ``firewall`` tells its action plugin about a change that waits to be confirmed. Pure.

Only a host that lies, or one with another version of the module, returns something of another shape. Then nothing of
it is used, and the action plugin goes on as if the answer had been lost on its way.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from ansible_collections.determined.network.plugins.plugin_utils import _escape

# The keys of the module's answers that are for the action plugin alone.
RETURNED = ("awaiting_confirmation", "kept", "said", "settled")

STATES = ("armed", "confirmed", "unstored")
# The host's shell reads the paths.
_PATH = re.compile(r"(/[A-Za-z0-9_.-]+)+\Z")
MOST_LOST = 100


class Waiting(NamedTuple):
    """A change that waits for its confirmation for some seconds. ``files``: state -> path; None: not known.
    ``connection``: SSH_CONNECTION of the change; "" if there was none, or it is not known."""

    seconds_left: float
    files: dict[str, str] | None
    connection: str


class Settled(NamedTuple):
    """The result of a change, and a sentence about it. ``lost``: what others have lost, one sentence each."""

    state: str
    message: str
    lost: tuple[str, ...]


def unknown(seconds: int) -> Waiting:
    """The change of a host whose answer did not arrive, with the module's option ``confirm_timeout``."""
    return Waiting(float(seconds), None, "")


def waiting(told: Any, seconds: int) -> Waiting:
    """What a host told, which waits for ``seconds`` at most -> Waiting."""
    if not isinstance(told, Mapping):
        return unknown(seconds)
    left, files, connection = told.get("seconds_left"), told.get("files"), told.get("connection")
    if isinstance(left, bool) or not isinstance(left, (int, float)) or not 0 <= left <= seconds:
        left = seconds
    if not isinstance(files, Mapping) or not all(_is_path(files.get(state)) for state in STATES):
        return Waiting(float(left), None, "")
    named = connection if isinstance(connection, str) else ""
    return Waiting(float(left), {state: files[state] for state in STATES}, named)


def settled(told: Any) -> Settled | None:
    """What a host told about the result of a change -> Settled; None if that cannot be read."""
    if not isinstance(told, Mapping) or not isinstance(told.get("state"), str):
        return None
    message, lost = told.get("message", ""), told.get("lost", [])
    if not isinstance(message, str) or not isinstance(lost, (list, tuple)):
        return None
    sentences = [_escape.line(one) for one in lost[:MOST_LOST] if isinstance(one, str)]
    return Settled(told["state"], _escape.line(message, None), tuple(sentences))


def _is_path(text: Any) -> bool:
    return isinstance(text, str) and bool(_PATH.match(text)) and ".." not in text
