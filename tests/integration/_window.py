"""Probes that go on while a firewall changes, dense enough to find a gap of a few milliseconds.

Arguments of the program: interface, MAC of the victim, its addresses with a comma, own addresses with a comma, ports
with a comma, the number of probes, the longest pause in seconds, and what it sends.

"plain": bursts of SYNs and ACKs to the ports, each from another source port. "forged": SYNs, every second of them
after two segments that make connection tracking believe in its connection (test_attacks.py describes them).
Whatever the victim answers to one of them shows that it got through. All have a number that no other window has, so
late answers do not count. It goes on until its input has a line and the probes are sent. Then it prints JSON: "sent",
"through", "seconds" (how long it went on), "blind": by how many seconds the pauses between bursts exceeded the longest
one, "opened": how many SYN/ACKs came from each "ADDRESS,PORT", and "last": when the last answer of another kind came
(seconds of the clock of time.monotonic, 0 if none came).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ._forger import SEGMENTS

LONGEST_PAUSE = 0.01  # seconds
_BLIND = 0.005  # the part of a window that may lie in longer pauses, which come from other work of the machine
PROBES = 20000
ATTEMPTS = 8

PROBER = (
    SEGMENTS
    + """
import gc, json, os, select
gc.disable()
try:
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))  # other processes must not make the pauses longer
except PermissionError:
    os.nice(-20)
interface, mac, victims, owns, ports, probes, pause, kind = sys.argv[1:]
ports = [int(port) for port in ports.split(",")]
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
wire.setsockopt(socket.SOL_SOCKET, 33, 64 * 1024 * 1024)  # SO_RCVBUFFORCE
wire.bind((interface, 0))
wire.setblocking(False)
head = bytes.fromhex(mac.replace(":", "")) + wire.getsockname()[4]
frames, mark = [], int.from_bytes(os.urandom(3), "big")
for number in range(4000):
    for victim, own in zip(victims.split(","), owns.split(",")):
        port, source = ports[number % len(ports)], 20000 + number
        probes_of_one = [segment(own, source, victim, port, "SA"[number // 8 % 2], "", mark, b"", mark)]
        if kind == "forged":
            probes_of_one = [segment(own, source, victim, port, "S", "", mark, b"", mark)]
            if number // 8 % 2:
                middle = segment(own, source, victim, port, "A", "md5", mark, b"", mark)
                probes_of_one[:0] = [middle, segment(victim, port, own, source, "A", "", mark, b"", mark)]
        frames += [head + b"".join(probe) for probe in probes_of_one]

sent, last, opened = 0, 0.0, {}
def look():
    global last
    found = 0
    while True:
        try:
            frame, (_name, _kind, packet_type, *_more) = wire.recvfrom(2000)
        except BlockingIOError:
            return found
        start = {0x0800: 34, 0x86DD: 54}.get(struct.unpack_from("!H", frame, 12)[0])
        if packet_type == 0 and start and len(frame) >= start + 14:
            protocol = frame[23] if start == 34 else frame[20]
            if protocol != 6 or mark + 1 not in struct.unpack_from("!II", frame, start + 4):
                continue
            found += 1
            if frame[start + 13] & 18 == 18:
                family, source = (socket.AF_INET, frame[26:30]) if start == 34 else (socket.AF_INET6, frame[22:38])
                target = "%s,%d" % (socket.inet_ntop(family, source), struct.unpack_from("!H", frame, start)[0])
                opened[target] = opened.get(target, 0) + 1
            else:
                last = time.monotonic()

def burst():
    global sent
    for _probe in range(40):
        try:
            wire.send(frames[sent % len(frames)])
        except BlockingIOError:
            return
        sent += 1

def until(condition):
    begin = last = time.monotonic()
    blind, seen = 0.0, 0
    while True:
        burst()
        now = time.monotonic()
        blind, last = blind + max(0.0, now - last - float(pause)), now
        seen += look()
        if condition():
            return blind, now - begin, seen
        time.sleep(0.001)

def told():
    return bool(select.select([0], [], [], 0)[0])

print("begun", flush=True)
blind, seconds, through = until(lambda: told() and sent >= int(probes))
time.sleep(0.2)
through += look()
result = {"sent": sent, "through": through, "seconds": seconds, "blind": blind, "opened": opened, "last": last}
print(json.dumps(result), flush=True)
"""
)


@contextmanager
def window(
    start, mac: str, victims: list[str], owns: list[str], ports: list[int], kind: str = "plain"
) -> Iterator[dict]:
    """Probe while the block runs -> a dict that holds the result of the program when the block has ended.

    ``start``: starts a command line of Python's arguments at the outsider -> the process, with pipes.
    """
    lists = [",".join(victims), ",".join(owns), ",".join(map(str, ports)), str(PROBES), str(LONGEST_PAUSE)]
    process = start("-c", PROBER, "eth0", mac, *lists, kind)
    assert process.stdout.readline() == "begun\n"
    result: dict = {}
    yield result
    process.stdin.write("enough\n")
    process.stdin.flush()
    result.update(json.loads(process.stdout.readline()))


def is_dense(result: dict) -> bool:
    """Whether a window had no pauses through which something could have slipped unseen."""
    return result["blind"] <= _BLIND * result["seconds"]


def stays_closed(name: str, probing: Callable, before: Callable, step: Callable) -> None:
    """Take a step while probes are sent; none may get through. ``probing``: makes a :func:`window`.

    A window with too many pauses proves too little, so it is repeated: a busy machine makes pauses.
    """
    for _attempt in range(ATTEMPTS):
        before()
        with probing() as result:
            step()
        assert result["through"] == 0 and result["sent"] >= PROBES, (name, result)
        if is_dense(result):
            return
    raise AssertionError(f"{name}: this machine is too busy for a window without pauses, {result}")
