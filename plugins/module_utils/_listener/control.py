# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start, read and stop groups of temporary listeners, and read what this host counts."""

import errno
import json
import os
import socket
from typing import Any, Dict, List, Optional, Sequence

from ansible_collections.determined.network.plugins.module_utils import _ports
from ansible_collections.determined.network.plugins.module_utils._listener import daemon, plan
from ansible_collections.determined.network.plugins.module_utils._sockets import proc

_ANSWER_SECONDS = 20.0  # how long to wait until the supervisor answers or ends
_UNIX_NAME = "@determined.network.listener."
# files of /proc/net -> protocol, state of a socket that waits for clients
_TABLES = (
    ("tcp", "tcp", proc.TCP_LISTEN),
    ("tcp6", "tcp", proc.TCP_LISTEN),
    ("udp", "udp", proc.UDP_UNCONNECTED),
    ("udp6", "udp", proc.UDP_UNCONNECTED),
)


class NotPermitted(Exception):
    """The listeners of this token belong to another user."""


def start(token: str, answer: str, lifetime: float, listeners: Sequence[plan.Listener]) -> Dict[str, Any]:
    """Start listeners, in place of those of the same token -> the report of :func:`daemon.launch`.

    Raises NotPermitted; RuntimeError when there are no listeners afterwards.
    """
    stop(token)
    report = daemon.launch(token, answer, lifetime, listeners)
    if "error" in report:
        raise RuntimeError(report["error"])
    return _with_busy_ports(report)


def read(token: str) -> Optional[Dict[str, Any]]:
    """The state of a token's listeners, or None where there are none.

    {"listening", "held", "busy", "problems", "pid", "alive", "seconds_left"}. Raises NotPermitted.
    """
    data = _command(token, b"read")
    if not data:  # there are no listeners, or their deadline has come at this moment
        return None
    state = json.loads(data.decode("utf-8"))
    if "error" in state:
        raise NotPermitted("the listeners of token %s: %s control them" % (token, state["error"]))
    return _with_busy_ports(state)


def stop(token: str) -> bool:
    """End a token's listeners -> whether there were any, after their ports are free. Raises NotPermitted."""
    data = _command(token, b"stop")
    if data:
        error = json.loads(data.decode("utf-8"))["error"]
        raise NotPermitted("the listeners of token %s: %s control them" % (token, error))
    return data is not None


def _with_busy_ports(report: Dict[str, Any]) -> Dict[str, Any]:
    """Split the held ports: services hold some, and connections of this host use the others (busy)."""
    held, busy = plan.split_held(report["held"], _waiting_sockets() if report["held"] else {})
    return dict(report, held=held, busy=busy)


def _command(token: str, command: bytes) -> Optional[bytes]:
    """Send a command -> all bytes of the answer; None when no supervisor listens. RuntimeError without an answer."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(_ANSWER_SECONDS)
    try:
        sock.connect(daemon.control_address(token))
        sock.sendall(command)
        parts: List[bytes] = []
        while True:
            part = sock.recv(65536)
            if not part:
                return b"".join(parts)
            parts.append(part)
    except socket.timeout:
        supervisor = daemon.peer(sock)[0]
        message = "process %d, the listeners of token %s, does not answer; kill it" % (supervisor, token)
        raise RuntimeError(message) from None
    except OSError as problem:
        if problem.errno in (errno.ECONNREFUSED, errno.ECONNRESET, errno.EPIPE):
            return None  # no supervisor listens, or it has just reached its deadline
        raise
    finally:
        sock.close()


def counters() -> Dict[str, int]:
    """What this network namespace has counted since it was made, for both address families together.

    Keys: ``tcp_resets_sent``, ``ipv4_packets_received``, ``ipv6_packets_received`` (proc(5), /proc/net/snmp).
    """
    with open("/proc/net/snmp") as snmp:
        groups = proc.parse_counters(snmp.read())
    groups6: Dict[str, int] = {}
    if os.path.exists("/proc/net/snmp6"):  # absent without IPv6 in the kernel
        with open("/proc/net/snmp6") as snmp6:
            groups6 = proc.parse_counters6(snmp6.read())
    return {
        "tcp_resets_sent": groups["Tcp"]["OutRsts"],
        "ipv4_packets_received": groups["Ip"]["InReceives"],
        "ipv6_packets_received": groups6.get("Ip6InReceives", 0),
    }


def listening_services() -> Dict[str, str]:
    """Compact ports on which others than this collection listen -> {"tcp": "22", "udp": ""}."""
    own: plan.Sockets = {"tcp": set(), "udp": set()}
    for token in _tokens():
        try:
            state = read(token) or {"listening": ()}
        except NotPermitted:
            continue  # listeners of another user count as services
        for item in state["listening"]:
            address = item["address"].partition("%")[0]
            numbers = _ports.numbers(_ports.parse_ports(item["ports"]))
            own[item["protocol"]].update((address, port) for port in numbers)
    found = _waiting_sockets()
    return {protocol: plan.services(found[protocol], own[protocol]) for protocol in found}


def _waiting_sockets() -> plan.Sockets:
    """Sockets that wait for clients -> {"tcp": {(address, port)}, "udp": {(address, port)}}."""
    found: plan.Sockets = {"tcp": set(), "udp": set()}
    for name, protocol, state in _TABLES:
        if os.path.exists("/proc/net/" + name):
            with open("/proc/net/" + name) as table:
                found[protocol] |= proc.parse_sockets(table.read(), state)
    return found


def _tokens() -> List[str]:
    """The tokens of all listeners of this network namespace, by their control sockets (proc(5), /proc/net/unix)."""
    with open("/proc/net/unix") as table:
        names = {line.split()[-1] for line in table if _UNIX_NAME in line}
    return sorted(name[len(_UNIX_NAME) :] for name in names if name.startswith(_UNIX_NAME))
