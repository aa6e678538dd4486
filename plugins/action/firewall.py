# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's half of module ``firewall``: confirms a change over a fresh connection.

If nothing has to be done, the module runs once. After a change the action plugin resets the
connection. Over a new connection it confirms the change, and the host stores the new state for the
next boot. A failed attempt is repeated until the deadline. After the deadline the host restores
its old state; then the action plugin asks the host for the result and reports it.
"""

from __future__ import annotations

import time
import uuid
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.connection import ConnectionBase
from ansible_collections.determined.network.plugins.module_utils._firewall import (
    lockout,
    lost_settings,
    network_identity,
)
from ansible_collections.determined.network.plugins.plugin_utils import _escape
from ansible_collections.determined.network.plugins.plugin_utils._answers import confirmation
from ansible_collections.determined.network.plugins.plugin_utils._answers.action import CleanAnswers

MODULE = "determined.network.firewall"
PAUSE_SECONDS = 0.5
TRAILING = ". \n"
# After its deadline the host waits up to 60 s for a run that still owns the lock.
RESTORE_SECONDS = 90.0

# Without become, since sudo removes the variable. Both commands use the same connection, or two that are both new.
CONNECTION = 'echo "$SSH_CONNECTION"'
OLD_CONNECTION = (
    "ssh did not open a new connection but used the one that was open before the change. If your ssh_config or "
    "a wrapper of ssh sets ControlMaster, add -o ControlMaster=no -o ControlPath=none to ansible_ssh_common_args"
)

# The rename is the confirmation. Then the host's dead man's switch stores the new state, and
# removes the file when it is done.
CONFIRM = """\
if mv {armed} {confirmed} 2>/dev/null || test -e {confirmed}; then n=0; \
while test -e {confirmed} && test $n -lt 500; do n=$((n+1)); sleep 0.02; done; \
if test -e {confirmed} || test -e {unstored}; then echo unstored; else echo kept; fi; \
elif test -e {unstored}; then echo unstored; elif ! test -e {armed}; then echo expired; fi"""


def _network_identity() -> str:
    """Names this controller's boot and network namespace; "" on a system other than Linux."""
    try:
        return network_identity.read()
    except OSError:
        return ""


class ActionModule(CleanAnswers):
    """Runs the module, and confirms the change that it made."""

    TRANSFERS_FILES = False
    RETURNED = (
        *("backend", "variant", "reason", "families", "persisted", "confirmed", "restored", "lost"),
        *confirmation.RETURNED,
    )

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """The result of one task. AnsibleError if the host is not reached at all."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        del tmp
        self._variables = task_vars
        self._change = uuid.uuid4().hex
        self._problem = "no attempt was made"
        self._unstored = False
        # A host that is not reached at all fails here, before anything is changed.
        self._reach()
        try:
            found = self._module()
        except AnsibleError as problem:
            if self._task.check_mode:
                raise
            # The connection broke while the module ran, so it is not known whether the change was made.
            self._problem = _escape.line(str(problem))
            found = {"changed": True}
            waiting = confirmation.unknown(self._seconds())
        else:
            if "awaiting_confirmation" not in found:
                result.update(found)
                return result
            waiting = confirmation.waiting(found.pop("awaiting_confirmation"), self._seconds())
        result.update(found)
        deadline = time.monotonic() + waiting.seconds_left
        kept = self._confirm(deadline, waiting.files, waiting.connection)
        result.update({"confirmed": True} if kept else self._settle(deadline))
        if kept and self._unstored:
            result.update(self._not_stored())
        if result.get("restored"):
            result.pop("diff", None)  # it shows a change that the host has undone
        return result

    def _reach(self) -> None:
        """Connect to the host once. AnsibleError if it is not reached."""
        if self._is_pipelining_enabled("new"):
            self._low_level_execute_command("exit 0", sudoable=False)
        else:
            self._make_tmp_path()  # running the module would also do this first

    def _module(self, step: str | None = None) -> dict[str, Any]:
        """Run the module on the host -> its result. AnsibleError if the host is not reached."""
        arguments = dict(self._task.args, _change=self._change, _controller=_network_identity())
        if step in ("confirm", "settle"):
            arguments = {"_change": self._change}
        if step:
            arguments["_step"] = step
        result: dict[str, Any] = self._execute_module(
            module_name=MODULE, module_args=arguments, task_vars=self._variables
        )
        return result

    def _seconds(self) -> int:
        try:
            return int(self._task.args.get("confirm_timeout", 60))
        except (TypeError, ValueError):
            return 60  # the module itself reports a wrong value

    def _reset(self) -> None:
        """Make the next run open a new connection."""
        if type(self._connection).reset is ConnectionBase.reset:
            self._connection.close()  # its inherited reset would only warn
        else:
            self._connection.reset()

    def _confirm(self, deadline: float, files: dict[str, str] | None, connection: str) -> bool:
        """Repeat the confirmation until the deadline (time.monotonic()) -> whether the host has kept the change."""
        while time.monotonic() < deadline:
            try:
                self._reset()
                kept = self._keep(files, connection)
            except AnsibleError as problem:
                self._problem = _escape.line(str(problem))
            else:
                if kept is False:
                    self._problem = "the connection was opened, but only after the deadline of the host"
                if kept is not None:
                    return kept
            time.sleep(max(0.0, min(PAUSE_SECONDS, deadline - time.monotonic())))
        return False

    def _keep(self, files: dict[str, str] | None, connection: str) -> bool | None:
        """Confirm over the connection -> True; False if it is too late; None if the attempt failed.

        To confirm, the host renames the file that the module named. If the answer of the module did not
        arrive, ``files`` is None, and the module itself confirms; it also waits for its first run to end.
        ``connection``: SSH_CONNECTION of the change, "" if there was none. The same one confirms nothing.
        """
        if files is None:
            answer = self._module("confirm")
            said = "" if answer.get("failed") else str(answer.get("said") or "")
        elif connection and self._connection_now() == connection:
            answer, said = {}, "old"
        else:
            answer = self._low_level_execute_command(CONFIRM.format(**files))
            said = str(answer["stdout"]).strip()
        if said in ("kept", "expired", "unstored"):
            self._unstored = said == "unstored"
            return said != "expired"
        if said == "old":
            self._problem = OLD_CONNECTION
            return None
        self._problem = _escape.line(str(said or answer.get("msg") or answer.get("stderr") or answer))
        return None

    def _connection_now(self) -> str:
        answer = self._low_level_execute_command(CONNECTION, sudoable=False)
        # sshd writes ::ffff:192.0.2.1 for an IPv4 address of an IPv6 socket, and the zone of a link-local one.
        return lockout.describe(lockout.parse_ssh_connection(answer["stdout"].strip()))

    def _not_stored(self) -> dict[str, Any]:
        """The result for a change that is kept, but that a reboot would undo."""
        try:
            settled = confirmation.settled(self._module("settle").get("settled"))
            why = settled.message if settled else "the reason could not be read"
        except AnsibleError as problem:
            why = _escape.line(f"the reason could not be read: {problem}")
        return {
            "failed": True,
            "changed": True,
            "persisted": False,
            "msg": f"The firewall is changed, but the host reports about the change: {why.rstrip(TRAILING)}. "
            "A reboot would load the state that was stored before. Remove the cause and run this again.",
        }

    def _settle(self, deadline: float) -> dict[str, Any]:
        """The change was not confirmed: wait until the host has restored its old state -> what to report."""
        time.sleep(max(0.0, deadline - time.monotonic()))
        end = time.monotonic() + RESTORE_SECONDS
        settled = None
        while time.monotonic() < end:
            time.sleep(PAUSE_SECONDS)
            try:
                self._reset()
                settled = confirmation.settled(self._module("settle").get("settled"))
                if settled and settled.state == "unknown":
                    # The change is settled, but its result did not arrive: compare the firewall with the policy.
                    compared = self._module("compare")
                    if not compared.get("failed"):
                        return self._compared(bool(compared.get("changed", True)))
                elif settled and settled.state in ("restored", "failed", "unstored"):
                    break
            except AnsibleError as problem:
                self._problem = _escape.line(str(problem))
                settled = None
        return self._undone(settled)

    def _compared(self, differs: bool) -> dict[str, Any]:
        if not differs:
            return {"changed": True, "confirmed": True}  # it was kept; only the answer did not arrive
        return self._failure(True, "The host's firewall is in its old state")

    def _undone(self, settled: confirmation.Settled | None) -> dict[str, Any]:
        if settled is None:
            return self._failure(
                False,
                "The host cannot be reached now either, so it is not known whether its dead man's switch has "
                "restored the old state. Log in by another way (console), and run iptables-save there",
            )
        if settled.state == "restored":
            lost = list(settled.lost)
            text = lost_settings.describe(lost)
            return {
                **self._failure(True, f"The host's dead man's switch has restored the old state{text}"),
                "lost": lost,
            }
        return self._failure(False, f"The host reports about the change: {settled.message}")

    def _failure(self, restored: bool, state: str) -> dict[str, Any]:
        return {
            "failed": True,
            "changed": not restored,
            "restored": restored,
            "msg": "The firewall's change could not be confirmed over a fresh connection within "
            f"{self._seconds()} s (last attempt: {self._problem.rstrip(TRAILING)}). "
            f"{state}. Check that the management of the policy permits this controller, or raise "
            "confirm_timeout if connecting takes that long.",
        }
