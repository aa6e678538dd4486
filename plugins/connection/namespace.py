# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection plugin ``determined.network.namespace``."""

from __future__ import annotations

DOCUMENTATION = r"""
name: namespace
short_description: Run tasks in a network namespace of the control node
version_added: 0.1.0
author:
  - The determined.network maintainers (@determined-network)
description:
  - Enters a host that the module M(determined.network.namespaces) built on the control node, and runs
    commands there as root.
  - A task sees the network stack, the packet filter, the host name, the private files and the processes of
    the rehearsal, and the control node's own programs and home directories.
  - To enter a host costs some milliseconds, because only nsenter(1) is started.
notes:
  - Escalation is not needed. Set C(ansible_become=false), since an ordinary user's namespace has no C(sudo).
  - The variable C(inventory_hostname) keeps its value in a delegated task. Where tasks are delegated to
    hosts of a rehearsal, set C(determined_namespace) for every host, as C(determined.network.rehearse)
    does.
requirements:
  - util-linux (C(nsenter)) on the control node
options:
  namespace:
    description:
      - The host's entry of the RV(determined.network.namespaces#module:namespaces) that the module returned.
      - Without it, the namespace is looked up by O(rehearsal) and O(host) among those that this user has
        built.
    type: dict
    vars:
      - name: determined_namespace
  rehearsal:
    description: Name of the rehearsal, the module's O(determined.network.namespaces#module:name).
    type: str
    default: rehearsal
    vars:
      - name: determined_rehearsal
  host:
    description: Name of the host in the rehearsal.
    type: str
    default: inventory_hostname
    vars:
      - name: inventory_hostname
  pipelining:
    description:
      - Sends modules through a pipe, which is the default.
      - With V(false), every module is first copied to a file, which is slower.
    type: boolean
    default: true
    vars:
      - name: ansible_pipelining
      - name: ansible_namespace_pipelining
"""

EXAMPLES = r"""
# In Molecule, namespaces stand in for containers. molecule.yml:
#
#   driver:
#     name: default
#   platforms:
#     - name: agent1
#       addresses: [192.0.2.11, "2001:db8::11"]
#   provisioner:
#     name: ansible
#     inventory:
#       group_vars:
#         all:
#           ansible_connection: determined.network.namespace
#           determined_rehearsal: molecule
#
# create.yml; destroy.yml says "state: absent" instead of "keep" and "hosts":
- name: Create
  hosts: localhost
  connection: local
  gather_facts: false
  vars:
    ansible_connection: local # group_vars/all count for localhost, too
    names: "{{ molecule_yml.platforms | map(attribute='name') }}"
    addresses: "{{ molecule_yml.platforms | map(attribute='addresses') }}"
  tasks:
    - name: Build the namespaces
      determined.network.namespaces:
        name: molecule
        keep: true
        hosts: "{{ dict(names | zip(addresses)) }}"
"""

import os
import shutil
import subprocess
from typing import Any, BinaryIO

from ansible.errors import AnsibleConnectionFailure, AnsibleError, AnsibleFileNotFound
from ansible.module_utils.common.text.converters import to_bytes, to_text
from ansible.plugins.connection import ConnectionBase
from ansible.utils.display import Display
from ansible_collections.determined.network.plugins.module_utils._namespaces import state as states

display = Display()

SEARCH_PATH = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"

# Variables of the control node's session. Inside, they name sockets that are missing or outside of the rehearsal.
FOREIGN_VARIABLES = (
    "DBUS_SESSION_BUS_ADDRESS",
    "SSH_AUTH_SOCK",
    "SSH_CLIENT",
    "SSH_CONNECTION",
    "SSH_TTY",
    "XDG_RUNTIME_DIR",
)


class Connection(ConnectionBase):
    """Runs commands through nsenter(1)."""

    transport = "determined.network.namespace"
    has_pipelining = True
    has_tty = False
    _connected: bool  # ConnectionBase sets it

    def _connect(self) -> Connection:
        """Look the namespace up; AnsibleConnectionFailure says how to build it."""
        if not self._connected:
            namespace = self.get_option("namespace") or self._find()
            try:
                self._keeper = {
                    "pid": int(namespace["keeper"]["pid"]),
                    "started": int(namespace["keeper"]["started"]),
                }
                self._files = {str(kind): str(path) for kind, path in namespace["files"].items()}
                self._host = str(namespace["host"])
                self._rehearsal = str(namespace["rehearsal"])
            except (KeyError, TypeError, ValueError) as problem:
                raise AnsibleConnectionFailure(
                    f"determined_namespace of {self.get_option('host')} is not what "
                    f"determined.network.namespaces returned for a host ({type(problem).__name__}: "
                    f"{problem}): {namespace!r}"
                ) from problem
            self._nsenter = shutil.which("nsenter", path=os.environ.get("PATH", "") + ":" + SEARCH_PATH)
            if self._nsenter is None:
                raise AnsibleConnectionFailure(
                    "The command 'nsenter' is missing on the control node: install the package util-linux."
                )
            self._connected = True
        if not states.runs(self._keeper):
            self._connected = False
            raise AnsibleConnectionFailure(
                f"The namespace of {self._host} no longer exists: the rehearsal '{self._rehearsal}' has ended "
                f"(process {self._keeper['pid']} is no more). Play determined.network.rehearse again, or "
                f"build it with determined.network.namespaces."
            )
        return self

    def _find(self) -> dict[str, Any]:
        """The NAMESPACE of this host, by the names of its rehearsal and of the host; AnsibleConnectionFailure."""
        name, host = self.get_option("rehearsal"), self.get_option("host")
        try:
            state = states.read(name)
        except OSError as problem:
            raise AnsibleConnectionFailure(str(problem)) from problem
        build = "Build it with determined.network.namespaces, or play determined.network.rehearse."
        if state is None:
            raise AnsibleConnectionFailure(
                f"There is no namespace for {host}: no rehearsal '{name}' of this user runs "
                f"({states.path(name)}). {build}"
            )
        if host not in state["namespaces"]:
            known = ", ".join(sorted(state["namespaces"])[:10])
            raise AnsibleConnectionFailure(
                f"There is no namespace for {host}: the rehearsal '{name}' has {len(state['namespaces'])} "
                f"other hosts ({known}, ...). {build}"
            )
        namespace: dict[str, Any] = state["namespaces"][host]
        return namespace

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        """A command for a shell -> (exit code, stdout, stderr)."""
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        self._connect()
        display.vvv(f"EXEC {to_text(cmd)}", host=self._host)
        return self._run(cmd, subprocess.PIPE, subprocess.PIPE, in_data)

    def put_file(self, in_path: str, out_path: str) -> None:
        """Copy a file of the control node into the namespace's view of the files."""
        super().put_file(in_path, out_path)
        self._connect()
        display.vvv(f"PUT {in_path} TO {out_path}", host=self._host)
        try:
            source = open(to_bytes(in_path, errors="surrogate_or_strict"), "rb")  # noqa: SIM115
        except FileNotFoundError as problem:
            raise AnsibleFileNotFound(f"The file to copy does not exist on the control node: {in_path}") from problem
        with source:
            code, out, err = self._run(f"cat > {self._shell.quote(out_path)}", source, subprocess.PIPE)
        if code != 0:
            raise AnsibleError(f"Cannot copy {in_path} to {out_path} on {self._host}: {to_text(err).strip()}")

    def fetch_file(self, in_path: str, out_path: str) -> None:
        """Copy a file of the namespace's view to the control node."""
        super().fetch_file(in_path, out_path)
        self._connect()
        display.vvv(f"FETCH {in_path} TO {out_path}", host=self._host)
        with open(to_bytes(out_path, errors="surrogate_or_strict"), "wb") as target:
            code, out, err = self._run(f"cat < {self._shell.quote(in_path)}", subprocess.DEVNULL, target)
        if code != 0:
            os.unlink(to_bytes(out_path, errors="surrogate_or_strict"))
            raise AnsibleError(f"Cannot fetch {in_path} from {self._host}: {to_text(err).strip()}")

    def reset(self) -> None:
        """Forget the namespace, so that the next task finds the one of a rehearsal that was built again."""
        self.close()

    def close(self) -> None:
        """Forget the namespace. The plugin holds no file and no process between commands."""
        self._connected = False

    def _run(
        self, command: str, source: int | BinaryIO, target: int | BinaryIO, data: bytes | None = None
    ) -> tuple[int, bytes, bytes]:
        """Enter, and run ``command`` in a shell with ``source`` as stdin and ``target`` as stdout.

        Returns (exit code, stdout, stderr); stdout is None unless ``target`` is a pipe.
        """
        arguments = [self._nsenter]
        if "user" in self._files:
            # The namespace maps one user only, so nsenter must not try to drop groups.
            arguments.append("--preserve-credentials")
        arguments += [f"--{kind}={path}" for kind, path in sorted(self._files.items())]
        arguments += ["--", self._play_context.executable or "/bin/sh", "-c", command]
        process = subprocess.Popen(
            [to_bytes(argument, errors="surrogate_or_strict") for argument in arguments],
            stdin=source,
            stdout=target,
            stderr=subprocess.PIPE,
            env=self._environment(),
        )
        out, err = process.communicate(None if data is None else to_bytes(data, errors="surrogate_or_strict"))
        if process.returncode != 0 and not states.runs(self._keeper):
            self._connect()
        return process.returncode, out, err

    @staticmethod
    def _environment() -> dict[str, str]:
        environment = {key: value for key, value in os.environ.items() if key not in FOREIGN_VARIABLES}
        environment["PATH"] = environment.get("PATH", "") + ":" + SEARCH_PATH
        return environment
