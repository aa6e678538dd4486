# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record: what every file that we changed was before our first change. Pure.

It is what a removal needs. :mod:`record_file` stores it on the host.
"""

import base64
import json
from typing import Any, Dict, Iterable, NamedTuple, Optional, Tuple

from ansible_collections.determined.network.plugins.module_utils._proxy import edits
from ansible_collections.determined.network.plugins.module_utils._proxy.file_change import FileState

VERSION = 1


class RecordedFile(NamedTuple):
    """What the record holds about one file.

    ``original``: the file before our first change, None where there was no file. ``written``: the SHA-256 digests
    (hexadecimal) of the contents that we wrote last, newest first. ``edit``: the Edit without its content.
    ``target``, ``services`` and ``program``: as in FileChange. (The names of these fields are the keys of the stored
    record.)
    """

    original: Optional[FileState]
    written: Tuple[str, ...]
    edit: edits.Edit
    target: str
    services: Tuple[str, ...]
    program: str


class Record(NamedTuple):
    """``files``: path -> RecordedFile. ``folders``: the folders that we made, sorted."""

    files: Dict[str, RecordedFile]
    folders: Tuple[str, ...]


EMPTY = Record({}, ())


def of(files: Dict[str, RecordedFile], folders: Iterable[str]) -> Record:
    """Make a Record; the folders may come in any order."""
    return Record(files, tuple(sorted(folders)))


def dump(record: Record) -> str:
    """Return the record as text, "" when there is nothing to record."""
    if not record.files and not record.folders:
        return ""
    files = {path: _file_to_json(file) for path, file in record.files.items()}
    data = {"version": VERSION, "folders": sorted(record.folders), "files": files}
    return json.dumps(data, indent=1, sort_keys=True) + "\n"


def load(text: str) -> Record:
    """The inverse of :func:`dump`. Raises ValueError when the text is not a record of this version."""
    if not text:
        return EMPTY
    try:
        data = json.loads(text)
        if data["version"] != VERSION:
            raise ValueError("it is of version %r, and this release reads version %d" % (data["version"], VERSION))
        return of({path: _file_from_json(file) for path, file in data["files"].items()}, data["folders"])
    except (KeyError, TypeError, AttributeError) as problem:
        raise ValueError("it is damaged (%s)" % problem) from problem


def _file_to_json(file: RecordedFile) -> Dict[str, Any]:
    original = None
    if file.original:
        original = dict(file.original._asdict(), data=base64.b64encode(file.original.data).decode("ascii"))
    return dict(file._asdict(), original=original, edit=[file.edit.kind, file.edit.section, file.edit.keys])


def _file_from_json(data: Dict[str, Any]) -> RecordedFile:
    kind, section, keys = data.pop("edit")
    original = data.pop("original")
    return RecordedFile(
        original=FileState(base64.b64decode(original.pop("data")), **original) if original else None,
        edit=edits.Edit(kind, section, tuple(keys), None),
        written=tuple(data.pop("written")),
        services=tuple(data.pop("services")),
        **data,
    )
