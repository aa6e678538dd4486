# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files are written as a whole, with mode and folders."""

import os

import pytest
from ansible_collections.determined.network.plugins.module_utils._host.commands import HostError
from ansible_collections.determined.network.plugins.module_utils._proxy import files
from ansible_collections.determined.network.plugins.module_utils._proxy.file_change import FileState


def state(data, mode=0o644):
    return FileState(data, mode, os.getuid(), os.getgid())


def test_a_file_is_written_and_removed_with_its_folders(tmp_path):
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


def test_folders_that_are_in_use_are_kept(tmp_path):
    made = files.write(str(tmp_path / "a/b/file"), state(b""))
    assert files.remove_folders(made) == made[::-1]


def test_a_link_is_kept(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"1")
    link.symlink_to(target)
    files.write(str(link), state(b"2"))
    assert link.is_symlink() and target.read_bytes() == b"2"


def test_what_is_not_a_regular_file_is_refused(tmp_path):
    with pytest.raises(HostError):
        files.read(str(tmp_path))
    os.mkfifo(str(tmp_path / "pipe"))
    descriptor = os.open(str(tmp_path / "pipe"), os.O_RDWR)
    try:
        with pytest.raises(HostError):
            files.read(str(tmp_path / "pipe"))
    finally:
        os.close(descriptor)
