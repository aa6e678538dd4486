# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong when the proxy settings of a host change. Pure.

A command that fails, and a file that cannot be read or written, are a HostError of _host.commands.
"""

from typing import List


class Problems(ValueError):
    """The arguments or the files of the host are wrong, and nothing was changed. ``problems``: a list of sentences."""

    def __init__(self, problems: List[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class FormatError(ValueError):
    """A file is not written in its format, or in a way that cannot be edited with certainty.

    ``line`` counts from 1. ``reason``: what is wrong there.
    """

    def __init__(self, line: int, reason: str) -> None:
        super().__init__("line %d: %s" % (line, reason))
        self.line = line
        self.reason = reason


class RollbackFailed(Exception):
    """A change failed, and not every file could be restored. The text says what failed and which files were not."""
