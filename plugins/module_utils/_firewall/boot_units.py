# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The texts of the stored file and of the two units that load it. Pure.

Source: systemd.unit(5), systemd.exec(5) (StandardInputText=), systemd.special(7)
(network-pre.target, sysinit.target). The script of a unit is in the unit itself: what the unit does
when the stored file is missing must not be in that file.
"""

import hashlib

from ansible_collections.determined.network.plugins.module_utils._firewall.backends.base import Boot

FILE = "/etc/determined-network/firewall"
WANTED_BY = "sysinit.target"
# The first unit loads the file. The second unit loads it again after all other programs that load rules before the
# network is up: they may load outdated rules of ours, and then every jump is already there.
UNITS = ("determined-network-firewall.service", "determined-network-firewall-check.service")
MARK = "# sha256 "
REMEDY = "Play the playbook determined.network.site again from the controller: it stores the firewall anew"

# Services of which some releases first flush the ruleset. Only the second unit may wait for them: some of
# them start after sysinit.target, and the first unit must end before that target.
_OTHERS = ("ufw", "nftables", "netfilter-persistent", "iptables", "ip6tables", "ipset")

_SAY = r"""say() { printf '<%s>determined.network: %s\n' "$1" "$2" >&2; }"""

_FILE = """\
# The firewall of this host, as determined.network.firewall has stored it for the next boot.
# A change by hand is refused at boot (see the sum at the end) and undone by the next run of the module.
{say}
load() {{
{load}
}}
load </dev/null
exit $?
"""

_UNIT = """\
# Written by determined.network.firewall, which undoes changes by hand.
[Unit]
Description={description}
Documentation=https://github.com/determined-network/determined.network/blob/main/docs/firewall.md
DefaultDependencies=no
Wants=network-pre.target
{order}
Conflicts=shutdown.target
# Loading changes nothing if the rules are already there, so this unit may be started as often as anybody likes.
StartLimitIntervalSec=0

[Service]
Type=oneshot
# Stopping this unit removes no rule, so a host that shuts down stays protected.
RemainAfterExit=yes
TimeoutStartSec=120
# bash writes here-documents to temporary files; this early only /run is sure to be there, writable and not full.
Environment=TMPDIR=/run
ExecStart=/bin/sh -s
StandardOutput=journal
StandardError=journal
SyslogLevelPrefix=yes
StandardInput=data
{script}

[Install]
WantedBy={wanted_by}
"""

# {code} is 0 in the second unit: exit 0 if the fallback rules are already loaded, since the first unit has failed.
_SCRIPT = """\
{say}
holds() {{
{holds}
}}
fallback_rules() {{
{fallback}
}}
intact() {{
[ -f {file} ] || {{ say 2 '{file} is missing.'; return 1; }}
sum=$(sed '$d' {file} | sha256sum)
[ "$(sed -n '$p' {file})" = "{mark}${{sum%% *}}" ] && return
say 2 '{file} is damaged: its content does not fit the sum in its last line.'
return 1
}}
main() {{
intact && /bin/sh {file} && holds && exit 0
if holds; then
say 2 'The stored firewall cannot be loaded. The rules that are in the kernel stay as they are. {remedy}.'
exit {code}
fi
{otherwise}
exit 1
}}
main </dev/null
"""

_FAILS_CLOSED = """\
if fallback_rules; then
say 2 'The stored firewall cannot be loaded, so the fallback rules are loaded. They drop all new inbound traffic \
except management (as stored in this unit), ICMP and DHCP. {remedy}.'
else
say 0 'Neither the stored firewall nor the fallback rules can be loaded: THIS HOST IS OPEN. {remedy}.'
fi"""

_FAILS_OPEN = """\
say 2 'The stored firewall cannot be loaded. Its mode is permit, so it would drop nothing. What it permits may now \
be dropped by the other rules of this host. {remedy}.'"""


def file_text(boot: Boot) -> str:
    """The text of the stored file: a script whose last line holds the SHA-256 sum of all lines before it."""
    body = _FILE.format(say=_SAY, load=boot.load.rstrip("\n"))
    return "%s%s%s\n" % (body, MARK, hashlib.sha256(body.encode("utf-8")).hexdigest())


def unit_text(name: str, boot: Boot) -> str:
    """The text of the unit ``name``, one of UNITS."""
    first = name == UNITS[0]
    otherwise = (_FAILS_CLOSED if boot.fallback else _FAILS_OPEN).format(remedy=REMEDY)
    script = _SCRIPT.format(
        say=_SAY,
        holds=boot.holds.rstrip("\n"),
        fallback=boot.fallback.rstrip("\n") or "false",
        file=FILE,
        mark=MARK,
        remedy=REMEDY,
        code=1 if first else 0,
        otherwise=otherwise,
    )
    order = "Before=network-pre.target sysinit.target shutdown.target\nRequiresMountsFor=%s" % FILE
    description = "Load the stored firewall of determined.network"
    if not first:
        others = ["%s.service" % other for other in _OTHERS + boot.flushed_by]
        order = "Before=network-pre.target shutdown.target\nAfter=%s" % " ".join([UNITS[0]] + others)
        description = "Check that the firewall of determined.network is in place"
    return _UNIT.format(description=description, order=order, script=_as_input(script), wanted_by=WANTED_BY)


def _as_input(script: str) -> str:
    """The lines of a unit that pass a script as standard input (systemd.exec(5), StandardInputText=).

    An empty value would reset the input, and systemd strips spaces at both ends of a line.
    """
    lines = [line for line in script.splitlines() if line.strip()]
    return "\n".join("StandardInputText=%s" % line.replace("\\", "\\\\").replace("%", "%%") for line in lines)
