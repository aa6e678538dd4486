# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The choice between iptables-nft and iptables-legacy.

The kernel applies the rules of both. A change must be written where the host's administrator looks.
"""

from typing import Collection, Mapping, Optional, Tuple

from ansible_collections.determined.network.plugins.module_utils._firewall.backends.iptables.state import VARIANTS


def choose(
    available: Collection[str], ours: Collection[str], foreign: Mapping[str, int], default: Optional[str]
) -> Tuple[Optional[str], str, Tuple[str, ...]]:
    """The variant to use, the reason, and warnings; the variant is None when none works.

    ``available``: variants whose tools are installed and work. ``ours``: variants that hold objects of ours.
    ``foreign``: variant -> the number of its foreign rules. ``default``: the variant of the command ``iptables``, or
    None when there is no such command.
    """
    usable = [variant for variant in VARIANTS if variant in available]
    if not usable:
        return None, "no iptables works here", ()
    warnings = []
    holding = [variant for variant in usable if foreign.get(variant)]
    if len(holding) > 1:
        warnings.append(
            "iptables-nft and iptables-legacy both hold rules that are not ours (%s): every packet passes "
            "both, so look with iptables-nft-save and with iptables-legacy-save"
            % ", ".join("%s: %d" % (variant, foreign[variant]) for variant in holding)
        )
    with_ours = [variant for variant in usable if variant in ours]
    if len(with_ours) == 1:
        return with_ours[0], "our chains are there", tuple(warnings)
    reason = "our chains are in both, and " if with_ours else ""
    if len(holding) == 1:
        return holding[0], reason + "the host's own rules are there", tuple(warnings)
    if default in usable:
        if holding:
            reason += "the host has rules in both, and "
        return default, reason + "the command iptables is this variant", tuple(warnings)
    return usable[0], reason + "it is the first that is installed", tuple(warnings)


def of_version(text: str) -> str:
    """What ``iptables --version`` prints -> "nft" or "legacy" (iptables before 1.8 names none)."""
    return "nft" if "nf_tables" in text else "legacy"
