# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What rendered iptables rules do with a packet that opens a connection, worked out from the texts that
iptables-restore and ipset would read: a small firewall of our own, which shares no code with the backend.

It refuses what it does not understand, so that no rule can slip past it.
"""

import ipaddress
import shlex
from typing import NamedTuple

from tests.unit.plugins.plugin_utils.policy_evaluator import EVERY_PORT


class Fate(NamedTuple):
    """Port bits by what becomes of a packet to each port; ``left`` fell off the end of the chain."""

    accepted: int
    returned: int
    dropped: int
    left: int


class Ruleset:
    """The texts of one family, as a host without any rules would take them."""

    def __init__(self, tables_text, sets_text):
        self._sets = _read_sets(sets_text)
        self.chains, self.jumps = _read_tables(tables_text)

    def fate(self, chain, source, destination, protocol):
        """What happens in a chain to the first packet of a connection (a SYN), for every destination port."""
        accepted = returned = dropped = 0
        left = EVERY_PORT
        packet = {"src": ipaddress.ip_address(source), "dst": ipaddress.ip_address(destination)}
        for rule in self.chains[chain]:
            if set(rule) == {"--comment"}:
                continue  # without a target, it decides nothing
            matched = left & self._matched(rule, packet, protocol)
            left &= ~matched
            if rule["-j"] == "ACCEPT":
                accepted |= matched
            elif rule["-j"] == "RETURN":
                returned |= matched
            elif rule["-j"] == "DROP":
                dropped |= matched
            else:
                raise AssertionError(f"unknown target {rule['-j']}")
        return Fate(accepted, returned, dropped, left)

    def _matched(self, rule, packet, protocol):
        """The destination ports for which a rule matches."""
        if rule.get("-p", protocol) != protocol or rule.get("! -p") == protocol:
            return 0
        assert not _ONLY_READ & set(rule), f"{rule} asks for what no packet of this evaluator has"
        if not all(_is_eth0(rule.get(option, "eth0")) for option in ("-i", "-o")):
            return 0
        if "NEW" not in rule.get("--ctstate", "NEW").split(","):
            return 0
        if "--tcp-flags" in rule and not _syn_matches(rule["--tcp-flags"]):
            return 0
        if "! --tcp-flags" in rule and _syn_matches(rule["! --tcp-flags"]):
            return 0
        if "--match-set" in rule:
            name, side = rule["--match-set"].split()
            if not any(packet[side] in network for network in self._sets[name]):
                return 0
        # Whoever opens a connection picks its own port, so a rule that asks for one matches as soon as it may.
        return _port_bits(rule.get("--dport") or rule.get("--dports") or "1:65535")


def _is_eth0(pattern):
    return "eth0".startswith(pattern[:-1]) if pattern.endswith("+") else pattern == "eth0"


def _syn_matches(value):
    examined, expected = (set(part.split(",")) for part in value.split())
    return {"SYN"} & examined == expected


def _port_bits(text):
    bits = 0
    for part in text.split(","):
        first, _unused, last = part.partition(":")
        bits |= (1 << (int(last or first) + 1)) - (1 << int(first))
    return bits


# Option -> how many words follow it.
_OPTIONS = {
    "-p": 1,
    "-i": 1,
    "-o": 1,
    "! -i": 1,
    "-s": 1,
    "--dst-type": 1,
    "--src-type": 1,
    "! --src-type": 1,
    "--limit-iface-in": 0,
    "! --dst-type": 1,
    "-j": 1,
    "--dport": 1,
    "--dports": 1,
    "--sport": 1,
    "--sports": 1,
    "--ctstate": 1,
    "--comment": 1,
    "--match-set": 2,
    "--tcp-flags": 2,
    "! -p": 1,
    "! --tcp-flags": 2,
    "--icmp-type": 1,
    "--icmpv6-type": 1,
}

# Options of the jump to the chain for forged packets, and in that chain.
_ONLY_READ = {"! -i", "-s", "--src-type", "! --src-type", "--limit-iface-in"}


def _read_rule(words):
    rule = {}
    while words:
        option, *words = words
        if option == "!":
            option, words = f"! {words[0]}", words[1:]
        if option == "-m":
            assert words[0] in (
                "set",
                "tcp",
                "udp",
                "multiport",
                "conntrack",
                "comment",
                "icmp",
                "icmp6",
                "addrtype",
            ), words
            words = words[1:]
            continue
        count = _OPTIONS[option]
        assert option not in rule
        rule[option], words = " ".join(words[:count]), words[count:]
    return rule


def _read_tables(text):
    chains, jumps = {}, []
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert lines[-1] == "COMMIT"
    table, placed = None, []  # placed: the chains of this table that have a jump
    for line in lines:
        words = shlex.split(line)
        if table is None:
            assert line in ("*raw", "*mangle", "*filter")
            table, placed = line, []
        elif line == "COMMIT":
            table = None
        elif line.startswith(":"):
            assert words[1] == "-", "a policy would change a foreign chain"
            chains[words[0][1:]] = []
        elif words[0] == "-A":
            chains[words[1]].append(_read_rule(words[2:]))
        elif words[:1] == ["-I"] and int(words[2]) == 1 + placed.count(words[1]):
            placed.append(words[1])
            jumps.append((words[1], _read_rule(words[3:])["-j"]))
        else:
            raise AssertionError(f"unknown line {line!r}")
    return chains, jumps


def _read_sets(text):
    sets = {}
    for line in text.splitlines():
        command, name, *rest = line.split()
        if command == "create":
            sets[name] = []
        elif command == "add":
            sets[name].append(ipaddress.ip_network(rest[0]))
        elif command == "swap":
            sets[name], sets[rest[0]] = sets[rest[0]], sets[name]
        elif command == "destroy":
            del sets[name]
        else:
            raise AssertionError(f"unknown line {line!r}")
    return sets
