# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The meaning of failures of iptables and ipset, in sentences with a remedy."""

import re
from typing import Match

from ansible_collections.determined.network.plugins.module_utils._host.commands import Command, Output, explanation

_KERNEL_PACKAGES = (
    "install the kernel's modules (Debian and Ubuntu: linux-image or linux-modules-extra of the running "
    "kernel; Enterprise Linux: kernel-modules and kernel-modules-extra), or reboot when the running kernel "
    "(uname -r) is older than the installed one"
)
_MATCH_MODULES = {
    "set": "xt_set and ip_set_hash_net",
    "multiport": "xt_multiport",
    "addrtype": "xt_addrtype",
    "comment": "xt_comment",
    "conntrack": "xt_conntrack and nf_conntrack",
}


def missing_tool(name: str) -> str:
    """A missing program -> a sentence that says what to install."""
    if name == "ipset":
        package = "Debian, Ubuntu and Enterprise Linux: package ipset"
    else:
        package = "Debian and Ubuntu: package iptables; Enterprise Linux: iptables-nft, up to release 8 iptables"
    return "%s is not installed (%s)" % (name, package)


def _kernel(dummy_found: Match[str]) -> str:
    return "the kernel lacks a part of its packet filter: %s" % _KERNEL_PACKAGES


def _kernel_match(found: Match[str]) -> str:
    match = found.group(1)
    modules = _MATCH_MODULES.get(match, "xt_%s" % match)
    return "the match %r is missing (kernel modules %s): %s" % (match, modules, _KERNEL_PACKAGES)


def _missing_match(found: Match[str]) -> str:
    match = found.group(1)
    return (
        "this iptables has no match %r: its extension libxt_%s.so is not installed "
        "(Debian and Ubuntu: package iptables; Enterprise Linux: iptables-libs)" % (match, match)
    )


def _no_set(found: Match[str]) -> str:
    return (
        "the ipset %s was removed while it was in use: another program removes ipsets, find and stop it"
        % found.group(1)
    )


_LOCKED = (
    "another program holds the xtables lock and did not release it in time. Find it with: "
    "fuser -v /run/xtables.lock; then run this again, or raise lock_timeout"
)
_DENIED = (
    "permission was denied. Changing the firewall needs root with the capability CAP_NET_ADMIN: "
    "run the task with become, and a container with --cap-add NET_ADMIN"
)
_IN_USE = (
    "a rule that is not ours uses this set, so it cannot be removed. Find the rule with: "
    "iptables-save | grep match-set; ip6tables-save | grep match-set"
)
_NATIVE = (
    "a table holds native nftables chains or rules that iptables cannot use. Move them to a table of their own: "
    "iptables and nft must not share one (see: nft list ruleset)"
)
_FULL = "a set is full or memory ran out: see dmesg, and ipset list -t"

# See explanation: the first pattern that matches decides.
_MEANINGS = (
    (re.compile(r"xtables lock"), _LOCKED),
    (re.compile(r"Couldn't load match .([a-z0-9_]+)"), _missing_match),
    (re.compile(r"[Ee]xtension ([a-z0-9_]+) revision"), _kernel_match),
    (re.compile(r"Set (\S+) doesn't exist"), _no_set),
    (re.compile(r"Cannot open session to kernel|protocol versions? .*not|Kernel support protocol"), _kernel),
    (re.compile(r"Permission denied|you must be root|Operation not permitted"), _DENIED),
    (re.compile(r"in use by a kernel component"), _IN_USE),
    (re.compile(r"CHAIN_\w+ failed \(Operation not supported\)|Parsing nftables rule failed"), _NATIVE),
    (re.compile(r"is full|Cannot allocate memory|No space left"), _FULL),
    (
        re.compile(
            r"missing kernel module|do you need to insmod|No chain/target/match by that name|"
            r"RULE_\w+ failed \(No such file|Protocol not supported|Kernel error received|"
            r"Could not fetch rule set generation id|Failed to initialize nft|"
            r"can't initialize ip6?tables table"
        ),
        _kernel,
    ),
)


def explain(command: Command, output: Output) -> str:
    """A Command that failed and its Output -> what went wrong, where, and what to do."""
    return explanation(command, output, _MEANINGS)
