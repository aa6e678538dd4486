# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What probes, listeners and the checks of the Internet need of the kernel's sockets: creation, errors, counters.

It knows what an error number, an ICMP error or a counter of the kernel means. It does not know why somebody connects.
"""
