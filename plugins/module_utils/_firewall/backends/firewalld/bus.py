# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""firewalld's D-Bus interface through ``busctl``: its commands, and the values that it prints.

Source: firewalld.dbus(5), busctl(1), the D-Bus specification (type signatures). One call takes 10 ms,
where ``firewall-cmd`` takes 250. Nothing here ever starts firewalld: ``--auto-start=no``.
"""

import re

from ansible_collections.determined.network.plugins.module_utils._host.commands import Command

NAME = "org.fedoraproject.FirewallD1"
PATH = "/org/fedoraproject/FirewallD1"
CONFIG = PATH + "/config"
SOCKET = "/run/dbus/system_bus_socket"
_RELOAD_SECONDS = 300  # thousands of foreign rules take long

_TOKEN = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')
_ESCAPE = re.compile(r"\\(?:([0-7]{3})|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|(.))")
_LETTERS = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "s": " "}
_NUMBERS = "ynqiuxth"


def call(tool, purpose, interface, method, signature="", arguments=(), path=PATH):
    """A Command that calls a method. ``interface``: what follows firewalld's name, "" for its main one."""
    argv = (tool, "--auto-start=no", "call", NAME, path, (NAME + "." + interface).rstrip("."), method)
    if signature:
        argv += (signature,) + tuple(arguments)
    return Command(argv, purpose=purpose)


def reload_line(tool):
    """The shell's line that reloads firewalld and waits until it has."""
    return "%s --auto-start=no --timeout=%d call %s %s %s reload </dev/null" % (tool, _RELOAD_SECONDS, NAME, PATH, NAME)


RELOAD_SECONDS = _RELOAD_SECONDS + 30.0


def properties(tool, purpose, interface, names, path=PATH):
    """A Command that asks for properties; each is a line of the answer."""
    return Command(
        (tool, "--auto-start=no", "get-property", NAME, path, (NAME + "." + interface).rstrip(".")) + tuple(names),
        purpose=purpose,
    )


def has_owner(tool, name):
    """A Command that asks whether a service is on the bus."""
    bus = "org.freedesktop.DBus"
    argv = (tool, "--auto-start=no", "call", bus, "/org/freedesktop/DBus", bus, "NameHasOwner", "s", name)
    return Command(argv, purpose="ask the system bus for %s" % name)


def strings(values):
    """Texts -> the arguments of an array of strings."""
    return ("%d" % len(values),) + tuple(values)


def parse(text):
    """What busctl prints of one value (``as 2 "a" "b"``) -> the value; ValueError when it is none.

    Arrays are lists, arrays of pairs dicts, structures tuples; a call without an answer gives None.
    """
    tokens = [(found.group(1), found.group(2)) for found in _TOKEN.finditer(text)]
    if not tokens:
        return None
    reader = _Reader(tokens)
    signature = reader.word()
    values, rest = [], signature
    while rest:
        one, rest = _first_type(rest)
        values.append(reader.value(one))
    if reader.left():
        raise ValueError("busctl printed more than its signature %r says" % signature)
    return values[0] if len(values) == 1 else tuple(values)


def parse_lines(text):
    """What busctl prints of several properties -> list of values."""
    return [parse(line) for line in text.splitlines() if line.strip()]


class _Reader:
    def __init__(self, tokens):
        self._tokens = tokens
        self._next = 0

    def left(self):
        return len(self._tokens) - self._next

    def _take(self):
        if not self.left():
            raise ValueError("what busctl printed ends too early")
        self._next += 1
        return self._tokens[self._next - 1]

    def word(self):
        quoted, plain = self._take()
        if plain is None:
            raise ValueError("busctl printed %r where no text is due" % quoted)
        return plain

    def text(self):
        quoted, plain = self._take()
        if quoted is None:
            raise ValueError("busctl printed %r where a text is due" % plain)
        return _unescape(quoted)

    def value(self, signature):
        kind = signature[0]
        if kind in "sog":
            return self.text()
        if kind == "b":
            return {"true": True, "false": False}[self.word()]
        if kind in _NUMBERS:
            return int(self.word())
        if kind == "d":
            return float(self.word())
        if kind == "v":
            return self.value(self.word())
        if kind == "(":
            values, rest = [], signature[1:-1]
            while rest:
                one, rest = _first_type(rest)
                values.append(self.value(one))
            return tuple(values)
        if kind == "a":
            count = int(self.word())
            if signature[1] == "{":
                key, rest = _first_type(signature[2:-1])
                pairs = []
                for _unused in range(count):  # a comprehension of Python before 3.8 takes the value first
                    name = self.value(key)
                    pairs.append((name, self.value(rest)))
                return dict(pairs)
            return [self.value(signature[1:]) for dummy in range(count)]
        raise ValueError("busctl printed a value of the unknown type %r" % signature)


def _first_type(signature):
    """A D-Bus signature -> (its first complete type, the rest)."""
    if signature[0] == "a":
        inner, rest = _first_type(signature[1:]) if len(signature) > 1 else ("", "")
        return "a" + inner, rest
    pairs = {"(": ")", "{": "}"}
    if signature[0] not in pairs:
        return signature[0], signature[1:]
    depth = 0
    for index, letter in enumerate(signature):
        depth += (letter in "({") - (letter in ")}")
        if depth == 0:
            return signature[: index + 1], signature[index + 1 :]
    raise ValueError("busctl printed the broken signature %r" % signature)


def _unescape(text):
    if "\\" not in text:
        return text
    octets = bytearray()
    position = 0
    for found in _ESCAPE.finditer(text):
        octets += text[position : found.start()].encode("utf-8")
        octal, hexadecimal, unicode_point, letter = found.groups()
        if octal:
            octets.append(int(octal, 8) & 0xFF)
        elif hexadecimal:
            octets.append(int(hexadecimal, 16))
        elif unicode_point:
            octets += chr(int(unicode_point, 16)).encode("utf-8")
        else:
            octets += _LETTERS.get(letter, letter).encode("utf-8")
        position = found.end()
    octets += text[position:].encode("utf-8")
    return octets.decode("utf-8", "replace")
