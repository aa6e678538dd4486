# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Applies a policy to a host: the order of the steps, the dead man's switch and the rollback. No syntax.

The order of a change: read and plan; take the lock; read and plan again, since the host may
have changed; write what is to be stored beside its final path; arm the switch; run the commands; return
the token. The controller confirms the change over a fresh connection, and then the switch stores the new
state for the next boot. Without a confirmation the switch restores the old state.
"""

import os
import time
from typing import Any, Callable, Collection, Dict, List, NamedTuple, NoReturn, Optional, Sequence, Tuple

from ansible_collections.determined.network.plugins.module_utils._firewall import lock as firewall_lock
from ansible_collections.determined.network.plugins.module_utils._firewall import lost_settings, storage, stored
from ansible_collections.determined.network.plugins.module_utils._firewall import plan as firewall_plan
from ansible_collections.determined.network.plugins.module_utils._firewall import switch as firewall_switch
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.base import Backend, Reading
from ansible_collections.determined.network.plugins.module_utils._host import systemd
from ansible_collections.determined.network.plugins.module_utils._host.commands import Command, HostError
from ansible_collections.determined.network.plugins.module_utils._host.runner import Runner
from ansible_collections.determined.network.plugins.module_utils._policy import HostPolicy

_CONFIRM_SECONDS = 10.0  # how long a confirmation waits for the change itself to end, and for its storing
_GRACE_SECONDS = 60.0  # how long a switch waits for a run that still owns the lock


class Settings(NamedTuple):
    """How a change is made.

    ``confirm_timeout``, ``lock_timeout``: seconds. ``token``: the name of this change. ``directory``: where the
    file of a change is until it is settled. ``persist``: True stores the state for the next boot; False
    removes what was stored; None does not look at what is stored. ``refusal``: asked once before rules change; its
    message, if it has one, refuses the change. ``connection``: the SSH connection that this process came over, ""
    if none: the same connection cannot confirm the change. ``remember_sessions``: called before and after the
    rules change, it makes sessions that are older than the rules known to connection tracking and returns warnings.
    """

    confirm_timeout: float
    lock_timeout: float
    token: str
    directory: str = firewall_lock.DIRECTORY
    persist: Optional[bool] = None
    refusal: Callable[[], Optional[str]] = lambda: None
    connection: str = ""
    remember_sessions: Callable[[], Sequence[str]] = tuple


class Outcome(NamedTuple):
    """``changed``: also predicted in check mode. ``reading``: what ``plan`` was made from. ``armed``: whether the
    change awaits :func:`confirm`, for ``seconds_left`` seconds. ``warnings``: sentences."""

    changed: bool
    plan: firewall_plan.Plan
    reading: Reading
    armed: bool
    seconds_left: float
    warnings: Tuple[str, ...]


class _PlannedChange(NamedTuple):
    reading: Reading
    plan: firewall_plan.Plan
    commands: Sequence[Command]  # what changes the firewall
    steps: List[stored.Step]  # what changes the stored files

    @property
    def is_needed(self) -> bool:
        return bool(self.commands or self.steps)


def apply(
    backend: Backend, policy: Optional[HostPolicy], settings: Settings, runner: Runner, check_mode: bool = False
) -> Outcome:
    """Make the firewall of a host match ``policy``; None removes everything of ours.

    HostError says what is wrong, and in which state the host is. If nothing has to be done, the host is
    only read.
    """
    if check_mode:
        return _predict(backend, policy, settings, runner)
    if not os.path.lexists(settings.directory):
        planned = _plan_change(backend, policy, settings, runner)
        if not planned.is_needed:
            return Outcome(False, planned.plan, planned.reading, False, 0.0, ())
    with firewall_lock.Lock(settings.directory, settings.lock_timeout) as lock:
        runner.inherited = () if lock.fd is None else (lock.fd,)
        try:
            warnings = _settle_earlier_changes(backend, settings, runner)
            planned = _plan_change(backend, policy, settings, runner)
            if not planned.is_needed:
                return Outcome(False, planned.plan, planned.reading, False, 0.0, tuple(warnings))
            _refuse(planned, settings)
            storage.stage(planned.steps)
            if not planned.commands:
                # The rules in the kernel stay the same, so the change needs no confirmation.
                storage.promote(planned.steps, runner)
                _reload(planned.steps, runner)
                return Outcome(True, planned.plan, planned.reading, False, 0.0, tuple(warnings))
            deadline = _change(backend, planned, settings, runner, warnings)
        finally:
            runner.inherited = ()
    remaining = max(0.0, deadline - time.monotonic())
    return Outcome(True, planned.plan, planned.reading, True, remaining, tuple(warnings))


def _predict(backend: Backend, policy: Optional[HostPolicy], settings: Settings, runner: Runner) -> Outcome:
    """What :func:`apply` would do, without a change."""
    changes = firewall_switch.changes(settings.directory)
    planned = _plan_change(backend, policy, settings, runner, changes)
    _refuse(planned, settings)
    storage.refuse(planned.steps)
    warnings = tuple(_describe_unsettled(change) for change in changes if _is_unsettled(change))
    return Outcome(planned.is_needed, planned.plan, planned.reading, False, 0.0, warnings)


def _refuse(planned: _PlannedChange, settings: Settings) -> None:
    """HostError about rules that must not change, before anything has."""
    message = settings.refusal() if planned.commands else None
    if message:
        raise HostError(message)


def _plan_change(
    backend: Backend,
    policy: Optional[HostPolicy],
    settings: Settings,
    runner: Runner,
    changes: Collection[firewall_switch.Change] = (),
) -> _PlannedChange:
    reading = runner.drive(backend.read())
    desired = backend.render(policy, reading)
    before, after = backend.describe(reading.state), backend.describe(desired)
    steps: List[stored.Step] = []
    if settings.persist is not None:
        boot = backend.stored(policy if settings.persist else None, desired, reading)
        entries = stored.desired_entries(boot)
        current = storage.read(entries)
        orphaned = storage.orphaned(backend.folders, {change.token for change in changes})
        steps = stored.steps(current, entries, orphaned, settings.token)
        before += stored.describe(current, orphaned)
        after += stored.describe(stored.after(current, entries))
    plan = firewall_plan.compare(before, after, os.uname()[1])
    return _PlannedChange(reading, plan, backend.transactions(reading, desired), steps)


def _reload(steps: Sequence[stored.Step], runner: Runner) -> None:
    if stored.reloads(steps):
        systemd.reload(runner)


def _change(
    backend: Backend, planned: _PlannedChange, settings: Settings, runner: Runner, warnings: List[str]
) -> float:
    """Arm the switch and run the commands -> the deadline of the confirmation (time.monotonic()).

    Adds to ``warnings``. HostError, or what else stopped the change, once the old state is restored.
    """
    deadline = time.monotonic() + settings.confirm_timeout
    switch = _arm(backend, planned, settings, runner, deadline)
    try:
        reason = systemd.move_to_scope(runner, switch, "determined-network-%s" % settings.token)
        if reason:
            warnings.append(
                "the dead man's switch stays in the session of this task, since systemd gave it no scope of its own "
                "(%s): with KillUserProcesses=yes it ends with the session" % reason
            )
        warnings += settings.remember_sessions()
        for command in planned.commands:
            if time.monotonic() >= deadline:
                raise HostError("The change took longer than confirm_timeout (%g s) allows" % settings.confirm_timeout)
            _run(backend, command, runner)
        # Sessions that were opened meanwhile, and whose handshake the kernel did not track yet.
        warnings += [text for text in settings.remember_sessions() if text not in warnings]
    except BaseException as problem:  # also Ctrl-C: no half of a change may stay
        _roll_back(backend, planned, settings, runner, problem)
    return deadline


def _arm(backend: Backend, planned: _PlannedChange, settings: Settings, runner: Runner, deadline: float) -> int:
    """Start the dead man's switch -> its process id."""
    old = planned.reading.state
    record = {
        "deadline": deadline,
        "made": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "backend": backend.name,
        "old": backend.dump(old),
        "steps": stored.dump(planned.steps),
        "connection": settings.connection,
    }
    actions = firewall_switch.Actions(
        restore=lambda: restore_in_switch(backend, old, settings.directory, runner),
        keep=lambda: storage.promote(planned.steps, runner),
        drop=lambda: storage.discard(planned.steps),
        end=lambda: _reload(planned.steps, runner),
    )
    try:
        return firewall_switch.arm(settings.directory, settings.token, record, actions)
    except BaseException:
        storage.discard(planned.steps)
        raise


def _run(backend: Backend, command: Command, runner: Runner) -> None:
    output = runner.run(command)
    if output.code != 0:
        raise HostError(backend.explain(command, output))


def _roll_back(
    backend: Backend, planned: _PlannedChange, settings: Settings, runner: Runner, problem: BaseException
) -> NoReturn:
    """The change failed: restore the old state at once, disarm the switch, and raise an error that says both."""
    try:
        lost = restore(backend, planned.reading.state, runner)
    except HostError as second:
        # The switch stays armed, and tries again at the deadline.
        raise HostError(
            "%s. The old state could not be restored yet (%s); the dead man's switch tries again within %g s"
            % (problem, second, settings.confirm_timeout)
        ) from second
    storage.discard(planned.steps)
    firewall_switch.disarm(settings.directory, settings.token)
    if not isinstance(problem, Exception):
        raise problem
    raise HostError("%s. The firewall is as it was before%s" % (problem, lost_settings.describe(lost)))


def restore(backend: Backend, old: object, runner: Runner) -> List[str]:
    """Bring our objects back to the state ``old``, from whatever state they are in now.

    Returns one sentence for each setting that others have lost by it.
    """
    reading = backend.force(runner.drive(backend.read()))
    lost: List[str] = []
    for command in backend.transactions(reading, old):
        _run(backend, command, runner)
        lost += command.loses
    return lost


def restore_in_switch(backend: Backend, old: object, directory: str, runner: Runner) -> List[str]:
    """What the switch does at its deadline, in its own process. Returns what :func:`restore` returns."""
    try:
        lock = firewall_lock.Lock(directory, _GRACE_SECONDS).__enter__()
    except HostError:
        runner.inherited = ()
        return restore(backend, old, runner)  # the lock owner hangs, and a reachable host is more important
    try:
        runner.inherited = () if lock.fd is None else (lock.fd,)
        return restore(backend, old, runner)
    finally:
        runner.inherited = ()
        lock.__exit__()


def _is_unsettled(change: firewall_switch.Change) -> bool:
    return change.watched and change.state in (firewall_switch.ARMED, firewall_switch.RESTORING)


def _made(change: firewall_switch.Change) -> str:
    return change.record.get("made", "an unknown time")


def _describe_unsettled(change: firewall_switch.Change) -> str:
    if change.state == firewall_switch.RESTORING:
        return "An earlier change was not confirmed in time, and the old state is being restored right now"
    return "The change made at %s still awaits its confirmation: it is confirmed or undone within %.0f s" % (
        _made(change),
        change.seconds_left(),
    )


def _settle_earlier_changes(backend: Backend, settings: Settings, runner: Runner) -> List[str]:
    """Before a change, with the lock owned: settle every earlier change -> warnings.

    HostError if an earlier change still awaits its confirmation.
    """
    warnings: List[str] = []
    for change in firewall_switch.changes(settings.directory):
        if _is_unsettled(change):
            raise HostError("%s. Run this again after that. Nothing was changed" % _describe_unsettled(change))
        warnings += _settle_one(backend, change, settings.directory, runner)
        firewall_switch.forget(settings.directory, change.token)
    firewall_switch.sweep(settings.directory)
    return warnings


def _settle_one(backend: Backend, change: firewall_switch.Change, directory: str, runner: Runner) -> List[str]:
    steps = stored.load(change.record.get("steps", []))
    if change.state in (firewall_switch.ARMED, firewall_switch.RESTORING):
        # Its switch was killed, so nobody else will restore that state.
        if change.state == firewall_switch.ARMED:
            firewall_switch.move(directory, change.token, firewall_switch.ARMED, firewall_switch.RESTORING)
        lost = restore(backend, backend.load(change.record["old"]), runner)
        storage.discard(steps)
        return [
            "the change that was made at %s was never confirmed and its dead man's switch was killed: "
            "the state before it was restored first%s" % (_made(change), lost_settings.describe(lost))
        ]
    if change.state == firewall_switch.FAILED:
        return [
            "an earlier change was not confirmed and could not be undone: %s"
            % change.record.get("problem", "no reason was kept")
        ]
    if change.state == firewall_switch.RESTORED and change.record.get("lost"):
        return [
            "the change that was made at %s was not confirmed in time, and the old state was restored%s"
            % (_made(change), lost_settings.describe(change.record["lost"]))
        ]
    if change.state == firewall_switch.CONFIRMED:
        firewall_switch.await_end(directory, change.token, _CONFIRM_SECONDS)
    if change.state in (firewall_switch.CONFIRMED, firewall_switch.UNSTORED):
        storage.discard(steps)  # this run stores what the earlier change has not stored
    return []


def confirm(token: str, directory: str = firewall_lock.DIRECTORY, connection: str = "") -> str:
    """Confirm a change -> "kept"; "unstored": a reboot would undo it; "expired": it no longer awaits one.

    "old": ``connection``, over which this process came, is the SSH connection that made the change. It was open
    before, so it shows nothing, and the change still awaits its confirmation.
    Waits until a run that still changes the host has ended, since its connection may have broken before that,
    and until the change is stored for the next boot.
    """
    if not os.path.lexists(directory):
        return "expired"
    with firewall_lock.Lock(directory, _CONFIRM_SECONDS):
        if connection and any(
            change.token == token and change.record.get("connection") == connection
            for change in firewall_switch.changes(directory)
        ):
            return "old"
        if not firewall_switch.confirm(directory, token):
            return "expired"
        unfinished = firewall_switch.await_end(directory, token, _CONFIRM_SECONDS)
        if unfinished is not None and unfinished.record.get("steps"):
            return "unstored"
        firewall_switch.forget(directory, token)
        return "kept"


def settle(token: str, directory: str = firewall_lock.DIRECTORY) -> Dict[str, Any]:
    """What became of a change: the dict of ``switch.describe``. Forgets a change that is settled."""
    found = firewall_switch.describe(directory, token)
    for change in firewall_switch.changes(directory):
        ended = change.state in (firewall_switch.RESTORED, firewall_switch.FAILED, firewall_switch.UNSTORED)
        if change.token == token and (ended or change.state == firewall_switch.CONFIRMED and not change.watched):
            storage.discard(stored.load(change.record.get("steps", [])))
            firewall_switch.forget(directory, token)
    return found
