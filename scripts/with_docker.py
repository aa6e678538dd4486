"""Run a command while Docker runs: the daemon that is there, or one of our own, which ends with the command.

Usage: python3 scripts/with_docker.py COMMAND [ARGUMENT ...]
The exit code is the command's. Starting a daemon needs root: this script asks sudo for it, as the Makefile does. It
needs sudo only at the beginning: at the end, sudo may have forgotten the password.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOG = ROOT / "build/dockerd.log"
AS_ROOT = [] if os.geteuid() == 0 else ["sudo"]
START_SECONDS, END_SECONDS = 60, 60

# Runs as root: a daemon that gets SIGTERM when the standard input ends. That happens when this script closes it, and
# also when this script is killed. Ctrl-C must reach the tests alone, which still need the daemon to remove their hosts.
# So the daemon is in a session of its own, and the shell ignores what the terminal sends. The session begins below
# sudo, because sudo remembers a password for one terminal.
HOLD = """
trap '' INT QUIT HUP
exec 3<&0
setsid dockerd </dev/null 3<&- & daemon=$!
{ read -r _ <&3; kill "$daemon"; } & watcher=$!
wait "$daemon"; code=$?
kill "$watcher"
exit "$code"
"""


def docker_runs() -> bool:
    command = [*AS_ROOT, "docker", "info"]
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0


def may_become_root() -> bool:
    """Whether sudo lets us; it may ask for a password where somebody can type it."""
    if shutil.which("sudo") is None:
        return False
    if sys.stdin.isatty():
        return subprocess.run(["sudo", "true"], check=False).returncode == 0
    return subprocess.run(["sudo", "-n", "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0


def start() -> subprocess.Popen:
    """Start a daemon and wait until it answers. SystemExit with one line that says what to do if it does not."""
    LOG.parent.mkdir(exist_ok=True)
    with LOG.open("wb") as log:
        daemon = subprocess.Popen([*AS_ROOT, "sh", "-c", HOLD], stdin=subprocess.PIPE, stdout=log, stderr=log)
    try:
        end = time.monotonic() + START_SECONDS
        while not docker_runs():
            if daemon.poll() is not None or time.monotonic() > end:
                sys.exit(f"Docker does not start here; {LOG} says why. Start it yourself, then run this again.")
            time.sleep(0.3)
    except BaseException:
        stop(daemon)
        raise
    print("Started a Docker daemon for this run", flush=True)
    return daemon


def stop(daemon: subprocess.Popen) -> None:
    """End the daemon and wait until it has ended."""
    daemon.stdin.close()
    try:
        daemon.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        print(f"The Docker daemon below process {daemon.pid} does not end; {LOG} may say why", file=sys.stderr)


def run(command: list) -> int:
    """Run the command and pass signals on to it -> its exit code, or 128 and the number of the signal that ended it."""
    process = subprocess.Popen(command)
    # The terminal sends Ctrl-C to the command itself.
    signal.signal(signal.SIGINT, lambda _number, _frame: None)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: process.send_signal(number))
    code = process.wait()
    return code if code >= 0 else 128 - code


def main(command: list) -> int:
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    if AS_ROOT and not may_become_root():
        sys.exit("The test hosts need root, and sudo does not give it here. Run this as root, or: sudo make test")
    if shutil.which("docker") is not None and docker_runs():
        os.execvp(command[0], command)
    if shutil.which("docker") is None or shutil.which("dockerd") is None:
        sys.exit("Docker is not installed here. Run: scripts/setup test")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: sys.exit(128 + number))
    daemon = start()
    try:
        return run(command)
    finally:
        stop(daemon)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1:]))
