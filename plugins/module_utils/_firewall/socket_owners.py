# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sockets of this network namespace, and the processes that hold them. It only reads /proc (proc(5))."""

import contextlib
import os
from typing import Dict, Iterable, Iterator, List, NamedTuple, Set, Tuple

from ansible_collections.determined.network.plugins.module_utils._firewall import proc_files
from ansible_collections.determined.network.plugins.module_utils._sockets import proc

_NAMESPACE = "ns/net"
_ESTABLISHED = "01"  # TCP_ESTABLISHED of include/net/tcp_states.h
# What OpenSSH's titles of its processes end with before somebody has logged in, and in its listening process.
_NO_LOGIN = ("[net]", "[preauth]", "[priv]", "[accepted]", "startups")
_SSHD = "sshd"


class Socket(NamedTuple):
    """A socket of TCP or UDP. Addresses are texts, and an IPv4 address is never in its IPv6 form. ``state``: two
    hexadecimal digits. ``inode``: its number in /proc/PID/fd; "0" for sockets of the kernel, and for orphans."""

    protocol: str
    address: str
    port: int
    remote: str
    remote_port: int
    state: str
    inode: str

    @property
    def is_listening(self) -> bool:
        """Whether it awaits connections of TCP."""
        return self.protocol == "tcp" and self.state == proc.TCP_LISTEN

    @property
    def is_established(self) -> bool:
        """Whether it is a connection of TCP."""
        return self.protocol == "tcp" and self.state == _ESTABLISHED


def read() -> List[Socket]:
    """All sockets of TCP and UDP."""
    found: List[Socket] = []
    for protocol in ("tcp", "udp"):
        for text in proc_files.tables(protocol):
            found += parse(protocol, text)
    return found


def parse(protocol: str, text: str) -> Iterator[Socket]:
    """The sockets in the text of /proc/net/tcp, tcp6, udp or udp6."""
    for line in text.splitlines()[1:]:
        fields = line.split()
        address, port = proc.decode_end(fields[1])
        remote, remote_port = proc.decode_end(fields[2])
        yield Socket(protocol, address, port, remote, remote_port, fields[3], fields[9])


def owners(inodes: Iterable[str]) -> Dict[str, Set[int]]:
    """The processes that hold each of the sockets. A socket that no process holds is missing."""
    wanted = {"socket:[%s]" % inode: inode for inode in inodes}
    found: Dict[str, Set[int]] = {}
    for pid in _processes():
        for _descriptor, target in _descriptors(pid):
            if target in wanted:
                found.setdefault(wanted[target], set()).add(pid)
    return found


def held_by(pid: int, sockets: Iterable[Socket]) -> List[Socket]:
    """The sockets that a process holds."""
    targets = {target for _descriptor, target in _descriptors(pid)}
    return [one for one in sockets if "socket:[%s]" % one.inode in targets]


def tun_owners(device: str) -> Tuple[Set[int], bool]:
    """The processes of this network namespace that hold a TUN or TAP device, and whether one of another namespace does.

    Names of devices are only unique within a namespace, so a process of another namespace may hold another device.
    """
    here, elsewhere = set(), False
    own = os.readlink("/proc/self/" + _NAMESPACE)
    wanted = "iff:\t%s\n" % device
    for pid in _processes():
        for descriptor, target in _descriptors(pid):
            if target.endswith("/tun") and wanted in (
                proc_files.readable("/proc/%d/fdinfo/%s" % (pid, descriptor)) or ""
            ):
                try:
                    is_here = os.readlink("/proc/%d/%s" % (pid, _NAMESPACE)) == own
                except OSError:
                    continue  # it has just ended
                if is_here:
                    here.add(pid)
                elsewhere = elsewhere or not is_here
    return here, elsewhere


def is_ssh_server(pid: int) -> bool:
    """Whether a process belongs to OpenSSH's sshd (since 9.8 also sshd-session and sshd-auth)."""
    return (proc_files.readable("/proc/%d/comm" % pid) or "").startswith(_SSHD)


def is_logged_in(pid: int) -> bool:
    """Whether a process of sshd serves somebody who has logged in."""
    return shows_login(proc_files.readable("/proc/%d/cmdline" % pid) or "")


def shows_login(title: str) -> bool:
    """Whether the title of a process of sshd, as /proc/PID/cmdline has it, is "sshd: USER" or "sshd: USER@TTY"."""
    title = title.rstrip("\0 ")
    return title.startswith(_SSHD) and ": " in title and not title.endswith(_NO_LOGIN)


def _processes() -> List[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _descriptors(pid: int) -> Iterator[Tuple[str, str]]:
    """The descriptors of a process and what they lead to. A process that ends meanwhile has none."""
    folder = "/proc/%d/fd" % pid
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        with contextlib.suppress(OSError):
            yield name, os.readlink(os.path.join(folder, name))
