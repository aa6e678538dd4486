# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a reload of firewalld would lose of others: settings that are in force, but in none of its files.

firewalld takes a new policy object or ipset only by a reload, and a reload begins anew with the
files. Whoever changed zones, sets or direct rules without ``--permanent`` would lose that. Before
release 2.0, or where there are direct rules, or with ``FirewallBackend=iptables``, a reload flushes all of
iptables as well, also what was never firewalld's. Source: firewalld.conf(5), measured with 1.3 and 2.3.
"""

import re
import shlex

FLUSHES_BEFORE = (2, 0)  # since then iptables is left alone where firewalld has no rules in it

_PARTS = {
    "built_in": "(?:INPUT|OUTPUT|FORWARD|PREROUTING|POSTROUTING)",
    "bridge": r"(?:docker\w+|br-[0-9a-f]{12})",
    "port": r"-p (?:tcp|udp|sctp) -m (?:tcp|udp|sctp) --dport \d+",
    "libvirt": "LIBVIRT_(?:INP|OUT|FWI|FWO|FWX|PRT)",
}


def _shapes(*shapes):
    """Patterns of whole rules, each "TABLE -A CHAIN ..." as iptables-save prints them -> compiled."""
    return tuple(re.compile(shape % _PARTS + r"\Z") for shape in shapes)


# These programs listen for firewalld's reloads and put their part back by themselves.
_OWN_ZONES = re.compile(r"(docker|libvirt[a-z-]*)\Z")
# Exactly what they write and nothing like it: an administrator's rule may well name a bridge of Docker, or
# jump to one of its chains. Source: Docker's own rules in 20.10, 26 and 28, libvirt's, and ours.
_RESTORED = _shapes(
    r"filter -A DOCKER(-(ISOLATION-STAGE-[12]|FORWARD|BRIDGE|CT|INTERNAL|INGRESS))?( .*)?",
    r"nat -A DOCKER(-INGRESS)?( .*)?",
    r"filter -A DOCKER-USER -j RETURN",  # all else in this chain is the administrator's
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
    # The name server that Docker gives to a container, seen where firewalld runs in one.
    r"nat -A (OUTPUT|POSTROUTING) -d 127\.0\.0\.11/32 -j DOCKER_\1",
    r"nat -A DOCKER_(OUTPUT|POSTROUTING)( .*)?",
    r"\w+ -A %(libvirt)s( .*)?",
    r"\w+ -A %(built_in)s -j %(libvirt)s",
    r"\w+ -A DETERMINED-[A-Z]+( .*)?",
    r"\w+ -A (%(built_in)s) (-m addrtype --dst-type LOCAL )?-j DETERMINED-\1",
)
# What firewalld itself writes with FirewallBackend=iptables. With nftables it writes direct rules only, and those
# as they were given. So its jumps, which it makes for every built-in chain, tell which of the two is in force.
_FIREWALLD_JUMP = re.compile(r"-A (%(built_in)s) -j \1_direct\Z" % _PARTS)
_FIREWALLD = _shapes(
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
_LONG = {
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


def runtime_only(what, name, runtime, permanent, kept=()):
    """Two dicts of settings of one object, in force and on disk -> sentences, what is only in force.

    ``permanent``: None when there is no such object on disk. ``kept``: settings that a reload keeps.
    """
    if permanent is None:
        return ["%s %s is in none of firewalld's files" % (what, name)]
    found = []
    for key in sorted(set(runtime) | set(permanent)):
        now, then = runtime.get(key) or None, permanent.get(key) or None
        if key in kept or key in ("short", "description", "version") or _plain(now) == _plain(then):
            continue
        found.append("%s %s: %s" % (what, name, _difference(key.replace("_", " "), now, then)))
    return found


def zone_keeps(name, manager, flush_all):
    """A zone's name, whether NetworkManager runs, firewalld's FlushAllOnReload -> settings that a reload keeps."""
    return ("interfaces",) if manager or not flush_all or _OWN_ZONES.match(name) else ()


def flushes_iptables(version, backend, has_direct):
    """Whether a reload empties the tables of iptables. ``version``: tuple of int."""
    return version < FLUSHES_BEFORE or backend == "iptables" or has_direct


def foreign_rules(saved, direct=()):
    """The text of ``iptables-save`` -> its rules that neither firewalld, nor Docker, nor libvirt nor we write again.

    ``direct``: the arguments of iptables that firewalld has in its files, each a list of texts.
    """
    found = []
    table = ""
    lines = saved.splitlines()
    written = {_meaning(arguments) for arguments in direct}
    again = _RESTORED + (_FIREWALLD if any(_FIREWALLD_JUMP.match(line) for line in lines) else ())
    for line in lines:
        if line.startswith("*"):
            table = line[1:].strip()
        if not line.startswith("-A ") or _meaning(shlex.split(line)) in written:
            continue
        rule = "%s %s" % (table, line)
        if not any(shape.match(rule) for shape in again):
            found.append(line)
    return found


def direct_rules(configuration):
    """firewalld's direct configuration (chains, rules, passthroughs) -> what iptables was given for it."""
    found = [
        ["-A", chain] + list(arguments)
        for dummy, dummy_table, chain, dummy_priority, arguments in configuration["rules"]
    ]
    return found + [list(arguments) for dummy, arguments in configuration["passthroughs"]]


def _meaning(arguments):
    """Arguments of iptables -> the same for a rule as somebody gave it and as iptables-save prints it."""
    words = []
    skip = False
    for word in arguments:
        if skip or word in ("-m", "-t", "--match", "--table"):
            skip = not skip  # iptables-save names every match, and the table elsewhere
            continue
        word = _LONG.get(word, word)
        words.append(re.sub(r"/(32|128)\Z", "", word))
    if "-A" in words:
        words = [word for index, word in enumerate(words) if not (word.isdigit() and words[index - 2] == "-A")]
    return tuple(sorted(words))


def refusal(lost):
    """Sentences about what would be lost -> why nothing was changed, and what to do."""
    shown = list(lost[:20])
    if len(lost) > len(shown):
        shown.append("and %d more" % (len(lost) - len(shown)))
    return (
        "Refused, nothing was changed: firewalld has to be reloaded once to take up the policy object, and that "
        "would lose what others have set up and firewalld's files do not hold: %s. Keep it with: firewall-cmd "
        "--runtime-to-permanent; or, where a program made it (fail2ban, say), stop that program, run this again "
        "and start it again; or, if it may go: firewall-cmd --reload. Then run this again" % "; ".join(shown)
    )


def _plain(value):
    """A setting without order, since firewalld keeps none."""
    return sorted(repr(item) for item in value) if isinstance(value, list) else value


def _difference(key, now, then):
    if isinstance(now, list) or isinstance(then, list):
        now, then = now or [], then or []
        more = [item for item in now if item not in then]
        less = [item for item in then if item not in now]
        parts = [
            "%s %s" % (word, ", ".join(_item(item) for item in items[:5]) + (", ..." if len(items) > 5 else ""))
            for word, items in (("has", more), ("lacks", less))
            if items
        ]
        return "%s (%s)" % (key, "; ".join(parts))
    return "%s is %r, and %r in its file" % (key, now, then)


def _item(item):
    return " ".join(str(part) for part in item) if isinstance(item, tuple) else str(item)
