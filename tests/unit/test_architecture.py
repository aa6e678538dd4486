# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/architecture.md names files and packages that exist, and every package of the code."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
PATHS = sorted(set(re.findall(r"`((?:plugins|tests|roles|extensions)/[\w./-]+)`", TEXT)))
PACKAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for side in ("module_utils", "plugin_utils")
    for path in (ROOT / "plugins" / side).iterdir()
    if path.name.startswith("_") and path.name != "__pycache__"
)


def test_there_are_paths_to_hold():
    assert len(PATHS) > 30


@pytest.mark.parametrize("path", PATHS)
def test_a_path_that_the_page_names_exists(path):
    assert (ROOT / path).exists()


@pytest.mark.parametrize("path", PACKAGES)
def test_the_page_names_every_package(path):
    assert Path(path).name.removesuffix(".py") in TEXT
