# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The backends, one for each firewall: each renders a host policy in the firewall's syntax, and parses what is there.

A backend knows host policies and one syntax. It knows no other backend and no role of the cluster, and nothing of the
order of steps, of storage and of rollback. It has no effects: it yields questions and returns commands (see
:mod:`base`). What several backends need is in the modules of this folder.
"""
