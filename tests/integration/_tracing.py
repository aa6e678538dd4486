"""What remains of the module ``trace`` on a host."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from ._firewall_host import Host

FOLDER = "/run/determined-network-trace"


def tables(host: Host) -> list[str]:
    listed = host.run("nft", "list", "tables", check=False)  # "bare" has no nft, and so no tables
    return [line.split()[-1] for line in listed.splitlines() if "determined_trace" in line]


def remaining(host: Host) -> tuple[list, list, list]:
    """Tables, files and processes of traces."""
    files = host.run("sh", "-c", f"ls -d {FOLDER} {FOLDER}/* 2>/dev/null || true").split()
    return tables(host), files, processes(host)


def processes(host: Host) -> list[int]:
    """The processes of traces: the witness, then its remover."""
    namespace = os.readlink(f"/proc/{host.pid}/ns/net")
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.readlink(process / "ns/net") == namespace and (process / "cmdline").read_bytes().endswith(
                b"\0trace\0"
            ):
                found[int(process.name)] = int((process / "stat").read_text().rsplit(")", 1)[1].split()[1])
    return sorted(found, key=lambda pid: found[pid] in found)
