# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every promise of docs/security.md names a test that exists, and every test of an attack holds a promise there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
INTEGRATION = ROOT / "tests/integration"
TEXT = (ROOT / "docs/security.md").read_text(encoding="utf-8")
TESTS = re.findall(r"`((?:tests/[\w/]+/)?test_\w+\.py)::(\w+)`", TEXT)


@pytest.mark.parametrize("file, function", sorted(set(TESTS)))
def test_a_test_that_the_page_names_exists(file, function):
    path = ROOT / file if "/" in file else INTEGRATION / file
    assert f"\ndef {function}(" in path.read_text(encoding="utf-8")


def test_every_promise_names_a_test():
    rows = [line for line in TEXT.splitlines() if line.startswith("| ") and "| test |" not in line]
    promises = [row for row in rows if not row.startswith(("| `permit`", "| `restrict`", "| mode"))]
    assert len(promises) > 25
    assert [row for row in promises if "::" not in row] == []


def test_every_file_of_attacks_is_named():
    files = {path.name for path in INTEGRATION.glob("test_*attacks*.py")} | {
        "test_forged_packets.py",
        "test_reboot_windows.py",
        "test_secrets.py",
        "test_windows.py",
    }
    assert files - {file for file, _function in TESTS} == set()
