# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's part of the module ``namespaces``: it says which process owns the rehearsal."""

from __future__ import annotations

import os
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """Runs the module on the control node, owned by this run of Ansible."""

    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module with the owner's process id. AnsibleActionFail for another connection, or with become."""
        super().run(tmp, task_vars)
        if self._connection.transport not in ("local", "ansible.builtin.local"):
            raise AnsibleActionFail(
                f"The namespaces are built on the control node, and this task runs over the connection "
                f"'{self._connection.transport}': add 'delegate_to: localhost' "
                f"(and 'vars: {{ansible_connection: local}}' if the inventory says otherwise)."
            )
        if self._connection.become is not None:
            raise AnsibleActionFail(
                "The namespaces belong to the user who runs Ansible, or the connection plugin cannot enter "
                "them: add 'become: false' (and 'vars: {ansible_become: false}' if the inventory says "
                "otherwise), and to rehearse as root, run ansible-playbook itself with sudo."
            )
        arguments = dict(self._task.args)
        # This process is a worker. Its parent is ansible-playbook, which runs until the last play ends.
        arguments.setdefault("owner_pid", os.getppid())
        result: dict[str, Any] = self._execute_module(module_args=arguments, task_vars=task_vars)
        return result
