# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The targets that are read by Determined's services, dockerd, containerd and the containers of tasks. Pure."""

import json
from typing import List, Tuple

from ansible_collections.determined.network.plugins.module_utils._proxy import attached_networks, edits, formats
from ansible_collections.determined.network.plugins.module_utils._proxy.description import (
    PROTOCOLS,
    VARIABLES,
    Description,
    environment,
)
from ansible_collections.determined.network.plugins.module_utils._proxy.paths import (
    AGENT_SERVICE,
    AGENT_YAML,
    CONTAINERD,
    DAEMON_JSON,
    DOCKER,
    FILE_NAME,
    MASTER_SERVICE,
    MASTER_YAML,
    UNITS,
)
from ansible_collections.determined.network.plugins.module_utils._proxy.request import (
    Host,
    Refused,
    RequestedFile,
    Settings,
    Skipped,
    skip_unless,
    whole_file,
)

# The first release of Docker that reads proxies from daemon.json.
_DOCKER_WITH_PROXIES = (23, 0)


def agent_config(name: str, settings: Settings, host: Host) -> List[RequestedFile]:
    """The keys of agent.yaml, which determined-agent hands to the containers of its tasks."""
    skip_unless(AGENT_YAML in host.paths, "there is no %s" % AGENT_YAML)
    description = settings.description
    values = {"%s_proxy" % protocol: proxy.url for protocol, proxy in description.proxies.items()}
    if description.no_proxy:
        values["no_proxy"] = ",".join(description.no_proxy)
    keys = tuple("%s_proxy" % protocol for protocol in PROTOCOLS) + ("no_proxy",)
    edit = edits.Edit(edits.YAML_KEYS, "", keys, values)
    return [RequestedFile(name, AGENT_YAML, edit, description.has_credentials, services=(AGENT_SERVICE,))]


def _unit(name: str, service: str, description: Description, stable: bool) -> List[RequestedFile]:
    """A drop-in for a service, and the variables in a file of their own beside it.

    systemd shows what a unit's Environment= holds to every user over D-Bus (systemd.exec(5)), while root alone can read
    the file. The file also takes precedence over Environment= of any other drop-in.
    """
    folder = "%s/%s.service.d" % (UNITS, service)
    variables = "%s/%s.env" % (folder, FILE_NAME)
    text = formats.environment_file(environment(description, stable=stable, ftp=not stable))
    return [
        RequestedFile(name, variables, whole_file(text), description.has_credentials, services=(service,)),
        RequestedFile(
            name,
            "%s/%s.conf" % (folder, FILE_NAME),
            whole_file(formats.unit_drop_in(variables)),
            services=(service,),
        ),
    ]


def _skip_without_unit(service: str, host: Host) -> None:
    skip_unless(service in host.services, "there is no unit %s.service" % service)


def agent_unit(name: str, settings: Settings, host: Host) -> List[RequestedFile]:
    """A drop-in for determined-agent, whose own process talks to the master only.

    The agents' names are for its tasks, which have them from agent.yaml.
    """
    _skip_without_unit(AGENT_SERVICE, host)
    return _unit(name, AGENT_SERVICE, settings.description, stable=True)


def master_unit(name: str, settings: Settings, host: Host) -> List[RequestedFile]:
    """A drop-in for determined-master, which reaches the agents through the networks of its host."""
    _skip_without_unit(MASTER_SERVICE, host)
    description = settings.description
    no_proxy = attached_networks.entries(description.no_proxy, description.stable_no_proxy, host.networks)
    return _unit(name, MASTER_SERVICE, description._replace(no_proxy=no_proxy), stable=False)


def containerd(name: str, settings: Settings, host: Host) -> List[RequestedFile]:
    """A drop-in for containerd."""
    _skip_without_unit(CONTAINERD, host)
    return _unit(name, CONTAINERD, settings.description, stable=True)


def docker(name: str, settings: Settings, host: Host) -> List[RequestedFile]:
    """A drop-in for dockerd, or ``proxies`` in its daemon.json."""
    skip_unless("dockerd" in host.programs, "dockerd is not installed")
    if _docker_method(settings, host) == "drop_in":
        return _unit(name, DOCKER, settings.description, stable=True)
    return _daemon_json(name, settings, host)


def _docker_method(settings: Settings, host: Host) -> str:
    """Return drop_in or daemon_json. Raises Refused if this host cannot use the requested method."""
    method, has_unit = settings.docker_method, DOCKER in host.services
    if method == "auto":
        return "daemon_json" if host.docker_has_proxies or not has_unit else "drop_in"
    if method == "drop_in" and host.docker_has_proxies:
        raise Refused(
            "%s sets proxies, which take precedence over the environment of a unit. Set determined_proxy_docker_method "
            "to auto or "
            "daemon_json" % DAEMON_JSON
        )
    if method == "drop_in" and not has_unit:
        raise Refused(
            "there is no unit docker.service, so it can have no drop-in. Set determined_proxy_docker_method to auto or "
            "daemon_json"
        )
    return method


def _daemon_json(name: str, settings: Settings, host: Host) -> List[RequestedFile]:
    if not host.docker or host.docker < _DOCKER_WITH_PROXIES:
        release = "%d.%d" % host.docker if host.docker else "of unknown release"
        raise Refused(
            "Docker reads proxies from %s since release 23, and the Docker of this host is %s, so dockerd would not "
            "start. Set determined_proxy_docker_method to drop_in, or upgrade Docker" % (DAEMON_JSON, release)
        )
    description = settings.description
    members = {"%s-proxy" % protocol: proxy.url for protocol, proxy in description.proxies.items() if protocol != "ftp"}
    if description.stable_no_proxy:
        members["no-proxy"] = ",".join(description.stable_no_proxy)
    edit = edits.Edit(edits.JSON_MEMBER, "proxies", (), json.dumps(members))
    return [RequestedFile(name, DAEMON_JSON, edit, description.has_credentials, services=(DOCKER,))]


def task_variables(description: Description) -> List[Tuple[str, str]]:
    """Return the variables of task containers, in upper and lower case: agent.yaml gives the uppercase ones only."""
    return environment(description)


def task_environment(name: str, settings: Settings, host: Host) -> List[RequestedFile]:
    """The variables of task containers in master.yaml."""
    if settings.task_environment == "print":
        raise Skipped("determined_proxy_task_environment is print, so the lines are only shown")
    skip_unless(MASTER_YAML in host.paths, "there is no %s" % MASTER_YAML)
    edit = edits.Edit(edits.TASK_VARIABLES, "", VARIABLES, task_variables(settings.description))
    has_credentials = settings.description.has_credentials
    return [RequestedFile(name, MASTER_YAML, edit, has_credentials, services=(MASTER_SERVICE,))]
