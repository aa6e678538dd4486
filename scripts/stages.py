"""Run stages of the Makefile beside each other, and print at the end which passed and how long each took.

Usage: python3 scripts/stages.py LANE ...
A lane is a list of the Makefile's targets that run one after the other, "lint unit" for instance. Lanes run beside
each other. A target that several lanes name runs once, and all of them wait for it. A target after a + runs with low
priority ("+sanity"): it takes the processor time that the others do not use.
The output of a stage goes into build/stages/NAME.log; that of a failed stage is also printed. The others go on.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOGS = ROOT / "build/stages"
STILL_RUNNING = 300  # seconds after which a stage that says nothing is named

interrupted = threading.Event()
lock = threading.Lock()
began = time.monotonic()


class Stage:
    """One target of the Makefile; its times are seconds since the start."""

    def __init__(self, name: str, low_priority: bool) -> None:
        self.name, self.low_priority = name, low_priority
        self.log = LOGS / f"{self.name}.log"
        self.result, self.start, self.end = "not run", 0.0, 0.0
        self.process = None
        self._lock = threading.Lock()

    def run(self) -> None:
        """Run it, unless another lane did; wait for the one that does."""
        with self._lock:
            if self.process is None:
                self._run()

    def _run(self) -> None:
        self.start = time.monotonic() - began
        # A make of its own: its jobs are none of ours.
        of_make = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")
        environment = {name: value for name, value in os.environ.items() if name not in of_make}
        command = [
            *(["nice", "--adjustment=10"] if self.low_priority else []),
            "make",
            "--no-print-directory",
            self.name,
        ]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        say(f"{self.name}: began")
        code = self.process.wait()
        self.end = time.monotonic() - began
        self.result = "passed" if code == 0 else "interrupted" if interrupted.is_set() else "FAILED"
        text = f"{self.name}: {self.result}, {minutes(self.end - self.start)}"
        output = self.log.read_text(errors="replace")
        if self.result == "FAILED":
            text = f"{output}\n{text}"
        else:
            # How many tests ran, in pytest's own words, and what this machine could not test.
            text = "\n".join([*re.findall(r"^(?:=*[ ]*\d+ passed|Not tested).*$", output, re.MULTILINE), text])
        say(text)


def say(text: str) -> None:
    with lock:
        print(text, flush=True)


def minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def run_lane(lane: list) -> None:
    for stage in lane:
        if not interrupted.is_set():
            stage.run()


def last_words(path: Path) -> str:
    return " ".join(path.read_text(errors="replace").split()[-3:])


def descendants(pid: int) -> list:
    """The process ids below ``pid``."""
    children: dict = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = path.read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        children.setdefault(int(parent), []).append(int(path.parent.name))
    found, waiting = [], [pid]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def interrupt(number: int, _frame: object) -> None:
    """End the stages. The terminal sends Ctrl-C to all processes itself; other signals are passed on as such a one."""
    interrupted.set()
    if number != signal.SIGINT:
        for pid in descendants(os.getpid()):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGINT)


def table() -> str:
    rows = [f"{'stage':<16}{'result':<12}{'began':>7}{'took':>8}"]
    for stage in stages:
        times = f"{minutes(stage.start):>7}{minutes(stage.end - stage.start):>8}" if stage.end else ""
        rows.append(f"{stage.name:<16}{stage.result:<12}{times}")
    rows.append(f"{'all':<16}{'':<12}{'':>7}{minutes(time.monotonic() - began):>8}")
    return "\n".join(rows)


def main() -> int:
    LOGS.mkdir(parents=True, exist_ok=True)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    threads = [threading.Thread(target=run_lane, args=(lane,)) for lane in lanes]
    for thread in threads:
        thread.start()
    told = time.monotonic()
    while any(thread.is_alive() for thread in threads):
        time.sleep(0.2)
        if time.monotonic() - told > STILL_RUNNING:
            told = time.monotonic()
            for stage in stages:
                if stage.process is not None and stage.process.poll() is None:
                    say(f"{stage.name}: still running, {minutes(told - began - stage.start)}: {last_words(stage.log)}")
    say("\n" + table())
    return 0 if all(stage.result == "passed" for stage in stages) else 1


if __name__ == "__main__":
    names = [[word.lstrip("+") for word in lane.split()] for lane in sys.argv[1:]]
    low = {word[1:] for lane in sys.argv[1:] for word in lane.split() if word.startswith("+")}
    known = {name: Stage(name, name in low) for lane in names for name in lane}
    lanes, stages = [[known[name] for name in lane] for lane in names], list(known.values())
    if not stages:
        sys.exit(__doc__)
    sys.exit(main())
