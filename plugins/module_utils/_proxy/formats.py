# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The texts of files that are ours as a whole, and how each format quotes a value. Pure.

The values come from description.environment(): ASCII without control characters. The functions quote every other
character that has a meaning in the format nevertheless. ``pairs`` are (variable, value).
"""

import json
from typing import List, Sequence, Tuple

from ansible_collections.determined.network.plugins.module_utils._proxy.description import Description

_NOTE = "Written by Ansible (determined.network.proxy); changes here are overwritten."

Pairs = Sequence[Tuple[str, str]]


def note(comment: str = "#") -> str:
    """Return the first line of a file that is ours as a whole."""
    return "%s %s" % (comment, _NOTE)


def environment_file(pairs: Pairs) -> str:
    """Return a file for EnvironmentFile= (systemd.exec(5)).

    Between double quotes, backslash and quote are escaped, and also ``$`` and the backtick, which a shell that reads
    the file would expand.
    """
    lines = ['%s="%s"' % (name, _escaped(value, '\\"$`')) for name, value in pairs]
    return "\n".join([note()] + lines) + "\n"


def _escaped(value: str, special: str) -> str:
    return "".join("\\" + character if character in special else character for character in value)


def unit_drop_in(path: str) -> str:
    """Return a drop-in of a unit that reads the environment file with this path.

    In a path, % begins a specifier, so it is doubled (systemd.unit(5)).
    """
    return "%s\n[Service]\nEnvironmentFile=%s\n" % (note(), path.replace("%", "%%"))


def login_environment(pairs: Pairs) -> List[str]:
    """Return lines for /etc/environment (pam_env(8)).

    There, # begins a comment even between quotes, quotes around the value are removed, and nothing can be escaped. So
    these characters are percent-encoded.
    """
    return [
        '%s="%s"' % (name, value.replace("#", "%23").replace('"', "%22").replace("'", "%27")) for name, value in pairs
    ]


def shell_quoted(value: str) -> str:
    """Return the value as one word of a POSIX shell (2.2.2 Single-Quotes)."""
    return "'%s'" % value.replace("'", "'\\''")


def shell_script(pairs: Pairs) -> str:
    """Return a script that exports the variables."""
    lines = ["export %s=%s" % (name, shell_quoted(value)) for name, value in pairs]
    return "\n".join([note()] + lines) + "\n"


def sysconfig(value: str) -> str:
    """Return the value as /etc/sysconfig/proxy holds it: a double-quoted word of a shell."""
    return '"%s"' % _escaped(value, '\\"$`')


def apt(description: Description) -> str:
    """Return a part of apt's configuration (apt.conf(5)), in which a value ends at the next quote.

    apt looks up exceptions by the exact host, so the file names hosts only. Domains and networks are left to the
    no_proxy of the environment.
    """
    lines = [note("//")]
    for protocol, proxy in description.proxies.items():
        lines.append('Acquire::%s::Proxy "%s";' % (protocol, proxy.url.replace('"', "%22")))
        for entry in description.no_proxy:
            host = entry[1:-1] if entry.startswith("[") and entry.endswith("]") else entry
            line = 'Acquire::%s::Proxy::%s "DIRECT";' % (protocol, host)
            if _is_one_host(host) and line not in lines:
                lines.append(line)
    return "\n".join(lines) + "\n"


def _is_one_host(entry: str) -> bool:
    """Whether an entry of no_proxy is a name or an address, and neither a domain, a network nor a host with a port."""
    return not entry.startswith((".", "*")) and "/" not in entry and entry.count(":") != 1


def containers_conf(pairs: Pairs) -> str:
    """Return a drop-in of containers.conf(5), which is TOML. Its basic strings are escaped as JSON's are."""
    items = ",\n  ".join(json.dumps("%s=%s" % (name, value)) for name, value in pairs)
    return "%s\n[engine]\nenv = [\n  %s,\n]\n" % (note(), items)


def git_lines(description: Description) -> List[str]:
    """Return lines of a gitconfig (git-config(1)), in which backslash and quote are escaped; none without a proxy."""
    proxy = description.web_proxy
    return ["[http]", '\tproxy = "%s"' % _escaped(proxy.url, '\\"')] if proxy else []
