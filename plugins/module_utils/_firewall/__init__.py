# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The firewall of one host: read it, compare it with a policy, change it safely, keep it over a reboot.

Only :mod:`backends` knows the syntax of a firewall; the rest knows the order of steps and the rollback.
"""
