# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Words of each file format: how a value is quoted so that its reader gets it back. Pure.

Values are what environment() of _proxy_description gives: ASCII without control characters. The functions quote
whatever their reader gives a meaning to all the same.
"""

import json

_NOTE = "Written by Ansible (determined.network.proxy); changes here are overwritten."


def note(comment="#"):
    """The first line of a file that is all ours."""
    return "%s %s" % (comment, _NOTE)


def environment_file(pairs):
    """[(variable, value)] -> a file for EnvironmentFile= (systemd.exec(5)): between double quotes, backslash and
    the quote are escaped; ``$`` and the backtick too, which a shell that reads the file would expand."""
    lines = ['%s="%s"' % (name, _escaped(value, '\\"$`')) for name, value in pairs]
    return "\n".join([note()] + lines) + "\n"


def _escaped(value, special):
    return "".join("\\" + character if character in special else character for character in value)


def unit_drop_in(path):
    """The path of an environment file -> a unit's drop-in that reads it. In paths % is a specifier and doubled
    (systemd.unit(5))."""
    return "%s\n[Service]\nEnvironmentFile=%s\n" % (note(), path.replace("%", "%%"))


def login_environment(pairs):
    """Lines for /etc/environment (pam_env(8)): everything from a # on is a comment there, even between quotes, so
    that is percent-encoded; quotes around the value are taken off and nothing is escaped."""
    return [
        '%s="%s"' % (name, value.replace("#", "%23").replace('"', "%22").replace("'", "%27")) for name, value in pairs
    ]


def shell_quoted(value):
    """A value -> one word of a POSIX shell (2.2.2 Single-Quotes)."""
    return "'%s'" % value.replace("'", "'\\''")


def shell_script(pairs):
    """[(variable, value)] -> a script that exports them."""
    lines = ["export %s=%s" % (name, shell_quoted(value)) for name, value in pairs]
    return "\n".join([note()] + lines) + "\n"


def sysconfig(value):
    """A value -> how /etc/sysconfig/proxy holds it: a double-quoted word of a shell."""
    return '"%s"' % _escaped(value, '\\"$`')


def apt(description):
    """A Description -> apt.conf (apt.conf(5)): what is written "..." ends at the next quote, so that is encoded.

    apt asks for an exception by the exact host; domains and networks stay with the environment's no_proxy.
    """
    lines = [note("//")]
    for protocol, proxy in description.proxies.items():
        lines.append('Acquire::%s::Proxy "%s";' % (protocol, proxy.url.replace('"', "%22")))
        for entry in description.no_proxy:
            host = entry[1:-1] if entry.startswith("[") and entry.endswith("]") else entry
            exact = not host.startswith((".", "*")) and "/" not in host and (":" not in host or host.count(":") > 1)
            line = 'Acquire::%s::Proxy::%s "DIRECT";' % (protocol, host)
            if exact and line not in lines:
                lines.append(line)
    return "\n".join(lines) + "\n"


def containers_conf(pairs):
    """[(variable, value)] -> a drop-in of containers.conf(5), TOML, whose basic strings are escaped as JSON's are."""
    items = ",\n  ".join(json.dumps("%s=%s" % pair) for pair in pairs)
    return "%s\n[engine]\nenv = [\n  %s,\n]\n" % (note(), items)


def git_lines(description):
    """A Description -> the lines of gitconfig (git-config(1)): double quotes, with backslash and quote escaped."""
    proxy = description.proxies.get("https") or description.proxies.get("http")
    return ["[http]", '\tproxy = "%s"' % _escaped(proxy.url, '\\"')] if proxy else []
