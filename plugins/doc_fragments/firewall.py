# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the modules that apply a policy, or compare a host with one, have in common."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
attributes:
  platform:
    support: full
    platforms: linux
    description: Linux with iptables (nf_tables or legacy) and ipset, or with firewalld.
options:
  container_interfaces:
    description:
      - Names the bridges of this host's own containers. A C(+) at the end of a name stands for any ending.
      - In mode V(restrict) the host accepts traffic that arrives through these bridges, as it does for loopback. A
        container on this host counts as this host, and other hosts cannot reach the address of a container through it.
      - The module refuses a pattern that matches the interface of the host's default route or of the SSH connection.
    type: list
    elements: str
    default: [docker0, docker_gwbridge, br-+, podman+, cni-podman+]
"""
