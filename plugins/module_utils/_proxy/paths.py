# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files, folders, programs and services of a host that the targets know. Pure."""

from typing import NamedTuple

DOCKER, CONTAINERD, AGENT_SERVICE, MASTER_SERVICE = "docker", "containerd", "determined-agent", "determined-master"
SERVICES = (DOCKER, CONTAINERD, AGENT_SERVICE, MASTER_SERVICE)

UNITS = "/etc/systemd/system"
AGENT_YAML, MASTER_YAML = "/etc/determined/agent.yaml", "/etc/determined/master.yaml"
# The no_proxy lists in these files are for the tasks that a service starts, and not for the service itself.
FOR_TASKS = (AGENT_YAML, MASTER_YAML)
DAEMON_JSON, DOCKER_CERTIFICATES = "/etc/docker/daemon.json", "/etc/docker/certs.d"
LOGIN_ENVIRONMENT, PROFILES, APT = "/etc/environment", "/etc/profile.d", "/etc/apt/apt.conf.d"
DNF, YUM, ZYPPER = "/etc/dnf/dnf.conf", "/etc/yum.conf", "/etc/sysconfig/proxy"
ZYPP, CONTAINERS, PIP, GIT = "/etc/zypp", "/etc/containers", "/etc/pip.conf", "/etc/gitconfig"

# Our files in folders of other programs. The name sorts behind those of other drop-ins, such as the http-proxy.conf of
# Docker's own guide, so that ours is read last and counts.
FILE_NAME = "zz-determined-network-proxy"


class TrustStore(NamedTuple):
    """Where administrators put certificates, the program that reads them, and the bundle that it writes."""

    folder: str
    program: str
    bundle: str


STORES = (
    TrustStore("/usr/local/share/ca-certificates", "update-ca-certificates", "/etc/ssl/certs/ca-certificates.crt"),
    TrustStore("/etc/pki/ca-trust/source/anchors", "update-ca-trust", "/etc/pki/tls/certs/ca-bundle.crt"),
    TrustStore("/etc/pki/trust/anchors", "update-ca-certificates", "/etc/ssl/ca-bundle.pem"),
)

# What is looked for on a host.
PATHS = (AGENT_YAML, MASTER_YAML, PROFILES, APT, DNF, YUM, ZYPP, CONTAINERS, PIP) + tuple(
    store.folder for store in STORES
)
PROGRAMS = ("dockerd", "containerd", "podman", "pip", "pip3", "git", "update-ca-certificates", "update-ca-trust")
