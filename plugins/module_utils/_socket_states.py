# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a socket can see: the states of an observation, shared by controller and hosts."""

# What a socket can see (RFC 9293 3.5.2 for RST, RFC 1122 4.2.3.9 for ICMP).
OPEN = "open"  # the connection was established
REFUSED = "refused"  # a RST came back: closed port, or a firewall that imitates one
REJECTED = "rejected"  # an ICMP error came back
FILTERED = "filtered"  # nothing came back
NO_ROUTE = "no_route"  # the source itself has no way to the address
ERROR = "error"  # the question could not be asked
STATES = (OPEN, REFUSED, REJECTED, FILTERED, NO_ROUTE, ERROR)
