# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of a file, and the change from one state to another. Pure."""

import re
from typing import NamedTuple, Optional, Tuple


class FileState(NamedTuple):
    """A file: its bytes, its permission bits, and the numbers of its owner and group."""

    data: bytes
    mode: int
    uid: int
    gid: int

    def text(self) -> str:
        """The content as text. Bytes that are not UTF-8 become surrogates, so that :func:`to_bytes` restores them."""
        return self.data.decode("utf-8", "surrogateescape")


def to_bytes(text: str) -> bytes:
    """The inverse of :meth:`FileState.text`."""
    return text.encode("utf-8", "surrogateescape")


class FileChange(NamedTuple):
    """A file that changes from ``before`` to ``after``; None stands for no file.

    ``target``: the target to which the file belongs. ``services``: the services that read the file when they start.
    ``program``: the program that must run after the change, "" for none.
    """

    path: str
    before: Optional[FileState]
    after: Optional[FileState]
    target: str
    services: Tuple[str, ...]
    program: str

    @property
    def action(self) -> str:
        """What happens to the file: created, changed or removed."""
        if self.before is None:
            return "created"
        return "removed" if self.after is None else "changed"

    def reversed(self) -> "FileChange":
        """The change that restores the file."""
        return self._replace(before=self.after, after=self.before)


# A key of YAML, or a variable in a list of variables.
_NO_PROXY_LINE = re.compile(rb"""\s*(?:-\s+)?["']?no_proxy["']?\s*[=:]""", re.IGNORECASE)


def changes_only_no_proxy(change: FileChange) -> bool:
    """Whether a change touches nothing but lines that hold a no_proxy list."""
    if change.before is None or change.after is None:
        return False
    return _other_lines(change.before) == _other_lines(change.after)


def _other_lines(state: FileState) -> Tuple[bytes, ...]:
    return tuple(line for line in state.data.splitlines() if not _NO_PROXY_LINE.match(line))
