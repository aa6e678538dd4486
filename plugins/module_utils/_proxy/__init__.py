# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proxy settings of one host: which files hold them, and how they are written, recorded and restored.

The plan and the file formats are pure. Only :mod:`files`, :mod:`host`, :mod:`record_file`, :mod:`services` and
:mod:`transaction` touch the host. The package knows the programs that read the settings, but neither the cluster nor a
firewall. The controller shares :mod:`description`.
"""
