# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The backend for iptables, with the nft and the legacy variant, and with ipset.

It has no effects: it yields questions and returns commands. Of firewalld it knows only that its start removes rules.
"""
