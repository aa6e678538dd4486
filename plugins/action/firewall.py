# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's half of module ``firewall``: confirms a change over a fresh connection.

A host that is as it should be costs one run of the module. After a change the connection is
reset, and over a new one the host is told to keep the change and to store it for the next boot. As
long as that fails it is tried again; when the host's deadline has passed, the host has put its old
state back, and this asks for it and says so.
"""

from __future__ import annotations

import time
import uuid

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible.plugins.connection import ConnectionBase
from ansible_collections.determined.network.plugins.module_utils._firewall import lost_settings

MODULE = "determined.network.firewall"
PAUSE_SECONDS = 0.5
TRAILING = ". \n"
# After its deadline the host waits up to 60 s for a run that still holds its lock.
RESTORE_SECONDS = 90.0

# The rename is the confirmation. Then the host's dead man's switch stores the new state, and
# removes the file when it is done.
CONFIRM = """\
if mv {armed} {confirmed} 2>/dev/null || test -e {confirmed}; then n=0; \
while test -e {confirmed} && test $n -lt 500; do n=$((n+1)); sleep 0.02; done; \
if test -e {confirmed} || test -e {unstored}; then echo unstored; else echo kept; fi; \
elif test -e {unstored}; then echo unstored; elif ! test -e {armed}; then echo gone; fi"""


class ActionModule(ActionBase):
    """Runs the module, then confirms what it changed."""

    TRANSFERS_FILES = False

    def run(self, tmp=None, task_vars=None):
        """One task -> its result."""
        result = super().run(tmp, task_vars)
        del tmp
        self._variables = task_vars
        self._change = uuid.uuid4().hex
        self._problem = "no attempt was made"
        self._unstored = False
        # A host that is not reached at all fails here, before anything could have been changed.
        self._reach()
        try:
            found = self._module()
        except AnsibleError as problem:
            if self._task.check_mode:
                raise
            # The connection broke while the module ran: nobody knows how far it came.
            self._problem = str(problem)
            found = {"changed": True}
            waiting = {"seconds_left": float(self._seconds()), "files": None}
        else:
            waiting = found.pop("awaiting_confirmation", None)
            if not waiting:
                result.update(found)
                return result
        result.update(found)
        deadline = time.monotonic() + waiting["seconds_left"]
        kept = self._confirm(deadline, waiting["files"])
        result.update({"confirmed": True} if kept else self._settle(deadline))
        if kept and self._unstored:
            result.update(self._not_stored())
        if result.get("restored"):
            result.pop("diff", None)  # it shows a change that is no more
        return result

    def _reach(self):
        """Go to the host once; AnsibleError when it is not reached."""
        if self._is_pipelining_enabled("new"):
            self._low_level_execute_command("exit 0", sudoable=False)
        else:
            self._make_tmp_path()  # which running the module would do first, too

    def _module(self, step=None):
        """Run the module on the host -> its result; AnsibleError when the host is not reached."""
        arguments = dict(self._task.args, _change=self._change)
        if step in ("confirm", "settle"):
            arguments = {"_change": self._change}
        if step:
            arguments["_step"] = step
        return self._execute_module(module_name=MODULE, module_args=arguments, task_vars=self._variables)

    def _seconds(self):
        try:
            return int(self._task.args.get("confirm_timeout", 60))
        except (TypeError, ValueError):
            return 60  # the module has said what is wrong with it, or takes its default

    def _reset(self):
        """Make sure that the next run opens a new connection."""
        if type(self._connection).reset is ConnectionBase.reset:
            self._connection.close()  # it has no reset of its own, which would only warn
        else:
            self._connection.reset()

    def _confirm(self, deadline, files):
        """Try until the deadline (time.monotonic) -> whether the host has kept the change."""
        while time.monotonic() < deadline:
            try:
                self._reset()
                kept = self._keep(files)
            except AnsibleError as problem:
                self._problem = str(problem)
            else:
                if kept is False:
                    self._problem = "a connection came up, but only after the host had given up waiting"
                if kept is not None:
                    return kept
            time.sleep(max(0.0, min(PAUSE_SECONDS, deadline - time.monotonic())))
        return False

    def _keep(self, files):
        """Confirm over the connection -> True; False when it is too late; None when it did not work.

        Renaming the file that the module named is the confirmation. Without its name, since the
        module's answer was lost, the module itself is asked: it also waits for its first run to end.
        """
        if files is None:
            answer = self._module("confirm")
            said = None if answer.get("failed") else answer["said"]
        else:
            answer = self._low_level_execute_command(CONFIRM.format(**files))
            said = answer["stdout"].strip()
        if said in ("kept", "gone", "unstored"):
            self._unstored = said == "unstored"
            return said != "gone"
        self._problem = str(said or answer.get("msg") or answer.get("stderr") or answer)
        return None

    def _not_stored(self):
        """The change is kept, but a reboot would undo it -> what to report."""
        try:
            why = self._module("settle")["settled"]["message"]
        except (AnsibleError, KeyError) as problem:
            why = f"why could not be asked: {problem}"
        return {
            "failed": True,
            "changed": True,
            "persisted": False,
            "msg": f"The firewall is changed, but of the change the host says: {why.rstrip(TRAILING)}. "
            "A reboot would bring back what was stored before. Remove the cause and run this again.",
        }

    def _settle(self, deadline):
        """The change was not confirmed: wait for the host's own restore -> what to report."""
        time.sleep(max(0.0, deadline - time.monotonic()))
        end = time.monotonic() + RESTORE_SECONDS
        settled = None
        while time.monotonic() < end:
            time.sleep(PAUSE_SECONDS)
            try:
                self._reset()
                settled = self._module("settle").get("settled")
                if settled and settled["state"] == "unknown":
                    # Nothing waits any more, and nobody told how it ended: ask the firewall itself.
                    compared = self._module("compare")
                    if not compared.get("failed"):
                        return self._ended_unseen(compared["changed"])
                elif settled and settled["state"] in ("restored", "failed", "unstored"):
                    break
            except AnsibleError as problem:
                self._problem = str(problem)
                settled = None
        return self._undone(settled)

    def _ended_unseen(self, differs):
        if not differs:
            return {"changed": True, "confirmed": True}  # it was kept; only the answer was lost
        return self._failure(True, "The host's firewall is in its old state")

    def _undone(self, settled):
        if settled is None:
            return self._failure(
                False,
                "The host cannot be reached now either, so whether its dead man's switch has put the old "
                "state back is not known. Look at it over another way (console), run iptables-save there",
            )
        if settled["state"] == "restored":
            lost = settled["lost"]
            text = lost_settings.describe(lost)
            return {
                **self._failure(True, f"The host's dead man's switch has put the old state back{text}"),
                "lost": lost,
            }
        return self._failure(False, f"Of the change the host says: {settled['message']}")

    def _failure(self, restored, state):
        return {
            "failed": True,
            "changed": not restored,
            "restored": restored,
            "msg": "The firewall's change could not be confirmed over a fresh connection within "
            f"{self._seconds()} s (last attempt: {self._problem.rstrip(TRAILING)}). "
            f"{state}. Check that the policy's management lets this controller in, or raise "
            "confirm_timeout if connecting takes that long.",
        }
