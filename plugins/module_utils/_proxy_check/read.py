# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read from a host's files and processes which proxy settings are in effect."""

import glob
import os
from typing import Callable, Collection, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.determined.network.plugins.module_utils import _no_proxy
from ansible_collections.determined.network.plugins.module_utils._proxy_check import files
from ansible_collections.determined.network.plugins.module_utils._proxy_check.settings import Destination, Place

MASTER, AGENTS = "master", "agents"

ENVIRONMENT = "/etc/environment"
PROFILES = "/etc/profile.d/*.sh"
AGENT_SETTINGS = "/etc/determined/agent.yaml"
MASTER_SETTINGS = "/etc/determined/master.yaml"
DAEMON_SETTINGS = "/etc/docker/daemon.json"
_UNIT_FOLDERS = ("/usr/lib/systemd/system", "/lib/systemd/system", "/run/systemd/system", "/etc/systemd/system")
_DOCKER = "docker"
# Unit -> the first 15 letters of its program's name, which are all that the kernel keeps (proc(5)), and the groups of
# hosts that the program connects to.
_UNITS = {
    "determined-agent": ("determined-agen", (MASTER,)),
    "determined-master": ("determined-mast", (AGENTS,)),
    # dockerd connects to registries. One of them may run on the master, and none runs on agents.
    _DOCKER: ("dockerd", (MASTER,)),
}


class Host:
    """The proxy settings of this host.

    ``places``: where settings are. ``destinations``: further names of the master. ``problems``: files that could not
    be read.
    """

    def __init__(self, groups: Collection[str]) -> None:
        """``groups``: MASTER, AGENTS or both, which this host's workloads must reach without a proxy."""
        self.places: List[Place] = []
        self.destinations: List[Destination] = []
        self.problems: List[str] = []
        self._groups = groups

    def read(self) -> "Host":
        """Read all files and processes, and return this object."""
        self._read_logins()
        self._read_agent()
        tasks = self._variables(files.task_variables, MASTER_SETTINGS)
        self._add("%s (task containers)" % MASTER_SETTINGS, tasks, _no_proxy.CLIENTS, (AGENTS,))
        self._read_services()
        return self

    def _add(self, name: str, variables: Dict[str, str], clients: Tuple[str, ...], groups: Sequence[str]) -> None:
        wanted = tuple(group for group in groups if group in self._groups)
        if wanted and variables:
            self.places.append(Place(name, variables, clients, wanted))

    def _text(self, path: str) -> str:
        """A file's text, "" if there is no such file. A file that cannot be read is a problem."""
        try:
            with open(path, "rb") as file:
                return file.read().decode("utf-8", "replace")
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return ""
        except OSError as problem:
            self.problems.append("%s: %s" % (path, problem.strerror))
            return ""

    def _variables(self, reader: Callable[[str], Dict[str, str]], path: str) -> Dict[str, str]:
        """The variables that a reader finds in a file. A text that it does not understand is a problem."""
        try:
            return reader(self._text(path))
        except ValueError as problem:
            self.problems.append("%s: %s" % (path, problem))
            return {}

    def _read_logins(self) -> None:
        """Read what PAM sets for every session, and what login shells set in addition.

        PAM cuts long values. A list that names every agent may therefore be complete only in the files of the shell.
        """
        session = self._variables(files.shell_assignments, ENVIRONMENT)
        login, names = dict(session), [ENVIRONMENT]
        for path in sorted(glob.glob(PROFILES)):
            found = self._variables(files.shell_assignments, path)
            if found:
                login.update(found)
                names.append(path)
        self._add(ENVIRONMENT, session, _no_proxy.CLIENTS, (MASTER,) if len(names) > 1 else (MASTER, AGENTS))
        if len(names) > 1:
            self._add("a login (%s)" % ", ".join(names), login, _no_proxy.CLIENTS, (MASTER, AGENTS))

    def _read_agent(self) -> None:
        settings = self._variables(files.agent_settings, AGENT_SETTINGS)
        variables = files.agent_variables(settings)
        self._add("%s (task containers)" % AGENT_SETTINGS, variables, _no_proxy.CLIENTS, (MASTER, AGENTS))
        if settings.get("master_host"):
            port = settings.get("master_port", "")
            self.destinations.append(
                Destination(MASTER, settings["master_host"], int(port) if port.isdecimal() else None)
            )

    def _read_services(self) -> None:
        daemon = self._variables(files.daemon_proxies, DAEMON_SETTINGS)
        running = _running({program: unit for unit, (program, _groups) in _UNITS.items()})
        for unit, (_program, groups) in _UNITS.items():
            name, variables = self._read_unit(unit)
            if unit == _DOCKER and daemon:
                # dockerd's own file wins over its environment. The processes are not read, because they may be older
                # than the file.
                name = "%s and %s" % (name, DAEMON_SETTINGS) if variables else DAEMON_SETTINGS
                self._add(name, dict(variables, **daemon), (_no_proxy.GO,), groups)
                continue
            self._add(name, variables, (_no_proxy.GO,), groups)
            for process in running.get(unit, ()):
                self._read_process(unit, process, groups)

    def _read_unit(self, unit: str) -> Tuple[str, Dict[str, str]]:
        """The variables of a service's unit and drop-ins, and the file that sets one of them last."""
        last = "%s.service" % unit
        variables: Dict[str, str] = {}
        environment_files: List[str] = []
        for path in _unit_paths(unit):
            found = files.unit_settings(self._text(path))
            if found.resets:
                variables = {}
            if found.variables:
                last = path
            variables.update(found.variables)
            environment_files += found.files
        for path in environment_files:  # They win over Environment= (systemd.exec(5)).
            more = self._variables(files.shell_assignments, path)
            if more:
                last = path
            variables.update(more)
        return last, variables

    def _read_process(self, unit: str, process: int, groups: Sequence[str]) -> None:
        try:
            with open("/proc/%d/environ" % process, "rb") as file:
                variables = files.process_environment(file.read())
        except (FileNotFoundError, ProcessLookupError):  # The process has just ended.
            return
        except OSError as problem:
            self.problems.append("the environment of %s (process %d): %s" % (unit, process, problem.strerror))
            return
        name = "the running %s (process %d)" % ("dockerd" if unit == _DOCKER else unit, process)
        self._add(name, variables, (_no_proxy.GO,), groups)


def _unit_paths(unit: str) -> List[str]:
    """The files of a service: its unit and its drop-ins, in the order in which systemd reads them (systemd.unit(5))."""
    units = [os.path.join(folder, unit + ".service") for folder in _UNIT_FOLDERS]
    drop_ins: Dict[str, str] = {}
    for folder in _UNIT_FOLDERS:
        for path in glob.glob(os.path.join(folder, unit + ".service.d", "*.conf")):
            drop_ins[os.path.basename(path)] = path  # A later folder's file replaces an earlier one's of the same name.
    return [path for path in units if os.path.exists(path)][-1:] + [drop_ins[name] for name in sorted(drop_ins)]


def _running(units: Mapping[str, str]) -> Dict[str, List[int]]:
    """The processes of each unit. ``units``: program name -> unit."""
    found: Dict[str, List[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            unit = units.get(_program(entry) or "")
            if unit:
                found.setdefault(unit, []).append(int(entry))
    return found


def _program(process: str) -> Optional[str]:
    """The name of a process's program; None if the process has just ended."""
    try:
        with open("/proc/%s/comm" % process) as file:
            return file.read().strip()
    except OSError:
        return None
