# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Test hosts keep the compiled code of what Ansible sends, and run what they would run without it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

FILE = (
    Path(__file__)
    .resolve()
    .parents[2]
    .joinpath("extensions/molecule/image/files/usr/lib/python3/dist-packages/compile_once.py")
)
# The first argument: "compile_once", or a module that changes nothing. The second one: the zip file.
RUN = "import sys, importlib; importlib.import_module(sys.argv[1]); sys.path.insert(0, sys.argv[2]); import sent"


@pytest.fixture
def place(tmp_path):
    shutil.copy(FILE, tmp_path)
    (tmp_path / "compile_once.cache").mkdir()
    return tmp_path


def run(place: Path, archive: str, source: str, hook: str = "compile_once") -> tuple[str, str]:
    """Import ``source`` from a new zip file -> output and traceback."""
    with zipfile.ZipFile(place / archive, "w") as file:
        file.writestr("sent.py", source)
    # Without the packages of the tests' Python, which have the file as well.
    command = [sys.executable, "-S", "-c", RUN, hook, str(place / archive)]
    done = subprocess.run(command, cwd=place, text=True, capture_output=True, timeout=60, check=False)
    return done.stdout, done.stderr


def kept(place: Path) -> list[Path]:
    return sorted((place / "compile_once.cache").iterdir())


def test_the_same_source_is_compiled_once(place):
    assert run(place, "one.zip", "print('first')")[0] == "first\n"
    (first,) = kept(place)
    inode = first.stat().st_ino
    assert run(place, "two.zip", "print('first')")[0] == "first\n"
    assert [path.stat().st_ino for path in kept(place)] == [inode]


def test_what_is_kept_is_what_runs(place):
    run(place, "one.zip", "print('first')")
    run(place, "two.zip", "print('other')")
    first, second = kept(place)
    first_code, second_code = first.read_bytes(), second.read_bytes()
    first.write_bytes(second_code)
    second.write_bytes(first_code)
    assert run(place, "one.zip", "print('first')")[0] == "other\n"


def test_a_changed_source_is_compiled_again(place):
    assert run(place, "one.zip", "print('first')")[0] == "first\n"
    assert run(place, "one.zip", "print('other')")[0] == "other\n"
    assert len(kept(place)) == 2


def test_tracebacks_name_the_file_that_runs(place):
    source = "def broken():\n    return 1 / 0\nbroken()\n"
    run(place, "one.zip", source)
    expected = run(place, "two.zip", source, hook="keyword")[1]
    assert f"{place}/two.zip/sent.py" in expected
    assert run(place, "two.zip", source)[1] == expected


@pytest.mark.parametrize("content", [b"", b"what no marshal wrote"])
def test_a_damaged_file_is_compiled_again(place, content):
    run(place, "one.zip", "print('first')")
    (path,) = kept(place)
    path.write_bytes(content)
    assert run(place, "two.zip", "print('first')") == ("first\n", "")
    assert path.read_bytes() != content


def test_without_the_directory_everything_is_compiled(place):
    (place / "compile_once.cache").rmdir()
    assert run(place, "one.zip", "print('first')") == ("first\n", "")
