# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proxy settings that are in effect on a host, and whether cluster traffic would use a proxy.

It only reads files, whoever has written them. It shares no code with the package _proxy, because a check that shares
the mistakes of the writer does not find them.
"""
