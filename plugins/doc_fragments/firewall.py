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
      - A bridge with a port that leads to other hosts, such as a network card, is never one of these bridges. The
        module judges what arrives through it like traffic from any other host, and warns.
      - The module refuses a pattern that matches the interface of the host's default route or of the SSH connection.
    type: list
    elements: str
    default: [docker0, docker_gwbridge, br-+, podman+, cni-podman+]
  forward:
    description:
      - Names what this host may forward in mode V(restrict), in addition to replies and to what its own containers and
        virtual machines send. Each entry permits new packets of every protocol from one list of networks to another.
      - With an empty list the host forwards nothing new that arrives from other hosts. Published ports are not
        concerned, because packets to them are addressed to the host.
      - Routers, VPN gateways, and nodes of Kubernetes whose pods other hosts reach need entries.
    type: list
    elements: dict
    default: []
    suboptions:
      from:
        description: Networks of the source, such as V(10.244.0.0/16).
        type: list
        elements: str
        required: true
      to:
        description:
          - Networks of the destination, as the sender addresses it. For services of Kubernetes these are the
            addresses of the services.
        type: list
        elements: str
        required: true
"""
