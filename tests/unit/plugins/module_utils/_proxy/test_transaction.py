# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several files change together, or all are restored."""

import os

import pytest
from ansible_collections.determined.network.plugins.module_utils._host.commands import HostError
from ansible_collections.determined.network.plugins.module_utils._proxy import files, transaction
from ansible_collections.determined.network.plugins.module_utils._proxy.errors import RollbackFailed
from ansible_collections.determined.network.plugins.module_utils._proxy.file_change import FileChange, FileState


def state(data, mode=0o644):
    return FileState(data, mode, os.getuid(), os.getgid())


def change(path, before, after):
    return FileChange(str(path), before, after, "t", (), "")


def test_all_or_nothing(tmp_path):
    first, second = tmp_path / "first", tmp_path / "new/second"
    first.write_bytes(b"1")
    before = files.read(str(first))
    (tmp_path / "blocked").write_bytes(b"")
    changes = [
        change(first, before, state(b"2")),
        change(second, None, state(b"2")),
        change(tmp_path / "blocked/third", None, state(b"2")),
    ]
    with pytest.raises(HostError) as problem, transaction.all_or_nothing(changes):
        raise AssertionError("never reached")
    assert "blocked/third" in str(problem.value)
    assert files.read(str(first)) == before and not second.parent.exists()
    with pytest.raises(RollbackFailed) as problem, transaction.all_or_nothing(changes[:2]):
        second.unlink()
        second.mkdir()
        raise KeyError("why")
    assert "why" in str(problem.value) and "new/second" in str(problem.value)
    assert files.read(str(first)) == before  # the others all the same
    second.rmdir()
    second.parent.rmdir()
    with pytest.raises(KeyError), transaction.all_or_nothing(changes[:2]) as folders:
        assert folders == [str(second.parent)] and second.read_bytes() == b"2"
        raise KeyError
    assert files.read(str(first)) == before and not second.parent.exists()
