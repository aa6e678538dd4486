# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies on disk so that a boot brings the firewall back: entries, and the way between two states. Pure.

One file holds everything that a policy decides, so that one rename(2) replaces it. Two units
load it, each with all that is needed to fail closed: no single lost file opens a host.
"""

import posixpath
import re
from typing import NamedTuple

from ansible_collections.determined.network.plugins.module_utils._firewall import boot_units as texts

FOLDER = posixpath.dirname(texts.FILE)
UNITS_FOLDER = "/etc/systemd/system"
WANTS_FOLDER = "%s/%s.wants" % (UNITS_FOLDER, texts.WANTED_BY)
UNITS = tuple("%s/%s" % (UNITS_FOLDER, name) for name in texts.UNITS)
LINKS = tuple("%s/%s" % (WANTS_FOLDER, name) for name in texts.UNITS)
# In the order in which they come; they go in the opposite one. What others name comes first.
PATHS = (FOLDER, texts.FILE) + UNITS + LINKS
_STAGED = re.compile(r"\.(?:firewall|determined[-_.a-z0-9]*)\.([a-z0-9]{8,64})\Z")


class Entry(NamedTuple):
    """What lies at a path. ``kind``: "file", "link", "folder" or what else it is. ``text``: content of a
    file, target of a link, names of what others keep in our folder. ``mode``: permission bits (0 for a
    link). ``owner``: user id."""

    kind: str
    text: str = ""
    mode: int = 0
    owner: int = 0


class Step(NamedTuple):
    """One step of storing. ``action``: "put" (what was staged at ``staged`` goes to ``path``) or "remove".
    ``entry``: the Entry to put, None for "remove"."""

    action: str
    path: str
    staged: str = ""
    entry: object = None


def desired_entries(boot):
    """A Boot, or None: nothing shall be stored -> path -> Entry, or None where nothing may lie."""
    found = dict.fromkeys(PATHS)
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


def staged_path(path, token):
    """Where the next content of a path waits: in the same folder, under a name that nothing reads."""
    folder, name = posixpath.split(path)
    return "%s/.%s.%s" % (folder, name, token)


def staged_token(name):
    """A file's name -> the token of the change that it waits for; None when it is no such name of ours."""
    match = _STAGED.match(name)
    return match.group(1) if match else None


def steps(current, desired, leftovers, token):
    """Path -> Entry as it is and as it shall be -> list of Steps, empty when nothing differs.

    ``leftovers``: paths of what ended changes had staged. Folders that are left empty go too.
    What comes is put before what goes is removed: wherever it ends, no file names one that is not there.
    """
    order = [path for path in PATHS if path in desired] + sorted(set(desired) - set(PATHS))
    found = [Step("remove", path) for path in leftovers]
    for path in order:
        if desired[path] is not None and not _same(current.get(path), desired[path]):
            found.append(Step("put", path, staged_path(path, token), desired[path]))
    for path in reversed(order):
        # A folder that others use, too, stays.
        if desired[path] is None and current.get(path) is not None and not _shared(current[path]):
            found.append(Step("remove", path))
    return found


def _shared(entry):
    return entry.kind == "folder" and entry.text != ""


def _same(entry, other):
    if entry is not None and entry.kind == "folder":
        entry = Entry(entry.kind, other.text, entry.mode, entry.owner)
    return entry == other


def dump(found):
    """Steps -> plain data for JSON, without the texts: these are staged."""
    return [
        [step.action, step.path, step.staged, step.entry and [step.entry.kind, "", step.entry.mode, step.entry.owner]]
        for step in found
    ]


def load(data):
    """What :func:`dump` gave -> Steps."""
    return [Step(action, path, staged, entry and Entry(*entry)) for action, path, staged, entry in data]


def puts_files_of_a_backend(found):
    """Whether these Steps put a file that is not of what all backends have in common."""
    return any(step.action == "put" and step.path not in PATHS for step in found)


def reloads(found):
    """Whether systemd has to read its units again after these Steps."""
    return any(step.path in UNITS + LINKS for step in found)


def removes_units(found):
    """Whether a unit goes away, so that systemd has to let go of it first."""
    return any(step.action == "remove" and step.path in UNITS for step in found)


def after(current, desired):
    """What will lie where once all Steps are done: as desired, and what others keep in our folder stays."""
    kept = {path: entry for path, entry in current.items() if entry is not None and _shared(entry)}
    return dict(desired, **{path: entry for path, entry in kept.items() if desired.get(path) is None})


def _printable(text):
    """A damaged file may hold octets that are no UTF-8, which Ansible takes from no module."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def describe(entries, leftovers=()):
    """Path -> Entry or None -> text for people, the same for equal entries."""
    lines = []
    for path in sorted(path for path, entry in entries.items() if entry is not None):
        entry = entries[path]
        if entry.kind == "link":
            lines.append("# %s -> %s" % (path, _printable(entry.text)))
        else:
            lines.append("# %s %s, mode %04o, owner %d" % (entry.kind, path, entry.mode, entry.owner))
        if entry.kind == "file":
            lines += _printable(entry.text).splitlines()
        lines.append("")
    for path in leftovers:
        lines += ["# file %s, of a change that was never confirmed" % path, ""]
    return "\n".join(lines)
