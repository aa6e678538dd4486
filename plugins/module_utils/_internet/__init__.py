# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attempts to reach services outside the cluster, directly or through a proxy, and the cloud's metadata.

This package opens sockets. It knows targets and proxies as plain values (:mod:`targets`, which the controller shares),
but neither the cluster nor the files in which a host keeps its proxy settings.
"""
