# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the errors of firewalld, of the system bus and of nft mean, in sentences with a remedy."""

import re

from ansible_collections.determined.network.plugins.module_utils._host.commands import Command, Output, explanation

_PACKAGES = {
    "firewall-cmd": "package firewalld",
    "busctl": "package systemd",
    "nft": "package nftables",
}


def missing_tool(name: str) -> str:
    """The name of a missing program -> a sentence that says what to install."""
    return "%s is not installed (%s)" % (name, _PACKAGES[name])


# The first pattern that matches stderr decides, see explanation().
_MEANINGS = (
    (
        re.compile(r"ACCESS_DENIED|lockdown"),
        "firewalld is in lockdown mode, and root is not on its list of those who may change it. Add root: firewall-cmd "
        "--add-lockdown-whitelist-uid=0; firewall-cmd --permanent --add-lockdown-whitelist-uid=0",
    ),
    (
        re.compile(r"ServiceUnknown|NameHasNoOwner|The name .* was not provided|Unit .* not found"),
        "firewalld has just ended. See: systemctl status firewalld; journalctl -u firewalld",
    ),
    (
        re.compile(r"[Tt]imed out|NoReply"),
        "firewalld did not answer in time. See: journalctl -u firewalld",
    ),
    (
        re.compile(r"Failed to connect to bus|Failed to open bus|Host is down"),
        "the system bus cannot be reached. See: systemctl status dbus",
    ),
    (
        re.compile(r"INVALID_[A-Z_]+|MISSING_\w+|PARSE_ERROR|NOT_OVERLOADABLE"),
        "firewalld refuses a file below /etc/firewalld. Find it with: firewall-cmd --check-config. Correct it, then "
        "run this again",
    ),
    (
        re.compile(r"COMMAND_FAILED|NOT_RUNNING|python-nftables"),
        "firewalld could not write its rules into the kernel. See: journalctl -u firewalld",
    ),
    (
        re.compile(r"Read-only file system"),
        "/etc is read-only. firewalld loads a new policy object only from a file below /etc/firewalld. Make it "
        "writable for this run, or use backend iptables",
    ),
    (re.compile(r"No space left|Disk quota exceeded"), "the disk that holds /etc/firewalld is full (see: df /etc)"),
    (
        re.compile(r"Permission denied|Operation not permitted|Access denied|InteractiveAuthorizationRequired"),
        "permission was denied. Only root with the capability CAP_NET_ADMIN can change the firewall. Run the task "
        "with become, and a container with --cap-add NET_ADMIN",
    ),
    (
        re.compile(r"Protocol not supported|Operation not supported|[Uu]nable to initialize Netlink"),
        "this kernel lacks nf_tables (kernel module nf_tables), or a part of it (nft_fib_inet, nft_ct). Install the "
        "kernel's modules, or reboot if the running kernel (uname -r) is older than the installed one",
    ),
)


def explain(command: Command, output: Output) -> str:
    """A Command that failed and its Output -> what is wrong, where, and what to do."""
    return explanation(command, output, _MEANINGS)
