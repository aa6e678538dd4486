# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start, read and stop groups of temporary listeners, and read what this host counts.

Any user of the host can make an abstract socket that is named like a control socket of ours. Such a socket is foreign
unless the process that its name says holds it, and the process at its other end runs as our own user. Nothing is sent
to foreign sockets, nothing of them is believed, and they are reported.
"""

import errno
import os
import socket
import time
from typing import Any, Dict, List, NamedTuple, Optional, Set, Tuple

from ansible_collections.determined.network.plugins.module_utils import _ports
from ansible_collections.determined.network.plugins.module_utils._listener import daemon, plan
from ansible_collections.determined.network.plugins.module_utils._sockets import proc, sockets

_CONNECT_SECONDS = 5.0  # how long a control socket may have no room for a client
_ANSWER_SECONDS = 20.0  # how long to wait until the supervisor answers or ends
_OTHERS_SECONDS = 2.0  # the same for the listeners of another token, which are only asked for their ports
_LONGEST_ANSWER = 4 << 20  # bytes: every other port, held and listening, at ten addresses
# files of /proc/net -> protocol, state of a socket that waits for clients
_TABLES = (
    ("tcp", "tcp", proc.TCP_LISTEN),
    ("tcp6", "tcp", proc.TCP_LISTEN),
    ("udp", "udp", proc.UDP_UNCONNECTED),
    ("udp6", "udp", proc.UDP_UNCONNECTED),
)


class _ControlSocket(NamedTuple):
    """A control socket that a process of our own holds."""

    token: str
    pid: int
    name: str

    def unusable(self, what: str) -> RuntimeError:
        """The error of a supervisor that does ``what``."""
        return RuntimeError("process %d, the listeners of token %s, %s; kill it" % (self.pid, self.token, what))


class _Foreign(Exception):
    """Another user listens on a control socket."""


class Survey(NamedTuple):
    """``services``: compact ports on which others than this collection listen, {"tcp": "22", "udp": ""}.

    ``notes``: sentences about control sockets that were ignored.
    """

    services: Dict[str, str]
    notes: List[str]


def start(group: daemon.Group) -> Dict[str, Any]:
    """Start listeners, in place of those of the same token -> the report of :func:`daemon.launch`.

    Raises RuntimeError when there are no listeners afterwards.
    """
    stop(group.token)
    report = daemon.launch(group)
    if "error" in report:
        raise RuntimeError(report["error"])
    return _with_busy_ports(report)


def read(token: str) -> Optional[Dict[str, Any]]:
    """The state of a token's listeners, or None where our user has none.

    {"listening", "held", "busy", "problems", "pid", "alive", "seconds_left"}. Raises RuntimeError if they do not
    answer, or with something else than a state.
    """
    for control in _find()[0]:
        if control.token == token:
            try:
                state = _read(control, _ANSWER_SECONDS)
            except _Foreign:
                continue
            if state is not None:
                return _with_busy_ports(state)
    return None


def stop(token: str) -> bool:
    """End our user's listeners of a token -> whether there were any, after their ports are free.

    Raises RuntimeError if they do not end.
    """
    ended = False
    for control in _find()[0]:
        if control.token == token:
            try:
                ended = _command(control, b"stop", _ANSWER_SECONDS) is not None or ended
            except _Foreign:
                continue
    return ended


def _find() -> Tuple[List[_ControlSocket], int]:
    """The control sockets of our user in this network namespace, and the number of foreign ones (proc_net(5))."""
    with open("/proc/net/unix", "rb") as table:
        found = proc.parse_unix_listeners(table.read(), plan.CONTROL_PREFIX.encode("ascii"))
    own: List[_ControlSocket] = []
    held: Dict[int, Set[str]] = {}
    for inode, name in found:
        parts = plan.read_control_name(name)
        if parts is None:
            continue
        if parts.pid not in held:
            held[parts.pid] = _files(parts.pid)
        if "socket:[%d]" % inode in held[parts.pid]:
            own.append(_ControlSocket(parts.token, parts.pid, name.decode("ascii")))
    return own, len(found) - len(own)


def _files(pid: int) -> Set[str]:
    """What a process of our user has open, as in /proc/PID/fd; nothing for another user's process."""
    folder = "/proc/%d" % pid
    try:
        if os.stat(folder).st_uid != os.getuid():
            return set()
        return {os.readlink("%s/fd/%s" % (folder, number)) for number in os.listdir(folder + "/fd")}
    except OSError:  # it has ended
        return set()


def _read(control: _ControlSocket, seconds: float) -> Optional[Dict[str, Any]]:
    """The state that a supervisor tells; None if it has just ended. Raises RuntimeError, _Foreign."""
    data = _command(control, b"read", seconds)
    if not data:
        return None
    try:
        return plan.read_state(data)
    except ValueError:
        raise control.unusable("gives a malformed answer") from None


def _command(control: _ControlSocket, command: bytes, seconds: float) -> Optional[bytes]:
    """Send a command -> all bytes of the answer; None when the supervisor has ended. Raises RuntimeError, _Foreign."""
    deadline = time.monotonic() + seconds
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _connect(sock, control, min(seconds, _CONNECT_SECONDS))
        if sockets.peer(sock).uid != os.getuid():
            raise _Foreign
        sock.settimeout(seconds)
        sock.sendall(command)
        data = b""
        while True:
            sock.settimeout(max(0.001, deadline - time.monotonic()))
            part = sock.recv(65536)
            if not part:
                return data
            data += part
            if len(data) > _LONGEST_ANSWER:
                raise control.unusable("answers with more than %d bytes" % _LONGEST_ANSWER)
    except socket.timeout:
        raise control.unusable("does not answer") from None
    except OSError as problem:
        if problem.errno in (errno.ECONNREFUSED, errno.ECONNRESET, errno.EPIPE):
            return None  # no supervisor listens, or it has just reached its deadline
        raise control.unusable("cannot be reached (%s)" % problem) from problem
    finally:
        sock.close()


def _connect(sock: socket.socket, control: _ControlSocket, seconds: float) -> None:
    """Connect, and wait while too many clients wait before us. Raises OSError; socket.timeout after ``seconds``."""
    give_up = time.monotonic() + seconds
    sock.settimeout(seconds)
    while True:
        try:
            sock.connect("\0" + control.name)
            return
        except BlockingIOError:  # EAGAIN, connect(2): the queue of clients is full
            if time.monotonic() > give_up:
                raise socket.timeout from None
            time.sleep(0.02)


def _with_busy_ports(report: Dict[str, Any]) -> Dict[str, Any]:
    """Split the held ports: services hold some, and connections of this host use the others (busy)."""
    held, busy = plan.split_held(report["held"], _waiting_sockets() if report["held"] else {})
    return dict(report, held=held, busy=busy)


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


def survey() -> Survey:
    """Which services listen on this host, and what was ignored in finding out."""
    own: plan.Sockets = {"tcp": set(), "udp": set()}
    notes: List[str] = []
    controls, foreign = _find()
    for control in controls:
        try:
            state = _read(control, _OTHERS_SECONDS) or {"listening": ()}
        except _Foreign:
            foreign += 1
            continue
        except RuntimeError as problem:  # listeners of another run; their ports count as services
            notes.append(str(problem))
            continue
        for item in state["listening"]:
            address = item["address"].partition("%")[0]
            numbers = _ports.numbers(_ports.parse_ports(item["ports"]))
            own[item["protocol"]].update((address, port) for port in numbers)
    if foreign:
        notes.append(
            "%d sockets that are named like control sockets of our listeners belong to other users and were ignored; "
            "to see whose they are: ss -xlp | grep -aF @%s" % (foreign, plan.CONTROL_PREFIX)
        )
    found = _waiting_sockets()
    return Survey({protocol: plan.services(found[protocol], own[protocol]) for protocol in found}, notes)


def _waiting_sockets() -> plan.Sockets:
    """Sockets that wait for clients -> {"tcp": {(address, port)}, "udp": {(address, port)}}."""
    found: plan.Sockets = {"tcp": set(), "udp": set()}
    for name, protocol, state in _TABLES:
        if os.path.exists("/proc/net/" + name):
            with open("/proc/net/" + name) as table:
                found[protocol] |= proc.parse_sockets(table.read(), state)
    return found
