# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host has: its files, programs, services and networks, as far as the targets ask for them."""

import os
import re
from typing import Optional, Sequence, Tuple

from ansible_collections.determined.network.plugins.module_utils._host.commands import HostError
from ansible_collections.determined.network.plugins.module_utils._host.runner import Runner
from ansible_collections.determined.network.plugins.module_utils._proxy import attached_networks, paths, programs
from ansible_collections.determined.network.plugins.module_utils._proxy.request import Host, Network

# systemd.unit(5), "Unit File Load Path", those of the system manager.
_UNIT_FOLDERS = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)


def read(roles: Sequence[str], runner: Runner, docker_has_proxies: bool) -> Host:
    """Return what this host has. Raises HostError.

    ``roles``: its roles in the cluster. ``docker_has_proxies``: whether its own daemon.json sets ``proxies``.
    """
    present = {path for path in paths.PATHS if os.path.exists(path)}
    if os.path.realpath(paths.YUM) == os.path.realpath(paths.DNF):
        present.discard(paths.YUM)  # it is a link to the file of dnf
    installed = frozenset(name for name in paths.PROGRAMS if runner.find(name))
    services = frozenset(name for name in paths.SERVICES if _has_unit(name))
    return Host(
        roles=tuple(roles),
        paths=frozenset(present),
        programs=installed,
        services=services,
        docker=_docker_release(runner) if "dockerd" in installed else None,
        docker_has_proxies=docker_has_proxies,
        networks=_networks(runner) if paths.MASTER_SERVICE in services else (),
    )


def _has_unit(service: str) -> bool:
    return any(os.path.exists("%s/%s.service" % (folder, service)) for folder in _UNIT_FOLDERS)


def _networks(runner: Runner) -> Tuple[Network, ...]:
    """If the networks cannot be read, there are none: determined-master then gets every agent by its address."""
    try:
        return attached_networks.networks(programs.run(runner, "ip", "-oneline", "address", "show"))
    except HostError:
        return ()


def _docker_release(runner: Runner) -> Optional[Tuple[int, int]]:
    found = re.search(r"version (\d+)\.(\d+)", programs.run(runner, "dockerd", "--version"))
    return (int(found.group(1)), int(found.group(2))) if found else None
