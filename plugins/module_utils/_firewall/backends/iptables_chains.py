# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our chains in iptables, and the jumps that lead to them.

A jump is a text as ``iptables-save`` prints it after ``-A CHAIN``. Both backends know them, because a reload of
firewalld may flush them.
"""

from typing import NamedTuple

INPUT_CHAIN = "DETERMINED-INPUT"
OUTPUT_CHAIN = "DETERMINED-OUTPUT"
PREROUTING_CHAIN = "DETERMINED-PREROUTING"
ROUTED_CHAIN = "DETERMINED-ROUTED"
FORWARD_CHAIN = "DETERMINED-FORWARD"
FORGED_CHAIN = "DETERMINED-FORGED"


class Base(NamedTuple):
    """A built-in chain of a table, our chain ``ours``, and the rule ``jump`` that leads from one to the other."""

    table: str
    chain: str
    ours: str
    jump: str


# In the order in which packets meet them, and in which the jumps of one chain follow each other.
BASES = (
    Base("raw", "PREROUTING", FORGED_CHAIN, "! -i lo -m addrtype --src-type LOCAL -j %s" % FORGED_CHAIN),
    Base("mangle", "PREROUTING", PREROUTING_CHAIN, "-m addrtype --dst-type LOCAL -j %s" % PREROUTING_CHAIN),
    Base("mangle", "PREROUTING", ROUTED_CHAIN, "-m addrtype ! --dst-type LOCAL -j %s" % ROUTED_CHAIN),
    Base("mangle", "FORWARD", FORWARD_CHAIN, "-j %s" % FORWARD_CHAIN),
    Base("filter", "INPUT", INPUT_CHAIN, "-j %s" % INPUT_CHAIN),
    Base("filter", "OUTPUT", OUTPUT_CHAIN, "-j %s" % OUTPUT_CHAIN),
)
CHAINS = tuple(base.ours for base in BASES)
TABLES = ("raw", "mangle", "filter")
