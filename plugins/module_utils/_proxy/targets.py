# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of targets, and the files that they request on a host. Pure."""

from typing import Callable, Dict, List, NamedTuple, Tuple

from ansible_collections.determined.network.plugins.module_utils._proxy import (
    ca_target,
    program_targets,
    service_targets,
)
from ansible_collections.determined.network.plugins.module_utils._proxy.paths import DNF, YUM
from ansible_collections.determined.network.plugins.module_utils._proxy.request import (
    Host,
    Refused,
    RequestedFile,
    Settings,
    Skipped,
)

ALL = "all"  # in the module's argument ``targets``: every target
AGENT, MASTER = "agents", "master"


class Target(NamedTuple):
    """``roles``: the roles that have the target. ``files``: (name, Settings, Host) -> its RequestedFiles; raises
    Skipped and Refused."""

    roles: Tuple[str, ...]
    files: Callable[[str, Settings, Host], List[RequestedFile]]


_BOTH = (MASTER, AGENT)

# In the order in which files are written.
TARGETS = {
    "ca": Target(_BOTH, ca_target.ca),
    "agent_config": Target((AGENT,), service_targets.agent_config),
    "agent_unit": Target((AGENT,), service_targets.agent_unit),
    "docker": Target((AGENT,), service_targets.docker),
    "master_unit": Target((MASTER,), service_targets.master_unit),
    "task_environment": Target((MASTER,), service_targets.task_environment),
    "environment": Target(_BOTH, program_targets.login),
    "profile": Target(_BOTH, program_targets.profile),
    "apt": Target(_BOTH, program_targets.apt),
    "dnf": Target(_BOTH, program_targets.yum_like(DNF)),
    "yum": Target(_BOTH, program_targets.yum_like(YUM)),
    "zypper": Target(_BOTH, program_targets.zypper),
    "podman": Target(_BOTH, program_targets.podman),
    "containerd": Target(_BOTH, service_targets.containerd),
    "pip": Target(_BOTH, program_targets.pip),
    "git": Target(_BOTH, program_targets.git),
}


class Requested(NamedTuple):
    """``files``: the requested files. ``skipped``: target -> why this host does not have it. ``problems``: sentences
    about what this host cannot do."""

    files: List[RequestedFile]
    skipped: Dict[str, str]
    problems: List[str]


def requested(settings: Settings, host: Host) -> Requested:
    """Return the files that the settings request on this host."""
    found = Requested([], {}, [])
    for name, target in TARGETS.items():
        if name not in settings.targets or not set(target.roles) & set(host.roles) or not _has_content(name, settings):
            continue
        try:
            found.files.extend(target.files(name, settings, host))
        except Skipped as reason:
            found.skipped[name] = str(reason)
        except Refused as problem:
            found.problems.append(str(problem))
    return found


def _has_content(target: str, settings: Settings) -> bool:
    """Without a proxy, only certificates can be written: to the store, and their bundle's path to pip.conf."""
    return bool(settings.description.proxies or target == "ca" or (target == "pip" and settings.certificates))
