# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sockets that answer: listeners that a probe of another host can reach, and the process that holds them.

The process runs in the background until it is told to end, or until its time is over. It knows ports and addresses, but
neither requirements nor roles.
"""
