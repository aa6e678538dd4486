# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a changed file is shown to people: the lines that change, without credentials. Pure."""

import difflib
import re
from typing import List, Optional, Sequence

from ansible_collections.determined.network.plugins.module_utils._proxy.file_change import FileChange, FileState

_MASK = "********"
# Administrators may have written credentials with any characters, and without a scheme. So these patterns mask too
# much rather than too little.
_UP_TO_AT = r"""(?:\\.|[^"\\\n])*@"""
_CREDENTIALS_IN_URL = re.compile(r"(://)" + _UP_TO_AT)
_CREDENTIALS_WITHOUT_SCHEME = re.compile(r"""(?i)(proxy["']?\s*[=:]\s*["']?)(?!\s*["']?\w+://)""" + _UP_TO_AT)
_SECRET_BY_NAME = re.compile(r"(?i)((?:pass(?:word|wd|phrase)?|secret|token|key)[\w-]*[\"']?\s*[=:]\s*)\S.*")


def masked(text: str, secrets: Sequence[str]) -> str:
    """Mask everything in a text that may be secret.

    ``secrets``: texts to mask, longest first. The credentials of every URL are masked too, and so is every value whose
    name says that it is secret, such as ``password``.
    """
    for secret in secrets:
        text = text.replace(secret, _MASK)
    for pattern in (_CREDENTIALS_IN_URL, _CREDENTIALS_WITHOUT_SCHEME):
        text = pattern.sub(r"\1" + _MASK + "@", text)
    return _SECRET_BY_NAME.sub(r"\1" + _MASK, text)


def difference(change: FileChange, secrets: Sequence[str]) -> str:
    """Return a unified diff of the lines that change, masked, and of the permission bits.

    The diff shows no lines of context, since those may hold secrets of other programs.
    """
    before, after = change.before, change.after
    lines = ["--- before: %s" % change.path, "+++ after: %s" % change.path]
    changed = difflib.unified_diff(_shown_lines(before), _shown_lines(after), n=0)
    lines += [masked(line.rstrip("\n"), secrets) for line in list(changed)[2:]]
    if before is None or after is None or before.mode != after.mode:
        lines += ["%smode %04o" % (sign, state.mode) for sign, state in (("-", before), ("+", after)) if state]
    return "\n".join(lines) + "\n"


def _shown_lines(state: Optional[FileState]) -> List[str]:
    # A byte that is not UTF-8 cannot be shown, so a replacement character stands for it.
    return state.data.decode("utf-8", "replace").splitlines() if state else []
