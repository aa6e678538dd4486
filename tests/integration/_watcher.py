# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An ordinary user who reads whatever it can while others work: command lines, environments, new and changed files.

It is a program of the standard library, so that it runs on test hosts, too.
"""

from __future__ import annotations

import base64
import json
import subprocess

NOBODY_ELSE = 64203  # a user id that nobody has

# Its input: a line of JSON with "wanted" (hexadecimal, what to look for), "folders" (to watch with all below) and
# "user" (the id to become). It prints "watching" when it watches. For each further line it prints the places where it
# has seen something wanted, as JSON.
#
# Command lines and environments are read in a loop: those of young processes each time, others each 20th time. Files
# are read when inotify(7) tells of them. A file stays open after that, so what is written into it later is read, even
# if its permissions were taken away in between.
WATCHER = """
import ctypes, json, os, stat, struct, sys, threading, time

asked = json.loads(sys.stdin.readline())
os.setgroups([]), os.setgid(asked["user"]), os.setuid(asked["user"])
sys.setswitchinterval(0.0005)
wanted = [bytes.fromhex(one) for one in asked["wanted"]]
found, problems, most, largest = {}, [], 300, 1 << 20
lock = threading.Lock()  # of the open files

def judge(place, data):
    for one in wanted:
        at = data.find(one)
        if at >= 0 and place not in found:
            found[place] = repr(data[max(0, at - 60) : at + 80])

def read(path):
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(largest)
    except OSError:
        return b""

def processes():
    born, turn = {}, 0
    while True:
        turn, now = turn + 1, time.monotonic()
        pids = [name for name in os.listdir("/proc") if name.isdigit()]
        for pid in pids:
            if turn % 20 == 0 or now - born.setdefault(pid, now) < 1:
                for name in ("cmdline", "environ"):
                    path = "/proc/%s/%s" % (pid, name)
                    judge(path, read(path))
        born = {pid: born.get(pid, now) for pid in pids}
        if turn % 20 == 0:
            judge("/proc/net/unix", read("/proc/net/unix"))
        time.sleep(0.004)  # without a pause it would take a processor from those whom it watches

libc = ctypes.CDLL(None, use_errno=True)
queue = libc.inotify_init1(0)
MODIFY, ATTRIB, CLOSE_WRITE, MOVED_TO, CREATE = 0x2, 0x4, 0x8, 0x80, 0x100
OVERFLOW, GONE, IS_FOLDER, NO_LINK = 0x4000, 0x8000, 0x40000000, 0x02000000
folders, opened = {}, {}

def watch(folder, new):
    events = MODIFY | ATTRIB | CLOSE_WRITE | MOVED_TO | CREATE | NO_LINK
    number = libc.inotify_add_watch(queue, os.fsencode(folder), events)
    if number < 0:
        if ctypes.get_errno() == 28:
            problems.append("there are too many folders to watch")
        return
    folders[number] = folder
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            watch(entry.path, new)
        elif new:
            look(entry.path)

def look(path):
    if path not in opened:
        try:
            number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY)
        except OSError:
            return
        if not stat.S_ISREG(os.fstat(number).st_mode):
            os.close(number)
            return
        opened[path] = number
        if len(opened) > most:
            old = next(iter(opened))
            again(old)
            os.close(opened.pop(old))
    again(path)

def again(path):
    try:
        judge(path, os.pread(opened[path], largest, 0))
    except OSError:
        pass  # some files of the kernel's own cannot be read

def files():
    while True:
        events = os.read(queue, 1 << 18)
        while events:
            number, mask, _cookie, length = struct.unpack_from("iIII", events)
            name, events = events[16 : 16 + length].rstrip(b"\\0"), events[16 + length :]
            if mask & OVERFLOW:
                problems.append("inotify lost events")
            if mask & GONE:
                folders.pop(number, None)
            if number not in folders or not name:
                continue
            path = os.path.join(folders[number], os.fsdecode(name))
            if mask & IS_FOLDER:
                with lock:
                    watch(path, True)
                continue
            with lock:
                if mask & (CREATE | MOVED_TO) and path in opened:
                    again(path)
                    os.close(opened.pop(path))
                look(path)

def everything():
    # What is there at the end, and what is still open.
    with lock:
        for path in list(opened):
            again(path)
    for top in asked["folders"]:
        for folder, _folders, names in os.walk(top):
            for name in names:
                path = os.path.join(folder, name)
                try:
                    state = os.lstat(path)
                except OSError:
                    continue
                if stat.S_ISREG(state.st_mode) and state.st_ctime >= began:
                    judge(path, read(path))

def go(work):
    try:
        work()
    except Exception as problem:
        problems.append(repr(problem))

began = time.time() - 1
for top in asked["folders"]:
    watch(top, False)
for work in (processes, files):
    threading.Thread(target=go, args=[work], daemon=True).start()
print("watching", flush=True)
for _line in sys.stdin:
    everything()
    print(json.dumps({"found": found, "problems": problems}), flush=True)
"""


def forms(secret: str) -> list[bytes]:
    """The bytes by which a secret of letters and digits shows itself: as it is, which is also what it is in URLs and
    behind any quotes, and inside of base64, wherever it begins."""
    assert secret.isascii() and secret.isalnum()
    data = secret.encode()
    found = [data]
    for before in range(3):
        # Without the characters that also depend on what stands before and after it.
        text = base64.b64encode(b"\0" * before + data)
        found.append(text[(before * 8 + 5) // 6 : (before + len(data)) * 8 // 6])
    return found


class Watcher:
    """A watching process. It ends with the ``with`` block."""

    def __init__(self, command: list[str], secrets: list[str], folders: list[str]):
        """command: starts Python's interpreter as root, up to its arguments."""
        self._process = subprocess.Popen(
            [*command, "-c", WATCHER], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        wanted = [one.hex() for secret in secrets for one in forms(secret)]
        self._say({"wanted": wanted, "folders": folders, "user": NOBODY_ELSE})
        assert self._process.stdout.readline() == "watching\n"

    def _say(self, what: object) -> None:
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()

    def found(self) -> dict[str, str]:
        """Place -> what it shows there, for everything that was seen since the beginning."""
        self._say("tell")
        told = json.loads(self._process.stdout.readline())
        assert told["problems"] == []
        return told["found"]

    def __enter__(self) -> Watcher:
        return self

    def __exit__(self, *problem: object) -> None:
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()
