# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What files were before our first change, what they shall become, and how the difference is shown. Pure.

The record keeps the first state of every file that we changed. From it and from what is there now follows the *base*:
the file as it would be without us. Every run writes base plus what is wanted; removal writes the base.
"""

import base64
import difflib
import hashlib
import json
import re
from typing import NamedTuple

from ansible_collections.determined.network.plugins.module_utils._proxy import edits

VERSION = 1


class State(NamedTuple):
    """A file: its bytes, its permission bits, and the numbers of its owner and group."""

    data: bytes
    mode: int
    uid: int
    gid: int


class Kept(NamedTuple):
    """What the record holds of a file. ``original``: State, or None where there was no file. ``written``:
    SHA-256 of each content that is ours unchanged, hexadecimal. ``edit``: the Edit without its content."""

    original: State
    written: tuple
    edit: edits.Edit
    target: str
    services: tuple
    program: str


class Step(NamedTuple):
    """A file that changes from ``before`` to ``after`` (State, None for no file)."""

    path: str
    before: State
    after: State
    target: str
    services: tuple
    program: str


# As a key of YAML or as a variable in a list of them.
_LIST = re.compile(rb"""\s*(?:-\s+)?["']?no_proxy["']?\s*[=:]""", re.IGNORECASE)


def only_lists_differ(step):
    """Whether a Step changes nothing but lines that hold a list of what is reached without a proxy."""
    if step.before is None or step.after is None:
        return False
    before, after = (
        [line for line in state.data.splitlines() if not _LIST.match(line)] for state in (step.before, step.after)
    )
    return before == after


class Plan(NamedTuple):
    """``steps``: those that change something. ``record``: path -> Kept, as it is to be afterwards."""

    steps: tuple
    record: dict


class Problems(ValueError):
    """Files that cannot be read or edited. ``problems``: a list of sentences."""

    def __init__(self, problems):
        super().__init__("\n".join(problems))
        self.problems = problems


# --- the record as a text -------------------------------------------------------------------------------


def dump(record, folders):
    """path -> Kept, and the folders that we made -> the record's text, "" when there is nothing to keep."""
    if not record and not folders:
        return ""
    files = {
        path: dict(kept._asdict(), original=_plain(kept.original), edit=kept.edit[:3]) for path, kept in record.items()
    }
    return json.dumps({"version": VERSION, "folders": sorted(folders), "files": files}, indent=1, sort_keys=True) + "\n"


def load(text):
    """The inverse of dump -> (path -> Kept, folders). Raises ValueError."""
    if not text:
        return {}, []
    try:
        data = json.loads(text)
        if data["version"] != VERSION:
            raise ValueError("it is of version %r, and this release writes %d" % (data["version"], VERSION))
        record = {}
        for path, kept in data["files"].items():
            kind, section, keys = kept.pop("edit")
            original = kept.pop("original")
            record[path] = Kept(
                original=State(base64.b64decode(original.pop("data")), **original) if original else None,
                edit=edits.Edit(kind, section, tuple(keys), None),
                written=tuple(kept.pop("written")),
                services=tuple(kept.pop("services")),
                **kept,
            )
        return record, list(data["folders"])
    except (KeyError, TypeError, AttributeError) as problem:
        raise ValueError("it is damaged (%s)" % problem) from problem


def _plain(state):
    return dict(state._asdict(), data=base64.b64encode(state.data).decode("ascii")) if state else None


# --- base and plan --------------------------------------------------------------------------------------


def base_of(kept, current):
    """A file's Kept (None: we never wrote it) and its State now -> its State without us. Raises edits.PROBLEMS."""
    if kept is None or current is None:
        return current  # not ours, or removed by somebody since
    if _digest(current.data) in kept.written:
        return kept.original
    original = kept.original
    text = edits.restore(kept.edit, _text(current.data), _text(original.data) if original else None)
    if text is None:
        return None
    if kept.edit.kind == edits.OWN:
        return original
    return current._replace(data=_data(text), mode=original.mode if original else current.mode)


def plan(wishes, record, states, share=False):
    """What is wanted, path -> Kept, path -> State now (or None) of every path in either -> Plan.

    Files that are in the record and no longer wanted go back to their base. Raises Problems.
    """
    steps, kept_after, problems = [], {}, []
    wanted = {wish.path: wish for wish in wishes}
    for path in list(wanted) + [path for path in record if path not in wanted]:
        wish, kept, current = wanted.get(path), record.get(path), states[path]
        try:
            base = base_of(kept, current)
            after = base if wish is None else _after(wish, base)
        except edits.PROBLEMS as problem:
            problems.append("%s, %s. The file was left as it is" % (path, problem))
            continue
        source = wish or kept
        if wish is not None:
            kept_after[path] = _keep(wish, kept, base, after)
        if after != current:
            steps.append(Step(path, current, after, source.target, source.services, source.program))
    if problems:
        raise Problems(problems)
    return Plan(tuple(steps), kept_after)


def _after(wish, base):
    text = edits.apply(wish.edit, _text(base.data) if base else None)
    mode = base.mode if base and wish.edit.kind != edits.OWN else 0o644
    if wish.secret and not wish.shared:
        # A group other than root's was chosen by somebody, for a service that reads the file.
        mode &= 0o640 if base and base.gid and wish.edit.kind != edits.OWN else 0o600
    return State(_data(text), mode, base.uid if base else 0, base.gid if base else 0)


def _keep(wish, kept, base, after):
    same = kept is not None and kept.original == base
    written = (_digest(after.data),) + tuple(kept.written if same else ())
    edit = wish.edit._replace(content=None)
    return Kept(base, tuple(dict.fromkeys(written))[:3], edit, wish.target, wish.services, wish.program)


def _digest(data):
    return hashlib.sha256(data).hexdigest()


def _text(data):
    return data.decode("utf-8", "surrogateescape")


def _data(text):
    return text.encode("utf-8", "surrogateescape")


# --- what is shown ----------------------------------------------------------------------------------------

_HIDDEN = "********"
# What people wrote themselves may hold anything in its credentials, and no scheme; so rather too much is hidden.
_UP_TO_AT = r"""(?:\\.|[^"\\\n])*@"""
_IN_URL = re.compile(r"(://)" + _UP_TO_AT)
_WITHOUT_SCHEME = re.compile(r"""(?i)(proxy["']?\s*[=:]\s*["']?)(?!\s*["']?\w+://)""" + _UP_TO_AT)
_BESIDE_NAME = re.compile(r"(?i)((?:pass(?:word|wd|phrase)?|secret|token|key)[\w-]*[\"']?\s*[=:]\s*)\S.*")


def masked(text, secrets):
    """A text without the secrets (longest first), without any URL's credentials, and without what stands beside a name
    such as password."""
    for secret in secrets:
        text = text.replace(secret, _HIDDEN)
    for pattern in (_IN_URL, _WITHOUT_SCHEME):
        text = pattern.sub(r"\1" + _HIDDEN + "@", text)
    return _BESIDE_NAME.sub(r"\1" + _HIDDEN, text)


def difference(step, secrets):
    """A Step -> a unified diff of the lines that change, masked, and of the permission bits.

    Only changed lines are shown, since those around them may hold other people's secrets.
    """
    before, after = step.before, step.after
    lines = ["--- before: %s" % step.path, "+++ after: %s" % step.path]
    changed = difflib.unified_diff(_lines(before), _lines(after), n=0)
    lines += [masked(line.rstrip("\n"), secrets) for line in list(changed)[2:]]
    if before is None or after is None or before.mode != after.mode:
        lines += ["%smode %04o" % (sign, state.mode) for sign, state in (("-", before), ("+", after)) if state]
    return "\n".join(lines) + "\n"


def _lines(state):
    # What stands on the lines is shown to people; a byte that is no UTF-8 cannot be.
    return state.data.decode("utf-8", "replace").splitlines() if state else []
