# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The targets that are read by logins, shells, package managers and other programs. Pure."""

from typing import Callable, List

from ansible_collections.determined.network.plugins.module_utils._proxy import ca_target, edits, formats
from ansible_collections.determined.network.plugins.module_utils._proxy.description import VARIABLES, environment
from ansible_collections.determined.network.plugins.module_utils._proxy.paths import (
    APT,
    CONTAINERS,
    FILE_NAME,
    GIT,
    LOGIN_ENVIRONMENT,
    PIP,
    PROFILES,
    ZYPP,
    ZYPPER,
)
from ansible_collections.determined.network.plugins.module_utils._proxy.request import (
    Host,
    RequestedFile,
    Settings,
    skip_unless,
    whole_file,
)

# The longest line of /etc/environment that the PAM of Enterprise Linux 8 reads whole (Linux-PAM 1.3, BUF_SIZE 1024).
_LONGEST_LOGIN_LINE = 1022
_NO_HTTP_PROXY = "it takes only a proxy for HTTP or HTTPS, and neither is described"


def _file(name: str, settings: Settings, path: str, edit: edits.Edit) -> List[RequestedFile]:
    """A file that every user may read if users permit it (share_credentials)."""
    return [RequestedFile(name, path, edit, settings.description.has_credentials, settings.share_credentials)]


def login(name: str, settings: Settings, _host: Host) -> List[RequestedFile]:
    """/etc/environment, which PAM reads at every login."""
    lines = formats.login_environment(environment(settings.description))
    if max(len(line) for line in lines) > _LONGEST_LOGIN_LINE:
        lines = formats.login_environment(environment(settings.description, stable=True))
    return _file(name, settings, LOGIN_ENVIRONMENT, edits.Edit(edits.BLOCK, "", (), lines))


def profile(name: str, settings: Settings, host: Host) -> List[RequestedFile]:
    """A script of /etc/profile.d, for login shells."""
    skip_unless(PROFILES in host.paths, "there is no %s" % PROFILES)
    text = formats.shell_script(environment(settings.description))
    return _file(name, settings, "%s/%s.sh" % (PROFILES, FILE_NAME), whole_file(text))


def apt(name: str, settings: Settings, host: Host) -> List[RequestedFile]:
    """A part of apt's configuration."""
    skip_unless(APT in host.paths, "apt is not installed")
    return _file(name, settings, "%s/%s.conf" % (APT, FILE_NAME), whole_file(formats.apt(settings.description)))


def yum_like(path: str) -> Callable[[str, Settings, Host], List[RequestedFile]]:
    """Return the target of a package manager with the configuration of yum (yum.conf(5), dnf.conf(5))."""

    def target(name: str, settings: Settings, host: Host) -> List[RequestedFile]:
        skip_unless(path in host.paths, "there is no %s" % path)
        proxy = settings.description.web_proxy
        skip_unless(proxy, _NO_HTTP_PROXY)
        values = {"proxy": proxy.url} if proxy else {}
        edit = edits.Edit(edits.INI, "main", ("proxy", "proxy_username", "proxy_password"), values)
        return [RequestedFile(name, path, edit, bool(proxy and proxy.username), settings.share_credentials)]

    return target


def zypper(name: str, settings: Settings, host: Host) -> List[RequestedFile]:
    """SUSE's /etc/sysconfig/proxy."""
    skip_unless(ZYPP in host.paths, "zypper is not installed")
    values = {"PROXY_ENABLED": formats.sysconfig("yes")}
    for variable, value in environment(settings.description):
        if variable.isupper():
            values[variable] = formats.sysconfig(value)
    keys = ("PROXY_ENABLED",) + tuple(variable for variable in VARIABLES if variable.isupper())
    return _file(name, settings, ZYPPER, edits.Edit(edits.SHELL, "", keys, values))


def _skip_unless_readable(settings: Settings, program: str) -> None:
    """A program that fails when it cannot read its file gets one only if every user may read it."""
    skip_unless(
        settings.share_credentials or not settings.description.has_credentials,
        "every user must be able to read the file of %s, and it would hold credentials. %s takes the proxy from the "
        "environment; set determined_proxy_share_credentials to true to write the file all the same"
        % (program, program),
    )


def podman(name: str, settings: Settings, host: Host) -> List[RequestedFile]:
    """A drop-in of containers.conf."""
    skip_unless("podman" in host.programs and CONTAINERS in host.paths, "podman is not installed")
    _skip_unless_readable(settings, name)
    path = "%s/containers.conf.d/%s.conf" % (CONTAINERS, FILE_NAME)
    return _file(name, settings, path, whole_file(formats.containers_conf(environment(settings.description))))


def git(name: str, settings: Settings, host: Host) -> List[RequestedFile]:
    """/etc/gitconfig."""
    skip_unless("git" in host.programs, "git is not installed")
    _skip_unless_readable(settings, name)
    lines = formats.git_lines(settings.description)
    skip_unless(lines, _NO_HTTP_PROXY)
    return _file(name, settings, GIT, edits.Edit(edits.BLOCK, "", (), lines))


def pip(name: str, settings: Settings, host: Host) -> List[RequestedFile]:
    """/etc/pip.conf: the proxy, and the bundle of certificates."""
    skip_unless({"pip", "pip3"} & host.programs or PIP in host.paths, "pip is not installed")
    proxy = settings.description.web_proxy
    values = {"proxy": proxy.url_for_latin_1} if proxy else {}  # pip is made with requests
    store = ca_target.store_of(host)
    if settings.certificates and store:
        values["cert"] = store.bundle
    skip_unless(values, _NO_HTTP_PROXY)
    edit = edits.Edit(edits.INI, "global", ("proxy", "cert"), values)
    return [RequestedFile(name, PIP, edit, bool(proxy and proxy.username), settings.share_credentials)]
