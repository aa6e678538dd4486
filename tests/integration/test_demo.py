"""The demo is green on the oldest and on the newest ansible-core that this collection runs on."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]

# meta/runtime.yml names the floor; the newest is whatever this Python can install.
FLOOR = re.search(r"[\d.]+", yaml.safe_load((ROOT / "meta/runtime.yml").read_text())["requires_ansible"])[0]
OLDEST = "ansible-core==" + ".".join(FLOOR.split(".")[:2]) + ".*"


@pytest.fixture(scope="module", params=[OLDEST, "ansible-core"], ids=["oldest", "newest"])
def controller(request):
    """A virtual environment with one ansible-core, and the path of its tools."""
    name = re.sub(r"[^a-z0-9.]+", "-", request.param).strip("-.")
    folder = ROOT / "build/controllers" / name
    if not (folder / "bin/ansible-playbook").exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, request.param, "netaddr"], check=True)
    return folder / "bin"


def test_the_demo_is_green(controller, tmp_path):
    done = subprocess.run(
        [
            str(controller / "ansible-playbook"),
            "playbooks/rehearse.yml",
            "-i",
            "inventories/demo",
            "-e",
            f"determined_rehearse_name=demo-{controller.parent.name} determined_verify_report_dir={tmp_path}",
        ],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_NOCOLOR": "1", "PATH": f"{controller}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        text=True,
        capture_output=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    summary = json.loads((tmp_path / "report.json").read_text())["summary"]
    assert summary["correct"] == summary["checks"] > 150
    assert "DEPRECATION" not in done.stderr
    assert "WARNING" not in done.stderr
