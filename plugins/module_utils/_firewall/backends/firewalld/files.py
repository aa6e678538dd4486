# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our objects as firewalld's files. Source: firewalld.policy(5), firewalld.ipset(5)."""

import re
from typing import Dict, List
from xml.sax.saxutils import quoteattr

from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld.state import (
    OUR_SETS,
    POLICIES,
    Policy,
    Set,
    State,
)
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.ownership import MARK

FOLDERS = {"policy": "/etc/firewalld/policies", "ipset": "/etc/firewalld/ipsets"}
_HEAD = '<?xml version="1.0" encoding="utf-8"?>\n'
_DESCRIPTION = "Written by %s.firewall, which undoes changes by hand." % MARK
_ELEMENT = re.compile(r'([a-z-]+)((?: [a-z-]+="[^"]*")*)')
_ATTRIBUTE = re.compile(r'([a-z-]+)="([^"]*)"')


def files(state: State) -> Dict[str, str]:
    """State -> path -> text of all files with which firewalld starts in this state."""
    texts = {path_of("policy", name): _policy(policy) for name, policy in state.policies.items()}
    texts.update({path_of("ipset", name): _set(ipset) for name, ipset in state.sets.items()})
    return texts


def path_of(kind: str, name: str) -> str:
    """ "policy" or "ipset", and an object's name -> the path of its file."""
    return "%s/%s.xml" % (FOLDERS[kind], name)


def is_marked(description: str) -> bool:
    """Whether the description of an object of firewalld, or the text of its file, says that we made it.

    Every version since 0.2, the first with this backend, writes it.
    """
    return "%s.firewall" % MARK in description


def is_named_like_ours(kind: str, filename: str) -> bool:
    """Whether a file in one of the folders has the name of the file of one of our objects, or of a copy of it.

    When firewalld writes a file (firewall-cmd --runtime-to-permanent), it keeps the old one as ``.xml.old``.
    A change that was killed while it wrote leaves ``.xml.new``.
    """
    name, dot, ending = filename.partition(".")
    if dot + ending not in (".xml", ".xml.old", ".xml.new"):
        return False
    return name in POLICIES if kind == "policy" else bool(OUR_SETS.match(name))


def is_ours(filename: str, text: str) -> bool:
    """The name and the text of a file that is named like one of ours -> whether we wrote it.

    A change that was killed may leave an incomplete ``.xml.new``, which nobody can use.
    """
    is_incomplete = not text.rstrip().endswith(("</policy>", "</ipset>"))
    return is_marked(text) or (filename.endswith(".new") and is_incomplete)


def _policy(policy: Policy) -> str:
    lines = ["<policy target=%s priority=%s>" % (quoteattr(policy.target), quoteattr("%d" % policy.priority))]
    lines.append("  <short>determined.network</short>")
    lines.append("  <description>%s</description>" % _DESCRIPTION)
    lines += ["  <ingress-zone name=%s/>" % quoteattr(zone) for zone in policy.ingress]
    lines += ["  <egress-zone name=%s/>" % quoteattr(zone) for zone in policy.egress]
    for rule in policy.rules:
        lines += _rich_rule(rule)
    return _HEAD + "\n".join(lines + ["</policy>", ""])


def _rich_rule(rule: str) -> List[str]:
    """A rich rule in the form that :mod:`state` writes -> lines of XML, one for each word with its attributes."""
    lines = []
    for name, attributes in _ELEMENT.findall(rule):
        xml = "".join(" %s=%s" % (key, quoteattr(value)) for key, value in _ATTRIBUTE.findall(attributes))
        lines.append("  <rule%s>" % xml if name == "rule" else "    <%s%s/>" % (name, xml))
    return lines + ["  </rule>"]


def _set(ipset: Set) -> str:
    lines = ["<ipset type=%s>" % quoteattr(ipset.kind)]
    lines.append("  <description>%s</description>" % _DESCRIPTION)
    lines += ["  <option name=%s value=%s/>" % (quoteattr(name), quoteattr(value)) for name, value in ipset.options]
    lines += ["  <entry>%s</entry>" % member for member in ipset.members]
    return _HEAD + "\n".join(lines + ["</ipset>", ""])
