# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which backend writes the policy, and who else on the host would undo it. Pure.

The questions are those of a backend (see ``_backends/_base``): a generator yields them and is
sent the answers. What is asked for is taken; ``auto`` is firewalld where it runs, since it drops what iptables
accepts and may flush it, else iptables.
"""

import re
from typing import NamedTuple

from ansible_collections.determined.network.plugins.module_utils._host.commands import (
    Command,
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


class Choice(NamedTuple):
    """``name``: of the backend. ``reason``: why. ``warnings``: sentences, who else would undo it and the remedy."""

    name: str
    reason: str
    warnings: tuple


def choose(asked):
    """Generator: one of CHOICES -> Choice."""
    installed = bool((yield FindTool("firewall-cmd")))
    units = yield from _read_units()
    running, state = yield from _firewalld(installed, units)
    if asked == AUTO:
        name, reason = (FIREWALLD, state) if running else (IPTABLES, state)
    else:
        name, reason = asked, "%s was asked for" % asked
    warnings = []
    if name == IPTABLES:
        warnings += _firewalld_beside(running, units)
    if units:
        warnings += yield from _rivals(units)
    return Choice(name, reason, tuple(warnings))


def _firewalld(installed, units):
    """Generator -> (whether firewalld runs, its state in words)."""
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
    output = yield command
    running = output.code == 0 and output.stdout.strip() == "running"
    return running, "firewalld runs" if running else "firewalld is installed, but does not run"


def _read_units():
    """Generator -> unit's name -> its properties; {} where systemd does not run the host."""
    if (yield ListDirectory(_SYSTEMD)) is None:
        return {}
    systemctl = yield FindTool("systemctl")
    if systemctl is None:
        return {}
    argv = (systemctl, "show", "--no-pager", "--property=%s" % ",".join(_PROPERTIES))
    argv += tuple("%s.service" % name for name in _UNITS)
    output = yield Command(argv, purpose="ask systemd for the firewalls of this host")
    if output.code != 0:
        raise HostError(
            "Could not ask systemd for the firewalls of this host. systemctl (exit code %d) said: %s"
            % (output.code, output.stderr.strip() or "nothing")
        )
    return _parse_show(output.stdout)


def _parse_show(text):
    units = {}
    for block in text.split("\n\n"):
        found = dict.fromkeys(_PROPERTIES, "")
        for line in block.splitlines():
            key, dummy, value = line.partition("=")
            if key in found:
                found[key] += value
        if found["Id"]:
            units[found["Id"].rpartition(".")[0]] = found
    return units


def _firewalld_beside(running, units):
    """iptables is used on a host that has firewalld as well -> warnings."""
    if running:
        return [
            "firewalld runs: it drops what its zones do not let in, whatever iptables accepts, and before release "
            "2.0 each of its reloads removes our rules. Use backend firewalld, or stop it: systemctl disable --now "
            "firewalld; systemctl mask firewalld"
        ]
    unit = units.get("firewalld", {})
    if unit.get("UnitFileState") == "enabled" and unit.get("LoadState") != "masked":
        return [
            "firewalld does not run now, but starts at the next boot and then drops what its zones do not let in. "
            "Either: systemctl start firewalld, and play this again; or: systemctl mask firewalld"
        ]
    return []


def _rivals(units):
    """Generator -> warnings about those who load rules of their own."""
    warnings = []
    ufw = units.get("ufw", {})
    if ufw.get("LoadState") == "loaded":
        text = yield ReadFile(_UFW)
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
        text = yield ReadFile(path)
        if text and _FLUSH.search(text):
            warnings.append(
                "nftables.service is enabled and %s begins with flush ruleset: each start and reload of it removes "
                "all rules, ours and those of others (Docker, firewalld). Replace that line by a flush of your own "
                "tables only (table inet filter; flush table inet filter), or: systemctl disable nftables" % path
            )
    return warnings
