# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the failures of firewalld, its bus and nft mean, in sentences with a remedy."""

import re

from ansible_collections.determined.network.plugins.module_utils._host.commands import explanation

_PACKAGES = {
    "firewall-cmd": "package firewalld",
    "busctl": "package systemd",
    "nft": "package nftables",
}


def missing_tool(name):
    """A program that is not there -> what to install."""
    return "%s is not installed (%s)" % (name, _PACKAGES[name])


# See explanation: the first that matches decides.
_MEANINGS = (
    (
        re.compile(r"ACCESS_DENIED|lockdown"),
        "firewalld is locked down and lets nobody change it who is not on its list. Allow root: firewall-cmd "
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
        "firewalld refuses a file below /etc/firewalld. Find it with: firewall-cmd --check-config; correct it, then "
        "run this again",
    ),
    (
        re.compile(r"COMMAND_FAILED|NOT_RUNNING|python-nftables"),
        "firewalld could not write its rules into the kernel. See: journalctl -u firewalld",
    ),
    (
        re.compile(r"Read-only file system"),
        "/etc is read-only. firewalld takes a new policy object only from a file below /etc/firewalld: make it "
        "writable for this run, or use backend iptables",
    ),
    (re.compile(r"No space left|Disk quota exceeded"), "the disk that holds /etc/firewalld is full (see: df /etc)"),
    (
        re.compile(r"Permission denied|Operation not permitted|Access denied|InteractiveAuthorizationRequired"),
        "permission was denied. Changing the firewall needs root with the capability CAP_NET_ADMIN: run the task "
        "with become, and a container with --cap-add NET_ADMIN",
    ),
    (
        re.compile(r"Protocol not supported|Operation not supported|[Uu]nable to initialize Netlink"),
        "this kernel lacks nf_tables (kernel module nf_tables), or a part of it (nft_fib_inet, nft_ct): install the "
        "kernel's modules, or reboot when the running kernel (uname -r) is older than the installed one",
    ),
)


def explain(command, output):
    """A Command that failed and its Output -> what went wrong, where, and what to do."""
    return explanation(command, output, _MEANINGS)
