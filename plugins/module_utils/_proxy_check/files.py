# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proxy settings in the texts of a host's files. Pure.

These readers take the files as they are, whoever wrote them. They share nothing with the part of the collection that
writes such files, because a check that shares the writer's mistakes does not find them.
"""

import json
import re
import shlex
from typing import Dict, List, Mapping, NamedTuple, Tuple

_ASSIGNMENT = re.compile(r"\s*(?:export\s+)?([A-Za-z_]*_proxy)=(.*)\Z", re.IGNORECASE | re.DOTALL)
_ANY_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
# After these words of a shell, a command may begin, and so an assignment.
_BEFORE_COMMANDS = ("export", "declare", "-x", "then", "else", "do", "{", "&&", "||", ";")


def shell_assignments(text: str) -> Dict[str, str]:
    """The proxy variables of /etc/environment, a file of /etc/profile.d, or an EnvironmentFile.

    Raises ValueError if a list contains other variables, whose values only the shell knows.
    """
    variables = {}
    for number, line in enumerate(text.splitlines(), 1):
        for name, value in _assignments_of(line):
            if "$" in value and name.lower() == "no_proxy":
                raise ValueError("line %d: %s contains other variables; write the whole list" % (number, name))
            variables[name] = value
    return variables


def _assignments_of(line: str) -> List[Tuple[str, str]]:
    """The names and values of the proxy variables that a line sets."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError:  # A quote is not closed. pam_env uses such a line as it is.
        match = _ASSIGNMENT.match(line)
        return [(match.group(1), match.group(2))] if match else []
    found, at_command = [], True
    for word in words:
        match = _ASSIGNMENT.match(word) if at_command else None
        if match:
            found.append((match.group(1), match.group(2).rstrip(";")))
        still_at_command = at_command and bool(_ANY_ASSIGNMENT.match(word))
        at_command = word.endswith(";") or word in _BEFORE_COMMANDS or still_at_command
    return found


def process_environment(data: bytes) -> Dict[str, str]:
    """The proxy variables in the bytes of /proc/PID/environ (proc(5))."""
    pairs = (entry.decode("utf-8", "replace").partition("=") for entry in data.split(b"\0"))
    return {name: value for name, _unused, value in pairs if name.lower().endswith("_proxy")}


class UnitSettings(NamedTuple):
    """What a unit file or a drop-in sets.

    ``variables``: its proxy variables. ``files``: its EnvironmentFiles. ``resets``: whether an empty ``Environment=``
    removes the variables of the files before this one.
    """

    variables: Dict[str, str]
    files: List[str]
    resets: bool = False


def unit_settings(text: str) -> UnitSettings:
    """Read the text of a unit file or a drop-in (systemd.exec(5), systemd.syntax(7)).

    An empty assignment removes what came before it.
    """
    variables: Dict[str, str] = {}
    files: List[str] = []
    section, resets = "", False
    for line in re.sub(r"\\\n", " ", text).splitlines():
        line = line.strip()
        if line.startswith("["):
            section = line
        name, _unused, value = (part.strip() for part in line.partition("="))
        if section != "[Service]" or line[:1] in "#;":
            continue
        if name == "Environment" and value:
            variables.update(_unit_variables(value))
        elif name == "Environment":
            variables, resets = {}, True
        elif name == "EnvironmentFile":
            files = files + [value.lstrip("-").replace("%%", "%")] if value else []
    return UnitSettings(variables, files, resets)


def _unit_variables(value: str) -> Dict[str, str]:
    """The proxy variables in a value of ``Environment=``."""
    try:
        words = shlex.split(value)
    except ValueError:
        words = value.split()
    pairs = (word.partition("=") for word in words)
    return {name: content.replace("%%", "%") for name, _unused, content in pairs if name.lower().endswith("_proxy")}


def daemon_proxies(text: str) -> Dict[str, str]:
    """The variables that ``proxies`` in /etc/docker/daemon.json stands for. Raises ValueError if it is not JSON."""
    data = json.loads(text) if text.strip() else {}
    proxies = data.get("proxies") if isinstance(data, dict) else None
    if not isinstance(proxies, dict):
        return {}
    names = {"http-proxy": "HTTP_PROXY", "https-proxy": "HTTPS_PROXY", "no-proxy": "NO_PROXY"}
    return {names[key]: str(value) for key, value in proxies.items() if key in names}


_AGENT_SETTINGS = ("http_proxy", "https_proxy", "no_proxy", "master_host", "master_port")
_SETTING = re.compile(r"""(["']?)([a-z_]+)\1\s*:(?:\s+(.*))?\Z""")


def agent_settings(text: str) -> Dict[str, str]:
    """The top-level settings of agent.yaml that name proxies or the master.

    Raises ValueError if such a value is written in a way that only a YAML parser understands.
    """
    found: Dict[str, str] = {}
    started = 0  # the line of the last such setting, while it may continue
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if started and line[0] in " \t":  # The value continues on this line.
            raise _not_understood(started)
        match = _SETTING.match(line.rstrip())
        started = 0
        if match and match.group(2) in _AGENT_SETTINGS:
            started = number
            found[match.group(2)] = _scalar(match.group(3) or "", number)
        elif line.startswith("{") and "_proxy" in text:  # The setting is somewhere between the brackets.
            raise _not_understood(number)
    return found


def agent_variables(settings: Mapping[str, str]) -> Dict[str, str]:
    """The variables that task containers get from agent.yaml's settings: in uppercase only."""
    return {name.upper(): settings[name] for name in ("http_proxy", "https_proxy", "no_proxy") if settings.get(name)}


_TASK_VARIABLE = re.compile(r"""\s*-\s+(["']?)([A-Za-z]+_proxy)=(.*)\Z""", re.IGNORECASE)


def task_variables(text: str) -> Dict[str, str]:
    """The proxy variables in the lists of master.yaml, such as ``task_container_defaults.environment_variables``.

    Raises ValueError if a variable is not on a line of its own.
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
            raise _not_understood(number)
    return variables


def _scalar(text: str, number: int) -> str:
    """The text of a YAML 1.2 scalar on one line. ``number`` is that line's."""
    text = text.strip()
    if text[:1] == '"':
        found = re.match(r'("(?:[^"\\]|\\.)*")\s*(?:#.*)?\Z', text)
        if not found:
            raise _not_understood(number)
        try:
            return str(json.loads(found.group(1)))  # A JSON string is a double-quoted scalar.
        except ValueError:
            raise _not_understood(number) from None
    if text[:1] == "'":
        found = re.match(r"'((?:[^']|'')*)'\s*(?:#.*)?\Z", text)
        if not found:
            raise _not_understood(number)
        return found.group(1).replace("''", "'")
    if text[:1] in ("|", ">", "&", "*", "[", "{", "!"):
        raise _not_understood(number)
    text = re.sub(r"(?:\A|\s)#.*\Z", "", text).strip()
    return "" if text in ("~", "null", "Null", "NULL") else text


def _not_understood(number: int) -> ValueError:
    return ValueError("line %d: this way of writing a text is not understood; write it on one line" % number)
