# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of iptables that nobody restores after a reload of firewalld has flushed them.

firewalld, Docker, libvirt and this collection restore their own rules. Every other rule would be lost.
"""

import re
import shlex
from typing import Any, Dict, List, Pattern, Sequence, Set, Tuple

from ansible_collections.determined.network.plugins.module_utils._firewall.backends import chain_ownership
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.iptables_chains import BASES

_PARTS = {
    "built_in": "(?:INPUT|OUTPUT|FORWARD|PREROUTING|POSTROUTING)",
    "bridge": r"(?:docker\w+|br-[0-9a-f]{12})",
    "port": r"-p (?:tcp|udp|sctp) -m (?:tcp|udp|sctp) --dport \d+",
    "libvirt": "LIBVIRT_(?:INP|OUT|FWI|FWO|FWX|PRT)",
}


def _compiled(*shapes: str) -> Tuple[Pattern[str], ...]:
    """Patterns of whole rules, each "TABLE -A CHAIN ..." in the form of iptables-save -> compiled patterns."""
    return tuple(re.compile(shape % _PARTS + r"\Z") for shape in shapes)


# These patterns match exactly what these programs write. A rule of an administrator may also name a bridge of Docker,
# or jump to one of its chains. Source: the rules of Docker 20.10, 26 and 28, those of libvirt, and ours.
_RESTORED = _compiled(
    r"filter -A DOCKER(-(ISOLATION-STAGE-[12]|FORWARD|BRIDGE|CT|INTERNAL|INGRESS))?( .*)?",
    r"nat -A DOCKER(-INGRESS)?( .*)?",
    r"filter -A DOCKER-USER -j RETURN",  # every other rule of this chain is the administrator's
    r"filter -A FORWARD -j DOCKER-(USER|FORWARD|INGRESS|ISOLATION-STAGE-1)",
    r"filter -A FORWARD -o %(bridge)s (-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT|-j DOCKER)",
    r"filter -A FORWARD -i (%(bridge)s) (! -o \1 -j ACCEPT|-o \1 -j (ACCEPT|DROP))",
    r"nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER(-INGRESS)?",
    r"nat -A OUTPUT (! -d (127\.0\.0\.0/8|::1/128) )?-m addrtype --dst-type LOCAL -j DOCKER(-INGRESS)?",
    r"nat -A POSTROUTING -s \S+/\d+ ! -o %(bridge)s -j (MASQUERADE|SNAT --to-source \S+)",
    r"nat -A POSTROUTING -o %(bridge)s -m addrtype --src-type LOCAL -j (MASQUERADE|SNAT --to-source \S+)",
    r"nat -A POSTROUTING -s (\S+/(?:32|128)) -d \1 %(port)s -j MASQUERADE",
    r"raw -A PREROUTING -d \S+/(32|128) ! -i %(bridge)s (%(port)s )?-j DROP",
    r"raw -A PREROUTING -d 127\.[\d.]+/32 (! -i lo %(port)s -j DROP|-i loopback0 %(port)s -j ACCEPT)",
    # The name server that Docker gives to a container. These rules exist where firewalld runs in a container.
    r"nat -A (OUTPUT|POSTROUTING) -d 127\.0\.0\.11/32 -j DOCKER_\1",
    r"nat -A DOCKER_(OUTPUT|POSTROUTING)( .*)?",
    r"\w+ -A %(libvirt)s( .*)?",
    r"\w+ -A %(built_in)s -j %(libvirt)s",
)
# Our chains and the jumps to them. A chain with such a name may also be somebody else's, see chain_ownership.
_NAMED_LIKE_OURS = re.compile(r"-A (DETERMINED-[A-Z]+)(?: (.*))?\Z")
# (table, line of iptables-save) -> our chain to which this jump leads.
_OUR_JUMPS = {(base.table, "-A %s %s" % (base.chain, base.jump)): base.ours for base in BASES}
# What firewalld itself writes with FirewallBackend=iptables. Then it also makes a jump in every built-in chain. With
# FirewallBackend=nftables it writes direct rules only, in the form in which they were given, and no jumps.
_FIREWALLD_JUMP = re.compile(r"-A (%(built_in)s) -j \1_direct\Z" % _PARTS)
_FIREWALLD = _compiled(
    r"\w+ -A %(built_in)s_(direct|(IN_|OUT_)?ZONES\w*|POLICIES\w*)( .*)?",
    r"\w+ -A (IN|OUT|FWD|FWDI|FWDO|FWI|FWO|PRE|POST)_\S+( .*)?",
    r"filter -A RFC3964_IPv4( .*)?",
    r"\w+ -A (%(built_in)s) -j \1_(direct|(IN_|OUT_)?ZONES\w*|POLICIES\w*)",
    r"filter -A (FORWARD|OUTPUT) -j RFC3964_IPv4",
    r"filter -A (INPUT|FORWARD|OUTPUT) -m conntrack --ctstate (RELATED,ESTABLISHED(,DNAT)? -j ACCEPT|INVALID -j DROP)",
    r"filter -A ((INPUT|FORWARD) -i|OUTPUT -o) lo -j ACCEPT",
    r"filter -A (INPUT|FORWARD) -j REJECT --reject-with (icmp-host|icmp6-adm)-prohibited",
    r"filter -A (INPUT|FORWARD) (-m conntrack --ctstate INVALID )?(-m pkttype --pkt-type \w+ )?"
    r'-j LOG --log-prefix "(FINAL_REJECT|STATE_INVALID_DROP): "',
    r"(raw|mangle) -A PREROUTING -p ipv6-icmp -m icmp6 --icmpv6-type 13[45] -j ACCEPT",
    r"(raw|mangle) -A PREROUTING -m rpfilter .*--validmark --invert -j (DROP|LOG .*)",
)
# Long or different forms of the options -> the form that iptables-save prints.
_PRINTED_OPTIONS = {
    "-I": "-A",
    "--insert": "-A",
    "--append": "-A",
    "--jump": "-j",
    "--source": "-s",
    "--destination": "-d",
    "--protocol": "-p",
    "--in-interface": "-i",
    "--out-interface": "-o",
}


def foreign(saved: str, direct_rules: Sequence[Sequence[str]] = ()) -> List[str]:
    """The output of ``iptables-save`` -> the rules that nobody restores after a reload.

    ``direct_rules``: the direct rules in firewalld's files, each as arguments of iptables.
    """
    lines = saved.splitlines()
    restored_direct = {_normalized(arguments) for arguments in direct_rules}
    firewalld_writes = any(_FIREWALLD_JUMP.match(line) for line in lines)
    restored = _RESTORED + (_FIREWALLD if firewalld_writes else ())
    found = []
    ours = _our_chains(lines)
    table = ""
    for line in lines:
        if line.startswith("*"):
            table = line[1:].strip()
        if (table, _chain_of_ours(table, line)) in ours:
            continue
        if not line.startswith("-A ") or _normalized(shlex.split(line)) in restored_direct:
            continue
        if not any(shape.match("%s %s" % (table, line)) for shape in restored):
            found.append(line)
    return found


def _chain_of_ours(table: str, line: str) -> str:
    """The chain with a name of ours to which a line of ``iptables-save`` belongs, or to which it jumps as ours do."""
    own = _NAMED_LIKE_OURS.match(line)
    return own.group(1) if own else _OUR_JUMPS.get((table, line), "")


def _our_chains(lines: Sequence[str]) -> Set[Tuple[str, str]]:
    """The output of ``iptables-save`` -> (table, chain) of each chain that we made."""
    rules: Dict[Tuple[str, str], List[str]] = {}
    table = ""
    for line in lines:
        if line.startswith("*"):
            table = line[1:].strip()
        elif line.startswith(":DETERMINED-"):
            rules.setdefault((table, line[1:].split()[0]), [])
        found = _NAMED_LIKE_OURS.match(line)
        if found:
            rules.setdefault((table, found.group(1)), []).append(found.group(2) or "")
    return {key for key, found_rules in rules.items() if chain_ownership.is_ours(found_rules, False)}


def direct(configuration: Dict[str, Any]) -> List[List[str]]:
    """firewalld's direct configuration (chains, rules, passthroughs) -> the arguments of iptables for each rule."""
    rules = [["-A", chain] + list(arguments) for _family, _table, chain, _priority, arguments in configuration["rules"]]
    return rules + [list(arguments) for _family, arguments in configuration["passthroughs"]]


def _normalized(arguments: Sequence[str]) -> Tuple[str, ...]:
    """Arguments of iptables -> the same tuple for a rule in the form of its author and in that of iptables-save."""
    words: List[str] = []
    skip = False
    for word in arguments:
        if skip or word in ("-m", "-t", "--match", "--table"):
            skip = not skip  # iptables-save names every match, and prints the table in a line of its own
            continue
        word = _PRINTED_OPTIONS.get(word, word)
        words.append(re.sub(r"/(32|128)\Z", "", word))
    if "-A" in words:  # "-I CHAIN NUMBER" may have a number
        words = [word for index, word in enumerate(words) if not (word.isdigit() and words[index - 2] == "-A")]
    return tuple(sorted(words))
