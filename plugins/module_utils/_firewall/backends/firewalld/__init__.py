# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The backend for firewalld: its D-Bus interface and its files, and a native nft table for what firewalld cannot drop.

It has no effects: it yields questions and returns commands. It knows neither iptables nor its variants.
"""
