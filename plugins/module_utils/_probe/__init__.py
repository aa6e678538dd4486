# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes: connection attempts, datagrams and echo requests to other hosts of the cluster, in one batch.

This package opens sockets and measures time. It knows addresses, ports and states, but neither requirements nor roles
nor verdicts: the controller decides what an observation means.
"""
