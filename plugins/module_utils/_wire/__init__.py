# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets as they are on the wire: the only place where raw sockets open for them.

For the module ``attack``: packets that no honest stack sends, put on a link as they are, as an outsider would who tries
to break in. What they hold is built in ``packets``, and ``attempts`` sends them.

For the module ``trace``: where marked packets stop, and by which rule. ``sender`` sends them, and ``witness`` watches
in the background what arrives and leaves (``capture``) and which rules it meets (``nft_trace``).
"""
