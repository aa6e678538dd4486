# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets that no honest stack sends, put on a link as they are: how an outsider would try to break in.

This is the only place where raw sockets for such packets open. What a packet holds is built in ``packets``, apart from
the sending.
"""
