# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The syntaxes a host policy can be written in. One module per firewall, none imports another.

A backend renders and parses; it starts no process and opens no socket. What all of them
promise is written in :mod:`base`.
"""
