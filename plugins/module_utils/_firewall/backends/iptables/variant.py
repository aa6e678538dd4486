# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which iptables: the tools that write nf_tables or those that write the legacy tables.

The kernel asks both, so rules in the other one keep working; but a change must go where
the host's administrator looks.
"""

from ansible_collections.determined.network.plugins.module_utils._firewall.backends.iptables.state import VARIANTS


def choose(available, ours, foreign, default):
    """Which variant to use -> (variant, reason, warnings); (None, reason, ()) when none can be.

    ``available``: variants whose tools are installed and work. ``ours``: variants that hold
    objects of ours. ``foreign``: variant -> how much it holds that is not ours. ``default``:
    what the command ``iptables`` is, or None when there is no such command.
    """
    available = [variant for variant in VARIANTS if variant in available]
    if not available:
        return None, "no iptables works here", ()
    warnings = []
    holding = [variant for variant in available if foreign.get(variant)]
    if len(holding) > 1:
        warnings.append(
            "iptables-nft and iptables-legacy both hold rules that are not ours (%s): every packet passes "
            "both, so look with iptables-nft-save and with iptables-legacy-save"
            % ", ".join("%s: %d" % (variant, foreign[variant]) for variant in holding)
        )
    with_ours = [variant for variant in available if variant in ours]
    if len(with_ours) == 1:
        return with_ours[0], "our chains are there", tuple(warnings)
    reason = "our chains are in both, and " if with_ours else ""
    if len(holding) == 1:
        return holding[0], reason + "the host's own rules are there", tuple(warnings)
    if default in available:
        if holding:
            reason += "the host has rules in both, and "
        return default, reason + "the command iptables is this variant", tuple(warnings)
    return available[0], reason + "it is the first that is installed", tuple(warnings)


def of_version(text):
    """What ``iptables --version`` prints -> "nft" or "legacy" (iptables before 1.8 names none)."""
    return "nft" if "nf_tables" in text else "legacy"
