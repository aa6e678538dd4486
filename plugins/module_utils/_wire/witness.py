# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The background process that watches a host while the packets of a trace pass: the witness.

    module --fork--> (session leader, exits) --fork--> witness --fork--> remover

The witness captures packets and reads what nf_tables traces. The remover waits until the witness has ended, for
whatever reason, and then removes the table and the socket. Each of them ends at a deadline, whatever it is doing.

The control socket is a file in a folder that only root can enter, so whoever connects to it is root.
"""

import contextlib
import errno
import json
import os
import select
import socket
import stat
import time
from typing import Any, Dict, List, NamedTuple, Optional

from ansible_collections.determined.network.plugins.module_utils._host import daemon
from ansible_collections.determined.network.plugins.module_utils._host.commands import Command, HostError
from ansible_collections.determined.network.plugins.module_utils._host.runner import Runner
from ansible_collections.determined.network.plugins.module_utils._wire import (
    capture,
    marks,
    nft_trace,
    packet_sockets,
    sightings,
)

FOLDER = "/run/determined-network-trace"
MOST_EVENTS = 65536

_NETLINK_NETFILTER, _SOL_NETLINK, _ADD_MEMBERSHIP = 12, 270, 1  # linux/netlink.h
_EVENT_BUFFER = 32 << 20  # bytes
_DATAGRAM = 1 << 16  # bytes
_MOST_AT_ONCE = 1024  # datagrams, so that a flood of them keeps the witness from nothing else
_LINGER = 0.05  # seconds of silence after which everything that the kernel had to tell has been read
_LONGEST_LINGER = 2.0  # seconds
_ANSWER_SECONDS = 20.0
_LISTEN_TRIES = 10


class Observed(NamedTuple):
    """What a witness saw.

    ``lost_packets``, ``lost_events``: how many the kernel could not keep for us; for events, how many times.
    ``before``: what :func:`start` was given.
    """

    sightings: List[sightings.Sighting]
    events: List[nft_trace.Event]
    lost_packets: int
    lost_events: int
    before: Dict[str, Any]


def start(token: str, mark: marks.Mark, lifetime: float, before: Dict[str, Any]) -> str:
    """Start the witness of a run, in place of an earlier one of the same run -> why rules cannot be traced, or "".

    ``before``: plain data that the witness keeps and returns. Raises OSError, HostError. PermissionError means that
    this user may capture nothing.
    """
    stop(token)
    # Asked here, because an exception's class does not survive the new process.
    capture.Capture(mark).close()
    with contextlib.suppress(FileNotFoundError):  # another run has ended just now; the witness makes the folder again
        _make_folder()
    _remove_remains()
    return str(daemon.start(lambda report: _Witness(token, mark, lifetime, before).run(report)).answer)


def stop(token: str) -> Optional[Observed]:
    """End the witness of a run -> what it saw, after it has removed its table; None if there is none.

    Raises HostError if it does not answer, or not completely.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(_ANSWER_SECONDS)
    try:
        sock.connect(_path(token))
        data = b""
        while True:
            part = sock.recv(1 << 16)
            if not part:
                break
            data += part
    except socket.timeout:
        raise HostError(
            "The witness of the trace %s does not answer. Look for its process: fuser -v %s" % (token, _path(token))
        ) from None
    except OSError as problem:
        if problem.errno not in (errno.ENOENT, errno.ECONNREFUSED, errno.ECONNRESET):
            raise
        with contextlib.suppress(FileNotFoundError):
            os.unlink(_path(token))
        return None
    finally:
        sock.close()
    if not data:
        return None
    try:
        answer = json.loads(data.decode("utf-8"))
    except ValueError:
        raise HostError("The witness of the trace %s ended while it answered. Repeat the trace" % token) from None
    return Observed(
        [sightings.from_dict(item) for item in answer["sightings"]],
        [nft_trace.Event(**item) for item in answer["events"]],
        int(answer["lost_packets"]),
        int(answer["lost_events"]),
        answer["before"],
    )


class _Witness:
    def __init__(self, token: str, mark: marks.Mark, lifetime: float, before: Dict[str, Any]) -> None:
        self._token = token
        self._mark = mark
        self._lifetime = lifetime
        self._before = before
        self._events: List[nft_trace.Event] = []
        self._lost_events = 0
        self._problem = ""

    def run(self, report: daemon.Report) -> None:
        """The witness's whole life."""
        deadline = time.monotonic() + self._lifetime
        daemon.die_after(self._lifetime)
        control = _listen(self._token)
        watched = capture.Capture(self._mark)
        leash, writer = os.pipe()
        remover = daemon.fork(lambda: self._remove_after(leash, writer, report))
        os.close(leash)
        kernel = self._trace()
        report.send(self._problem)
        client = self._watch(deadline, control, watched, kernel)
        control.close()
        if client is not None:
            self._answer(client, watched)
        os.close(writer)
        os.waitpid(remover, 0)
        if client is not None:  # the client learns of the end only now, when the table is removed
            client.close()

    def _trace(self) -> Optional[socket.socket]:
        """Begin to trace -> the socket over which the kernel tells; None if it cannot, for a reason to tell."""
        runner = Runner()
        nft = runner.find("nft")
        if nft is None:
            self._problem = "nft is not installed"
            return None
        kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, _NETLINK_NETFILTER)
        try:
            packet_sockets.enlarge_buffer(kernel, _EVENT_BUFFER)
            packet_sockets.attach(kernel, nft_trace.message_filter())
            kernel.bind((0, 0))
            kernel.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, nft_trace.GROUP)
            added = runner.run(Command((nft, "-f", "-"), stdin=nft_trace.table(self._token, self._mark)))
            if added.code == 0:
                return kernel
            self._problem = "nft said: %s" % " ".join(added.stderr.split())
        except PermissionError:
            self._problem = "the capability CAP_NET_ADMIN is missing. A host that is a container needs it"
        except OSError as problem:
            self._problem = "the kernel tells of no traced packets (%s)" % problem
        kernel.close()
        return None

    def _watch(
        self, deadline: float, control: socket.socket, watched: capture.Capture, kernel: Optional[socket.socket]
    ) -> Optional[socket.socket]:
        """Read packets and events until a client comes -> the client; None at the deadline."""
        reader = nft_trace.Reader(self._mark)
        poller = select.poll()
        for one in (control, watched, kernel):
            if one is not None:
                poller.register(one.fileno(), select.POLLIN)
        client: Optional[socket.socket] = None
        while True:
            remaining = max(0.0, deadline - time.monotonic())
            wait = min(_LINGER, remaining) if client else remaining
            ready = {descriptor for descriptor, _event in poller.poll(wait * 1000)}
            if not ready or not remaining:  # packets that never cease to come delay no end
                return client
            if watched.fileno() in ready:
                watched.receive()
            if kernel is not None and kernel.fileno() in ready:
                self._read_events(kernel, reader)
            if client is None and control.fileno() in ready:
                client = control.accept()[0]
                poller.unregister(control.fileno())
                deadline = time.monotonic() + _LONGEST_LINGER
                daemon.die_after(_LONGEST_LINGER + _ANSWER_SECONDS)

    def _read_events(self, kernel: socket.socket, reader: nft_trace.Reader) -> None:
        for _unused in range(_MOST_AT_ONCE):
            try:
                datagram = kernel.recv(_DATAGRAM)
            except BlockingIOError:
                return
            except OSError as problem:
                if problem.errno != errno.ENOBUFS:
                    raise
                self._lost_events += 1  # netlink(7): the buffer was full
                continue
            events = [event for event in reader.read(datagram) if nft_trace.tells(event)]
            room = MOST_EVENTS - len(self._events)
            self._events += events[:room]
            self._lost_events += len(events) > room

    def _answer(self, client: socket.socket, watched: capture.Capture) -> None:
        answer: Dict[str, Any] = {
            "sightings": [sighting.to_dict() for sighting in watched.found],
            "events": [event.to_dict() for event in self._events],
            "lost_packets": watched.lost(),
            "lost_events": self._lost_events,
            "before": self._before,
        }
        client.settimeout(_ANSWER_SECONDS)
        with contextlib.suppress(OSError):  # the client has given up
            client.sendall(json.dumps(answer).encode("utf-8"))

    def _remove_after(self, leash: int, writer: int, report: daemon.Report) -> None:
        """The remover's whole life: wait for the end of the witness, and remove what it has made."""
        os.close(writer)
        report.close()
        daemon.die_after(self._lifetime + 3 * _ANSWER_SECONDS)  # later than the witness, whatever that one is doing
        os.read(leash, 1)
        runner = Runner()
        nft = runner.find("nft")
        if nft is not None:
            runner.run(Command((nft, "delete", "table", "inet", nft_trace.table_name(self._token))))
        with contextlib.suppress(OSError):
            os.unlink(_path(self._token))
        with contextlib.suppress(OSError):
            os.rmdir(FOLDER)


def _path(token: str) -> str:
    return "%s/%s" % (FOLDER, token)


def _make_folder() -> None:
    """Make the folder of the control sockets, which only its owner can enter. Raises HostError if it is another's."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(FOLDER, 0o700)
    about = os.lstat(FOLDER)
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.getuid() or about.st_mode & 0o077:
        raise HostError("%s is not a folder that only this user can enter. Look at it, then remove it" % FOLDER)


def _listen(token: str) -> socket.socket:
    """The control socket of a run. Raises OSError, HostError."""
    for _unused in range(_LISTEN_TRIES):
        control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            _make_folder()
            control.bind(_path(token))
            control.listen(1)
            return control
        except FileNotFoundError:  # another run has ended just now, and its remover has removed the folder
            control.close()
        except (OSError, HostError):
            control.close()
            raise
    raise HostError("Something removes %s again and again. Find out what it is, and repeat the trace" % FOLDER)


def _remove_remains() -> None:
    """Remove the tables and sockets of earlier runs whose witness and remover were both killed."""
    with contextlib.suppress(FileNotFoundError):  # another run that has ended just now removes the same
        for name in os.listdir(FOLDER):
            if not _answers(name):
                os.unlink(_path(name))
    runner = Runner()
    nft = runner.find("nft")
    if nft is None:
        return
    listed = runner.run(Command((nft, "list", "tables", "inet"))).stdout
    for line in listed.splitlines():
        name = line.split()[-1]
        if name.startswith(nft_trace.TABLE_PREFIX) and not _answers(name[len(nft_trace.TABLE_PREFIX) :]):
            runner.run(Command((nft, "delete", "table", "inet", name)))


def _answers(token: str) -> bool:
    """Whether the witness of a run lives: only then somebody listens at its socket (/proc/net/unix, proc(5))."""
    with open("/proc/net/unix", encoding="utf-8", errors="replace") as table:
        return any(line.rstrip().endswith(" " + _path(token)) for line in table)
