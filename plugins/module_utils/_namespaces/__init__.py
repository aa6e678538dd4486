# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts of a rehearsal: network namespaces of one machine, built, held and removed.

It knows addresses, links and private file systems, but neither requirements nor rules: a rehearsal plays the same
roles as real hosts do. The connection plugin shares :mod:`state`, to find a host.
"""
