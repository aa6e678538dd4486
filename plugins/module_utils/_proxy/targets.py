# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files a description asks for on a host: one row per target. Pure."""

import json
from typing import NamedTuple

from ansible_collections.determined.network.plugins.module_utils._proxy import attached_networks, edits, formats
from ansible_collections.determined.network.plugins.module_utils._proxy.description import (
    PROTOCOLS,
    VARIABLES,
    Description,
    environment,
)

ALL = "all"  # of the targets
AGENT, MASTER = "agents", "master"
DOCKER, CONTAINERD, AGENT_SERVICE, MASTER_SERVICE = "docker", "containerd", "determined-agent", "determined-master"
SERVICES = (DOCKER, CONTAINERD, AGENT_SERVICE, MASTER_SERVICE)

# Sorted behind other drop-ins, such as http-proxy.conf of Docker's own guide, so that ours counts.
_NAME = "zz-determined-network-proxy"
UNITS = "/etc/systemd/system"
AGENT_YAML, MASTER_YAML = "/etc/determined/agent.yaml", "/etc/determined/master.yaml"
FOR_TASKS = (AGENT_YAML, MASTER_YAML)  # their lists are for the tasks that a service starts, not for itself
DAEMON_JSON, DOCKER_CERTIFICATES = "/etc/docker/daemon.json", "/etc/docker/certs.d"
LOGIN_ENVIRONMENT, PROFILES, APT = "/etc/environment", "/etc/profile.d", "/etc/apt/apt.conf.d"
DNF, YUM, ZYPPER = "/etc/dnf/dnf.conf", "/etc/yum.conf", "/etc/sysconfig/proxy"
ZYPP, CONTAINERS, PIP, GIT = "/etc/zypp", "/etc/containers", "/etc/pip.conf", "/etc/gitconfig"

# Where administrators put certificates, the program that reads them, and the bundle that it makes.
STORES = (
    ("/usr/local/share/ca-certificates", "update-ca-certificates", "/etc/ssl/certs/ca-certificates.crt"),
    ("/etc/pki/ca-trust/source/anchors", "update-ca-trust", "/etc/pki/tls/certs/ca-bundle.crt"),
    ("/etc/pki/trust/anchors", "update-ca-certificates", "/etc/ssl/ca-bundle.pem"),
)

PATHS = (AGENT_YAML, MASTER_YAML, PROFILES, APT, DNF, YUM, ZYPP, CONTAINERS, PIP) + tuple(row[0] for row in STORES)
PROGRAMS = ("dockerd", "containerd", "podman", "pip", "pip3", "git", "update-ca-certificates", "update-ca-trust")

# Lines of /etc/environment that the PAM of Enterprise Linux 8 still reads whole (Linux-PAM 1.3, BUF_SIZE 1024).
_LONGEST_LOGIN_LINE = 1022


class Host(NamedTuple):
    """What a host has. ``paths``, ``programs``, ``services``: frozensets, those of PATHS, PROGRAMS and SERVICES that
    are there. ``docker``: its release as a tuple of two numbers, None without Docker. ``docker_has_proxies``:
    whether the host's own daemon.json sets ``proxies``. ``networks``: those it is attached to, as _proxy_attached
    gives them; only a master's are asked for."""

    roles: tuple
    paths: frozenset
    programs: frozenset
    services: frozenset
    docker: tuple
    docker_has_proxies: bool
    networks: tuple = ()


class Settings(NamedTuple):
    """What the module was asked for. ``certificates``: PEM texts. ``registries``: "host" or "host:port".
    ``targets``: names of TARGETS. ``docker_method``: auto, drop_in, daemon_json. ``task_environment``: write, print."""

    description: Description
    certificates: tuple
    registries: tuple
    targets: tuple
    docker_method: str
    task_environment: str
    share_credentials: bool


class Wish(NamedTuple):
    """A file as it should become. ``secret``: it holds credentials. ``shared``: every user of the host may
    read it even so. ``services``: what reads it only when it starts. ``program``: what to run once it has changed."""

    target: str
    path: str
    edit: edits.Edit
    secret: bool = False
    shared: bool = False
    services: tuple = ()
    program: str = ""


class Left(ValueError):
    """This host's target is left out; the text says why."""


class Refused(ValueError):
    """What was asked for cannot be done on this host; the text says why and what to do."""


def wishes(settings, host):
    """Settings, Host -> (Wishes, {target: why it is left out}, problems), the last two of texts."""
    found, left, problems = [], {}, []
    for name, (roles, function) in TARGETS.items():
        if name not in settings.targets or not set(roles) & set(host.roles):
            continue
        if name != "ca" and not settings.description.proxies and not (name == "pip" and settings.certificates):
            continue
        try:
            found += function(name, settings, host)
        except Left as reason:
            left[name] = str(reason)
        except Refused as problem:
            problems.append(str(problem))
    return found, left, problems


def _need(condition, reason):
    if not condition:
        raise Left(reason)


def _own(text):
    return edits.Edit(edits.OWN, "", (), text)


def _agent_config(name, settings, host):
    _need(AGENT_YAML in host.paths, "there is no %s" % AGENT_YAML)
    description = settings.description
    values = {"%s_proxy" % protocol: proxy.url for protocol, proxy in description.proxies.items()}
    if description.no_proxy:
        values["no_proxy"] = ",".join(description.no_proxy)
    keys = tuple("%s_proxy" % protocol for protocol in PROTOCOLS) + ("no_proxy",)
    edit = edits.Edit(edits.YAML_KEYS, "", keys, values)
    return [Wish(name, AGENT_YAML, edit, description.has_credentials, services=(AGENT_SERVICE,))]


def _unit(name, service, description, stable):
    """A drop-in for a service, and beside it the variables in a file of their own.

    What a unit's Environment= holds every user can read over D-Bus (systemd.exec(5)); a file can be root's alone. It
    also counts more than Environment= of any other drop-in.
    """
    folder = "%s/%s.service.d" % (UNITS, service)
    variables = "%s/%s.env" % (folder, _NAME)
    pairs = environment(description, stable=stable, ftp=not stable)
    return [
        Wish(name, variables, _own(formats.environment_file(pairs)), description.has_credentials, services=(service,)),
        Wish(name, "%s/%s.conf" % (folder, _NAME), _own(formats.unit_drop_in(variables)), services=(service,)),
    ]


def _agent_unit(name, settings, host):
    _need(AGENT_SERVICE in host.services, "there is no unit %s.service" % AGENT_SERVICE)
    # The agent itself talks to the master; the agents' names are for its tasks, and stand in agent.yaml.
    return _unit(name, AGENT_SERVICE, settings.description, stable=True)


def _master_unit(name, settings, host):
    _need(MASTER_SERVICE in host.services, "there is no unit %s.service" % MASTER_SERVICE)
    description = settings.description
    no_proxy = attached_networks.entries(description.no_proxy, description.stable_no_proxy, host.networks)
    return _unit(name, MASTER_SERVICE, description._replace(no_proxy=no_proxy), stable=False)


def _containerd(name, settings, host):
    _need(CONTAINERD in host.services, "there is no unit %s.service" % CONTAINERD)
    return _unit(name, CONTAINERD, settings.description, stable=True)


def _docker(name, settings, host):
    _need("dockerd" in host.programs, "dockerd is not installed")
    method, description = settings.docker_method, settings.description
    if method == "auto":
        method = "daemon_json" if host.docker_has_proxies or DOCKER not in host.services else "drop_in"
    elif method == "drop_in" and host.docker_has_proxies:
        raise Refused(
            "%s sets proxies, which win over the environment of a unit. Set proxy_docker_method to auto or daemon_json"
            % DAEMON_JSON
        )
    if method == "drop_in":
        if DOCKER not in host.services:
            raise Refused("there is no unit docker.service to add to. Set proxy_docker_method to auto or daemon_json")
        return _unit(name, DOCKER, description, stable=True)
    if not host.docker or host.docker < (23, 0):
        version = "%d.%d" % host.docker if host.docker else "of unknown release"
        raise Refused(
            "Docker knows proxies in %s since release 23, and here it is %s: it would not start. Set "
            "proxy_docker_method to drop_in, or upgrade Docker" % (DAEMON_JSON, version)
        )
    members = {"%s-proxy" % protocol: proxy.url for protocol, proxy in description.proxies.items() if protocol != "ftp"}
    if description.stable_no_proxy:
        members["no-proxy"] = ",".join(description.stable_no_proxy)
    edit = edits.Edit(edits.JSON_MEMBER, "proxies", (), json.dumps(members))
    return [Wish(name, DAEMON_JSON, edit, description.has_credentials, services=(DOCKER,))]


def task_variables(description):
    """What task containers need beside the uppercase variables that agent.yaml gives them: both cases."""
    return environment(description)


def _task_environment(name, settings, host):
    if settings.task_environment == "print":
        raise Left("the lines are shown, since proxy_task_environment is print")
    _need(MASTER_YAML in host.paths, "there is no %s" % MASTER_YAML)
    edit = edits.Edit(edits.TASK_VARIABLES, "", VARIABLES, task_variables(settings.description))
    return [Wish(name, MASTER_YAML, edit, settings.description.has_credentials, services=(MASTER_SERVICE,))]


def _login(name, settings, _host):
    lines = formats.login_environment(environment(settings.description))
    if max(len(line) for line in lines) > _LONGEST_LOGIN_LINE:
        lines = formats.login_environment(environment(settings.description, stable=True))
    edit = edits.Edit(edits.BLOCK, "", (), lines)
    return [Wish(name, LOGIN_ENVIRONMENT, edit, settings.description.has_credentials, settings.share_credentials)]


def _profile(name, settings, host):
    _need(PROFILES in host.paths, "there is no %s" % PROFILES)
    return _public(
        name, settings, "%s/%s.sh" % (PROFILES, _NAME), formats.shell_script(environment(settings.description))
    )


def _public(name, settings, path, text):
    return [Wish(name, path, _own(text), settings.description.has_credentials, settings.share_credentials)]


def _apt(name, settings, host):
    _need(APT in host.paths, "apt is not installed")
    return _public(name, settings, "%s/%s.conf" % (APT, _NAME), formats.apt(settings.description))


def _yum_like(path):
    def target(name, settings, host):
        _need(path in host.paths, "there is no %s" % path)
        proxies = settings.description.proxies
        _need("https" in proxies or "http" in proxies, "it has one proxy, for HTTP or HTTPS")
        proxy = proxies.get("https") or proxies["http"]
        edit = edits.Edit(edits.INI, "main", ("proxy", "proxy_username", "proxy_password"), {"proxy": proxy.url})
        return [Wish(name, path, edit, bool(proxy.username), settings.share_credentials)]

    return target


def _zypper(name, settings, host):
    _need(ZYPP in host.paths, "zypper is not installed")
    values = {"PROXY_ENABLED": formats.sysconfig("yes")}
    for variable, value in environment(settings.description):
        if variable.isupper():
            values[variable] = formats.sysconfig(value)
    keys = ("PROXY_ENABLED",) + tuple(variable for variable in VARIABLES if variable.isupper())
    edit = edits.Edit(edits.SHELL, "", keys, values)
    return [Wish(name, ZYPPER, edit, settings.description.has_credentials, settings.share_credentials)]


def _readable(settings, what):
    """Programs that fail when they cannot read their file get one only if everybody may read it."""
    _need(
        settings.share_credentials or not settings.description.has_credentials,
        "every user must be able to read the file of %s, and it would hold credentials (proxy_share_credentials); the "
        "environment names the proxy to it" % what,
    )


def _podman(name, settings, host):
    _need("podman" in host.programs and CONTAINERS in host.paths, "podman is not installed")
    _readable(settings, name)
    path = "%s/containers.conf.d/%s.conf" % (CONTAINERS, _NAME)
    return _public(name, settings, path, formats.containers_conf(environment(settings.description)))


def _git(name, settings, host):
    _need("git" in host.programs, "git is not installed")
    _readable(settings, name)
    lines = formats.git_lines(settings.description)
    _need(lines, "it has one proxy, for HTTP or HTTPS")
    edit = edits.Edit(edits.BLOCK, "", (), lines)
    return [Wish(name, GIT, edit, settings.description.has_credentials, settings.share_credentials)]


def _pip(name, settings, host):
    _need({"pip", "pip3"} & host.programs or PIP in host.paths, "pip is not installed")
    proxies = settings.description.proxies
    proxy = proxies.get("https") or proxies.get("http")
    values = {"proxy": proxy.url_for_latin_1} if proxy else {}  # pip is made with requests
    if settings.certificates and _store(host):
        values["cert"] = _store(host)[2]
    _need(values, "it has one proxy, for HTTP or HTTPS")
    edit = edits.Edit(edits.INI, "global", ("proxy", "cert"), values)
    return [Wish(name, PIP, edit, bool(proxy and proxy.username), settings.share_credentials)]


def _store(host):
    return next((row for row in STORES if row[0] in host.paths and row[1] in host.programs), None)


def _ca(name, settings, host):
    if not settings.certificates:
        return []
    store = _store(host)
    if not store:
        raise Refused(
            "this host has no store for certificates that is known (Debian's ca-certificates, Red Hat's and SUSE's "
            "ca-trust). Install the package ca-certificates, or leave ca out of proxy_targets"
        )
    services = tuple(service for service in SERVICES if service in host.services)
    # One certificate a file: update-ca-certificates leaves files with several out.
    found = [
        Wish(
            name,
            "%s/determined-network-proxy-%d.crt" % (store[0], number),
            _own(certificate),
            services=services,
            program=store[1],
        )
        for number, certificate in enumerate(settings.certificates, 1)
    ]
    if "dockerd" in host.programs:
        # dockerd reads the system's store when it starts and this folder at each pull: no restart is needed for it.
        bundle = _own("".join(settings.certificates))
        found += [
            Wish(name, "%s/%s/determined-network-proxy.crt" % (DOCKER_CERTIFICATES, registry), bundle)
            for registry in settings.registries
        ]
    return found


# Target -> (roles that have it, what gives its Wishes), in the order in which files are written.
TARGETS = {
    "ca": ((MASTER, AGENT), _ca),
    "agent_config": ((AGENT,), _agent_config),
    "agent_unit": ((AGENT,), _agent_unit),
    "docker": ((AGENT,), _docker),
    "master_unit": ((MASTER,), _master_unit),
    "task_environment": ((MASTER,), _task_environment),
    "environment": ((MASTER, AGENT), _login),
    "profile": ((MASTER, AGENT), _profile),
    "apt": ((MASTER, AGENT), _apt),
    "dnf": ((MASTER, AGENT), _yum_like(DNF)),
    "yum": ((MASTER, AGENT), _yum_like(YUM)),
    "zypper": ((MASTER, AGENT), _zypper),
    "podman": ((MASTER, AGENT), _podman),
    "containerd": ((MASTER, AGENT), _containerd),
    "pip": ((MASTER, AGENT), _pip),
    "git": ((MASTER, AGENT), _git),
}
