# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our objects as firewalld's files. Source: firewalld.policy(5), firewalld.ipset(5)."""

import re
from xml.sax.saxutils import quoteattr

from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld import (
    state as firewalld_state,
)

FOLDERS = {"policy": "/etc/firewalld/policies", "ipset": "/etc/firewalld/ipsets"}
_HEAD = '<?xml version="1.0" encoding="utf-8"?>\n'
_DESCRIPTION = "Written by determined.network.firewall, which undoes changes by hand."
_ATTRIBUTE = re.compile(r'([a-z-]+)="([^"]*)"')


def files(state):
    """State -> path -> text of every file that makes firewalld begin with it."""
    found = {path_of("policy", name): _policy(value) for name, value in state.policies.items()}
    found.update({path_of("ipset", name): _set(value) for name, value in state.sets.items()})
    return found


def path_of(kind, name):
    """ "policy" or "ipset", and a name -> its file."""
    return "%s/%s.xml" % (FOLDERS[kind], name)


def is_ours(kind, filename):
    """Whether a file's name in one of the folders is that of an object of ours, or of a copy of one.

    Where firewalld itself writes (firewall-cmd --runtime-to-permanent), it keeps what was there as ``.xml.old``.
    A change that was killed while it wrote leaves ``.xml.new``.
    """
    name, dot, ending = filename.partition(".")
    if dot + ending not in (".xml", ".xml.old", ".xml.new"):
        return False
    return name in firewalld_state.POLICIES if kind == "policy" else bool(firewalld_state.OUR_SETS.match(name))


def _policy(value):
    lines = ["<policy target=%s priority=%s>" % (quoteattr(value.target), quoteattr("%d" % value.priority))]
    lines.append("  <short>determined.network</short>")
    lines.append("  <description>%s</description>" % _DESCRIPTION)
    lines += ["  <ingress-zone name=%s/>" % quoteattr(zone) for zone in value.ingress]
    lines += ["  <egress-zone name=%s/>" % quoteattr(zone) for zone in value.egress]
    for rule in value.rules:
        lines += _rich_rule(rule)
    return _HEAD + "\n".join(lines + ["</policy>", ""])


def _rich_rule(text):
    """A rich rule as :mod:`state` writes it -> lines of XML: each word with its attributes."""
    lines = []
    for part in re.findall(r'([a-z-]+)((?: [a-z-]+="[^"]*")*)', text):
        attributes = "".join(" %s=%s" % (name, quoteattr(value)) for name, value in _ATTRIBUTE.findall(part[1]))
        lines.append("  <rule%s>" % attributes if part[0] == "rule" else "    <%s%s/>" % (part[0], attributes))
    return lines + ["  </rule>"]


def _set(value):
    lines = ["<ipset type=%s>" % quoteattr(value.kind)]
    lines.append("  <description>%s</description>" % _DESCRIPTION)
    lines += ["  <option name=%s value=%s/>" % (quoteattr(name), quoteattr(text)) for name, text in value.options]
    lines += ["  <entry>%s</entry>" % member for member in value.members]
    return _HEAD + "\n".join(lines + ["</ipset>", ""])
