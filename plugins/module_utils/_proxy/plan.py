# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to change on a host: from the requested files, the record and the present files to changes. Pure.

The *base* of a file is the file as it would be without us. It follows from the record and from what the file holds now.
Every run writes the base plus the requested settings; a removal writes the base.
"""

import hashlib
from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.determined.network.plugins.module_utils._proxy import edits
from ansible_collections.determined.network.plugins.module_utils._proxy.errors import FormatError
from ansible_collections.determined.network.plugins.module_utils._proxy.file_change import (
    FileChange,
    FileState,
    to_bytes,
)
from ansible_collections.determined.network.plugins.module_utils._proxy.record import RecordedFile
from ansible_collections.determined.network.plugins.module_utils._proxy.request import RequestedFile

_DEFAULT_MODE = 0o644
# How many of the contents that we wrote are remembered, so that they are recognized as unchanged.
_REMEMBERED_CONTENTS = 3


class Plan(NamedTuple):
    """``changes``: the files that must change. ``recorded``: path -> RecordedFile, as it is to be afterwards.
    ``problems``: path -> why this file cannot be edited; a plan with problems must not be applied."""

    changes: Tuple[FileChange, ...]
    recorded: Dict[str, RecordedFile]
    problems: Dict[str, str]


def base_of(recorded: Optional[RecordedFile], current: Optional[FileState]) -> Optional[FileState]:
    """Return the file as it would be without us. Raises FormatError.

    ``recorded``: None when we never wrote the file. ``current``: the file now, None when there is none.
    """
    if recorded is None or current is None:
        return current  # we never wrote it, or somebody has removed it since
    original = recorded.original
    if _digest(current.data) in recorded.written:
        return original
    text = edits.restore(recorded.edit, current.text(), original.text() if original else None)
    if text is None:
        return None
    if recorded.edit.kind == edits.OWN:
        return original
    return current._replace(data=to_bytes(text), mode=original.mode if original else current.mode)


def unreadable(path: str, problem: FormatError) -> str:
    """Return the sentence about a file that cannot be edited."""
    return "%s, %s. The file was not changed" % (path, problem)


def make(
    requested_files: Sequence[RequestedFile],
    recorded_files: Mapping[str, RecordedFile],
    states: Mapping[str, Optional[FileState]],
) -> Plan:
    """Return the Plan. Files that are in the record and no longer requested are restored to their base.

    ``states``: path -> the file now (None: no file), for every path of the other two.
    """
    changes: List[FileChange] = []
    recorded_after: Dict[str, RecordedFile] = {}
    problems: Dict[str, str] = {}
    requested_by_path = {requested.path: requested for requested in requested_files}
    no_longer_requested = [path for path in recorded_files if path not in requested_by_path]
    for path in list(requested_by_path) + no_longer_requested:
        requested, recorded, current = requested_by_path.get(path), recorded_files.get(path), states[path]
        try:
            base = base_of(recorded, current)
            after = _with_settings(requested, base) if requested else base
        except FormatError as problem:
            problems[path] = unreadable(path, problem)
            continue
        if requested and after:
            recorded_after[path] = _recorded(requested, recorded, base, after)
        owner = requested or recorded
        if owner and after != current:
            changes.append(FileChange(path, current, after, owner.target, owner.services, owner.program))
    return Plan(tuple(changes), recorded_after, problems)


def _with_settings(requested: RequestedFile, base: Optional[FileState]) -> FileState:
    """Return the base with the requested settings in it."""
    text = edits.apply(requested.edit, base.text() if base else None)
    is_ours = requested.edit.kind == edits.OWN
    mode = base.mode if base and not is_ours else _DEFAULT_MODE
    if requested.secret and not requested.shared:
        # If the group is not root's, somebody chose it for a service that reads the file, so it may go on reading.
        mode &= 0o640 if base and base.gid and not is_ours else 0o600
    return FileState(to_bytes(text), mode, base.uid if base else 0, base.gid if base else 0)


def _recorded(
    requested: RequestedFile, recorded: Optional[RecordedFile], base: Optional[FileState], after: FileState
) -> RecordedFile:
    written = [_digest(after.data)]
    if recorded is not None and recorded.original == base:
        written += recorded.written
    return RecordedFile(
        original=base,
        written=tuple(dict.fromkeys(written))[:_REMEMBERED_CONTENTS],
        edit=requested.edit._replace(content=None),
        target=requested.target,
        services=requested.services,
        program=requested.program,
    )


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
