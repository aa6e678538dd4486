"""How long `make demo` takes once it is set up, beside a mere ping of the same hosts. Goal: 60 s on 2 cores."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TOOLS = Path(sys.executable).parent


def seconds(*command: str) -> float:
    """Wall time of a command that must succeed."""
    start = time.monotonic()
    subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - start


with tempfile.TemporaryDirectory() as folder:
    playbook = str(TOOLS / "ansible-playbook")
    demo = seconds(
        playbook, "playbooks/rehearse.yml", "-i", "inventories/demo", "-e", f"determined_verify_report_dir={folder}"
    )
    interpreter = ("-e", f"ansible_python_interpreter={sys.executable}")
    hosts = ",".join(f"host{number}" for number in range(6)) + ","
    ping = seconds(
        str(TOOLS / "ansible"), "all", "-i", hosts, "-c", "local", "-m", "ansible.builtin.ping", *interpreter
    )
print(
    f"make demo: {demo:.1f} s on {os.cpu_count()} cores; ping of six local hosts: {ping:.1f} s; ratio {demo / ping:.1f}"
)
