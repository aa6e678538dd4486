# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files from which a boot loads the firewall: what they hold, and the steps from one state to another. Pure.

One file holds everything that a policy decides, so that one rename(2) replaces it. Two units
load it, and each of them can fail closed by itself: if one file is lost, the host is not open.
"""

import posixpath
import re
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence

from ansible_collections.determined.network.plugins.module_utils._firewall import boot_units as texts
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.base import Boot

FOLDER = posixpath.dirname(texts.FILE)
UNITS_FOLDER = "/etc/systemd/system"
WANTS_FOLDER = "%s/%s.wants" % (UNITS_FOLDER, texts.WANTED_BY)
UNITS = tuple("%s/%s" % (UNITS_FOLDER, name) for name in texts.UNITS)
LINKS = tuple("%s/%s" % (WANTS_FOLDER, name) for name in texts.UNITS)
# In the order in which they are made; they are removed in the opposite order. A file comes before those that name it.
PATHS = (FOLDER, texts.FILE) + UNITS + LINKS
_STAGED = re.compile(r"\.(?:firewall|determined[-_.a-z0-9]*)\.([a-z0-9]{8,64})\Z")


class Entry(NamedTuple):
    """What is at a path.

    ``kind``: "file", "link", "folder" or another kind. ``text``: the content of a file, the target of a link, or
    the names of foreign files in our folder. ``mode``: permission bits (0 for a link). ``owner``: user id.
    """

    kind: str
    text: str = ""
    mode: int = 0
    owner: int = 0


class Step(NamedTuple):
    """One step of storing.

    ``action``: "put" (rename ``staged`` to ``path``) or "remove". ``entry``: what to put, None for "remove".
    """

    action: str
    path: str
    staged: str = ""
    entry: Optional[Entry] = None


def desired_entries(boot: Optional[Boot]) -> Dict[str, Optional[Entry]]:
    """What each path must hold; None if nothing may be there. ``boot``: None if nothing is to be stored."""
    found: Dict[str, Optional[Entry]] = dict.fromkeys(PATHS)
    if boot is None:
        return found
    if boot.load:
        found[FOLDER] = Entry("folder", mode=0o700)
        found[texts.FILE] = Entry("file", texts.file_text(boot), 0o600)
        for path, link, name in zip(UNITS, LINKS, texts.UNITS):
            found[path] = Entry("file", texts.unit_text(name, boot), 0o644)
            found[link] = Entry("link", path)
    for path, text in boot.files:
        found[path] = None if text is None else Entry("file", text, 0o644)
    return found


def staged_path(path: str, token: str) -> str:
    """The path of the staged file: in the same folder, under a name that no program reads."""
    folder, name = posixpath.split(path)
    return "%s/.%s.%s" % (folder, name, token)


def staged_token(name: str) -> Optional[str]:
    """The token of the change that staged the file with this name; None if it is not a staged file of ours."""
    match = _STAGED.match(name)
    return match.group(1) if match else None


def steps(
    current: Mapping[str, Optional[Entry]],
    desired: Mapping[str, Optional[Entry]],
    orphaned: Iterable[str],
    token: str,
) -> List[Step]:
    """The steps from the current to the desired entries (by path), empty if nothing differs.

    ``orphaned``: paths of the staged files of earlier changes. Folders that become empty are removed, too.
    New files are put before old files are removed: wherever it stops, no file names one that is missing.
    """
    order = [path for path in PATHS if path in desired] + sorted(set(desired) - set(PATHS))
    found = [Step("remove", path) for path in orphaned]
    for path in order:
        entry = desired[path]
        if entry is not None and not _same(current.get(path), entry):
            found.append(Step("put", path, staged_path(path, token), entry))
    for path in reversed(order):
        present = current.get(path)
        # A folder that others also use stays.
        if desired[path] is None and present is not None and not _shared(present):
            found.append(Step("remove", path))
    return found


def _shared(entry: Entry) -> bool:
    return entry.kind == "folder" and entry.text != ""


def _same(entry: Optional[Entry], other: Entry) -> bool:
    if entry is not None and entry.kind == "folder":
        entry = Entry(entry.kind, other.text, entry.mode, entry.owner)
    return entry == other


def dump(found: Iterable[Step]) -> List[List[Any]]:
    """Steps as plain data for JSON, without the texts, which are in the staged files."""
    return [
        [step.action, step.path, step.staged, step.entry and [step.entry.kind, "", step.entry.mode, step.entry.owner]]
        for step in found
    ]


def load(data: Iterable[Sequence[Any]]) -> List[Step]:
    """The Steps of which :func:`dump` made ``data``."""
    return [Step(action, path, staged, entry and Entry(*entry)) for action, path, staged, entry in data]


def puts_files_of_a_backend(found: Iterable[Step]) -> bool:
    """Whether these Steps put a file that only one backend has."""
    return any(step.action == "put" and step.path not in PATHS for step in found)


def reloads(found: Iterable[Step]) -> bool:
    """Whether systemd must read its units again after these Steps."""
    return any(step.path in UNITS + LINKS for step in found)


def removes_units(found: Iterable[Step]) -> bool:
    """Whether these Steps remove a unit, which systemd must forget first."""
    return any(step.action == "remove" and step.path in UNITS for step in found)


def after(current: Mapping[str, Optional[Entry]], desired: Mapping[str, Optional[Entry]]) -> Dict[str, Optional[Entry]]:
    """The entries by path when all Steps are done: the desired ones, and a folder that others also use."""
    kept = {path: entry for path, entry in current.items() if entry is not None and _shared(entry)}
    found = dict(desired)
    found.update((path, entry) for path, entry in kept.items() if desired.get(path) is None)
    return found


def _printable(text: str) -> str:
    """``text`` as valid UTF-8: a damaged file may hold other octets, which Ansible accepts from no module."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def describe(entries: Mapping[str, Optional[Entry]], orphaned: Iterable[str] = ()) -> str:
    """A text for people about the entries by path. Equal entries give equal texts."""
    lines: List[str] = []
    for path in sorted(entries):
        entry = entries[path]
        if entry is None:
            continue
        if entry.kind == "link":
            lines.append("# %s -> %s" % (path, _printable(entry.text)))
        else:
            lines.append("# %s %s, mode %04o, owner %d" % (entry.kind, path, entry.mode, entry.owner))
        if entry.kind == "file":
            lines += _printable(entry.text).splitlines()
        lines.append("")
    for path in orphaned:
        lines += ["# file %s, of a change that was never confirmed" % path, ""]
    return "\n".join(lines)
