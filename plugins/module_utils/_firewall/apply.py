# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the desired state to the host's: order, the switch, and the way back. No syntax.

The order of a change: read and plan; take the lock; read and plan again, since the host may
have changed; write what is to be stored beside its place; arm the switch; run the commands; hand
the token back. Whoever confirms it over a fresh connection settles the change, and the switch
puts in place what was to be stored; otherwise the switch puts the old state back.
"""

import os
import time
from typing import NamedTuple

from ansible_collections.determined.network.plugins.module_utils._firewall import lock as firewall_lock
from ansible_collections.determined.network.plugins.module_utils._firewall import lost_settings, storage, stored
from ansible_collections.determined.network.plugins.module_utils._firewall import plan as firewall_plan
from ansible_collections.determined.network.plugins.module_utils._firewall import switch as firewall_switch
from ansible_collections.determined.network.plugins.module_utils._host import systemd
from ansible_collections.determined.network.plugins.module_utils._host.commands import HostError

_CONFIRM_SECONDS = 10.0  # how long a confirmation waits for the change itself to end, and for its storing
_GRACE_SECONDS = 60.0  # how long a switch waits for a run that still holds the lock


class Settings(NamedTuple):
    """``confirm_timeout``, ``lock_timeout``: seconds. ``token``: names this change.
    ``directory``: where a change under way is kept. ``persist``: whether the state is stored for the
    next boot (True), is not (False: what was stored before goes), or what is stored is not even
    looked at (None)."""

    confirm_timeout: float
    lock_timeout: float
    token: str
    directory: str = firewall_lock.DIRECTORY
    persist: object = None


class Outcome(NamedTuple):
    """``changed``: bool, also in check mode. ``plan``: a Plan. ``reading``: the Reading it was made
    from. ``armed``: whether a change now awaits :func:`confirm`, and ``seconds_left`` for how
    long. ``warnings``: sentences."""

    changed: bool
    plan: object
    reading: object
    armed: bool
    seconds_left: float
    warnings: tuple


class _Draft(NamedTuple):
    reading: object
    plan: object
    commands: list  # what changes the firewall
    steps: list  # what changes the stored files

    @property
    def changes(self):
        return bool(self.commands or self.steps)


def apply(backend, policy, settings, runner, check_mode=False):
    """Make a host's firewall what ``policy`` (None: nothing of ours) asks -> Outcome.

    ``runner``: a Runner. HostError: what is wrong, and in which state the host is.
    A host that is as it should be is only read.
    """
    if check_mode:
        changes = firewall_switch.changes(settings.directory)
        draft = _draft(backend, policy, settings, runner, changes)
        storage.refuse(draft.steps)
        pending = tuple(_pending(change) for change in changes if _blocks(change))
        return Outcome(draft.changes, draft.plan, draft.reading, False, 0.0, pending)
    if not os.path.lexists(settings.directory):
        draft = _draft(backend, policy, settings, runner)
        if not draft.changes:
            return Outcome(False, draft.plan, draft.reading, False, 0.0, ())
    with firewall_lock.Lock(settings.directory, settings.lock_timeout) as lock:
        runner.inherited = (lock.fd,)
        try:
            warnings = _settle_leftovers(backend, settings, runner)
            draft = _draft(backend, policy, settings, runner)
            if not draft.changes:
                return Outcome(False, draft.plan, draft.reading, False, 0.0, tuple(warnings))
            storage.stage(draft.steps)
            if not draft.commands:
                # Packets meet the same rules as before: nobody has to prove that the host is still reached.
                storage.promote(draft.steps, runner)
                _reload(draft.steps, runner)
                return Outcome(True, draft.plan, draft.reading, False, 0.0, tuple(warnings))
            deadline = _change(backend, draft, settings, runner, warnings)
        finally:
            runner.inherited = ()
    left = max(0.0, deadline - time.monotonic())
    return Outcome(True, draft.plan, draft.reading, True, left, tuple(warnings))


def _draft(backend, policy, settings, runner, changes=()):
    reading = runner.drive(backend.read())
    desired = backend.render(policy, reading)
    before, after = backend.describe(reading.state), backend.describe(desired)
    steps = []
    if settings.persist is not None:
        boot = backend.stored(policy if settings.persist else None, desired, reading)
        wanted = stored.wanted(boot)
        current = storage.read(wanted)
        leftovers = storage.leftovers(backend.folders, {change.token for change in changes})
        steps = stored.steps(current, wanted, leftovers, settings.token)
        before += stored.describe(current, leftovers)
        after += stored.describe(stored.after(current, wanted))
    plan = firewall_plan.compare(before, after, os.uname()[1])
    return _Draft(reading, plan, backend.transactions(reading, desired), steps)


def _reload(steps, runner):
    if stored.reloads(steps):
        systemd.reload(runner)


def _change(backend, draft, settings, runner, warnings):
    old = draft.reading.state
    deadline = time.monotonic() + settings.confirm_timeout
    record = {
        "deadline": deadline,
        "made": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "backend": backend.name,
        "old": backend.dump(old),
        "steps": stored.dump(draft.steps),
    }
    actions = firewall_switch.Actions(
        restore=lambda: restore_in_switch(backend, old, settings.directory, runner),
        keep=lambda: storage.promote(draft.steps, runner),
        drop=lambda: storage.discard(draft.steps),
        end=lambda: _reload(draft.steps, runner),
    )
    try:
        switch = firewall_switch.arm(settings.directory, settings.token, record, actions)
    except BaseException:
        storage.discard(draft.steps)
        raise
    try:
        stays = systemd.move_to_scope(runner, switch, "determined-network-%s" % settings.token)
        if stays:
            warnings.append(
                "the dead man's switch stays in the session of this task, since systemd gave it no scope of its own "
                "(%s): with KillUserProcesses=yes it ends with the session" % stays
            )
        for command in draft.commands:
            if time.monotonic() >= deadline:
                raise HostError("The change took longer than confirm_timeout (%g s) allows" % settings.confirm_timeout)
            output = runner.run(command)
            if output.code != 0:
                raise HostError(backend.explain(command, output))
    except BaseException as problem:  # Ctrl-C too: nothing half-done may stay
        _undo(backend, draft, settings, runner, problem)
    return deadline


def _undo(backend, draft, settings, runner, problem):
    """The change failed: put the old state back at once, disarm, and say both."""
    try:
        lost = put_back(backend, draft.reading.state, runner)
    except HostError as second:
        # The switch stays armed: it will try again, and go on trying.
        raise HostError(
            "%s. The old state could not be put back yet (%s); the dead man's switch tries again within %g s"
            % (problem, second, settings.confirm_timeout)
        ) from second
    storage.discard(draft.steps)
    firewall_switch.disarm(settings.directory, settings.token)
    if not isinstance(problem, Exception):
        raise problem
    raise HostError("%s. The firewall is as it was before%s" % (problem, lost_settings.describe(lost)))


def put_back(backend, old, runner):
    """Bring our objects back to the state ``old``, wherever they are now -> list of sentences, what others lost."""
    reading = backend.force(runner.drive(backend.read()))
    lost = []
    for command in backend.transactions(reading, old):
        output = runner.run(command)
        if output.code != 0:
            raise HostError(backend.explain(command, output))
        lost += command.loses
    return lost


def restore_in_switch(backend, old, directory, runner):
    """What the switch does at its deadline, in its own process -> as :func:`put_back`."""
    try:
        lock = firewall_lock.Lock(directory, _GRACE_SECONDS).__enter__()
    except HostError:
        runner.inherited = ()
        return put_back(backend, old, runner)  # whoever holds the lock is stuck: reachability comes first
    try:
        runner.inherited = (lock.fd,)
        return put_back(backend, old, runner)
    finally:
        runner.inherited = ()
        lock.__exit__()


def _blocks(change):
    return change.watched and change.state in (firewall_switch.ARMED, firewall_switch.RESTORING)


def _pending(change):
    if change.state == firewall_switch.RESTORING:
        return "An earlier change was not confirmed in time, and the old state is being put back right now"
    return "The change made at %s still awaits its confirmation: it is confirmed or undone within %.0f s" % (
        change.record.get("made", "an unknown time"),
        change.seconds_left(),
    )


def _settle_leftovers(backend, settings, runner):
    """Before a change, with the lock held: leave no earlier one open -> list of warnings."""
    warnings = []
    for change in firewall_switch.changes(settings.directory):
        steps = stored.load(change.record.get("steps", []))
        if _blocks(change):
            raise HostError("%s. Run this again after that. Nothing was changed" % _pending(change))
        if change.state in (firewall_switch.ARMED, firewall_switch.RESTORING):
            # Its switch was killed: nobody else will put that state back.
            if change.state == firewall_switch.ARMED:
                firewall_switch.move(settings.directory, change.token, firewall_switch.ARMED, firewall_switch.RESTORING)
            lost = put_back(backend, backend.load(change.record["old"]), runner)
            storage.discard(steps)
            warnings.append(
                "the change that was made at %s was never confirmed and its dead man's switch was killed: "
                "the state before it was put back first%s"
                % (change.record.get("made", "an unknown time"), lost_settings.describe(lost))
            )
        elif change.state == firewall_switch.RESTORED and change.record.get("lost"):
            warnings.append(
                "the change that was made at %s was not confirmed in time, and the old state was put back%s"
                % (change.record.get("made", "an unknown time"), lost_settings.describe(change.record["lost"]))
            )
        elif change.state == firewall_switch.FAILED:
            warnings.append(
                "an earlier change was not confirmed and could not be undone: %s"
                % change.record.get("problem", "no reason was kept")
            )
        elif change.state == firewall_switch.CONFIRMED:
            firewall_switch.await_end(settings.directory, change.token, _CONFIRM_SECONDS)
        if change.state in (firewall_switch.CONFIRMED, firewall_switch.UNSTORED):
            storage.discard(steps)  # what it has not stored, this run will
        firewall_switch.forget(settings.directory, change.token)
    firewall_switch.sweep(settings.directory)
    return warnings


def confirm(token, directory=firewall_lock.DIRECTORY):
    """Keep a change -> "kept"; "unstored": a reboot would undo it; "gone": it awaits no confirmation (any more).

    Waits for a run that is still at work, since its connection may have broken before it ended, and
    until the change is stored for the next boot.
    """
    if not os.path.lexists(directory):
        return "gone"
    with firewall_lock.Lock(directory, _CONFIRM_SECONDS):
        if not firewall_switch.confirm(directory, token):
            return "gone"
        left = firewall_switch.await_end(directory, token, _CONFIRM_SECONDS)
        if left is not None and left.record.get("steps"):
            return "unstored"
        firewall_switch.forget(directory, token)
        return "kept"


def settle(token, directory=firewall_lock.DIRECTORY):
    """What became of a change -> the dict of ``switch.describe``; a settled one is forgotten."""
    found = firewall_switch.describe(directory, token)
    for change in firewall_switch.changes(directory):
        ended = change.state in (firewall_switch.RESTORED, firewall_switch.FAILED, firewall_switch.UNSTORED)
        if change.token == token and (ended or change.state == firewall_switch.CONFIRMED and not change.watched):
            storage.discard(stored.load(change.record.get("steps", [])))
            firewall_switch.forget(directory, token)
    return found
