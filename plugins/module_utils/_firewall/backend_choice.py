# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Chooses the backend that holds the rules, and warns of other programs that would undo them. Pure.

A generator yields the same questions as a backend (see ``backends.base``) and is sent the answers. A named
backend is used as it is. ``auto`` means firewalld if firewalld runs, since it drops what iptables accepts
and may flush the rules of iptables; otherwise it means iptables.
"""

import re
from typing import Dict, List, NamedTuple, Tuple

from ansible_collections.determined.network.plugins.module_utils._host.commands import (
    Command,
    Conversation,
    FindTool,
    HostError,
    ListDirectory,
    ReadFile,
)

AUTO, IPTABLES, FIREWALLD = "auto", "iptables", "firewalld"
CHOICES = (AUTO, IPTABLES, FIREWALLD)

_UNITS = ("firewalld", "ufw", "netfilter-persistent", "nftables")
_PROPERTIES = ("Id", "LoadState", "ActiveState", "UnitFileState", "ExecStart")
# sd_booted(3): the folder is there exactly where systemd runs the host.
_SYSTEMD = "/run/systemd/system"
_UFW = "/etc/ufw/ufw.conf"
_ENABLED = re.compile(r"^\s*ENABLED\s*=\s*[\"']?yes", re.IGNORECASE | re.MULTILINE)
_FLUSH = re.compile(r"^\s*flush\s+ruleset\b", re.MULTILINE)
_NFT_FILE = re.compile(r"argv\[\]=[^;]*?-f (\S+)")


_Units = Dict[str, Dict[str, str]]  # the name of a unit, then of a property (systemctl(1), show), to its value


class Choice(NamedTuple):
    """The chosen backend, and why. ``warnings``: programs that would undo the rules, with the remedy."""

    name: str
    reason: str
    warnings: Tuple[str, ...]


def choose(requested: str) -> Conversation[Choice]:
    """Choose a backend. ``requested``: one of CHOICES. HostError if systemd does not answer."""
    installed = bool((yield from FindTool("firewall-cmd").ask()))
    units = yield from _read_units()
    running, state = yield from _firewalld(installed, units)
    if requested == AUTO:
        name, reason = (FIREWALLD, state) if running else (IPTABLES, state)
    else:
        name, reason = requested, "%s was asked for" % requested
    warnings: List[str] = []
    if name == IPTABLES:
        warnings += _firewalld_beside(running, units)
    if units:
        warnings += yield from _rivals(units)
    return Choice(name, reason, tuple(warnings))


def _firewalld(installed: bool, units: _Units) -> Conversation[Tuple[bool, str]]:
    """Whether firewalld runs, and its state for people."""
    unit = units.get("firewalld", {})
    if not installed:
        return False, "firewalld is not installed"
    if unit:
        if unit["ActiveState"] in ("active", "activating", "reloading"):
            return True, "firewalld runs"
        if unit["LoadState"] == "masked":
            return False, "firewalld is installed, but masked"
        at_boot = "starts at boot" if unit["UnitFileState"] == "enabled" else "not enabled"
        return False, "firewalld is installed, but does not run (%s, %s)" % (unit["ActiveState"], at_boot)
    command = Command(("firewall-cmd", "--state"), purpose="ask whether firewalld runs")
    output = yield from command.ask()
    running = output.code == 0 and output.stdout.strip() == "running"
    return running, "firewalld runs" if running else "firewalld is installed, but does not run"


def _read_units() -> Conversation[_Units]:
    """The properties of each unit by its name; {} if systemd is not process 1 of the host."""
    if (yield from ListDirectory(_SYSTEMD).ask()) is None:
        return {}
    systemctl = yield from FindTool("systemctl").ask()
    if systemctl is None:
        return {}
    argv = (systemctl, "show", "--no-pager", "--property=%s" % ",".join(_PROPERTIES))
    services = tuple("%s.service" % name for name in _UNITS)
    output = yield from Command(argv + services, purpose="ask systemd for the firewalls of this host").ask()
    if output.code != 0:
        raise HostError(
            "Could not ask systemd for the firewalls of this host. systemctl (exit code %d) said: %s"
            % (output.code, output.stderr.strip() or "nothing")
        )
    return _parse_show(output.stdout)


def _parse_show(text: str) -> _Units:
    units: _Units = {}
    for block in text.split("\n\n"):
        found = dict.fromkeys(_PROPERTIES, "")
        for line in block.splitlines():
            key, dummy, value = line.partition("=")
            if key in found:
                found[key] += value
        if found["Id"]:
            units[found["Id"].rpartition(".")[0]] = found
    return units


def _firewalld_beside(running: bool, units: _Units) -> List[str]:
    """Warnings for a host that has firewalld although backend iptables is used."""
    if running:
        return [
            "firewalld runs: it drops what its zones do not permit, even if iptables accepts it, and before release "
            "2.0 each of its reloads removes our rules. Use backend firewalld, or stop it: systemctl disable --now "
            "firewalld; systemctl mask firewalld"
        ]
    unit = units.get("firewalld", {})
    if unit.get("UnitFileState") == "enabled" and unit.get("LoadState") != "masked":
        return [
            "firewalld does not run now, but starts at the next boot and then drops what its zones do not permit. "
            "Either: systemctl start firewalld, and play this again; or: systemctl mask firewalld"
        ]
    return []


def _rivals(units: _Units) -> Conversation[List[str]]:
    """Warnings about other programs that load rules."""
    warnings: List[str] = []
    ufw = units.get("ufw", {})
    if ufw.get("LoadState") == "loaded":
        text = yield from ReadFile(_UFW).ask()
        if text and _ENABLED.search(text):
            warnings.append(
                "ufw is active: ufw enable, ufw reload and ufw reset write all of its chains anew, and its own rules "
                "may drop what is required on its way out or between containers. Either: ufw disable; or allow the "
                "same in ufw"
            )
    persistent = units.get("netfilter-persistent", {})
    if persistent.get("LoadState") == "loaded" and persistent.get("UnitFileState") == "enabled":
        warnings.append(
            "netfilter-persistent is enabled: it loads the rules of /etc/iptables at boot and flushes what is there, "
            "and netfilter-persistent save would store ours as if they were yours. Ours are loaded by a unit of "
            "their own; either: systemctl disable netfilter-persistent; or never save while ours are there"
        )
    nftables = units.get("nftables", {})
    if nftables.get("LoadState") == "loaded" and nftables.get("UnitFileState") == "enabled":
        found = _NFT_FILE.search(nftables["ExecStart"])
        path = found.group(1) if found else "/etc/nftables.conf"
        text = yield from ReadFile(path).ask()
        if text and _FLUSH.search(text):
            warnings.append(
                "nftables.service is enabled and %s begins with flush ruleset: each start and reload of it removes "
                "all rules, ours and those of others (Docker, firewalld). Replace that line by a flush of your own "
                "tables only (table inet filter; flush table inet filter), or: systemctl disable nftables" % path
            )
    return warnings
