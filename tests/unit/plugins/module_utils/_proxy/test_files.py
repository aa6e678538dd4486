# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files are written whole, with mode and folders, and put back when one of several fails."""

import os

import pytest
from ansible_collections.determined.network.plugins.module_utils._proxy import files
from ansible_collections.determined.network.plugins.module_utils._proxy.record import State, Step


def state(data, mode=0o644):
    return State(data, mode, os.getuid(), os.getgid())


def step(path, before, after):
    return Step(str(path), before, after, "t", (), "")


def test_there_and_gone(tmp_path):
    path = str(tmp_path / "a/b/file")
    assert files.read(path) is None
    old = os.umask(0o077)
    try:
        made = files.write(path, state(b"\xff1", 0o640))
    finally:
        os.umask(old)
    assert made == [str(tmp_path / "a"), str(tmp_path / "a/b")]
    assert [os.stat(folder).st_mode & 0o777 for folder in made] == [0o755, 0o755]
    assert files.read(path) == state(b"\xff1", 0o640)
    assert files.write(path, state(b"2", 0o600)) == []
    assert os.listdir(str(tmp_path / "a/b")) == ["file"]
    files.write(path, None)
    files.write(path, None)
    assert files.read(path) is None
    assert files.remove_folders(made + [str(tmp_path / "never")]) == []
    assert os.listdir(str(tmp_path)) == []


def test_folders_that_are_in_use_stay(tmp_path):
    made = files.write(str(tmp_path / "a/b/file"), state(b""))
    assert files.remove_folders(made) == made[::-1]


def test_a_link_stays_one(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"1")
    link.symlink_to(target)
    files.write(str(link), state(b"2"))
    assert link.is_symlink() and target.read_bytes() == b"2"


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(files.FileProblem):
        files.read(str(tmp_path))
    os.mkfifo(str(tmp_path / "pipe"))
    descriptor = os.open(str(tmp_path / "pipe"), os.O_RDWR)
    try:
        with pytest.raises(files.FileProblem):
            files.read(str(tmp_path / "pipe"))
    finally:
        os.close(descriptor)


def test_all_or_nothing(tmp_path):
    first, second = tmp_path / "first", tmp_path / "new/second"
    first.write_bytes(b"1")
    before = files.read(str(first))
    (tmp_path / "blocked").write_bytes(b"")
    steps = [
        step(first, before, state(b"2")),
        step(second, None, state(b"2")),
        step(tmp_path / "blocked/third", None, state(b"2")),
    ]
    with pytest.raises(files.FileProblem) as problem, files.all_or_nothing(steps):
        raise AssertionError("never reached")
    assert "blocked/third" in str(problem.value)
    assert files.read(str(first)) == before and not second.parent.exists()
    with pytest.raises(files.Unrestored) as problem, files.all_or_nothing(steps[:2]):
        second.unlink()
        second.mkdir()
        raise KeyError("why")
    assert "why" in str(problem.value) and "new/second" in str(problem.value)
    assert files.read(str(first)) == before  # the others all the same
    second.rmdir()
    second.parent.rmdir()
    with pytest.raises(KeyError), files.all_or_nothing(steps[:2]) as folders:
        assert folders == [str(second.parent)] and second.read_bytes() == b"2"
        raise KeyError
    assert files.read(str(first)) == before and not second.parent.exists()


def test_the_record_is_roots_alone(tmp_path, monkeypatch):
    path = tmp_path / "lib/proxy.json"
    monkeypatch.setattr(files, "RECORD", str(path))
    monkeypatch.setattr(files.os, "fchown", lambda *arguments: None)
    assert files.read_record() == ""
    files.write_record("x")
    assert files.read_record() == "x"
    assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o777 == 0o700
    files.write_record("")
    assert not path.parent.exists()
    path.parent.mkdir()
    path.write_bytes(b"\xff")
    with pytest.raises(files.FileProblem):
        files.read_record()


def test_a_record_that_has_no_place_is_a_problem_in_words(tmp_path, monkeypatch):
    (tmp_path / "lib").write_text("")
    monkeypatch.setattr(files, "RECORD", str(tmp_path / "lib/determined-network/proxy.json"))
    with pytest.raises(files.FileProblem, match="determined-network cannot be made: File exists"):
        files.write_record("x")
