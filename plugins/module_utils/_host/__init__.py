# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every subject needs of a host: running commands, reading files, systemd, background processes.

It knows no firewall, no proxy and no role of the cluster. Questions and answers are in :mod:`commands`; only
:mod:`runner`, :mod:`daemon` and :mod:`systemd` have effects.
"""
