# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who means harm and meets a verification: users of a host, strangers on the network, forged datagrams."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time

import pytest
from ansible_collections.determined.network.plugins.module_utils._listener import plan
from ansible_collections.determined.network.plugins.module_utils._sockets import proof

from tests.integration._probe_hosts import COLLECTIONS, SECRET, two_hosts
from tests.integration.test_listener import become_nobody, control_names, listening, play_module, wait_until

PORT = "1734"

# A UDP datagram with a forged source: source, destination, port (of both), the data in hex.
FORGE = """
import socket, struct, sys
source, destination, port, data = sys.argv[1], sys.argv[2], int(sys.argv[3]), bytes.fromhex(sys.argv[4])
udp = struct.pack("!HHHH", port, port, 8 + len(data), 0) + data
ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0)
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
raw.sendto(ip + socket.inet_aton(source) + socket.inet_aton(destination) + udp, (destination, 0))
"""

# Sends a datagram and prints the answer in hex: address, port, the data in hex.
ASK = """
import socket, sys
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(20)
sock.connect((sys.argv[1], int(sys.argv[2])))
sock.send(bytes.fromhex(sys.argv[3]))
print(sock.recv(65536).hex())
"""

# Answers every datagram, as listeners once did: address, port.
ANSWERS_ANYTHING = """
import socket, sys
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind((sys.argv[1], int(sys.argv[2])))
print("ready", flush=True)
while True:
    sock.sendto(b"determined.network t somebody\\n", sock.recvfrom(2048)[1])
"""

# Reads what a TCP service says until it closes, in hex.
READ = """
import socket, sys
sock = socket.create_connection((sys.argv[1], int(sys.argv[2])))
data = b""
while True:
    part = sock.recv(65536)
    if not part:
        break
    data += part
print(data.hex())
"""

# Says a line to every TCP client: address, port, line.
SAYS = """
import socket, sys
server = socket.create_server((sys.argv[1], int(sys.argv[2])))
print("ready", flush=True)
while True:
    client = server.accept()[0]
    client.send(sys.argv[3].encode() + b"\\n")
    client.close()
"""

# Abstract sockets: the user's id; what they say to a client; their names in hex. Own names get the own process id.
SQUAT = """
import json, os, socket, sys, threading, time
os.setgid(int(sys.argv[1])), os.setuid(int(sys.argv[1]))
manner = sys.argv[2]
def serve(server):
    while True:
        client = server.accept()[0]
        try:
            if manner != "silent":
                client.recv(16)
            if manner == "garbage":
                client.sendall(b"\\xff\\0[[}")
            elif manner == "nested":
                client.sendall(b"[" * 1000000)
            elif manner == "digits":
                client.sendall(b"9" * 3000000)
            elif manner == "list":
                client.sendall(b"[1]")
            elif manner == "endless":
                while True:
                    client.sendall(b" " * 1000000)
            elif manner == "silent":
                time.sleep(1000)
            else:
                items = [{"address": "192.0.2.2", "protocol": "tcp", "ports": "2600"}]
                state = {"listening": items, "held": [], "problems": [], "received": [], "pid": 1, "alive": True}
                state["seconds_left"] = 9
                client.sendall(json.dumps(state).encode())
        except OSError:
            pass
        client.close()
for name in sys.argv[3:]:
    server = socket.socket(socket.AF_UNIX)
    server.bind(b"\\0" + bytes.fromhex(name).replace(b"OWN", b"%d" % os.getpid()))
    server.listen(0)
    threading.Thread(target=serve, args=[server], daemon=True).start()
print("ready", flush=True)
threading.Event().wait()
"""

# What a client that checks nothing gets from an abstract socket, at most 16 MB: the name in hex.
NAIVE = """
import socket, sys
sock = socket.socket(socket.AF_UNIX)
sock.connect(b"\\0" + bytes.fromhex(sys.argv[1]))
sock.send(b"read")
total = 0
while total < 16 << 20:
    part = sock.recv(65536)
    if not part:
        break
    total += len(part)
print(total)
"""

# Connects to an abstract socket again and again, as another user: user id, name in hex.
FLOOD = """
import os, socket, sys
os.setuid(int(sys.argv[1]))
kept = []
said = False
while True:
    sock = socket.socket(socket.AF_UNIX)
    sock.setblocking(False)
    try:
        sock.connect(b"\\0" + bytes.fromhex(sys.argv[2]))
        kept.append(sock)
    except BlockingIOError:
        sock.close()
    if len(kept) > 3000:
        del kept[:1000]
        if not said:
            said = print("ready", flush=True) is None
"""

# Looks again and again for a text (the first line of stdin) in all that an unprivileged user may read of processes and
# of folders for temporary files. Every further line is answered with the paths found, after one more look at all.
WATCH = """
import glob, os, select, sys
os.setgid(65534), os.setuid(65534)
wanted = sys.stdin.readline().strip().encode()
print("ready", flush=True)
found = set()
while True:
    asked = select.select([0], [], [], 0)[0]
    if asked and not os.read(0, 100):
        break
    for pattern in ("/proc/[0-9]*/cmdline", "/proc/[0-9]*/environ", "/tmp/**", "/var/tmp/**", "/root/.ansible/**"):
        for path in glob.iglob(pattern, recursive=True):
            try:
                if os.path.isfile(path):
                    with open(path, "rb") as file:
                        if wanted in file.read(1 << 20):
                            found.add(path)
            except OSError:
                pass
    if asked:
        print(*sorted(found), flush=True)
"""


@pytest.fixture
def hosts():
    with two_hosts() as pair:
        yield pair


def script(host, text: str, *arguments: str) -> str:
    return host.run(sys.executable, "-c", text, *arguments).strip()


def name(text: str) -> str:
    """The name of a control socket after our prefix, in hex."""
    return (plan.CONTROL_PREFIX + text).encode("utf-8", "surrogateescape").hex()


def count_datagrams(host) -> None:
    host.rule("ipv4", "-A", "INPUT", "-p", "udp", "--dport", PORT, "-j", "ACCEPT")


def datagrams(host) -> int:
    """How many datagrams have come to the port since :func:`count_datagrams`."""
    (packets,) = re.findall(r"^\[(\d+):\d+\] -A INPUT ", host.run("iptables-save", "-c"), re.MULTILINE)
    return int(packets)


def answer_of(source, destination, question: bytes) -> bytes:
    """The answer to a datagram; everything that came to the listener before has been handled then."""
    return bytes.fromhex(script(source, ASK, destination.ipv4, PORT, question.hex()))


# -- datagrams ---------------------------------------------------------------------------------


def test_two_services_that_answer_anything_never_end_after_one_forged_datagram(hosts):
    """The control: so the forged datagram arrives, and would start a loop."""
    source, destination = hosts
    for host in hosts:
        host.play(ANSWERS_ANYTHING, host.ipv4, PORT)
        count_datagrams(host)
    script(source, FORGE, source.ipv4, destination.ipv4, PORT, b"x".hex())
    wait_until(lambda: datagrams(source) > 1000, 20)


QUESTION = proof.Proof(SECRET).question(b"n" * proof.RANDOM)
FORGED = {
    "text": (b"x", 0),
    "nothing": (b"", 0),
    "the datagram of old": (b"determined.network probe\n", 0),
    "a probe of another run": (proof.Proof("the-secret-of-another-run").question(b"n" * proof.RANDOM), 0),
    "the answer of a listener": (proof.Proof(SECRET).seal("line", b"s" * proof.RANDOM, b"n" * proof.RANDOM), 0),
    "a recorded probe": (QUESTION, 1),
    "a recorded probe with more behind it": (QUESTION + b"x", 0),
}


@pytest.mark.parametrize("kind", FORGED)
def test_a_forged_datagram_is_answered_once_at_most(hosts, kind):
    source, destination = hosts
    for host in hosts:
        host.listen({"address": host.ipv4, "protocol": "udp", "ports": PORT})
        count_datagrams(host)
    data, answers = FORGED[kind]
    script(source, FORGE, source.ipv4, destination.ipv4, PORT, data.hex())
    for _unused in range(2):  # whatever goes to and fro has time for four more ways
        assert answer_of(source, destination, QUESTION)
        assert answer_of(destination, source, QUESTION)
    # Besides the forged datagram there were two probes of each host; their answers went to other ports.
    assert (datagrams(destination), datagrams(source)) == (1 + 2, answers + 2)


def test_the_answer_to_a_datagram_is_not_longer_than_the_datagram(hosts):
    source, destination = hosts
    destination.listen({"address": destination.ipv4, "protocol": "udp", "ports": PORT})
    answer = answer_of(source, destination, QUESTION)
    assert len(answer) == len(QUESTION) == proof.LENGTH
    line = proof.Proof(SECRET).unseal(answer, b"n" * proof.RANDOM)
    assert line == f"determined.network t {destination.name}"


# -- strangers on the network --------------------------------------------------------------------


def test_a_stranger_learns_neither_the_run_nor_the_host(hosts):
    source, destination = hosts
    destination.listen({"address": destination.ipv4, "ports": PORT}, token="run-4711")
    heard = bytes.fromhex(script(source, READ, destination.ipv4, PORT))
    assert len(heard) == proof.LENGTH
    for word in ("run-4711", destination.name, "determined"):
        assert word.encode() not in heard
    target = {"address": destination.ipv4, "ports": PORT, "identify": PORT}
    for secret in ("the-secret-of-another-run", ""):
        (seen,) = source.probe(target, secret=secret)
        assert seen["open"] == PORT
        assert destination.name not in json.dumps(seen["answers"])
    (seen,) = source.probe(target)
    assert seen["answers"] == {f"determined.network run-4711 {destination.name}": PORT}


def test_who_says_the_line_of_a_listener_does_not_pass_for_it(hosts):
    source, destination = hosts
    line = f"determined.network t {destination.name}"
    destination.play(SAYS, destination.ipv4, PORT, line)
    (seen,) = source.probe({"address": destination.ipv4, "ports": PORT, "identify": PORT})
    assert seen["answers"] == {f"unproven: {line}": PORT}


def test_a_forged_answer_does_not_displace_the_right_one(hosts):
    source, destination = hosts
    two_answers = (
        "import socket, sys\n"
        "sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "sock.bind((sys.argv[1], int(sys.argv[2])))\n"
        "sys.path.insert(0, sys.argv[3])\n"
        "from ansible_collections.determined.network.plugins.module_utils._sockets import proof\n"
        "known = proof.Proof(sys.argv[4])\n"
        "print('ready', flush=True)\n"
        "question, client = sock.recvfrom(2048)\n"
        "sock.sendto(b'forged\\n', client)\n"
        "sock.sendto(known.seal('of another datagram', b's' * 16, b'other nonce'), client)\n"
        "sock.recvfrom(2048)\n"  # the probe still waits: it asks again
        "sock.sendto(known.seal('right', b's' * 16, known.read_question(question)), client)\n"
    )
    destination.play(two_answers, destination.ipv4, PORT, str(COLLECTIONS), SECRET)
    target = {"address": destination.ipv4, "protocol": "udp", "ports": PORT, "identify": PORT}
    (seen,) = source.probe(target, timeout=3)
    assert seen["answers"] == {"right": PORT}


# -- other users of the host -------------------------------------------------------------------------

FOREIGN = [
    name("t"),
    name("t.OWN.012345"),
    name("t.1.012345"),
    name("\udcff\udcfe"),
    name("t\n0: 2 0 00010000 0001 01 1 @determined.network.listener.t.1.012345"),
]


@pytest.mark.parametrize("manner", ["state", "garbage", "endless", "silent"])
def test_sockets_of_other_users_are_ignored_and_told(hosts, manner):
    _source, destination = hosts
    destination.play(SAYS, destination.ipv4, "2600", "a hidden service")
    destination.play(SQUAT, "65534", manner, *FOREIGN)
    if manner == "endless":  # the control: it is there, and gives as much as a client takes
        assert int(script(destination, NAIVE, FOREIGN[0])) >= 16 << 20
    started = time.monotonic()
    found = destination.ask("services")
    assert found["services"] == {"tcp": "2600", "udp": ""}
    (note,) = found["notes"]
    # The invented line is a part of a name, and the kernel shows it as a line of its own.
    assert re.match(r"[56] sockets that are named like control sockets of our listeners belong to other users", note)
    assert destination.ask("read", token="t") is None
    assert destination.ask("stop", token="t") is False
    pid = destination.listen({"address": destination.ipv4, "ports": PORT})["pid"]
    assert destination.ask("read", token="t")["pid"] == pid
    assert destination.ask("stop", token="t") is True
    assert time.monotonic() - started < 15  # seven processes of Python, on a busy machine


def test_who_takes_a_name_between_two_rounds_keeps_nobody_from_listening(hosts):
    _source, destination = hosts
    destination.listen({"address": destination.ipv4, "ports": PORT})
    (taken,) = control_names(destination)
    assert destination.ask("stop", token="t") is True
    destination.play(SQUAT, "65534", "silent", taken.encode().hex())
    destination.listen({"address": destination.ipv4, "ports": PORT})
    assert destination.ask("read", token="t")["alive"] is True


@pytest.mark.parametrize(
    "manner, words",
    [
        ("garbage", "gives a malformed answer"),
        ("nested", "gives a malformed answer"),
        ("digits", "gives a malformed answer"),
        ("list", "gives a malformed answer"),
        ("endless", "answers with more than 4194304 bytes"),
        ("silent", "does not answer"),
    ],
)
def test_a_broken_supervisor_of_the_same_user_is_told(hosts, manner, words):
    _source, destination = hosts
    broken = destination.play(SQUAT, "0", manner, name("other.OWN.012345"))
    found = destination.ask("services")
    assert found["services"] == {"tcp": "", "udp": ""}
    (note,) = found["notes"]
    assert note == f"process {broken.pid}, the listeners of token other, {words}; kill it"
    assert destination.listen({"address": destination.ipv4, "ports": PORT})["listening"]


def test_the_state_of_the_same_user_counts(hosts):
    """The control of the tests above: a state that is told as it should be hides its ports."""
    _source, destination = hosts
    destination.play(SAYS, destination.ipv4, "2600", "x")
    destination.play(SQUAT, "0", "state", name("other.OWN.012345"))
    assert destination.ask("services") == {"services": {"tcp": "", "udp": ""}, "notes": []}


def test_a_flood_of_other_users_keeps_nobody_from_control(hosts):
    _source, destination = hosts
    destination.listen({"address": destination.ipv4, "ports": PORT})
    (control,) = control_names(destination)
    flood = destination.play(FLOOD, "65534", control.encode().hex())
    assert destination.ask("read", token="t")["alive"] is True
    # On a busy machine the flood may delay an answer beyond its two seconds, which a note tells: ask again.
    answers = (destination.ask("services") for _attempt in range(10))
    assert {"services": {"tcp": "", "udp": ""}, "notes": []} in answers
    assert flood.poll() is None
    assert destination.ask("stop", token="t") is True
    assert listening(destination) == set()


def test_another_user_sees_no_state(hosts):
    _source, destination = hosts
    destination.listen({"address": destination.ipv4, "ports": PORT})
    (control,) = control_names(destination)
    become_nobody(destination)
    asks = "import socket, sys\nsock = socket.socket(socket.AF_UNIX)\nsock.connect('\\0' + sys.argv[1])\n"
    asks += "print(sock.recv(9))"
    assert destination.run(*destination.user, destination.python, "-c", asks, control).strip() == "b''"


# -- the secret --------------------------------------------------------------------------------------


def test_no_other_user_can_read_the_secret(hosts, tmp_path):
    _source, destination = hosts
    secret = f"watched-{os.urandom(12).hex()}"
    variables = tmp_path / "variables.json"
    variables.write_text(json.dumps({"the_secret": secret}))
    with subprocess.Popen(
        [sys.executable, "-c", WATCH], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as watcher:

        def ask_watcher(line: str) -> str:
            watcher.stdin.write(line + "\n")
            watcher.stdin.flush()
            return watcher.stdout.readline().strip()

        assert ask_watcher(secret) == "ready"
        listeners = [{"address": destination.ipv4, "ports": PORT}]
        wanted = {"token": "t", "answer": "line", "secret": "{{ the_secret }}", "listeners": listeners}
        code, result = play_module(destination, tmp_path, "listener", "-e", f"@{variables}", **wanted)
        assert (code, result["alive"]) == (0, True)
        assert secret not in json.dumps(result)
        assert ask_watcher("tell") == ""
        # The control: the watcher finds what can be read.
        with subprocess.Popen(["cat", "-", secret], stdin=subprocess.PIPE) as careless:
            assert ask_watcher("tell") == f"/proc/{careless.pid}/cmdline"
        watcher.stdin.close()
