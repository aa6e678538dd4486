# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read from a host's files and processes which proxy settings are in force."""

import glob
import os

from ansible_collections.determined.network.plugins.module_utils import _no_proxy
from ansible_collections.determined.network.plugins.module_utils._proxy_check import settings as proxy_check_settings
from ansible_collections.determined.network.plugins.module_utils._proxy_check.settings import Destination, Place

MASTER, AGENTS = "master", "agents"

ENVIRONMENT = "/etc/environment"
PROFILES = "/etc/profile.d/*.sh"
AGENT_SETTINGS = "/etc/determined/agent.yaml"
MASTER_SETTINGS = "/etc/determined/master.yaml"
DAEMON_SETTINGS = "/etc/docker/daemon.json"
_UNIT_FOLDERS = ("/usr/lib/systemd/system", "/lib/systemd/system", "/run/systemd/system", "/etc/systemd/system")
# Unit -> the first 15 letters of its program's name, which the kernel keeps (proc(5)), and where it talks to.
_UNITS = {
    "determined-agent": ("determined-agen", (MASTER,)),
    "determined-master": ("determined-mast", (AGENTS,)),
    # dockerd talks to registries. One of them may run on the master, and none on agents.
    "docker": ("dockerd", (MASTER,)),
}


class Host:
    """What this host says: Places, more names of the master, and problems of files that could not be read."""

    def __init__(self, groups):
        """``groups``: MASTER, AGENTS or both: whom this host's workloads must reach without a proxy."""
        self.places, self.destinations, self.problems = [], [], []
        self._groups = groups

    def read(self):
        """Read everything -> self."""
        self._read_logins()
        self._read_agent()
        tasks = self._variables(proxy_check_settings.task_variables, MASTER_SETTINGS)
        self._add("%s (task containers)" % MASTER_SETTINGS, tasks, _no_proxy.CLIENTS, (AGENTS,))
        daemon = self._variables(proxy_check_settings.daemon_proxies, DAEMON_SETTINGS)
        running = _running({program: unit for unit, (program, _unused) in _UNITS.items()})
        for unit, (_unused, groups) in _UNITS.items():
            own = daemon if unit == "docker" else {}
            name, variables = self._read_unit(unit)
            # dockerd's own file wins over its environment.
            name = "%s and %s" % (name, DAEMON_SETTINGS) if own and variables else DAEMON_SETTINGS if own else name
            self._add(name, dict(variables, **own), (_no_proxy.GO,), groups)
            for process in running.get(unit, ()):
                self._read_process(unit, process, own, groups)
        return self

    def _add(self, name, variables, clients, groups):
        groups = tuple(group for group in groups if group in self._groups)
        if groups and variables:
            self.places.append(Place(name, variables, clients, groups))

    def _text(self, path):
        """A file's text; None if it is not there. What cannot be read is a problem."""
        try:
            with open(path, "rb") as file:
                return file.read().decode("utf-8", "replace")
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        except OSError as problem:
            self.problems.append("%s: %s" % (path, problem.strerror))
            return None

    def _variables(self, reader, path):
        """What a reader of _effective_proxies finds in a file. What it does not understand is a problem."""
        try:
            return reader(self._text(path) or "")
        except ValueError as problem:
            self.problems.append("%s: %s" % (path, problem))
            return {}

    def _read_logins(self):
        """What PAM sets for every session, and what login shells set on top of it.

        PAM cuts long values, so a list that holds every agent may only fit into what shells read.
        """
        session = self._variables(proxy_check_settings.shell_assignments, ENVIRONMENT)
        login, names = dict(session), [ENVIRONMENT]
        for path in sorted(glob.glob(PROFILES)):
            found = self._variables(proxy_check_settings.shell_assignments, path)
            if found:
                login.update(found)
                names.append(path)
        self._add(ENVIRONMENT, session, _no_proxy.CLIENTS, (MASTER,) if len(names) > 1 else (MASTER, AGENTS))
        if len(names) > 1:
            self._add("a login (%s)" % ", ".join(names), login, _no_proxy.CLIENTS, (MASTER, AGENTS))

    def _read_agent(self):
        settings = self._variables(proxy_check_settings.agent_settings, AGENT_SETTINGS)
        variables = proxy_check_settings.agent_variables(settings)
        self._add("%s (task containers)" % AGENT_SETTINGS, variables, _no_proxy.CLIENTS, (MASTER, AGENTS))
        if settings.get("master_host"):
            port = settings.get("master_port", "")
            self.destinations.append(
                Destination(MASTER, settings["master_host"], int(port) if port.isdigit() else None)
            )

    def _read_unit(self, unit):
        """A service's unit and drop-ins -> (the file that set a variable last, the variables)."""
        paths = [path for folder in _UNIT_FOLDERS for path in [os.path.join(folder, unit + ".service")]]
        paths = [path for path in paths if os.path.exists(path)][-1:]
        drop_ins = {}
        for folder in _UNIT_FOLDERS:
            for path in glob.glob(os.path.join(folder, unit + ".service.d", "*.conf")):
                drop_ins[os.path.basename(path)] = path  # a later folder's file replaces that of the same name
        paths += [drop_ins[name] for name in sorted(drop_ins)]
        last, variables, files = "%s.service" % unit, {}, []
        for path in paths:
            found, more = proxy_check_settings.unit_settings(self._text(path) or "")
            if None in found:
                variables = {}
                del found[None]
            if found:
                last = path
            variables.update(found)
            files += more
        for path in files:  # they win over Environment= (systemd.exec(5))
            found = self._variables(proxy_check_settings.shell_assignments, path)
            if found:
                last = path
            variables.update(found)
        return last, variables

    def _read_process(self, unit, process, own, groups):
        try:
            with open("/proc/%d/environ" % process, "rb") as file:
                variables = proxy_check_settings.process_environment(file.read())
        except (FileNotFoundError, ProcessLookupError):  # it has just ended
            return
        except OSError as problem:
            self.problems.append("the environment of %s (process %d): %s" % (unit, process, problem.strerror))
            return
        # What daemon.json says may be newer than the process; its file was looked at above.
        if not own:
            name = "the running %s (process %d)" % ("dockerd" if unit == "docker" else unit, process)
            self._add(name, variables, (_no_proxy.GO,), groups)


def _running(units):
    """Program names -> unit; unit -> the processes that run it."""
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open("/proc/%s/comm" % entry) as file:
                program = file.read().strip()
        except OSError:
            continue
        if program in units:
            found.setdefault(units[program], []).append(int(entry))
    return found
