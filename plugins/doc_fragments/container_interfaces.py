# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The option of the modules that write a policy or compare a host with one."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  container_interfaces:
    description:
      - The bridges of this host's own containers, by name; a C(+) at the end stands for any ending.
      - In mode V(restrict) traffic that comes in through them passes as from loopback, since a container on this
        host is this host, and nobody else reaches a container's own address through this host.
      - Refused when one matches the interface of the host's default route or of the SSH connection.
    type: list
    elements: str
    default: [docker0, docker_gwbridge, br-+, podman+, cni-podman+]
"""
