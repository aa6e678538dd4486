# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proxy settings that are in force on a host, and which clients would take cluster traffic to a proxy. Pure.

What is read here are the files as they are, whoever wrote them: a check must not trust the writer.
"""

import json
import re
import shlex
from typing import NamedTuple

from ansible_collections.determined.network.plugins.module_utils import _no_proxy

MOST_HOSTS = 5  # named in a finding


class Place(NamedTuple):
    """Somewhere that proxy settings come from: ``variables`` as an environment, and whom they reach.

    ``destinations``: the groups of hosts that these clients talk to.
    """

    name: str
    variables: dict
    clients: tuple
    destinations: tuple


class Destination(NamedTuple):
    """A host of the cluster by the name or address that clients use; the port, or None for any."""

    group: str
    host: str
    port: object


def findings(places, destinations):
    """Places and Destinations -> what would pass a proxy.

    Dicts ``{"place", "clients", "group", "hosts", "count", "variable"}``: ``hosts`` are the first few that the
    variable lacks.
    """
    found = {}
    for place in places:
        for client in place.clients:
            proxied, variable, no_proxy = client_settings(client, place.variables)
            if not proxied:
                continue
            for group in place.destinations:
                missing = tuple(
                    one.host
                    for one in destinations
                    if one.group == group and not _no_proxy.bypasses(client, no_proxy, one.host, one.port)
                )
                if missing:
                    found.setdefault((place.name, group, variable, missing), []).append(client)
    return [
        {
            "place": name,
            "clients": clients,
            "group": group,
            "hosts": list(missing[:MOST_HOSTS]),
            "count": len(missing),
            "variable": variable,
        }
        for (name, group, variable, missing), clients in found.items()
    ]


def client_settings(client, variables):
    """A client and its environment -> (whether it has a proxy for http or https, its no_proxy variable and its text).

    Go takes uppercase first, the others lowercase, and curl does not know HTTP_PROXY; urllib and requests take
    any mixture of cases. ALL_PROXY counts for requests and curl.
    """
    if client == _no_proxy.GO:
        names = (("HTTP_PROXY", "http_proxy"), ("HTTPS_PROXY", "https_proxy"))
        no_proxy = ("NO_PROXY", "no_proxy")
    elif client == _no_proxy.CURL:
        names = (("http_proxy",), ("https_proxy", "HTTPS_PROXY"), ("all_proxy", "ALL_PROXY"))
        no_proxy = ("no_proxy", "NO_PROXY")
    else:
        lowered = {name.lower(): value for name, value in variables.items() if value}
        # What is set in small letters wins, and there an empty value takes the setting away (urllib.request).
        for name, value in variables.items():
            if name == name.lower():
                lowered[name] = value
        names = [("http_proxy",), ("https_proxy",)] + ([("all_proxy",)] if client == _no_proxy.REQUESTS else [])
        proxied = any(lowered.get(name) for (name,) in names)
        spelt = "no_proxy" if variables.get("no_proxy") or "NO_PROXY" not in variables else "NO_PROXY"
        return proxied, spelt, lowered.get("no_proxy", "")
    proxied = any(_first(spellings, variables)[1] for spellings in names)
    return (proxied,) + _first(no_proxy, variables)


def _first(spellings, variables):
    """The first variable that is set to something -> (name, value)."""
    for name in spellings:
        if variables.get(name):
            return name, variables[name]
    return spellings[0], ""


# --- files ------------------------------------------------------------------------------------------

_ASSIGNMENT = re.compile(r"\s*(?:export\s+)?([A-Za-z_]*_proxy)=(.*)\Z", re.IGNORECASE | re.DOTALL)
_ANY_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
# Words of a shell after which a command, and so an assignment, may begin.
_BEFORE_COMMANDS = ("export", "declare", "-x", "then", "else", "do", "{", "&&", "||", ";")


def shell_assignments(text):
    """/etc/environment, a file of /etc/profile.d, or an EnvironmentFile -> its proxy variables.

    ValueError where a list is put together from other variables, whose values only the shell knows.
    """
    variables = {}
    for number, line in enumerate(text.splitlines(), 1):
        for name, value in _assignments_of(line):
            if "$" in value and name.lower() == "no_proxy":
                raise ValueError("line %d: %s is put together from other variables; write it out" % (number, name))
            variables[name] = value
    return variables


def _assignments_of(line):
    """A line -> the proxy variables that it sets, [(name, value)]."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError:  # a quote that does not end; pam_env takes the line as it is
        found = _ASSIGNMENT.match(line)
        return [found.groups()] if found else []
    found, at_command = [], True
    for word in words:
        ours = _ASSIGNMENT.match(word) if at_command else None
        if ours:
            found.append((ours.group(1), ours.group(2).rstrip(";")))
        at_command = word.endswith(";") or word in _BEFORE_COMMANDS or (at_command and _ANY_ASSIGNMENT.match(word))
    return found


def process_environment(data):
    """The bytes of /proc/PID/environ (proc(5)) -> its proxy variables."""
    pairs = (entry.decode("utf-8", "replace").partition("=") for entry in data.split(b"\0"))
    return {name: value for name, _unused, value in pairs if name.lower().endswith("_proxy")}


def unit_settings(text):
    """A unit file or drop-in -> (its proxy variables, its EnvironmentFiles), as systemd.exec(5) has them.

    An empty assignment takes back what came before, in this text; the variables then hold the key None.
    """
    variables, files, section = {}, [], ""
    for line in re.sub(r"\\\n", " ", text).splitlines():
        line = line.strip()
        if line.startswith("["):
            section = line
        name, _unused, value = (part.strip() for part in line.partition("="))
        if section != "[Service]" or line[:1] in "#;":
            continue
        if name == "Environment":
            if not value:
                variables = {None: ""}
            for word in _words(value):
                key, _unused, content = word.partition("=")
                if key.lower().endswith("_proxy"):
                    variables[key] = content.replace("%%", "%")
        elif name == "EnvironmentFile":
            files = files + [value.lstrip("-").replace("%%", "%")] if value else []
    return variables, files


def _words(value):
    try:
        return shlex.split(value)
    except ValueError:
        return value.split()


def daemon_proxies(text):
    """/etc/docker/daemon.json -> the variables that its ``proxies`` stand for. ValueError if it is broken."""
    data = json.loads(text) if text.strip() else {}
    proxies = data.get("proxies") if isinstance(data, dict) else None
    if not isinstance(proxies, dict):
        return {}
    names = {"http-proxy": "HTTP_PROXY", "https-proxy": "HTTPS_PROXY", "no-proxy": "NO_PROXY"}
    return {names[key]: str(value) for key, value in proxies.items() if key in names}


_SETTING = re.compile(r"""(["']?)([a-z_]+)\1\s*:(?:\s+(.*))?\Z""")


def agent_settings(text):
    """agent.yaml -> its top-level settings that are plain texts, as far as proxies and the master are concerned.

    ValueError where a value that matters is written in a way that only a YAML parser understands.
    """
    wanted = ("http_proxy", "https_proxy", "no_proxy", "master_host", "master_port")
    found, open_since = {}, None
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if open_since and line[0] in " \t":  # the text goes on
            _puzzled(open_since)
        match = _SETTING.match(line.rstrip())
        open_since = number if match and match.group(2) in wanted else None
        if open_since:
            found[match.group(2)] = _scalar(match.group(3) or "", number)
        elif line.startswith("{") and "_proxy" in text:  # it stands somewhere between the brackets
            _puzzled(number)
    return found


def agent_variables(settings):
    """agent.yaml's settings -> what task containers get: uppercase variables only."""
    return {name.upper(): settings[name] for name in ("http_proxy", "https_proxy", "no_proxy") if settings.get(name)}


_TASK_VARIABLE = re.compile(r"""\s*-\s+(["']?)([A-Za-z]+_proxy)=(.*)\Z""", re.IGNORECASE)


def task_variables(text):
    """master.yaml -> the proxy variables in its lists, as ``task_container_defaults.environment_variables`` is one.

    ValueError where one stands there in another way than in a line of its own.
    """
    variables = {}
    for number, line in enumerate(text.splitlines(), 1):
        found = _TASK_VARIABLE.match(line)
        if found:
            quote, name, value = found.groups()
            try:
                variables[name] = _scalar(quote + value, 0)
            except ValueError:
                variables[name] = value
        elif re.search(r"_proxy=", re.sub(r"(?:\A|\s)#.*", "", line), re.IGNORECASE):
            _puzzled(number)
    return variables


def _scalar(text, number):
    """A scalar of YAML 1.2 on one line -> its text."""
    text = text.strip()
    if text[:1] == '"':
        found = re.match(r'("(?:[^"\\]|\\.)*")\s*(?:#.*)?\Z', text)
        try:
            return json.loads(found.group(1)) if found else _puzzled(number)
        except ValueError:
            return _puzzled(number)
    if text[:1] == "'":
        found = re.match(r"'((?:[^']|'')*)'\s*(?:#.*)?\Z", text)
        return found.group(1).replace("''", "'") if found else _puzzled(number)
    if text[:1] in ("|", ">", "&", "*", "[", "{", "!"):
        return _puzzled(number)
    text = re.sub(r"(?:\A|\s)#.*\Z", "", text).strip()
    return "" if text in ("~", "null", "Null", "NULL") else text


def _puzzled(number):
    raise ValueError("line %d: this way of writing a text is not understood; write it on one line" % number)
