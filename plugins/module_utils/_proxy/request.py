# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user requests, what a host has, and the files that follow from both: the values of the targets. Pure."""

import ipaddress
from typing import FrozenSet, NamedTuple, Optional, Tuple, Union

from ansible_collections.determined.network.plugins.module_utils._proxy import edits
from ansible_collections.determined.network.plugins.module_utils._proxy.description import Description

Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]


class Host(NamedTuple):
    """What a host has.

    ``roles``: its roles in the cluster. ``paths``, ``programs``, ``services``: those of paths.PATHS, paths.PROGRAMS and
    paths.SERVICES that are there. ``docker``: the release of Docker as two numbers, None if it is unknown or Docker is
    missing. ``docker_has_proxies``: whether the host's own daemon.json sets ``proxies``. ``networks``: the networks
    that the host is attached to, as attached_networks.networks returns them; they are read on a master only.
    """

    roles: Tuple[str, ...]
    paths: FrozenSet[str]
    programs: FrozenSet[str]
    services: FrozenSet[str]
    docker: Optional[Tuple[int, int]]
    docker_has_proxies: bool
    networks: Tuple[Network, ...] = ()


class Settings(NamedTuple):
    """What the module was asked for.

    ``certificates``: PEM texts, one certificate each. ``registries``: texts "host" or "host:port". ``targets``: names
    of targets.TARGETS. ``docker_method``: auto, drop_in or daemon_json. ``task_environment``: write or print.
    ``share_credentials``: whether files that every user can read may hold credentials.
    """

    description: Description
    certificates: Tuple[str, ...]
    registries: Tuple[str, ...]
    targets: Tuple[str, ...]
    docker_method: str
    task_environment: str
    share_credentials: bool


class RequestedFile(NamedTuple):
    """The requested settings of one file.

    ``edit``: how they are written. ``secret``: whether they hold credentials. ``shared``: whether every user of the
    host may read the file even then. ``services``: the services that read the file only when they start. ``program``:
    the program that must run once the file has changed, "" for none.
    """

    target: str
    path: str
    edit: edits.Edit
    secret: bool = False
    shared: bool = False
    services: Tuple[str, ...] = ()
    program: str = ""


class Skipped(Exception):
    """This host does not have what the target is for. The text says what is missing."""


class Refused(Exception):
    """This host cannot do what was requested. The text says why, and what to do."""


def skip_unless(condition: object, reason: str) -> None:
    """Raise Skipped with this reason unless the condition is true."""
    if not condition:
        raise Skipped(reason)


def whole_file(text: str) -> edits.Edit:
    """Return the Edit that makes a file consist of this text."""
    return edits.Edit(edits.OWN, "", (), text)
